"""Check 21: the triggers, constraints and grants that keep the books immutable are in place."""

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.guards import missing_guards
from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope


def _examine_guards(_cursor: CursorWrapper, _scope: Scope) -> Examined:
    """Of the database as it is now: what a catalogue says belongs to no snapshot."""
    missing = missing_guards()
    return Examined(
        len(missing), [Difference(f"guard:{name}", {"guard": name}) for name in missing]
    )


GUARDS = Check(
    21, _("Triggers, constraints and grants are in place"), Action.FREEZE, _examine_guards
)
