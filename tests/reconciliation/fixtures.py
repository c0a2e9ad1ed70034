"""The books that the tests of this room damage: a small one, and one with everything in it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from accounts.models import Organisation
from marketplace.billing import services as billing
from marketplace.billing.models import Attempt, Order
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from marketplace.metering import services as metering
from marketplace.metering.commands import CloseCall, OpenedCall
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from portal.web.join import grant_trial
from tests.api.client import ApiClient
from tests.billing.shop import deliver, make_pack, open_order, pay
from tests.cast import make_key, make_organisation, make_person
from tests.market import count_again, make_call, open_call
from tests.partners.cast import make_live_service, make_model, make_provider
from tests.partners.usage_events import event, outcomes, place_holds, report
from tests.reconciliation.book import give, grant


@pytest.fixture
def key(committed_db: Any, acme: Organisation) -> str:
    return make_key(acme)[1]


@pytest.fixture
def book(acme: Organisation, key: str, rhine_service: Service) -> Wallet:
    """acme's wallet after its trial, two calls, one failure and one call that still runs."""
    return _keep_book(acme, key, rhine_service)


@pytest.fixture
def busy(committed_db: Any) -> Wallet:
    """acme's wallet in a book with everything in it, which is there already (see conftest.py)."""
    return Wallet.objects.get(
        owner_key=Organisation.objects.get(slug="acme").public_id, unit="live", scope=""
    )


def keep_busy_book() -> None:
    """The calls of ``book``, and orders, a cap, a scoped wallet, a voucher, test tokens, an expired
    lot, direct calls, a reversal, a late charge, a call beyond its hold, a payment that waited for
    its order, and another tenant."""
    acme = make_organisation("Acme Ltd", owner=make_person("ada@acme.example"), slug="acme")
    key, rhine = make_key(acme)[1], make_provider("Rhine")
    rhine_service = make_live_service(rhine, make_model())
    rhine_api = ApiClient(make_key(rhine.organisation, kind="provider")[1])
    globex = make_organisation("Globex", owner=make_person("gus@globex.example"), slug="globex")
    _keep_book(acme, key, rhine_service)
    now = utc_now()
    _order, session = open_order(acme, make_pack())
    deliver(*pay(session))
    capped = make_key(acme, cap_millitokens=10**9, cap_period="month")[1]
    make_call(capped, rhine_service)
    open_call(capped, rhine_service)
    _buy_before_the_order_is_known(acme, scope=f"service:{rhine_service.public_id}")
    give(acme, 10**6, tokens_expire_after_days=90)
    # More than the scoped wallet has.
    _close(open_call(key, rhine_service, completion_tokens=20_000), completion_tokens=18_000)
    grant(acme, 1000, unit="test", reference=f"test:{acme.public_id}")
    soon = now + timedelta(seconds=1)
    grant(globex, 5000, unit="test", reference=f"test:{globex.public_id}", expires_at=soon)
    ledger.expire_lots(now=now + timedelta(seconds=2))
    _report_direct_calls(acme, rhine_api, rhine_service)
    count_again(Call.objects.filter(status="succeeded").order_by("pk")[0], completion_counted=10)
    _close_late(open_call(key, rhine_service, lasts=timedelta(microseconds=1)))
    welcome(globex, 1000)
    _close(open_call(make_key(globex)[1], rhine_service), completion_tokens=2000)
    metering.roll_up_usage(now=utc_now())


def _keep_book(acme: Organisation, key: str, service: Service) -> Wallet:
    welcome(acme, 1_000_000)
    make_call(key, service)
    make_call(key, service, prompt_tokens=7, completion_tokens=3)
    make_call(key, service, status="failed")
    open_call(key, service)
    return Wallet.objects.get(owner_key=acme.public_id, unit="live", scope="")


def welcome(organisation: Organisation, tokens: int) -> None:
    """Its trial, as for an organisation that is verified, with so many tokens and for ever."""
    with override_settings(TRIAL_TOKENS=tokens, TRIAL_DAYS=0):
        assert grant_trial(organisation, organisation.billing_email, utc_now())


def _buy_before_the_order_is_known(buyer: Organisation, *, scope: str) -> None:
    """So the payment waits in suspense, until the order turns up and takes it."""
    pack = make_pack(
        "small",
        paid_millitokens=10**7,
        bonus_millitokens=0,
        prices={"USD": 1},
        expires_after_days=None,
        scope=scope,
    )
    order, session = open_order(buyer, pack, key="small")
    pay(session)
    known = {"public_id": order.public_id, "provider_session_id": session.session_id}
    Attempt.objects.filter(order=order).update(session_id="")
    for now_known in ({"public_id": "ord_later", "provider_session_id": None}, known):
        Order.objects.filter(pk=order.pk).update(**now_known)
        assert billing.place_payment(
            provider="sandbox", object_id=session.session_id, final=True, now=utc_now()
        )
    Attempt.objects.filter(order=order).update(session_id=session.session_id)


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
