"""Transactions and holds that nobody ordered, whole in themselves: some check asks why they are.

Each forgery is made of the ledger's own statements, as by somebody who writes to the database and
knows them: entries, parts, lots, burns, the wallet's balance and every total fit together. Only the
record that would say why is missing. docs/adr/0095 has the causes in words.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import VoucherRedemption
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Account, Lot, Transaction, Wallet
from marketplace.ledger.services import CaptureRequest, HoldRequest, Move
from marketplace.metering.models import Call, Recount, UsageCharge
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState, RunKind
from portal.kernel.clock import utc_now
from tests.cast import make_organisation
from tests.reconciliation.book import inject, run_once, run_twice

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")

OPERATORS = {
    name: (name, ledger.OPERATOR) for name in ("promotion", "suspense", "commission", "breakage")
}
PAYABLE = ("payable", "prv_friend")
SANDBOX = ("clearing", "sandbox")
AMOUNT = 1234


def _hold(wallet: Wallet, reference: str) -> str:
    now = utc_now()
    [held] = ledger.place_holds(
        [
            HoldRequest(
                owner_key=wallet.owner_key,
                unit=wallet.unit,
                amount_millitokens=AMOUNT,
                idempotency_scope="forged",
                idempotency_key="1",
                request_hash="0" * 64,
                expires_at=now + timedelta(minutes=5),
                reference=reference,
            )
        ],
        now=now,
    )
    assert held.outcome == "held"
    return held.hold_id


def _pending_hold(wallet: Wallet, reference: str = "") -> None:
    _hold(wallet, reference)


def _released_hold(wallet: Wallet, reference: str = "") -> None:
    ledger.release_holds([_hold(wallet, reference)], now=utc_now())


def _capture(wallet: Wallet, reference: str = "") -> None:
    request = CaptureRequest(
        hold_id=_hold(wallet, reference),
        amount_millitokens=AMOUNT,
        payee="prv_friend",
        share_basis_points=9000,
        reference=reference,
    )
    [captured] = ledger.capture_holds([request], now=utc_now())
    assert captured.captured_millitokens == AMOUNT


def _post(
    debit: tuple[str, str],
    credit: tuple[str, str],
    *,
    kind: str = "adjustment",
    scope: str = "staff",
    key: str = "1",
    reference: str = "",
    amount: int = AMOUNT,
) -> None:
    ledger.post_transaction(
        kind=kind,
        unit="live",
        idempotency_scope=scope,
        idempotency_key=key,
        moves=[Move(debit, credit, amount)],
        reason="as agreed",
        reference=reference,
        now=utc_now(),
    )


def _grant(wallet: Wallet, reference: str, **more: object) -> Lot:
    terms: dict[str, object] = {
        "owner_key": wallet.owner_key,
        "unit": wallet.unit,
        "reference": reference,
        "kind": "grant",
        "face_millitokens": AMOUNT,
        "debits": [("promotion", ledger.OPERATOR, AMOUNT)],
        "now": utc_now(),
    }
    return ledger.grant_lot(**(terms | more)).lot  # type: ignore[arg-type]


def _reverse(key: str, *, reference: str = "") -> str:
    """A charge that goes back, in part; the call's id."""
    charge = UsageCharge.objects.filter(transaction__reversals=None, amount_millitokens__gt=AMOUNT)
    charge = charge.exclude(transaction=None).select_related("event__call")
    paid = charge.order_by("-pk")[0]
    ledger.reverse_transaction(
        transaction_id=paid.transaction.public_id,  # type: ignore[union-attr]
        debits=[("commission", ledger.OPERATOR, 7)],
        idempotency_key=key.format(call=paid.event.call.public_id),
        reason="The market counted fewer tokens.",
        reference=reference,
        now=utc_now(),
    )
    return paid.event.call.public_id


def _reversal_without_a_recount(_wallet: Wallet) -> None:
    _reverse("goodwill")


def _reversal_as_if_by_a_recount(_wallet: Wallet) -> None:
    _reverse("recount:{call}")


