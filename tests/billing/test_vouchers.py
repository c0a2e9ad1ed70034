"""Vouchers: redeemed once, within their terms, and the same answer to all that fails."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Voucher, VoucherBatch, VoucherRedemption
from marketplace.ledger.models import Entry, Lot, Transaction
from portal.kernel.clock import utc_now
from tests.billing.shop import MILLION, balance_of
from tests.billing.test_billing_concurrency import at_once
from tests.cast import make_organisation, make_person, signed_in
from tests.databases import CommittedDatabase

LATER = timedelta(days=30)
ADDRESS = "/o/acme/voucher/"


@pytest.fixture
def make(db: None, sam: User) -> Callable[..., list[str]]:
    return lambda **terms: make_codes(sam, **terms)


def make_codes(staff: User, **terms: Any) -> list[str]:
    """The codes of a batch of one million tokens each, one code unless told."""
    wanted = {
        "name": "Fair", "codes": 1, "millitokens": MILLION, "redeemable_until": utc_now() + LATER,
        "user": staff, "actor": SYSTEM_ACTOR, "now": utc_now(), **terms,
    }  # fmt: skip
    return services.create_vouchers(**wanted)[1]


def redeem(organisation: Organisation, code: str, **more: Any) -> VoucherRedemption:
    user = organisation.memberships.order_by("pk")[0].user
    return services.redeem_voucher(
        organisation=organisation, user=user, code=code, actor=SYSTEM_ACTOR,
        now=more.get("now", utc_now()),
    )  # fmt: skip


def read_all() -> str:
    models = (Voucher, VoucherRedemption, Lot, Transaction, Entry, AuditEvent)
    return json.dumps([list(model.objects.values()) for model in models], default=str)


def test_a_code_grants_its_tokens_on_its_terms(acme: Organisation, make) -> None:
    [code] = make(scope="modality:chat", tokens_expire_after_days=90)
    redemption = redeem(acme, code)
    lot = Lot.objects.get()
    assert lot.reference == redemption.reference
    assert (lot.kind, lot.face_millitokens, lot.wallet.scope) == ("grant", MILLION, "modality:chat")
    assert lot.expires_at == redemption.redeemed_at + timedelta(days=90)
    [entry] = Entry.objects.all()
    assert (entry.debit_account.kind, entry.debit_account.owner_key) == ("promotion", "operator")
    assert balance_of(acme) == MILLION
    assert AuditEvent.objects.get(action="voucher.redeemed").organisation == acme


def test_only_the_digest_of_a_code_is_kept(acme: Organisation, make) -> None:
    [code] = make()
    redeem(acme, code)
    kept = read_all() + json.dumps(list(VoucherBatch.objects.values()), default=str)
    assert code not in kept
    assert code.replace("-", "") not in kept


@pytest.mark.parametrize(
    "write",
    [
        str.lower,
        lambda code: f" {code.replace('-', ' ')} ",
        lambda code: "\u2011".join(code.replace("-", "\u2013\u00a0", 1).split("-")),
        lambda code: code.replace("-", "\u2010"),
    ],
)
def test_a_code_is_read_as_it_was_meant(acme: Organisation, make, write) -> None:
    [code] = make()
    redeem(acme, write(code.replace("0", "O").replace("1", "l")))
    assert balance_of(acme) == MILLION


def test_no_other_code_works_and_nothing_changes(
    acme: Organisation, globex: Organisation, make
) -> None:
    """Unknown, used by us, used by others, one too many, expired, withdrawn: one answer."""
    used, second = make(codes=2)
    redeem(acme, used)
    [late] = make(redeemable_until=utc_now() + timedelta(seconds=5))
    [withdrawn] = make(name="Leaked")
    services.withdraw_vouchers(
        batch=VoucherBatch.objects.get(name="Leaked"), actor=SYSTEM_ACTOR, now=utc_now()
    )
    leaked = VoucherBatch.objects.values().get(name="Leaked")
    before, answers = read_all(), set()
    services.withdraw_vouchers(
        batch=VoucherBatch.objects.get(name="Leaked"), actor=SYSTEM_ACTOR, now=utc_now() + LATER
    )
    assert VoucherBatch.objects.values().get(name="Leaked") == leaked, "twice is once"
    for organisation, code, when in (
        (acme, "", utc_now()),
        (acme, "0000-0000-0000-0000", utc_now()),
        (acme, used, utc_now()),
        (globex, used, utc_now()),
        (acme, second, utc_now()),
        (acme, late, utc_now() + timedelta(seconds=6)),
        (acme, withdrawn, utc_now()),
    ):
        with pytest.raises(services.VoucherRefused) as refusal:
            redeem(organisation, code, now=when)
        answers.add((str(refusal.value), refusal.value.code, str(refusal.value.data)))
    assert len(answers) == 1
    assert read_all() == before


def test_a_code_of_many_uses_serves_many_organisations_once_each(
    acme: Organisation, globex: Organisation, make
) -> None:
    [code] = make(uses_per_code=2)
    redeem(acme, code)
    redeem(globex, code)
    before = read_all()
    for organisation in (acme, make_organisation("Initech")):
        with pytest.raises(services.VoucherRefused):
            redeem(organisation, code)
    assert read_all() == before
    assert balance_of(acme) == balance_of(globex) == MILLION


def test_a_code_is_redeemed_once_by_whoever_may_redeem_more(acme: Organisation, make) -> None:
    first, second = make(codes=2, uses_per_code=2, codes_per_organisation=2)
    redeem(acme, first)
    before = read_all()
    with pytest.raises(services.VoucherRefused):
        redeem(acme, first)
    assert read_all() == before
    redeem(acme, second)
    assert balance_of(acme) == 2 * MILLION


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codes", 0), ("codes", 5001), ("millitokens", 0), ("millitokens", 10**16),
        ("uses_per_code", 0), ("codes_per_organisation", 0), ("tokens_expire_after_days", -1),
        ("tokens_expire_after_days", 0),
        ("scope", "service:svc_none"), ("redeemable_until", utc_now() - timedelta(seconds=1)),
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_make_nothing(make, field: str, value: object) -> None:
    with pytest.raises(services.VoucherBatchRejected) as refusal:
        make(**{field: value})
    assert refusal.value.data == {"field": field}
    assert not VoucherBatch.objects.exists()


def test_a_batch_ends_after_it_begins(make) -> None:
    now = utc_now()
    with pytest.raises(services.VoucherBatchRejected):
        make(redeemable_until=now, now=now)
    assert not VoucherBatch.objects.exists()
    assert make(redeemable_until=now + timedelta(microseconds=1), now=now)


def test_a_key_stands_for_one_batch_and_its_codes(make) -> None:
    key, until = services.make_voucher_key(), utc_now() + LATER
    codes = make(codes=3, key=key, redeemable_until=until)
    before = read_all()
    assert make(codes=3, key=key, redeemable_until=until) == codes
    for other in ({"codes": 2}, {"codes": 3, "millitokens": 1}, {"codes": 3, "name": "Other"}):
        with pytest.raises(services.VoucherKeyReused):
            make(key=key, **{"redeemable_until": until, **other})
    assert read_all() == before
    assert VoucherBatch.objects.count() == 1
    assert not set(make(codes=3, redeemable_until=until)) & set(codes)
    kept = json.dumps(list(VoucherBatch.objects.values()), default=str)
    assert key not in kept


def test_many_clicks_at_once_make_one_batch(committed_db: CommittedDatabase) -> None:
    staff = make_person("staff@market.example", is_staff=True)
    key, until = services.make_voucher_key(), utc_now() + LATER
    results = at_once(
        8, lambda _: make_codes(staff, codes=5, key=key, redeemable_until=until, name="Once")
    )
    assert all(one == results[0] for one in results)
    assert len(set(results[0])) == 5
    assert (VoucherBatch.objects.count(), Voucher.objects.count()) == (1, 5)
    assert AuditEvent.objects.filter(action="voucher_batch.created").count() == 1


def _redeem_one_of(companies: list[Organisation], code: str, number: int) -> VoucherRedemption:
    return redeem(companies[number % len(companies)], code)


def test_twenty_at_once_redeem_a_code_once(committed_db: CommittedDatabase) -> None:
    """One code of one use, twenty tries of four organisations; then one with three uses."""
    staff = make_person("staff@market.example", is_staff=True)
    companies = [make_organisation(f"Company {number}") for number in range(4)]
    for uses in (1, 3):
        [code] = make_codes(staff, uses_per_code=uses)
        before = sum(map(balance_of, companies))
        results = at_once(20, partial(_redeem_one_of, companies, code))
        redeemed = [one for one in results if isinstance(one, VoucherRedemption)]
        refused = [one for one in results if isinstance(one, services.VoucherRefused)]
        assert (len(redeemed), len(refused)) == (uses, 20 - uses)
        assert len({one.organisation_id for one in redeemed}) == uses
        assert sum(map(balance_of, companies)) == before + uses * MILLION
    assert sum(Voucher.objects.values_list("uses", flat=True)) == 4


def test_one_organisations_limit_holds_at_once(committed_db: CommittedDatabase) -> None:
    staff = make_person("staff@market.example", is_staff=True)
    acme = make_organisation("Acme Ltd", slug="acme")
    codes = make_codes(staff, codes=10, codes_per_organisation=2)
    results = at_once(10, lambda number: redeem(acme, codes[number]))
    assert sum(isinstance(one, VoucherRedemption) for one in results) == 2
    assert balance_of(acme) == 2 * MILLION


# --- Pages --------------------------------------------------------------------------------


def test_redeeming_on_the_page(acme: Organisation, bill: User, make) -> None:
    [code] = make()
    browser = signed_in(bill)
    assert "Redeem a voucher" in browser.get("/o/acme/buy/").content.decode()
    before = read_all()
    assert (browser.post(ADDRESS, {"code": ""}).status_code, read_all()) == (400, before)
    refused = browser.post(ADDRESS, {"code": "nonsense"})
    assert refused.status_code == 409
    assert "Nothing was added" in refused.content.decode()
    answer = browser.post(ADDRESS, {"code": code.lower()}, follow=True)
    assert "1,000,000 tokens are in your wallet" in answer.content.decode()
    assert balance_of(acme) == MILLION


def test_guessing_ends_after_ten_tries_and_then_even_a_good_code_waits(
    acme: Organisation, bill: User, make
) -> None:
    cache.clear()
    [code] = make()
    browser = signed_in(bill)
    answers = [browser.post(ADDRESS, {"code": f"guess {number}"}) for number in range(10)]
    assert [answer.status_code for answer in answers] == [409] * 10
    before = read_all()
    late = browser.post(ADDRESS, {"code": code})
    assert late.status_code == 429
    assert "wait an hour" in late.content.decode()
    assert read_all() == before


def test_who_may_redeem(
    acme: Organisation, bill: User, mia: User, gus: User, client: Client, make
) -> None:
    [code] = make()
    before = read_all()
    for visitor, expected in ((signed_in(mia), 403), (signed_in(gus), 404), (client, 302)):
        assert visitor.post(ADDRESS, {"code": code}).status_code == expected
    assert read_all() == before


def test_staff_make_a_batch_and_get_its_codes_once(
    acme: Organisation, sam: User, ada: User
) -> None:
    staff = signed_in(sam)
    form = {
        "name": "=Fair", "codes": 3, "tokens": 5000, "scope": "", "uses_per_code": 1,
        "redeemable_until": f"{utc_now() + LATER:%Y-%m-%dT%H:%M}", "codes_per_organisation": 2,
        "tokens_expire_after_days": "", "key": services.make_voucher_key(),
    }  # fmt: skip
    assert signed_in(ada).post("/ops/vouchers/", form).status_code == 404
    wrong = staff.post("/ops/vouchers/", {**form, "tokens": 0})
    assert (wrong.status_code, wrong.context["form"].errors.keys()) == (400, {"tokens"})
    assert not VoucherBatch.objects.exists()
    assert staff.post("/ops/vouchers/", {**form, "key": ""}).status_code == 400
    assert not VoucherBatch.objects.exists()
    answer = staff.post("/ops/vouchers/", form)
    assert staff.post("/ops/vouchers/", form).content == answer.content, "a double click"
    other = staff.post("/ops/vouchers/", {**form, "codes": 4})
    assert other.status_code == 409
    assert "on other terms already" in other.content.decode()
    assert str(form["key"]) not in other.content.decode(), "the next click makes it"
    assert VoucherBatch.objects.count() == 1
    assert answer["Content-Disposition"] == 'attachment; filename="vouchers.csv"'
    assert "no-store" in answer["Cache-Control"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["batch"] for row in rows} == {"'=Fair"}
    assert len({row["code"] for row in rows}) == 3
    redeem(acme, rows[0]["code"])
    assert balance_of(acme) == 5_000_000
    page = staff.get("/ops/vouchers/").content.decode()
    assert rows[1]["code"] not in page
    assert "1 / 3" in page
    batch = VoucherBatch.objects.get()
    withdraw = f"/ops/vouchers/{batch.public_id}/withdraw/"
    assert signed_in(ada).post(withdraw).status_code == 404
    assert redeem(acme, rows[1]["code"])
    assert staff.post(withdraw)["Location"] == "/ops/vouchers/"
    with pytest.raises(services.VoucherRefused):
        redeem(make_organisation("Initech"), rows[2]["code"])
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"voucher_batch.created", "voucher_batch.withdrawn", "voucher.redeemed"} <= actions
