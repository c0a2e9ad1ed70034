"""Fapiao: asked for, issued by staff elsewhere and recorded here, taken back in red by refunds."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Notice, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import fapiao as reads
from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoKind, FapiaoLine, Order, Pack, RedLetter
from portal.kernel.clock import utc_now
from tests.billing.money_back import ask, buy
from tests.billing.processors import SandboxProcessor, deliver
from tests.billing.shop import make_pack
from tests.billing.test_billing_concurrency import at_once
from tests.cast import make_organisation, make_person, signed_in
from tests.databases import CommittedDatabase
from tests.flows.world import read_everything

pytestmark = pytest.mark.django_db
PROCESSOR = SandboxProcessor()
PRICE = 68000  # ¥680.00
USCC = "91110000600037341L"
DETAILS = services.FapiaoDetails(
    kind=FapiaoKind.ORDINARY, title="北京某某科技有限公司", tax_id=USCC, email="cw@acme.example"
)
SPECIAL = replace(
    DETAILS,
    kind=FapiaoKind.SPECIAL,
    address="北京市海淀区某路 1 号",
    phone="010 5555 0100",
    bank="某某银行海淀支行",
    bank_account="6222 0000 0000 0001",
)


@pytest.fixture
def pack(db: None) -> Pack:
    return make_pack(prices={"USD": 9500, "CNY": PRICE})


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    return buy(acme, pack, PROCESSOR, currency="CNY")


def ask_for(*orders: Order, details: services.FapiaoDetails = DETAILS) -> Fapiao:
    return services.request_fapiao(
        organisation=orders[0].organisation,
        user=orders[0].ordered_by,
        orders=[order.public_id for order in orders],
        details=details,
        actor=SYSTEM_ACTOR,
        now=utc_now(),
    )


def number(serial: int) -> str:
    return f"26117000000{serial:09d}"


def issue(fapiao: Fapiao, user: User, serial: int = 1, *, amount: int = PRICE) -> Fapiao:
    services.issue_fapiao(
        fapiao=fapiao, user=user, number=number(serial), issued_on=date(2026, 1, 5),
        expected_minor=amount, actor=SYSTEM_ACTOR, now=utc_now(),
    )  # fmt: skip
    fapiao.refresh_from_db()
    return fapiao


def make_red(fapiao: Fapiao, user: User, serial: int, amount: int) -> Fapiao:
    services.record_red_letter(
        fapiao=fapiao, user=user, number=number(serial), issued_on=date(2026, 1, 6),
        expected_minor=amount, actor=SYSTEM_ACTOR, now=utc_now(),
    )  # fmt: skip
    fapiao.refresh_from_db()
    return fapiao


def give_back(order: Order, amount: int) -> None:
    deliver(PROCESSOR, *PROCESSOR.refund(order.provider_session_id or "", amount))


def stands(fapiao: Fapiao) -> tuple[str, int]:
    fapiao.refresh_from_db()
    return fapiao.state, fapiao.red_due_minor


def withdraw(fapiao: Fapiao) -> None:
    services.withdraw_fapiao(fapiao=fapiao, actor=SYSTEM_ACTOR, now=utc_now())


def test_what_was_kept_is_issued_and_what_goes_back_later_is_taken_back_in_red(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    first, second = (buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "ab")
    give_back(first, 8000)
    fapiao = issue(ask_for(first, second), sam, amount=2 * PRICE - 8000)
    assert set(fapiao.lines.values_list("amount_minor", flat=True)) == {PRICE - 8000, PRICE}
    assert stands(fapiao) == ("issued", 0)

    give_back(first, 1000)
    give_back(second, 500)
    assert stands(fapiao) == ("red_letter_due", 1500)
    before = read_everything()
    with pytest.raises(services.FapiaoChanged):
        make_red(fapiao, sam, 2, 1000)  # as it was shown before the second refund
    assert read_everything() == before
    make_red(fapiao, sam, 2, 1500)
    assert stands(fapiao) == ("red_lettered", 0)
    give_back(first, PRICE - 9000)
    assert stands(fapiao) == ("red_letter_due", PRICE - 9000)
    make_red(fapiao, sam, 3, PRICE - 9000)
    assert not reads.list_fapiao_orders(organisation=acme).exists()  # the second one still has it
    give_back(second, PRICE - 500)
    make_red(fapiao, sam, 4, PRICE - 500)

    assert stands(fapiao) == ("red_lettered", 0)
    taken = RedLetter.objects.values_list("amount_minor", flat=True)
    assert sum(taken) == fapiao.amount_minor
    assert not FapiaoLine.objects.filter(is_live=True).exists()
    told = Notice.objects.filter(kind="fapiao_decided", person__email="ada@acme.example")
    assert [one.params["outcome"] for one in told.order_by("pk")] == ["issued", *["red"] * 3]


def test_what_comes_back_of_one_order_pays_for_no_other(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    """A refund fails after the fapiao was issued without its amount."""
    first, second = (buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "ab")
    give_back(first, 8000)
    fapiao = issue(ask_for(first, second), sam, amount=2 * PRICE - 8000)
    deliver(PROCESSOR, *PROCESSOR.fail_refund(first.refunds.get().refund_id))
    give_back(second, 500)
    assert stands(fapiao) == ("red_letter_due", 500)


def test_staff_are_warned_of_a_refund_under_way(order: Order, sam: User) -> None:
    fapiao = ask_for(order)
    path = f"/ops/fapiao/{fapiao.public_id}/"
    assert "is under way" not in read(signed_in(sam), path)
    ask(order, expected=PRICE)
    assert "is under way" in read(signed_in(sam), path)
    assert "Fapiao to issue" in read(signed_in(sam), "/ops/")


def test_what_has_gone_back_before_is_declined(order: Order, sam: User) -> None:
    fapiao = ask_for(order)
    give_back(order, PRICE)
    before = read_everything()
    with pytest.raises(services.FapiaoRejected):
        issue(fapiao, sam, amount=0)
    assert read_everything() == before
    said = {"amount_minor": 0, "decision": "decline", "note": "It was refunded."}
    assert signed_in(sam).post(f"/ops/fapiao/{fapiao.public_id}/", said).status_code == 302
    assert stands(fapiao) == ("declined", 0)


def test_a_dispute_that_is_won_needs_no_red_letter(order: Order, sam: User) -> None:
    fapiao = issue(ask_for(order), sam)
    session = order.provider_session_id or ""
    deliver(PROCESSOR, *PROCESSOR.dispute(session))
    assert stands(fapiao) == ("red_letter_due", PRICE)
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session, won=True))
    assert stands(fapiao) == ("issued", 0)


def test_a_charge_back_in_red_that_is_won_after_all_is_asked_for_anew(
    order: Order, sam: User
) -> None:
    fapiao = issue(ask_for(order), sam)
    session = order.provider_session_id or ""
    deliver(PROCESSOR, *PROCESSOR.dispute(session))
    make_red(fapiao, sam, 2, PRICE)
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session, won=True))
    assert stands(fapiao) == ("red_lettered", 0)
    issue(ask_for(order), sam, 3)


def test_declined_and_withdrawn_orders_may_be_asked_for_again(order: Order, sam: User) -> None:
    fapiao = ask_for(order, details=SPECIAL)
    services.decline_fapiao(
        fapiao=fapiao, user=sam, note="Wrong title", actor=SYSTEM_ACTOR, now=utc_now()
    )
    withdraw(ask_for(order))
    issue(ask_for(order), sam)
    states = Fapiao.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["declined", "withdrawn", "issued"]


def test_only_what_was_paid_in_yuan_and_kept_can_have_one(
    acme: Organisation, globex: Organisation, pack: Pack, order: Order
) -> None:
    dollars = buy(acme, pack, PROCESSOR, key="usd")
    theirs = buy(globex, pack, PROCESSOR, currency="CNY", key="theirs")
    gone = buy(acme, pack, PROCESSOR, currency="CNY", key="gone")
    give_back(gone, PRICE)
    going = buy(acme, pack, PROCESSOR, currency="CNY", key="going")
    ask(going, expected=PRICE)
    real = buy(acme, pack, PROCESSOR, currency="CNY", key="real")
    Order.objects.filter(pk=real.pk).update(livemode=True)
    before = read_everything()
    for others in ([dollars], [theirs], [gone], [going], [real]):
        with pytest.raises(services.FapiaoNotPossible):
            ask_for(order, *others)
    with pytest.raises(services.FapiaoRejected):
        services.request_fapiao(
            organisation=acme, user=order.ordered_by, orders=[], details=DETAILS,
            actor=SYSTEM_ACTOR, now=utc_now(),
        )  # fmt: skip
    assert read_everything() == before
    ask_for(order)
    before = read_everything()
    with pytest.raises(services.FapiaoNotPossible):
        ask_for(order)
    assert read_everything() == before


@pytest.mark.parametrize(
    ("details", "field"),
    [
        (replace(DETAILS, title=" "), "title"),
        (replace(DETAILS, title="x" * 101), "title"),
        (replace(DETAILS, tax_id=""), "tax_id"),
        (replace(DETAILS, tax_id="911100006000373411"), "tax_id"),
        (replace(DETAILS, email="nobody"), "email"),
        (replace(SPECIAL, address=""), "address"),
        (replace(SPECIAL, phone=""), "phone"),
        (replace(SPECIAL, bank=""), "bank"),
        (replace(SPECIAL, bank_account=" "), "bank_account"),
        (replace(SPECIAL, bank_account="1" * 41), "bank_account"),
    ],
)
def test_what_a_fapiao_names_is_checked(
    order: Order, details: services.FapiaoDetails, field: str
) -> None:
    before = read_everything()
    with pytest.raises(services.FapiaoRejected) as refusal:
        ask_for(order, details=details)
    assert refusal.value.data["field"] == field
    assert read_everything() == before


def test_what_staff_record_is_checked(acme: Organisation, pack: Pack, sam: User) -> None:
    """Number, day, amount and state; a number is used once, in blue or in red."""
    done, fapiao = (
        ask_for(buy(acme, pack, PROCESSOR, currency="CNY", key=key)) for key in ("done", "next")
    )
    issue(done, sam)
    said: dict[str, Any] = {
        "fapiao": fapiao, "user": sam, "number": number(2), "issued_on": date(2026, 1, 5),
        "expected_minor": PRICE, "actor": SYSTEM_ACTOR, "now": utc_now(),
    }  # fmt: skip
    before = read_everything()
    wrong: list[dict[str, Any]] = [
        {"number": number(1)},
        {"number": "1" * 19},
        {"number": "１" * 20},
        {"issued_on": utc_now().date() + timedelta(days=2)},
        {"expected_minor": PRICE - 1},
        {"fapiao": done},
    ]
    for change in wrong:
        with pytest.raises((services.FapiaoRejected, services.FapiaoChanged,
                            services.FapiaoDecided)):  # fmt: skip
            services.issue_fapiao(**(said | change))
        assert read_everything() == before, change
    for late in (
        lambda: services.record_red_letter(**said),
        lambda: withdraw(done),
        lambda: services.decline_fapiao(
            fapiao=fapiao, user=sam, note=" ", actor=SYSTEM_ACTOR, now=utc_now()
        ),
    ):
        with pytest.raises((services.FapiaoRejected, services.FapiaoDecided)):
            late()
    assert read_everything() == before


def path_of(name: str, organisation: str = "acme", **more: str) -> str:
    return reverse(f"billing:{name}", kwargs={"organisation": organisation, **more})


def read(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_pages_from_the_order_to_the_red_letter(order: Order, bill: User, sam: User) -> None:
    buyer, staff = signed_in(bill), signed_in(sam)
    order_page = path_of("order", order=order.public_id)
    assert "Ask for a fapiao" in read(buyer, order_page)
    form = read(buyer, f"{path_of('ask_fapiao')}?order={order.public_id}")
    assert f'value="{order.public_id}"' in form
    assert "checked" in form
    said = {
        "orders": order.public_id, "kind": "ordinary", "title": "某某公司",
        "tax_id": USCC.lower(), "email": "cw@acme.example",
    }  # fmt: skip
    assert buyer.post(path_of("ask_fapiao"), said).status_code == 302
    fapiao = Fapiao.objects.get()
    assert fapiao.tax_id == USCC
    before = read_everything()
    again = buyer.post(path_of("ask_fapiao"), said)
    assert (again.status_code, read_everything()) == (400, before)
    for page in (path_of("fapiao"), order_page):
        assert "Asked for" in read(buyer, page)

    ops = f"/ops/fapiao/{fapiao.public_id}/"
    assert "某某公司" in read(staff, "/ops/fapiao/")
    for text in (USCC, "680.00", "Issue nothing"):
        assert text in read(staff, ops)
    before = read_everything()
    for wrong in (
        {},
        {"decision": "issue"},
        {"decision": "decline"},
        {"decision": "issue", "number": "x", "issued_on": "2026-01-05"},
        {"decision": "issue", "number": number(1), "issued_on": "soon"},
        {"decision": "fly", "number": number(1), "issued_on": "2026-01-05"},
    ):
        answer = staff.post(ops, {"amount_minor": PRICE, **wrong})
        assert (answer.status_code, read_everything()) == (400, before), wrong
    done = {"amount_minor": PRICE, "number": number(1), "issued_on": "2026-01-05"}
    assert staff.post(ops, {"decision": "issue", **done}).status_code == 302
    assert number(1) in read(buyer, path_of("fapiao"))
    assert number(1) in read(buyer, order_page)
    before = read_everything()
    assert staff.post(ops, {"decision": "issue", **done}).status_code == 400
    assert read_everything() == before

    give_back(order, 8000)
    assert "red-letter fapiao over it" in read(staff, ops)
    red = {"amount_minor": 8000, "number": number(2), "issued_on": "2026-01-06"}
    assert staff.post(ops, red).status_code == 302
    assert number(2) in read(buyer, path_of("fapiao"))
    actions = AuditEvent.objects.filter(action__startswith="fapiao.").order_by("pk")
    assert [one.action.removeprefix("fapiao.") for one in actions] == [
        "requested", "issued", "red_lettered",
    ]  # fmt: skip


def test_a_form_from_before_another_persons_decision_is_no_red_letter(
    order: Order, sam: User
) -> None:
    """Not even when a red letter over the same amount is due by then."""
    fapiao = ask_for(order)
    issue(fapiao, sam)
    give_back(order, PRICE)
    staff = signed_in(sam)
    stale = {"amount_minor": PRICE, "number": number(2), "issued_on": "2026-01-05"}
    before = read_everything()
    for decision in ("issue", "decline"):
        said = {"decision": decision, "note": "Wrong title", **stale}
        answer = staff.post(f"/ops/fapiao/{fapiao.public_id}/", said)
        assert answer.status_code == 400
        assert "decided or withdrawn already" in answer.content.decode()
    assert read_everything() == before


def test_the_buyer_withdraws_until_we_decide(order: Order, bill: User, sam: User) -> None:
    buyer = signed_in(bill)
    fapiao = ask_for(order)
    path = path_of("withdraw_fapiao", fapiao=fapiao.public_id)
    assert buyer.post(path).status_code == 302
    assert stands(fapiao) == ("withdrawn", 0)
    before = read_everything()
    assert buyer.post(path).status_code == 409
    assert read_everything() == before


def test_it_is_nobody_elses(order: Order, mia: User, gus: User) -> None:
    fapiao = ask_for(order)
    withdrawal = {"fapiao": fapiao.public_id}
    clients = {403: signed_in(mia), 404: signed_in(gus)}
    stranger = signed_in(make_person("x@y.example"))
    before = read_everything()
    for status, client in clients.items():
        for path in (path_of("fapiao"), path_of("ask_fapiao")):
            assert client.get(path).status_code == status
        assert client.post(path_of("withdraw_fapiao", **withdrawal)).status_code == status
        assert client.post(path_of("ask_fapiao"), {"orders": order.public_id}).status_code == status
    own = path_of("withdraw_fapiao", "globex", **withdrawal)
    assert clients[404].post(own).status_code == 404
    assert "¥" not in read(clients[404], path_of("ask_fapiao", "globex"))
    for path in ("/ops/fapiao/", f"/ops/fapiao/{fapiao.public_id}/"):
        assert stranger.get(path).status_code == 404
    assert read_everything() == before


def test_withdrawing_against_issuing_and_asking_twice_end_one_way(
    committed_db: CommittedDatabase,
) -> None:
    acme = make_organisation("Acme Ltd", slug="acme")
    staff = make_person("staff@market.example", is_staff=True)
    order = buy(acme, make_pack(prices={"USD": 9500, "CNY": PRICE}), PROCESSOR, currency="CNY")
    asked = at_once(4, lambda _number: ask_for(order))
    assert sum(isinstance(answer, Fapiao) for answer in asked) == 1
    assert sum(isinstance(answer, services.FapiaoNotPossible) for answer in asked) == 3
    fapiao = Fapiao.objects.get()

    answers = at_once(4, lambda n: withdraw(fapiao) if n % 2 else issue(fapiao, staff, n + 1))

    assert sum(isinstance(answer, services.FapiaoDecided) for answer in answers) == 3
    state, _due = stands(fapiao)
    assert FapiaoLine.objects.filter(is_live=True).exists() is (state == "issued")
