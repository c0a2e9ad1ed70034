"""Two companies, each of which buys *and* provides, with one of everything that has an address."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps

from accounts.models import ApiKey, Invitation, Organisation, Role, User, WebhookDelivery
from accounts.services import token_digest_of
from marketplace.billing.models import (
    Fapiao,
    FapiaoKind,
    Order,
    Pack,
    PurchaseRequest,
    RefundRequest,
    SandboxSession,
    TopUpRule,
)
from marketplace.billing.services import drive_inbox, receive_event
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service, ServiceReview
from marketplace.metering.models import Budget, Call
from portal.kernel.clock import utc_now
from tests.accounts.webhooks import make_delivery
from tests.billing.money_back import ask
from tests.billing.processors import SandboxProcessor
from tests.billing.purchases import ask_for
from tests.billing.shop import open_order, pay, signed
from tests.billing.top_ups import agree
from tests.billing.transfers import open_transfer
from tests.cast import make_key, make_member, make_organisation, make_person
from tests.market import count_again, give_tokens, make_budget, make_call
from tests.partners.cast import PRICES, make_live_service

INVITATION_TOKEN = "an-invitation-to-{slug}"
OF_PAID_ORDERS = {"billing:receipt", "billing:refund"}
OF_TRANSFERS = {"billing:proforma", "billing:proforma_pdf"}


@dataclass(frozen=True)
class Tenant:
    """A company with its people, and what its addresses name."""

    organisation: Organisation
    owner: User
    billing: User
    member: User
    key: ApiKey  # the member's
    secret: str
    call: Call  # made by the member with it
    budget: Budget  # the member's, hardly used
    waiting: Order
    session: SandboxSession
    paid: Order
    refund: RefundRequest  # of another order, undecided
    asked: PurchaseRequest  # by the member, undecided
    fapiao: Fapiao  # asked for
    rule: TopUpRule  # with a saved card; enough tokens are left
    transfer: Order  # waits for one
    invitation: Invitation
    provider: Provider
    service: Service
    draft: Service
    review: ServiceReview
    provider_key: ApiKey
    delivery: WebhookDelivery  # given up

    @property
    def people(self) -> dict[str, User]:
        """By role, lowest first."""
        return {Role.MEMBER: self.member, Role.BILLING: self.billing, Role.OWNER: self.owner}

    def arguments(self, name: str) -> dict[str, str]:
        """What this tenant's own things are called in the address of the route ``name``."""
        partners = name.startswith("partners:")
        return {
            "organisation": self.organisation.slug,
            "provider": self.provider.slug,
            "service": self.service.public_id if partners else self.service.slug,
            "key": (self.provider_key if partners else self.key).public_id,
            "call": self.call.public_id,
            "budget": self.budget.public_id,
            "order": self._order_of(name).public_id,
            "refund": self.refund.public_id,
            "asked": self.asked.public_id,
            "fapiao": self.fapiao.public_id,
            "card": self.rule.card.public_id,
            "visit": self.rule.card.visit_id or "",
            "month": f"{utc_now():%Y-%m}",
            "document": self.paid.documents.get().public_id,
            "session": self.paid.provider_session_id or ""
            if name == "billing:sandbox_payment"
            else self.session.session_id,
            "invitation": self.invitation.public_id,
            "member": self.member.public_id,
            "review": self.review.public_id,
            "webhook": self.delivery.endpoint.public_id,
            "delivery": self.delivery.public_id,
        }

    def _order_of(self, name: str) -> Order:
        if name in OF_PAID_ORDERS:
            return self.paid
        return self.transfer if name in OF_TRANSFERS else self.waiting


def make_tenant(name: str, *, pack: Pack, model: AIModel) -> Tenant:
    """A verified company ``<name>``; people are owner@, billing@ and member@<name>.example."""
    stem, now = name.lower(), utc_now()
    owner = make_person(f"owner@{stem}.example")
    organisation = make_organisation(name, owner=owner)
    billing = make_member(organisation, f"billing@{stem}.example", Role.BILLING)
    member = make_member(organisation, f"member@{stem}.example")
    provider = catalog.create_provider(
        organisation=organisation, name=f"{name} Compute", country="DE", now=now
    )
    service = make_live_service(provider, model)
    draft, review = _submit_draft(provider, model)
    give_tokens(organisation)
    key, secret = make_key(organisation, created_by=member, name=f"Key of {name}")
    call = make_call(secret, service)
    count_again(call)
    waiting, session = open_order(organisation, pack, key=f"{stem}-waiting")
    return Tenant(
        organisation=organisation,
        owner=owner,
        billing=billing,
        member=member,
        key=key,
        secret=secret,
        budget=make_budget(organisation, 10**12, member=member, period="month"),
        call=call,
        waiting=waiting,
        session=session,
        paid=buy(organisation, pack, f"{stem}-paid"),
        refund=ask(buy(organisation, pack, f"{stem}-unwanted"), expected=9500),
        asked=ask_for(pack, organisation, member),
        fapiao=Fapiao.objects.create(
            organisation=organisation,
            requested_by=billing,
            kind=FapiaoKind.ORDINARY,
            title=name,
            tax_id="91110000600037341L",
            email=billing.email,
        ),
        rule=agree(organisation, pack, SandboxProcessor()),
        transfer=open_transfer(organisation, pack, key=f"{stem}-transfer"),
        invitation=_invite(organisation, owner),
        provider=provider,
        service=service,
        draft=draft,
        review=review,
        provider_key=make_key(organisation, kind="provider", name="Provider key")[0],
        delivery=make_delivery(organisation),
    )


def _submit_draft(provider: Provider, model: AIModel) -> tuple[Service, ServiceReview]:
    now = utc_now()
    draft = catalog.create_service(
        provider=provider,
        model=model,
        region="us-east",
        country="US",
        endpoint_url="https://inference.example.com/v1",
        credential="sk-upstream",
        now=now,
    )
    catalog.add_price_version(service=draft, effective_at=now, created_by=None, now=now, **PRICES)
    return draft, catalog.submit_for_review(
        service=draft, submitted_by_label="provider", now=utc_now()
    )


def buy(organisation: Organisation, pack: Pack, key: str, **more: Any) -> Order:
    order, session = open_order(organisation, pack, key=key, **more)
    for event in pay(session):
        body, headers = signed(event)
        receive_event(provider="sandbox", body=body, headers=headers, now=utc_now())
    drive_inbox(now=utc_now())
    order.refresh_from_db()
    assert order.status == "paid"
    return order


def _invite(organisation: Organisation, owner: User) -> Invitation:
    """Open, with a token that the test knows."""
    now = utc_now()
    return Invitation.objects.create(
        organisation=organisation,
        email=f"guest@{organisation.slug}.example",
        role=Role.MEMBER,
        token_digest=token_digest_of(INVITATION_TOKEN.format(slug=organisation.slug)),
        invited_by=owner,
        created_at=now,
        expires_at=now + timedelta(days=7),
    )


def read_everything() -> dict[str, list[Any]]:
    """Every row of every room, to compare before and after."""
    rooms = {"accounts", "catalog", "ledger", "metering", "billing", "partners", "reconciliation"}
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.app_label in rooms
    }
