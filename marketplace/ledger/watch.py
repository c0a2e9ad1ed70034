"""Is what guards the books in place? A site that runs looks again and again, off the hot path.

While anything is missing, whatever opens a hold, an order or a grant is refused and nothing is
written; reading goes on, and so do the ends of what was begun before. To ask costs reading a
variable. Processes that do not serve (workers, commands) do not watch: what they do was begun here,
and the reconciliation watches them.
"""

import threading

import structlog
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from marketplace.ledger import guards
from portal.kernel.errors import DomainError
from portal.kernel.privileges import serves_as_owner

logger = structlog.get_logger(__name__)

_NOT_LOOKED = ("the first look at the database",)
_FIRST_LOOK_SECONDS = 30.0

_missing: tuple[str, ...] = ()


class LedgerUnguarded(DomainError):
    """What keeps the books immutable is not all there."""

    code, kind = "ledger_unguarded", "unavailable"


def refuse_when_unguarded() -> None:
    """Raises LedgerUnguarded while something was missing at the last look."""
    if _missing:
        raise LedgerUnguarded(
            _(
                "Calls and purchases are stopped for the moment: what guards the books is not all "
                "in place. Nothing was changed; please try again in a few minutes."
            ),
            data={"missing": list(_missing)},
        )


def look() -> list[str]:
    """Look now; what is missing. Raises DatabaseError, and then what was seen last still holds."""
    global _missing
    missing = guards.missing_guards()
    if missing and tuple(missing) != _missing:
        logger.error("ledger_unguarded", missing=missing)
    elif not missing and _missing not in ((), _NOT_LOOKED):
        logger.warning("ledger_guarded_again")
    _missing = tuple(missing)
    return missing


class Watch:
    """The thread that looks every LEDGER_GUARD_SECONDS, from ``start`` to ``stop``."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)

    def start(self) -> None:
        """Returns after the first look. Until the database answers, nothing is opened."""
        global _missing
        _missing = _NOT_LOOKED
        self._thread.start()
        self._looked.wait(_FIRST_LOOK_SECONDS)

    def stop(self) -> None:
        global _missing
        self._stopping.set()
        self._thread.join()
        _missing = ()

    def _run(self) -> None:
        self._look(first=True)
        self._looked.set()
        while not self._stopping.wait(settings.LEDGER_GUARD_SECONDS):
            self._look()

    def _look(self, *, first: bool = False) -> None:
        try:
            look()
            if first and serves_as_owner(connection):
                logger.warning(
                    "ledger_serves_as_owner",
                    advice="let migrations run as another role (docs/deploy.md)",
                )
        except Exception:
            # What was seen last still holds, and a thread that died would never see again.
            logger.exception("ledger_watch_blind")
        finally:
            connection.close()
