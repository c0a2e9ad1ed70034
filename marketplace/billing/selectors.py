"""Reads of the billing room. What belongs to a tenant takes the organisation."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext

from accounts.models import Membership, Organisation, Role, User
from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import (
    CREDITED_ORDER_STATUSES,
    Document,
    InboxEvent,
    InboxState,
    Order,
    Pack,
    PackPrice,
    PurchaseRequest,
    RefundRequest,
    RefundState,
    RequestState,
    StrayKind,
    StrayPayment,
    VoucherBatch,
)
from marketplace.billing.models.orders import MISMATCH
from marketplace.billing.offers import Offer, make_offer
from marketplace.billing.providers import stripe_is_in_test_mode
from marketplace.catalog import selectors as catalog
from marketplace.catalog import vocabulary
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound

# What the review page's keys begin with; callers of the REST API have keys of their own.
FORM_KEY_PREFIX = "form-"


def payments_are_played() -> bool:
    """Whether what is bought here costs nothing: pages say so."""
    return settings.SANDBOX_PAYMENTS or stripe_is_in_test_mode()


def list_packs(*, currency: str, quantity: int = 1) -> list[Offer]:
    """Everything on sale in ``currency``, in the shop's order; empty for an unknown currency."""
    packs = (
        Pack.objects.filter(on_sale=True, prices__currency=currency)
        .prefetch_related("prices")
        .order_by("position", "id")
    )
    return [make_offer(pack=pack, currency=currency, quantity=quantity) for pack in packs]


def list_sale_currencies() -> list[str]:
    """Currencies that something is on sale in: the tariff currency first, then as allow-listed."""
    used = set(
        PackPrice.objects.filter(pack__on_sale=True).values_list("currency", flat=True).distinct()
    )
    known = [currency for currency in SALE_CURRENCIES if currency in used]
    return sorted(known, key=lambda currency: currency != settings.TARIFF_CURRENCY)


def get_pack(*, slug: str) -> Pack:
    """A pack on sale, by its slug or public id, with its prices."""
    packs = Pack.objects.filter(on_sale=True).prefetch_related("prices")
    field = "public_id" if slug.startswith("pck_") else "slug"
    pack = packs.filter(**{field: slug}).first()
    if pack is None:
        raise NotFound
    return pack


def describe_scopes(scopes: Iterable[str]) -> dict[str, str]:
    """What tokens of each scope may be spent on, in words for the buyer."""
    wanted = set(scopes)
    names = {"": gettext("Everything on the market")}
    for code, term in vocabulary.MODALITIES.items():
        names[f"modality:{code}"] = gettext("%(kind)s only") % {"kind": term.label}
    if wanted - set(names):
        for one in catalog.list_callable_services(unit="live", now=utc_now()):
            words = {"model": one.model_name, "provider": one.provider_name}
            names[f"service:{one.public_id}"] = gettext("%(model)s by %(provider)s only") % words
            names[f"provider:{one.provider_public_id}"] = (
                gettext("Services of %(provider)s only") % words
            )
    return {scope: names.get(scope, gettext("Certain services only")) for scope in wanted}


def list_orders(*, organisation: Organisation) -> QuerySet[Order]:
    """The organisation's orders, newest first."""
    return (
        Order.objects.filter(organisation=organisation)
        .select_related("pack", "ordered_by")
        .prefetch_related("documents")
        .order_by("-created_at", "-id")
    )


def get_order(*, organisation: Organisation, public_id: str) -> Order:
    """One of the organisation's orders; another tenant's does not exist."""
    order = list_orders(organisation=organisation).filter(public_id=public_id).first()
    if order is None:
        raise NotFound
    order.organisation = organisation
    return order


def find_top_ups(references: Iterable[str]) -> set[str]:
    """Of these references of the ledger those that automatic top-ups caused."""
    named = [one.removeprefix("order:") for one in references if one.startswith("order:")]
    if not named:
        return set()
    found = Order.objects.filter(public_id__in=named, top_up__isnull=False)
    return {order.reference for order in found.only("public_id")}


def list_surplus_payments(*, order: Order) -> QuerySet[StrayPayment]:
    """Payments of an order that had been paid already: they added no tokens."""
    return StrayPayment.objects.filter(order=order, kind=StrayKind.SURPLUS).order_by("id")


def has_money_back(*, order: Order) -> bool:
    """Whether anything was asked, given or taken back of an order."""
    told = Q(refund_requests__isnull=False) | Q(refunds__isnull=False) | Q(disputes__isnull=False)
    return Order.objects.filter(told, pk=order.pk).exists()


def is_refund_under_way(*, order: Order) -> bool:
    """Whether a refund was asked for or sent whose money is not known to have gone back.

    Asks no more when refunds and requests were prefetched.
    """
    return any(asked.is_open for asked in order.refund_requests.all()) or any(
        refund.state == RefundState.PENDING for refund in order.refunds.all()
    )


