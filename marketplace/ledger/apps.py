from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks


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