def _reversal_that_names_no_finding_of_ours(_wallet: Wallet) -> None:
    _reverse("1", reference="finding:fnd_none")


def _reversal_of_more_than_the_recount_says(_wallet: Wallet) -> None:
    """Both are there, and the tenant got other tokens back than was found."""
    call = Call.objects.get(public_id=_reverse("recount:{call}"))
    correction = Transaction.objects.get(idempotency_key=f"recount:{call.public_id}")
    Recount.objects.create(
        call=call,
        service=call.service,
        tokenizer="qwen3",
        prompt_reported=call.prompt_tokens,
        completion_reported=call.completion_tokens,
        completion_counted=1,
        verdict="disputed",
        returned_millitokens=6,
        correction=correction,
        counted_at=utc_now(),
    )


def _adjustment_without_a_finding(_wallet: Wallet) -> None:
    _post(OPERATORS["suspense"], OPERATORS["promotion"])


def _adjustment_that_names_no_finding_of_ours(_wallet: Wallet) -> None:
    _post(OPERATORS["suspense"], PAYABLE, reference="finding:fnd_other")


def _adjustment_older_than_its_finding(_wallet: Wallet) -> None:
    _post(OPERATORS["suspense"], OPERATORS["promotion"], reference=_name_finding())
    inject("UPDATE reconciliation_finding SET opened_at = %s", utc_now() + timedelta(minutes=31))


def _adjustment_of_a_pair_that_no_decision_moves(_wallet: Wallet) -> None:
    _post(OPERATORS["breakage"], PAYABLE, reference=_name_finding())


def _payout(_wallet: Wallet) -> None:
    _post(PAYABLE, SANDBOX, kind="payout")


def _payout_for_a_finding(_wallet: Wallet) -> None:
    _post(OPERATORS["suspense"], PAYABLE, kind="payout", reference=_name_finding())


def _stray_payment_without_its_record(_wallet: Wallet) -> None:
    _post(SANDBOX, OPERATORS["suspense"], scope="stray_payment", reference="payment:pay_other")


def _living_lot_expires(wallet: Wallet) -> None:
    _expire_now(Lot.objects.get(kind="paid", wallet=wallet))


def _lot_that_never_expires_does(wallet: Wallet) -> None:
    _expire_now(Lot.objects.get(reference__startswith="trial:", wallet=wallet))


def _expire_now(lot: Lot) -> None:
    """As if it were due, for a moment."""
    set_expiry = "UPDATE ledger_lot SET expires_at = %s WHERE id = %s"
    inject(set_expiry, utc_now() - timedelta(seconds=1), lot.pk)
    assert [one.lot_id for one in ledger.expire_lots(now=utc_now())] == [lot.public_id]
    inject(set_expiry, lot.expires_at, lot.pk)
    inject(
        "UPDATE ledger_wallet SET next_expiry_at = (SELECT MIN(expires_at) FROM ledger_lot"
        " WHERE wallet_id = %s AND remaining_millitokens > 0) WHERE id = %s",
        lot.wallet_id, lot.wallet_id,
    )  # fmt: skip


def _gift(wallet: Wallet) -> None:
    _grant(wallet, "gift")


def _purchase_without_an_order(wallet: Wallet) -> None:
    _grant(
        wallet, "ord_1", kind="paid", transaction_kind="purchase", paid_minor=1, currency="USD",
        debits=[("clearing", "sandbox", AMOUNT)],
    )  # fmt: skip


def _second_lot_of_test_tokens(wallet: Wallet) -> None:
    _grant(wallet, f"test:{wallet.owner_key}", kind="bonus", unit="test")


def _trial_of_somebody_else(wallet: Wallet) -> None:
    _grant(wallet, "trial:org_other")


def _trial_without_a_claim(wallet: Wallet) -> None:
    newcomer = make_organisation("Initech").public_id
    _grant(wallet, f"trial:{newcomer}", owner_key=newcomer)


def _trial_that_was_not_recorded(wallet: Wallet) -> None:
    inject("DELETE FROM accounts_auditevent WHERE action = 'trial.granted' AND target_id = %s",
           wallet.owner_key)  # fmt: skip


