"""One broken wallet must not stop a sweep over many."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from django.db import DatabaseError, OperationalError
from django.db.transaction import atomic

from marketplace.ledger.sql import StateChanged

Item = TypeVar("Item", str, int)
Result = TypeVar("Result")

logger = structlog.get_logger(__name__)


def sweep(
    items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]], *, what: str
) -> list[Result]:
    """What ``work`` gives for all items, in one commit.

    If the books of one do not allow it, each half is tried in a commit of its own, and so on down
    to the single item: that one is left as it is and logged, under its id and ``what`` was tried.
    """
    try:
        with atomic():
            return work(items)
    except OperationalError:
        raise  # the database's trouble, not an item's
    except (StateChanged, DatabaseError) as error:
        if len(items) == 1:
            logger.error("ledger_sweep_skipped", what=what, id=items[0], error=str(error))
            return []
    middle = len(items) // 2
    return sweep(items[:middle], work, what=what) + sweep(items[middle:], work, what=what)
