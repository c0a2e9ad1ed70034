"""Sweeps over many wallets: one that is broken is left alone and logged, all others are swept."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from structlog.testing import capture_logs

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Hold, Limit, Lot
from tests.ledger.auditor import Books, read_books
from tests.ledger.cast import LATER, NOW, grant, hold, limit, wallet

pytestmark = pytest.mark.django_db

TOMORROW = NOW + timedelta(days=1)


def corrupt(sql: str, *parameters: Any) -> None:
    """Write past the ledger, as nobody should."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        assert cursor.rowcount > 0


def rows_of(books: Books, owner: str) -> list[Any]:
    """What belongs to one tenant, but for its place in lists."""
    return [row for name in ("Wallet", "Hold") for row in books[name] if row["owner_key"] == owner]


@pytest.mark.parametrize("batch", [2, 500])
def test_a_broken_wallet_or_limit_keeps_no_other_hold_from_expiring(batch: int) -> None:
    broken = {}
    for number in range(7):
        owner = f"org_{number}"
        grant(1000, owner=owner)
        hold_id = hold(
            100,
            owner_key=owner,
            expires_at=NOW + timedelta(seconds=number + 1),
            limits=(limit(f"key:{number}", 500),),
        )
        if number in (0, 1, 4):
            broken[owner] = hold_id
    corrupt("UPDATE ledger_wallet SET held_millitokens = 0 WHERE owner_key = 'org_0'")
    corrupt("UPDATE ledger_limit SET held_millitokens = 0 WHERE subject = 'key:1'")
    corrupt("UPDATE ledger_wallet SET held_millitokens = 99 WHERE owner_key = 'org_4'")
    before = read_books()

    with capture_logs() as logs:
        expired = ledger.expire_holds(now=LATER, limit=batch)

    assert len(expired) == 4
    for number in range(7):
        owner = f"org_{number}"
        if owner in broken:
            assert rows_of(read_books(), owner) == rows_of(before, owner)
        else:
            assert Hold.objects.get(owner_key=owner).state == "expired"
            assert wallet(owner).held_millitokens == 0
            assert Limit.objects.get(subject=f"key:{number}").held_millitokens == 0
    skipped = [log for log in logs if log["event"] == "ledger_sweep_skipped"]
    assert Counter(log["id"] for log in skipped) == Counter(broken.values())
    assert {log["log_level"] for log in skipped} == {"error"}
    assert ledger.expire_holds(now=LATER, limit=batch) == []


def test_a_broken_wallet_keeps_no_others_lots_from_expiring() -> None:
    for number in range(5):
        grant(100 + number, owner=f"org_{number}", days=1)
    # Its next entry would take a place in its chain that is taken.
    corrupt("UPDATE ledger_wallet SET seq = 0 WHERE owner_key = 'org_2'")
    before = read_books()

    with capture_logs() as logs:
        expired = ledger.expire_lots(now=TOMORROW)

    assert {lot.owner_key for lot in expired} == {"org_0", "org_1", "org_3", "org_4"}
    assert rows_of(read_books(), "org_2") == rows_of(before, "org_2")
    assert Lot.objects.get(wallet__owner_key="org_2").remaining_millitokens == 102
    assert sum(Lot.objects.values_list("remaining_millitokens", flat=True)) == 102
    assert [log["id"] for log in logs if log["event"] == "ledger_sweep_skipped"] == [
        wallet("org_2").pk
    ]
    assert ledger.expire_lots(now=TOMORROW) == []