def _trial_of_another_time(wallet: Wallet) -> None:
    before = utc_now() - timedelta(days=1)
    for change in (
        "UPDATE accounts_trialclaim SET claimed_at = %s WHERE organisation_id = ("
        "SELECT id FROM accounts_organisation WHERE public_id = %s)",
        "UPDATE accounts_auditevent SET recorded_at = %s"
        " WHERE action = 'trial.granted' AND target_id = %s",
    ):
        inject(change, before, wallet.owner_key)


def _trial_recorded_as_something_else(wallet: Wallet) -> None:
    inject("UPDATE accounts_auditevent SET action = 'trial.refused'"
           " WHERE action = 'trial.granted' AND target_id = %s", wallet.owner_key)  # fmt: skip


def _voucher_of_somebody_else(wallet: Wallet) -> None:
    """Redeemed by one, and granted to another."""
    globex = Organisation.objects.get(slug="globex")
    redeemed = VoucherRedemption.objects.get()
    another = VoucherRedemption.objects.create(
        voucher=redeemed.voucher, organisation=globex, redeemed_by=redeemed.redeemed_by,
        redeemed_at=utc_now(),
    )  # fmt: skip
    face = redeemed.voucher.batch.millitokens
    _grant(
        wallet, another.reference, face_millitokens=face, now=another.redeemed_at,
        debits=[("promotion", ledger.OPERATOR, face)],
    )  # fmt: skip


def _voucher_that_nobody_redeemed(wallet: Wallet) -> None:
    _grant(wallet, f"voucher:vch_other:{wallet.owner_key}")


def _live_tokens_as_test_tokens(wallet: Wallet) -> None:
    newcomer = make_organisation("Initech").public_id
    _grant(wallet, f"test:{newcomer}", owner_key=newcomer)


def _grant_that_names_no_finding_of_ours(wallet: Wallet) -> None:
    _grant(wallet, "finding:fnd_other")


def _grant_older_than_its_finding(wallet: Wallet) -> None:
    _grant(wallet, _name_finding())
    inject("UPDATE reconciliation_finding SET opened_at = %s", utc_now() + timedelta(minutes=31))


def _suspense_of(owner_key: str) -> None:
    mine = Account.objects.get(kind="suspense", owner_key__startswith="prv_")
    friends = Account.objects.create(kind="suspense", owner_key=owner_key, unit=mine.unit)
    inject(
        "UPDATE ledger_entry SET credit_account_id = %s WHERE credit_account_id = %s",
        friends.pk, mine.pk,
    )  # fmt: skip


def _name_finding() -> str:
    """A finding of the busy book that a person is to decide."""
    return f"finding:{Finding.objects.get(detail__reason='beyond_hold').public_id}"


Forgery = Callable[[Wallet], None]
FREEZE, FINDING = True, False
FORGERIES: list[tuple[int, bool, Forgery]] = [
    (9, FREEZE, _pending_hold),
    (9, FREEZE, lambda wallet: _pending_hold(wallet, "order:ord_1")),
    (9, FINDING, _released_hold),
    (9, FREEZE, _capture),
    (9, FREEZE, lambda wallet: _capture(wallet, "lot:lot_1")),
    (5, FINDING, _reversal_without_a_recount),
    (5, FINDING, _reversal_as_if_by_a_recount),
    (5, FINDING, _reversal_that_names_no_finding_of_ours),
    (5, FINDING, _reversal_of_more_than_the_recount_says),
    (5, FINDING, _adjustment_without_a_finding),
    (5, FINDING, _adjustment_that_names_no_finding_of_ours),
    (5, FINDING, _adjustment_older_than_its_finding),
    (5, FINDING, _adjustment_of_a_pair_that_no_decision_moves),
    (5, FINDING, _payout),
    (5, FINDING, _payout_for_a_finding),
    (5, FINDING, _stray_payment_without_its_record),
    (4, FINDING, _living_lot_expires),
    (4, FINDING, _lot_that_never_expires_does),
    (4, FINDING, _gift),
    (4, FREEZE, _purchase_without_an_order),
    (4, FINDING, _second_lot_of_test_tokens),
    (4, FINDING, _trial_of_somebody_else),
    (4, FINDING, _trial_without_a_claim),
    (4, FINDING, _trial_that_was_not_recorded),
    (4, FINDING, _trial_of_another_time),
    (4, FINDING, _trial_recorded_as_something_else),
    (4, FINDING, _voucher_of_somebody_else),
    (4, FINDING, _voucher_that_nobody_redeemed),
    (4, FINDING, _live_tokens_as_test_tokens),
    (4, FINDING, _grant_that_names_no_finding_of_ours),
    (4, FINDING, _grant_older_than_its_finding),
    (9, FREEZE, lambda _wallet: _suspense_of("a_friend")),
    (9, FREEZE, lambda _wallet: _suspense_of("prv_friend")),
]


