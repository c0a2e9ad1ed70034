from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from portal.kernel.clock import utc_now


class LedgerConfig(AppConfig):
    name = "marketplace.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from marketplace.ledger.guards import GUARDS
        from portal.kernel import immutability, privileges

        immutability.register(GUARDS)
        privileges.revoke_after_migrations()
        checks.register(check_guards, checks.Tags.database)
        checks.register(check_heads_webhook)


def check_guards(
    *,
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """``check --database default``: a warning, since ``migrate`` runs checks and then repairs."""
    from marketplace.ledger.guards import missing_safeguards

    if not databases or "default" not in databases:
        return []
    messages: list[checks.CheckMessage] = []
    if missing := missing_safeguards():
        messages.append(
            checks.Warning(
                f"The database lacks what keeps the books immutable: {', '.join(missing)}.",
                hint="Run `manage.py migrate` as the tables' owner, which puts triggers back and "
                "takes privileges away, and ask who changed them.",
                id="ledger.W001",
            )
        )
    return messages


def check_heads_webhook(
    *, app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """An address without a secret would take no head at all."""
    from portal.kernel.webhooks import sign

    if not settings.LEDGER_HEADS_WEBHOOK_URL:
        return []
    try:
        sign(settings.LEDGER_HEADS_WEBHOOK_SECRET, "", utc_now(), b"")
    except ValueError as error:
        return [checks.Error(f"LEDGER_HEADS_WEBHOOK_SECRET: {error}.", id="ledger.E001")]
    return []
