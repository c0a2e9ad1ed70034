"""Batches over many wallets, by processes that want the same ones at the same moment."""

from django.db import connection

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from tests.databases import CommittedDatabase
from tests.ledger import crowd
from tests.ledger.auditor import audit
from tests.ledger.cast import NOW, ask, grant
from tests.ledger.crowd import run_crowd

WALLETS = 500
HOLDS_EACH = 16


def test_batches_that_wait_for_each_others_wallets_lose_none(
    committed_db: CommittedDatabase,
) -> None:
    """A row that was waited for stays among those that its statement found."""
    owners = [f"org_{number:03}" for number in range(WALLETS)]
    for owner in owners:
        grant(10 * HOLDS_EACH, owner=owner)
    for _turn in range(HOLDS_EACH):
        ledger.place_holds([ask(10, owner_key=owner) for owner in owners], now=NOW)
    with connection.cursor() as cursor:
        # A database that knows its tables plans otherwise than one that was made just now.
        cursor.execute("ANALYZE")
    captured = run_crowd(committed_db, crowd.capture_in_batches, 16, workers=16)
    assert sum(captured) == 10 * HOLDS_EACH * WALLETS
    assert not Wallet.objects.exclude(posted_millitokens=0, held_millitokens=0).exists()
    audit()
