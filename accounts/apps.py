from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import person_audit
        from portal.kernel import immutability

        person_audit.connect()
        immutability.register(immutability.append_only("accounts_auditevent"))
