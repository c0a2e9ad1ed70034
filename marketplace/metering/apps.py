from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "marketplace.metering"
    label = "metering"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace.metering import checks  # registers itself
        from portal.kernel import immutability

        assert checks
        # Kept for ever as reported and charged; a correction is a new transaction in the ledger.
        immutability.register(immutability.append_only("metering_usageevent"))
        immutability.register(immutability.append_only("metering_usagecharge"))
        immutability.register(immutability.append_only("metering_recount"))
