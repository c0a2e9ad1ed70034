"""Sealed checkpoints: light runs begin at them, full runs compute them again."""

import pytest

from accounts.models import Organisation
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from marketplace.reconciliation.models import Finding, RunKind
from portal.kernel.clock import utc_now
from tests.reconciliation.book import give, inject, raise_posted, run_once

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def sealed(book: Wallet, acme: Organisation) -> Wallet:
    """Sealed, proved by a full run, and with one entry since."""
    ledger.seal_entries(now=utc_now())
    run_once()
    give(acme, 5000)
    book.refresh_from_db()
    return book


def seen(kind: str) -> set[int]:
    run_once(kind=kind)
    return set(Finding.objects.values_list("check_number", flat=True))


def test_a_sealed_healthy_book_raises_nothing(sealed: Wallet) -> None:
    assert seen(RunKind.LIGHT) == set()
    assert seen(RunKind.FULL) == set()
    ledger.seal_entries(now=utc_now())
    assert seen(RunKind.LIGHT) == set()


@pytest.mark.parametrize("kind", RunKind.values)
def test_a_balance_changed_since_the_seal_is_seen(sealed: Wallet, kind: str) -> None:
    raise_posted(sealed)
    assert 1 in seen(kind)


@pytest.mark.parametrize("kind", RunKind.values)
def test_entries_cut_off_below_the_seal_are_seen(sealed: Wallet, kind: str) -> None:
    """With the balance and the number that would have been right before them."""
    inject("DELETE FROM ledger_entry WHERE wallet_id = %s AND wallet_seq >= %s",
           sealed.pk, sealed.seq - 1)  # fmt: skip
    inject(
        "UPDATE ledger_wallet SET seq = %s, posted_millitokens = ("
        "SELECT wallet_after_millitokens FROM ledger_entry WHERE wallet_id = %s"
        " AND wallet_seq = %s) WHERE id = %s",
        sealed.seq - 2, sealed.pk, sealed.seq - 2, sealed.pk,
    )  # fmt: skip
    assert 2 in seen(kind)


def test_a_past_rewritten_in_every_record_breaks_the_seal(sealed: Wallet) -> None:
    """Who changes the reason of a transaction changes nothing that adds up."""
    inject("UPDATE ledger_transaction SET reason = 'for friends' WHERE kind = 'capture'")
    assert seen(RunKind.LIGHT) == set()
    assert seen(RunKind.FULL) == {2}
    assert Finding.objects.filter(subject__startswith="seal:").exists()
