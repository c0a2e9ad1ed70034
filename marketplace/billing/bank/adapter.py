"""Bank transfers behind the PaymentProvider interface. The far side is what staff recorded.

A slip is paid once what was matched to it comes to its amount; from then on nothing is taken away
from it (``services.transfers``), so an answer that says *paid* never becomes old.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from marketplace.billing.bank.references import make_reference
from marketplace.billing.models import (
    BankPayback,
    BankTransfer,
    PaybackState,
    RefundState,
    TransferSlip,
)
from marketplace.billing.models.orders import BY_TRANSFER
from marketplace.billing.money_back import MoneyBack, ProviderRefund, RefundOrder
from marketplace.billing.money_moved import ProviderMovement
from marketplace.billing.payment_provider import (
    EventRefused,
    EventType,
    PaymentEvent,
    PaymentRefused,
    PaymentSession,
    PaymentState,
    SessionRequest,
    SessionState,
    SessionUnknown,
)
from marketplace.billing.saved_cards import CardRequest, CardVisit, ChargeRequest
from portal.kernel.clock import utc_now


class BankProvider:
    """See PaymentProvider. A slip's reference is the id of session and payment alike."""

    name = BY_TRANSFER
    # Staff type in what the bank shows: there is no second account to compare it with.
    shows_account = False

    @property
    def livemode(self) -> bool:
        """Beside the sandbox, transfers are played too."""
        return not settings.SANDBOX_PAYMENTS

    def create_session(self, request: SessionRequest, *, idempotency_key: str) -> PaymentSession:
        draft = TransferSlip(
            reference=make_reference(),
            idempotency_key=idempotency_key,
            amount_minor=request.amount_minor,
            currency=request.currency,
            metadata=dict(request.metadata),
            pay_url=request.return_url,
            livemode=self.livemode,
            created_at=utc_now(),
        )
        # Of two that arrive together one inserts; the other waits for it and reads its row.
        TransferSlip.objects.bulk_create([draft], ignore_conflicts=True)
        return _as_session(TransferSlip.objects.get(idempotency_key=idempotency_key))

    def find_session(self, *, order_id: str) -> PaymentSession | None:
        slip = TransferSlip.objects.filter(metadata__order=order_id).order_by("-id").first()
        return _as_session(slip) if slip else None

    def retrieve_session(self, object_id: str) -> PaymentSession:
        return _as_session(_get_slip(object_id))

    def expire_session(self, session_id: str) -> PaymentSession:
        TransferSlip.objects.filter(reference=session_id).update(is_open=False)
        return self.retrieve_session(session_id)

    def send_refund(self, refund: RefundOrder) -> ProviderRefund:
        """Put on the list of what staff are to send."""
        with transaction.atomic():
            slip = TransferSlip.objects.select_for_update().get(pk=_get_slip(refund.payment_id).pk)
            made = BankPayback.objects.filter(request_id=refund.request_id).first()
            if made is None:
                gone = slip.paybacks.exclude(state=PaybackState.FAILED)
                gone_minor = gone.aggregate(total=Sum("amount_minor"))["total"] or 0
                if gone_minor + refund.amount_minor > slip.amount_minor:
                    raise PaymentRefused(code="refund_too_large")
                made = BankPayback.objects.create(
                    slip=slip,
                    request_id=refund.request_id,
                    amount_minor=refund.amount_minor,
                    created_at=utc_now(),
                    changed_at=utc_now(),
                )
        return _as_refund(made, slip)

    def retrieve_money_back(self, payment_id: str) -> MoneyBack:
        slip = _get_slip(payment_id)
        return MoneyBack(
            refunds=[_as_refund(made, slip) for made in slip.paybacks.order_by("id")], disputes=[]
        )

    def find_payment(self, object_id: str) -> str:
        return _get_slip(object_id).reference

    def list_movements(self, *, since: datetime) -> Sequence[ProviderMovement]:
        return []

    def list_events(self, *, since: datetime) -> Sequence[PaymentEvent]:
        """What staff recorded, so that a process that died after it is made up for."""
        events = [
            (one.matched_at, f"{one.public_id}:matched", EventType.PAYMENT_SUCCEEDED, one.slip)
            for one in BankTransfer.objects.filter(matched_at__gte=since).select_related("slip")
        ]
        events += [
            (one.changed_at, f"{one.public_id}:{one.state}", EventType.REFUND_CHANGED, one.slip)
            for one in BankPayback.objects.filter(changed_at__gte=since).select_related("slip")
        ]
        return [
            PaymentEvent(
                event_id=event_id,
                type=event_type,
                object_id=slip.reference,
                livemode=slip.livemode,
                created_at=moment,
            )
            for moment, event_id, event_type, slip in sorted(events, key=lambda event: event[:2])
            if moment is not None and slip is not None
        ]

    def create_customer(self, *, organisation_id: str, name: str, email: str) -> str:
        raise PaymentRefused(code="saves_no_cards")

    def begin_card_visit(self, request: CardRequest, *, idempotency_key: str) -> CardVisit:
        raise PaymentRefused(code="saves_no_cards")

    def retrieve_card_visit(self, visit_id: str) -> CardVisit:
        raise SessionUnknown

    def charge_card(self, request: ChargeRequest, *, idempotency_key: str) -> PaymentSession:
        raise PaymentRefused(code="saves_no_cards")

    def forget_card(self, card_id: str) -> None:
        """There is none."""

    def parse_event(
        self, body: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> PaymentEvent:
        """No bank posts here."""
        raise EventRefused(code="no_webhooks")


def _get_slip(reference: str) -> TransferSlip:
    slip = TransferSlip.objects.filter(reference=reference).first()
    if slip is None:
        raise SessionUnknown
    return slip


def _as_session(slip: TransferSlip) -> PaymentSession:
    is_paid = slip.received_minor >= slip.amount_minor
    open_or_not = SessionState.OPEN if slip.is_open else SessionState.EXPIRED
    return PaymentSession(
        session_id=slip.reference,
        payment_id=slip.reference,
        state=SessionState.COMPLETE if is_paid else open_or_not,
        payment_state=PaymentState.PAID if is_paid else PaymentState.UNPAID,
        amount_minor=slip.amount_minor,
        currency=slip.currency,
        livemode=slip.livemode,
        metadata=slip.metadata,
        pay_url=slip.pay_url,
    )


def _as_refund(made: BankPayback, slip: TransferSlip) -> ProviderRefund:
    return ProviderRefund(
        refund_id=made.public_id,
        amount_minor=made.amount_minor,
        currency=slip.currency,
        state=RefundState(made.state),
        request_id=made.request_id,
    )
