"""The hot path of budgets: which ones a call counts in, one query each three seconds at most.

Each process keeps the budgets of the organisations whose calls it opened lately, for at most
``MAX_AGE_SECONDS``; a change made in this process drops them at once. Only what a budget is gets
remembered, never how much of it is used. Inside a transaction the database is asked, so what is
not committed is neither missed nor remembered.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import connection

from accounts.services import AuthenticatedKey
from marketplace.metering.limits import Cap
from marketplace.metering.models import Budget

MAX_AGE_SECONDS = 3.0
_MOST_REMEMBERED = 10_000

# By unit and the member's primary key, None for everybody's.
CapsByMember = Mapping[tuple[str, int | None], tuple[Cap, ...]]
_NONE: CapsByMember = {}


@dataclass(frozen=True, slots=True)
class _Picture:
    caps: CapsByMember
    loaded_at: float


class _Pictures:
    """At most one picture per organisation and database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, int], _Picture] = {}
        self._generation = object()

    def get(self, organisation_pks: Collection[int]) -> dict[int, CapsByMember]:
        if connection.in_atomic_block:
            return _load(organisation_pks)
        name, now = str(connection.settings_dict["NAME"]), time.monotonic()
        found: dict[int, CapsByMember] = {}
        for pk in organisation_pks:
            picture = self._by_key.get((name, pk))
            if picture and now - picture.loaded_at < MAX_AGE_SECONDS:
                found[pk] = picture.caps
        missing = [pk for pk in organisation_pks if pk not in found]
        if missing:
            generation = self._generation
            fresh = _load(missing)
            with self._lock:
                # A change committed while this was being read makes it unfit to be remembered.
                if generation is self._generation:
                    if len(self._by_key) > _MOST_REMEMBERED:
                        self._by_key = {}
                    for pk, caps in fresh.items():
                        self._by_key[name, pk] = _Picture(caps, now)
            found |= fresh
        return found

    def forget(self) -> None:
        with self._lock:
            self._generation = object()
            self._by_key = {}


_pictures = _Pictures()


def find_budgets_in_force(keys: Collection[AuthenticatedKey]) -> list[tuple[Cap, ...]]:
    """For each key the budgets that its calls count in now: its holder's, then everybody's."""
    pictures = _pictures.get({key.organisation_pk for key in keys})
    return [
        pictures[key.organisation_pk].get((key.kind, key.member_pk), ())
        + pictures[key.organisation_pk].get((key.kind, None), ())
        for key in keys
    ]


def forget_budgets_in_force() -> None:
    """Called by this room's services on every committed change."""
    _pictures.forget()


def _load(organisation_pks: Collection[int]) -> dict[int, CapsByMember]:
    caps: dict[int, dict[tuple[str, int | None], tuple[Cap, ...]]] = defaultdict(dict)
    rows = (
        Budget.objects.in_force()
        .filter(organisation_id__in=organisation_pks)
        .order_by("pk")
        .values_list(
            "organisation_id", "unit", "member_id", "public_id", "period", "max_millitokens",
            "opening_millitokens", "opening_start",
        )
    )  # fmt: skip
    for organisation, unit, member, public_id, period, most, opening, start in rows:
        of_member = caps[organisation]
        cap = Cap(f"budget:{public_id}:{period}", period, most, opening, start)
        of_member[unit, member] = (*of_member.get((unit, member), ()), cap)
    return {pk: caps.get(pk, _NONE) for pk in organisation_pks}
