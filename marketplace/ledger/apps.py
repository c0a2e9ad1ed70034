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
        from portal.kernel import immutability

        immutability.register(GUARDS)
        checks.register(check_guards, checks.Tags.database)


def check_guards(
    *,
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """``check --database default``: a warning, since ``migrate`` runs checks and then repairs."""
    from marketplace.ledger.guards import missing_guards

    missing = missing_guards() if databases and "default" in databases else []
    if not missing:
        return []
    return [
        checks.Warning(
            f"The database lacks what keeps the books immutable: {', '.join(missing)}.",
            hint="Run `manage.py migrate`, which puts triggers back, and ask who removed them.",
            id="ledger.W001",
        )
    ]
