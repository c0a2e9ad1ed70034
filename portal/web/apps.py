from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "portal.web"
    label = "web"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from portal.web.account_hooks import connect_accounts
        from portal.web.catalog_pages import connect_catalog

        connect_accounts()
        connect_catalog()