@pytest.mark.parametrize(("number", "freezes", "forge"), FORGERIES)
def test_what_nobody_ordered_is_found(
    busy: Wallet, number: int, freezes: bool, forge: Forgery
) -> None:
    run_twice()
    known = set(Finding.objects.values_list("pk", flat=True))
    forge(busy)
    run = run_twice()
    found = Finding.objects.exclude(pk__in=known)
    assert set(found.values_list("check_number", "state", "froze_wallet")) == {
        (number, FindingState.OPEN, freezes)
    }, list(found.values("check_number", "subject", "detail"))
    assert {terms["gap"] for terms in run.equation.values()} == {"0"}


def test_a_light_run_sees_it_too(busy: Wallet) -> None:
    run_once()
    for number, _freezes, forge in FORGERIES:
        if forge in {_pending_hold, _gift, _payout, _lot_that_never_expires_does}:
            forge(busy)
            run_once(kind=RunKind.LIGHT)
            found = Finding.objects.filter(check_number=number, state=FindingState.SUSPECTED)
            assert found.exists()


@pytest.mark.parametrize("forge", [_released_hold, _payout, _gift, _lot_that_never_expires_does])
def test_what_staff_have_looked_at_is_not_brought_up_again(
    busy: Wallet, sam: User, forge: Forgery
) -> None:
    run_twice()
    forge(busy)
    run_twice()
    for finding in Finding.objects.exclude(state=FindingState.RESOLVED):
        services.resolve_finding(
            finding=finding, note="Known.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
        )
    known = Finding.objects.count()
    run_twice()
    assert Finding.objects.count() == known


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=29)])
def test_what_a_person_did_about_a_finding_raises_nothing(busy: Wallet, ahead: timedelta) -> None:
    """Though the clock of whoever opened the finding was ahead."""
    run_twice()
    known = Finding.objects.count()
    inject("UPDATE reconciliation_finding SET opened_at = %s", utc_now() + ahead)
    reason = _name_finding()
    provider = Account.objects.get(kind="suspense", owner_key__startswith="prv_").owner_key
    waiting = ("suspense", provider)
    _post(waiting, ("payable", provider), key="1", reference=reason)
    _post(waiting, OPERATORS["commission"], key="2", reference=reason)
    _post(waiting, OPERATORS["promotion"], key="3", reference=reason)
    _post(OPERATORS["suspense"], SANDBOX, key="4", reference=reason)
    _post(("payable", provider), OPERATORS["commission"], key="5", reference=reason)
    _post(OPERATORS["commission"], ("payable", provider), key="6", reference=reason)
    _post(SANDBOX, ("receivable", busy.owner_key), key="7", reference=reason)
    _post(OPERATORS["promotion"], ("receivable", busy.owner_key), key="8", reference=reason)
    # And not owed after all.
    _post(("receivable", busy.owner_key), SANDBOX, key="9", reference=reason)
    _post(("receivable", busy.owner_key), OPERATORS["promotion"], key="10", reference=reason)
    for reference in (reason, f"{reason}:2"):
        _grant(busy, reference)
    run_twice()
    assert Finding.objects.count() == known
