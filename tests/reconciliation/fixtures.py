"""The books that the tests of this room damage: a small one, and one with everything in it."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organisation
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Transaction, Wallet
from marketplace.metering import services as metering
from marketplace.metering.commands import CloseCall, OpenedCall
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.billing.shop import deliver, make_pack, open_order, pay
from tests.cast import make_key
from tests.market import give_tokens, make_call, open_call
from tests.partners.usage_events import event, outcomes, place_holds, report
from tests.reconciliation.book import grant


@pytest.fixture
def key(committed_db: Any, acme: Organisation) -> str:
    return make_key(acme)[1]


@pytest.fixture
def book(acme: Organisation, key: str, rhine_service: Service) -> Wallet:
    """acme's wallet after a grant, two calls, one failure and one call that still runs."""
    give_tokens(acme)
    make_call(key, rhine_service)
    make_call(key, rhine_service, prompt_tokens=7, completion_tokens=3)
    make_call(key, rhine_service, status="failed")
    open_call(key, rhine_service)
    return Wallet.objects.get(owner_key=acme.public_id, unit="live", scope="")


@pytest.fixture
def busy(
    book: Wallet,
    acme: Organisation,
    globex: Organisation,
    key: str,
    rhine_service: Service,
    rhine_api: ApiClient,
) -> Wallet:
    """And an order, a cap, a scoped wallet, test tokens, an expired lot, direct calls, a reversal,
    a late charge, a call beyond its hold, an adjustment, and another tenant."""
    now = utc_now()
    _order, session = open_order(acme, make_pack())
    deliver(*pay(session))
    capped = make_key(acme, cap_millitokens=10**9, cap_period="month")[1]
    make_call(capped, rhine_service)
    open_call(capped, rhine_service)
    grant(acme, 700_000, scope=f"service:{rhine_service.public_id}", reference="scoped")
    make_call(key, rhine_service, prompt_tokens=900, completion_tokens=900)
    grant(acme, 1000, unit="test", reference="trial-of-test")
    grant(acme, 5000, reference="short", expires_at=now + timedelta(seconds=1))
    give_tokens(acme, 10**6, reference="long", expires_at=now + timedelta(days=90))
    ledger.expire_lots(now=now + timedelta(seconds=2))
    _report_direct_calls(acme, rhine_api, rhine_service)
    first = Transaction.objects.filter(kind="capture").order_by("pk")[0]
    ledger.reverse_transaction(
        transaction_id=first.public_id, idempotency_key="r1", reason="goodwill", now=utc_now()
    )
    _close_late(open_call(key, rhine_service, lasts=timedelta(microseconds=1)))
    give_tokens(globex, 1_000_000)
    _close(open_call(make_key(globex)[1], rhine_service), completion_tokens=2000)
    operator, unexplained = ("promotion", "operator"), ("suspense", "operator")
    _adjust("there", operator, unexplained)
    _adjust("back", unexplained, operator)
    metering.roll_up_usage(now=utc_now())
    return Wallet.objects.get(pk=book.pk)


def _adjust(key: str, debit: tuple[str, str], credit: tuple[str, str]) -> None:
    ledger.post_transaction(
        kind="adjustment",
        unit="live",
        idempotency_scope="staff",
        idempotency_key=key,
        moves=[ledger.Move(debit, credit, 7)],
        reason="a decision, and its way back",
        now=utc_now(),
    )


def _report_direct_calls(tenant: Organisation, provider_api: ApiClient, service: Service) -> None:
    """Three calls: as reported, more than held, and one that still runs."""
    api = ApiClient(make_key(tenant)[1])
    good, greedy, _running = place_holds(api, provider_api, service, 3)
    answers = report(provider_api, [event(good, "e1"), event(greedy, "e2", 100_000)])
    assert outcomes(answers) == ["accepted", "accepted"]


def _close_late(call: OpenedCall) -> None:
    assert metering.sweep_open_calls(now=utc_now()) == 1
    _close(call, completion_tokens=10)


def _close(call: OpenedCall, *, completion_tokens: int) -> None:
    [result] = metering.close_calls(
        [
            CloseCall(
                call=call,
                status="succeeded",
                prompt_tokens=1000,
                completion_tokens=completion_tokens,
                usage_source="provider",
            )
        ],
        now=utc_now(),
    )
    assert result.outcome == "closed"
