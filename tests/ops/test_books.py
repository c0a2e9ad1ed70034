"""From a finding to the call behind it, in three clicks; and wallets that staff freeze."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organisation, User
from marketplace.catalog.models import Service
from marketplace.ledger.models import Freeze, Transaction, Wallet
from marketplace.metering.models import Call
from marketplace.reconciliation.models import Finding, Run, WalletProof
from portal.kernel.clock import utc_now
from tests.cast import make_key, signed_in
from tests.market import give_tokens, make_call, open_call
from tests.reconciliation.book import inject

pytest_plugins = ["tests.partners.fixtures"]


@pytest.fixture
def clerk(sam: User) -> Client:
    return signed_in(sam)


@pytest.fixture
def call(acme: Organisation, rhine_service: Service) -> Call:
    give_tokens(acme)
    key = make_key(acme)[1]
    made = make_call(key, rhine_service)
    open_call(key, rhine_service)
    return made


@pytest.fixture
def wallet(acme: Organisation, call: Call) -> Wallet:
    return Wallet.objects.get(owner_key=acme.public_id, unit="live")


@pytest.fixture
def finding(wallet: Wallet) -> Finding:
    now = utc_now()
    run = Run.objects.create(trigger="beat", started_at=now, finished_at=now)
    WalletProof.objects.create(
        run=run,
        wallet=wallet,
        opening_seq=0,
        closing_seq=1,
        opening_millitokens=0,
        closing_millitokens=10**9,
        gap_millitokens=5000,
        terms={"grant": str(10**9 - 5000)},
    )
    return Finding.objects.create(
        check_number=1,
        subject=f"wallet:{wallet.owner_key}:live:",
        state="open",
        wallet=wallet,
        first_run=run,
        last_run=run,
        first_seen_at=now,
        last_seen_at=now,
    )


def page_of(clerk: Client, address: str) -> str:
    answer = clerk.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def links_of(page: str, prefix: str) -> list[str]:
    return re.findall(rf'href="({prefix}[^"?]+)"', page)


def test_three_clicks_from_a_finding_to_the_call(
    clerk: Client, finding: Finding, wallet: Wallet, call: Call
) -> None:
    page = page_of(clerk, reverse("ops:finding", args=[finding.public_id]))
    [wallet_page] = links_of(page, "/ops/wallets/")
    page = page_of(clerk, wallet_page)
    assert finding.subject in page
    assert "5" in page  # the gap, in tokens
    newest = Transaction.objects.filter(kind="capture").latest("pk")
    assert links_of(page, "/ops/transactions/")[0].endswith(f"{newest.public_id}/")
    page = page_of(clerk, reverse("ops:transaction", args=[newest.public_id]))
    assert links_of(page, "/ops/calls/") == [reverse("ops:call", args=[call.public_id])]
    page = page_of(clerk, reverse("ops:call", args=[call.public_id]))
    assert call.service.handle in page
    assert links_of(page, "/ops/transactions/")[0].endswith(f"{newest.public_id}/")


@pytest.mark.usefixtures("committed_db")
def test_breaks_are_marked(clerk: Client, wallet: Wallet) -> None:
    address = reverse("ops:wallet", args=[wallet.pk])
    assert "<mark>" not in page_of(clerk, address)
    inject(
        "UPDATE ledger_entry SET wallet_after_millitokens = wallet_after_millitokens + 1"
        " WHERE wallet_id = %s AND wallet_seq = 2",
        wallet.pk,
    )
    # Neither this entry follows from the one before nor the next one from it.
    assert page_of(clerk, address).count("<mark>") == 2


def test_long_chains_are_paged_by_their_numbers(
    clerk: Client, wallet: Wallet, acme: Organisation
) -> None:
    for number in range(30):
        give_tokens(acme, 1000, reference=f"small:{number}")
    address = reverse("ops:wallet", args=[wallet.pk])
    first = page_of(clerk, address)
    assert len(links_of(first, "/ops/transactions/")) == 25
    wallet.refresh_from_db()
    [older] = re.findall(r'href="(\?before=\d+)"', first)
    assert older == f"?before={wallet.seq - 24}"
    rest = page_of(clerk, address + older)
    assert len(links_of(rest, "/ops/transactions/")) == wallet.seq - 25
    assert not set(links_of(first, "/ops/transactions/")) & set(
        links_of(rest, "/ops/transactions/")
    ) - set(links_of(rest, "/ops/transactions/")[:1])


def test_staff_freeze_a_wallet_and_lift_it_with_reasons(
    clerk: Client, wallet: Wallet, sam: User
) -> None:
    address = reverse("ops:wallet", args=[wallet.pk])
    before = list(Wallet.objects.values())
    answer = clerk.post(address, {"freeze-reason": " "})
    assert answer.status_code == 200
    assert "error-summary" in answer.content.decode()
    assert list(Wallet.objects.values()) == before

    assert clerk.post(address, {"freeze-reason": "Asked by their bank"}).status_code == 302
    wallet.refresh_from_db()
    assert wallet.frozen
    assert "Asked by their bank" in page_of(clerk, address)
    freeze = Freeze.objects.get()
    answer = clerk.post(address, {"lift-freeze": freeze.pk, "lift-reason": ""})
    assert "error-summary" in answer.content.decode()
    wallet.refresh_from_db()
    assert wallet.frozen
    answer = clerk.post(address, {"lift-freeze": freeze.pk, "lift-reason": "The bank is content"})
    assert answer.status_code == 302
    wallet.refresh_from_db()
    assert not wallet.frozen
    told = AuditEvent.objects.filter(target_id=wallet.owner_key, action__startswith="wallet.")
    assert [(event.action, event.after["reason"]) for event in told.order_by("pk")] == [
        ("wallet.frozen", "Asked by their bank"),
        ("wallet.freeze_lifted", "The bank is content"),
    ]
    assert {event.actor_id for event in told} == {sam.public_id}


def test_a_findings_freeze_is_not_lifted_here(clerk: Client, wallet: Wallet) -> None:
    freeze = Freeze.objects.create(wallet=wallet, reason="finding:fnd_x", frozen_at=utc_now())
    Wallet.objects.filter(pk=wallet.pk).update(frozen=True)
    address = reverse("ops:wallet", args=[wallet.pk])
    answer = clerk.post(address, {"lift-freeze": freeze.pk, "lift-reason": "Please"})
    assert "no such freeze" in answer.content.decode()
    assert Freeze.objects.filter(pk=freeze.pk).exists()
    assert not AuditEvent.objects.filter(action__startswith="wallet.").exists()


@pytest.mark.parametrize(
    "path", ["wallets/999999", "transactions/txn_none", "calls/call_none", "orders/ord_none"]
)
def test_what_does_not_exist_is_404(clerk: Client, path: str) -> None:
    assert clerk.get(f"/ops/{path}/").status_code == 404