def list_refund_requests(*, waiting: bool) -> QuerySet[RefundRequest]:
    """For staff: those that wait for a decision, the longest first; or the others, newest first."""
    requests = RefundRequest.objects.select_related("order__organisation")
    if waiting:
        return requests.filter(state=RequestState.REQUESTED).order_by("requested_at", "id")
    return requests.exclude(state=RequestState.REQUESTED).order_by("-requested_at", "-id")


def get_refund_request(*, public_id: str) -> RefundRequest:
    """For staff. Raises NotFound."""
    found = (
        RefundRequest.objects.select_related(
            "order__organisation", "requested_by", "seconded_by", "decided_by"
        )
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise NotFound
    return found


def list_own_refund_requests(*, organisation: Organisation) -> QuerySet[RefundRequest]:
    """What the organisation asked to be given back, newest first."""
    return (
        RefundRequest.objects.filter(order__organisation=organisation)
        .select_related("order")
        .order_by("-requested_at", "-id")
    )


def get_own_refund_request(*, organisation: Organisation, public_id: str) -> RefundRequest:
    """One of the organisation's requests; another tenant's does not exist."""
    found = list_own_refund_requests(organisation=organisation).filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found


def list_purchase_requests(*, membership: Membership) -> QuerySet[PurchaseRequest]:
    """The organisation's, newest first: all for whoever may buy, for others their own."""
    requests = PurchaseRequest.objects.filter(organisation=membership.organisation)
    if not membership.includes(Role.BILLING):
        requests = requests.filter(requested_by=membership.user)
    return requests.select_related(
        "organisation", "requested_by", "decided_by", "pack", "order"
    ).order_by("-requested_at", "-id")


def get_purchase_request(*, membership: Membership, public_id: str) -> PurchaseRequest:
    """One of those that this member sees; any other does not exist."""
    found = list_purchase_requests(membership=membership).filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found


def find_unpaid_form_order(
    *,
    organisation: Organisation,
    user: User,
    offer: Offer,
    asked: PurchaseRequest | None = None,
    now: datetime,
) -> Order | None:
    """The order that this person made of this very offer on the review page and can still pay,
    for this purchase request or for none.

    Pages of a tenant are never cached, so the Back button asks for the review anew: it must lead
    to the order that was made from it, not to a second one.
    """
    return (
        Order.objects.open()
        .exclude(failure_code=MISMATCH)
        .filter(
            organisation=organisation,
            ordered_by=user,
            idempotency_key__startswith=FORM_KEY_PREFIX,
            purchase_request=asked,
            pack=offer.pack,
            quantity=offer.quantity,
            currency=offer.currency,
            amount_minor=offer.amount_minor,
            tax_minor=offer.tax_minor,
            tax_name=offer.tax_name,
            tax_basis_points=offer.tax_basis_points,
            paid_millitokens=offer.paid_millitokens,
            bonus_millitokens=offer.bonus_millitokens,
            expires_after_days=offer.expires_after_days,
            scope=offer.scope,
            expires_at__gt=now,
        )
        .order_by("-id")
        .first()
    )


def has_paid_order(*, organisation: Organisation) -> bool:
    """Whether the organisation ever bought anything."""
    return Order.objects.filter(
        organisation=organisation, status__in=CREDITED_ORDER_STATUSES
    ).exists()


def list_documents(*, organisation: Organisation) -> QuerySet[Document]:
    """The organisation's invoices and credit notes, newest first."""
    return (
        Document.objects.filter(order__organisation=organisation)
        .select_related("order__organisation", "corrects")
        .order_by("-issued_at", "-id")
    )


def get_document(*, organisation: Organisation, public_id: str) -> Document:
    """One of the organisation's documents; another tenant's does not exist."""
    document = list_documents(organisation=organisation).filter(public_id=public_id).first()
    if document is None:
        raise NotFound
    return document


def list_mismatched_orders() -> QuerySet[Order]:
    """Orders whose payment is not the one that was ordered: for staff to decide (check 16)."""
    return Order.objects.uncredited().filter(failure_code=MISMATCH).order_by("created_at")


def list_stuck_events(*, now: datetime, late_by: timedelta) -> QuerySet[InboxEvent]:
    """Events that should be done by now and are nobody's (check 20)."""
    return (
        InboxEvent.objects.filter(received_at__lt=now - late_by)
        .exclude(state__in=[InboxState.DONE, InboxState.IGNORED])
        .exclude(state=InboxState.PROCESSING, leased_until__gte=now)
        .order_by("received_at")
    )


def list_voucher_batches() -> QuerySet[VoucherBatch]:
    """For staff, the newest first; with ``codes``, ``uses`` and ``most_uses`` of each."""
    return VoucherBatch.objects.annotate(
        codes=Count("vouchers"), uses=Sum("vouchers__uses"), most_uses=Sum("vouchers__most_uses")
    ).order_by("-created_at", "-id")


def get_voucher_batch(public_id: str) -> VoucherBatch:
    """For staff; raises NotFound."""
    batch = VoucherBatch.objects.filter(public_id=public_id).first()
    if batch is None:
        raise NotFound
    return batch
