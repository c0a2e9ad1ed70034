from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "marketplace.billing"
    label = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace.billing import checks  # registers itself
        from marketplace.billing.models.documents import DOCUMENT_GUARDS
        from marketplace.billing.models.movements import MOVEMENT_GUARDS
        from portal.kernel import immutability

        assert checks
        immutability.register(DOCUMENT_GUARDS)
        immutability.register(MOVEMENT_GUARDS)
