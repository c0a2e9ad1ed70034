"""The wallet page: what the ledger holds, in burn order, and where each token went."""

from datetime import timedelta

import pytest

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from portal.kernel.clock import utc_now
from tests.cast import make_key, signed_in
from tests.market import give_tokens, make_call, open_call

pytest_plugins = ["tests.partners.fixtures"]


def test_lots_stand_in_the_order_in_which_they_burn(acme: Organisation, bill: User) -> None:
    now = utc_now()
    give_tokens(acme, 3_000_000, reference="never")
    give_tokens(acme, 2_000_000, reference="late", expires_at=now + timedelta(days=90))
    give_tokens(acme, 1_000_000, reference="soon", expires_at=now + timedelta(days=30))
    page = signed_in(bill).get("/o/acme/wallet/")
    faces = [lot.face_millitokens for lot, _label in page.context["lots"]]
    assert faces == [1_000_000, 2_000_000, 3_000_000]
    assert page.context["balance"].spendable == 6_000_000
    assert "never" in page.content.decode()


def test_entries_lead_to_their_calls_with_the_balance_after(
    acme: Organisation, ada: User, rhine_service: Service
) -> None:
    give_tokens(acme)
    key = make_key(acme)[1]
    call = make_call(key, rhine_service)
    open_call(key, rhine_service)
    page = signed_in(ada).get("/o/acme/wallet/")
    newest = page.context["movements"][0]
    assert newest.url == f"/o/acme/requests/{call.public_id}/"
    taken = sum(m.signed_millitokens for m in page.context["movements"][:-1])
    assert taken == -call.cost_millitokens
    wallet = Wallet.objects.get(owner_key=acme.public_id)
    assert newest.entry.wallet_after_millitokens == wallet.posted_millitokens
    assert page.context["balance"].held == wallet.held_millitokens > 0


def test_entries_page_by_position(acme: Organisation, ada: User) -> None:
    for number in range(60):
        give_tokens(acme, 1000, reference=f"grant-{number}")
    browser = signed_in(ada)
    first = browser.get("/o/acme/wallet/").context
    assert [m.entry.wallet_seq for m in first["movements"]] == list(range(60, 10, -1))
    assert first["newer_url"] == ""
    second = browser.get(f"/o/acme/wallet/{first['older_url']}").context
    assert [m.entry.wallet_seq for m in second["movements"]] == list(range(10, 0, -1))
    assert second["older_url"] == ""
    back = browser.get(f"/o/acme/wallet/{second['newer_url']}").context
    assert [m.entry.wallet_seq for m in back["movements"]] == list(range(60, 10, -1))
    assert back["newer_url"] == ""
    for strange in ("?before=x", "?before=-1", "?before=²", f"?before={'9' * 40}", "?scope=none"):
        assert browser.get(f"/o/acme/wallet/{strange}").status_code == 200


def test_a_member_sees_the_balance_only(acme: Organisation, mia: User) -> None:
    give_tokens(acme, 1_234_000)
    page = signed_in(mia).get("/o/acme/wallet/")
    assert "1,234 tokens" in page.content.decode()
    assert "lots" not in page.context
    assert "movements" not in page.context


def test_a_frozen_wallet_says_so_on_every_page(acme: Organisation, ada: User) -> None:
    """What it means, and what to name when asking; not the words that staff wrote."""
    browser = signed_in(ada)
    assert "This wallet is frozen" not in browser.get("/o/acme/").content.decode()
    lot = give_tokens(acme)
    ledger.freeze_wallet(wallet_pk=lot.wallet_id, reason="staff: they look odd", now=utc_now())
    for address in ("/o/acme/", "/o/acme/keys/", "/o/acme/wallet/"):
        page = browser.get(address).content.decode()
        assert page.count("This wallet is frozen") == 1
        assert acme.public_id in page
        assert "look odd" not in page
    ledger.freeze_wallet(wallet_pk=lot.wallet_id, reason="finding:fnd_x", now=utc_now())
    assert "fnd_x" in browser.get("/o/acme/").content.decode()


def test_a_frozen_wallet_of_test_tokens_says_so_on_its_page(acme: Organisation, ada: User) -> None:
    lot = ledger.grant_lot(
        owner_key=acme.public_id,
        unit="test",
        reference="test-grant",
        kind="grant",
        face_millitokens=1000,
        debits=[("promotion", "operator", 1000)],
        now=utc_now(),
    ).lot
    ledger.freeze_wallet(wallet_pk=lot.wallet_id, reason="finding:fnd_x", now=utc_now())
    browser = signed_in(ada)
    assert "This wallet is frozen" not in browser.get("/o/acme/wallet/").content.decode()
    assert "fnd_x" in browser.get("/o/acme/wallet/?unit=test").content.decode()


@pytest.mark.parametrize("unit", ["live", "test"])
def test_units_are_shown_apart(acme: Organisation, ada: User, unit: str) -> None:
    give_tokens(acme, 5000)
    balance = signed_in(ada).get(f"/o/acme/wallet/?unit={unit}").context["balance"]
    assert balance.posted == (5000 if unit == "live" else 0)
