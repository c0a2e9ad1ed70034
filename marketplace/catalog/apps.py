from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "marketplace.catalog"
    label = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace.catalog.models import IMMUTABLE_TABLES
        from portal.kernel.immutability import append_only, register

        for table in IMMUTABLE_TABLES:
            register(append_only(table))
