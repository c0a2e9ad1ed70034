"""What a check is: it reads the snapshot and names differences; the run decides what to do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.functional import Promise

from marketplace.reconciliation.snapshot import fetch_rows

# So many rows of one query become findings, the first by subject; one more says that there are
# others. A damage that shows in every row would else fill the memory, and nobody's day is longer.
MOST_DIFFERENCES = 1000
# What a column of this room's tables takes; a damaged row can make any sum.
MOST_STORED = 2**63 - 1
_LONGEST_SUBJECT = 160


class Action(StrEnum):
    """What follows when a difference is seen a second time."""

    REPAIR = "A"  # by rule, as new rows with a reason
    FINDING = "C"  # for a person
    FREEZE = "F"  # a finding, and the wallet takes no new holds


@dataclass(frozen=True)
class Scope:
    """What a run looks at: everything (``since`` is None), or what was recorded after ``since``.

    ``floors`` name, by table, the highest id that was recorded before ``since``, so that checks
    can begin there without an index over times; a table that is not in it is read whole.
    ``seed`` (the run's public id) makes a check that takes a sample take another one every time.
    """

    now: datetime
    since: datetime | None = None
    floors: Mapping[str, int] = field(default_factory=dict)
    seed: str = ""

    def after(self, table: str) -> int:
        """Rows of ``table`` with a higher id are within the scope."""
        return self.floors.get(table, 0)


@dataclass(frozen=True)
class Difference:
    """Two records of the same thing that disagree.

    ``subject`` names the thing stably ("wallet:12", "hold:hld_…") so that the next run knows
    it again; ``detail`` holds both figures, JSON-ready.
    """

    subject: str
    detail: Mapping[str, Any]
    at_stake_millitokens: int = 0
    wallet_pk: int | None = None
    action: Action | None = None  # overrides the check's own, where the side matters


@dataclass(frozen=True)
class Examined:
    """A check's result over one snapshot."""

    count: int
    differences: Sequence[Difference] = field(default_factory=tuple)


def find_differences(
    cursor: CursorWrapper,
    sql: str,
    parameters: Iterable[Any] = (),
    *,
    action: Action | None = None,
) -> list[Difference]:
    """One difference for each row of ``sql``, up to MOST_DIFFERENCES.

    Its columns ``subject``, ``at_stake`` (millitokens) and ``wallet_id`` (or NULL) say what
    differs; all others are the figures, which become texts. The statement takes parameters, so a
    literal per cent sign is doubled.
    """
    limited = f"SELECT * FROM ({sql}) AS found ORDER BY subject LIMIT {MOST_DIFFERENCES + 1}"  # noqa: S608 (our own text)
    found: list[Difference] = []
    for row in fetch_rows(cursor, limited, list(parameters)):
        if len(found) == MOST_DIFFERENCES:
            kind = found[0].subject.partition(":")[0]
            shown = {"shown": str(MOST_DIFFERENCES)}
            found.append(Difference(f"more:{kind}", shown, action=Action.FINDING))
            break
        subject = str(row.pop("subject"))[:_LONGEST_SUBJECT]
        at_stake = min(abs(int(row.pop("at_stake") or 0)), MOST_STORED)
        wallet_pk = row.pop("wallet_id")
        figures = {name: None if value is None else str(value) for name, value in row.items()}
        found.append(Difference(subject, figures, at_stake, wallet_pk, action))
    return found


def was_decided(check_number: int, subject: str) -> str:
    """A condition in SQL: staff (not a rule) have resolved a finding of this check about
    ``subject``, which is SQL too. For what stays as it is once a person has looked at it."""
    return f"""EXISTS (
        SELECT 1 FROM reconciliation_finding decided
        WHERE decided.check_number = {check_number} AND decided.subject = {subject}
          AND decided.state = 'resolved' AND decided.resolved_by_id IS NOT NULL)"""  # noqa: S608 (our own text)


def count_rows(cursor: CursorWrapper, table: str, scope: Scope | None = None) -> int:
    """How many rows of ``table`` there are, within the scope if one is given."""
    sql = f"SELECT COUNT(*) AS n FROM {table} WHERE id > %s"  # noqa: S608 (our own names)
    return int(fetch_rows(cursor, sql, [scope.after(table) if scope else 0])[0]["n"])


@dataclass(frozen=True)
class Check:
    """One numbered check of docs/money.md.

    ``examine(cursor, scope)`` only reads. ``ask(now)`` goes to an outside party, after the
    snapshot has been closed, for what only that party knows. ``prepare(now)`` does so before the
    snapshot of a full run is opened, where what is told is kept for ``examine``.
    ``repair(difference, now)`` is given where the rule is A: it acts through the owner's services,
    is safe to repeat, and says in words what it did, or answers None when the difference had gone
    by then. ``windowed``: a light run does not see everything that a full one sees, so it cannot
    say that something is gone.
    """

    number: int
    title: Promise | str
    action: Action
    examine: Callable[[CursorWrapper, Scope], Examined]
    repair: Callable[[Difference, datetime], str | None] | None = None
    ask: Callable[[datetime], Sequence[Difference]] | None = None
    windowed: bool = False
    prepare: Callable[[datetime], object] | None = None

    def action_for(self, difference: Difference) -> Action:
        return difference.action or self.action
