from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "marketplace.reconciliation"
    label = "reconciliation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace.reconciliation import start_checks  # registers itself

        assert start_checks
