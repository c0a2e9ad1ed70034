"""A whole market with one of everything that a page shows, and who looks at which page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.urls import reverse
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from accounts.models import Organisation, Role, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import BankTransfer, FapiaoLine
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Transaction, Wallet
from marketplace.ledger.services import Move
from marketplace.metering import services as metering
from marketplace.reconciliation import services as reconciliation
from marketplace.reconciliation.models import Finding
from portal.kernel.clock import utc_now
from portal.web.docs import PAGES as DOC_PAGES
from tests.billing.shop import MILLION, make_pack
from tests.billing.transfers import receive
from tests.cast import make_organisation, make_person
from tests.flows.site_map import SITE_MAP, Caller, Kind, list_site_routes
from tests.flows.world import INVITATION_TOKEN, Tenant, buy, make_tenant
from tests.market import give_tokens
from tests.partners.cast import make_model

# These need what another page leaves in the session, so they come after it.
LATE_PAGES = ["accounts:invitation", "account_verify"]
# Beside the bare address: the views of it that show something else.
QUERIES = {
    "web:usage": ["?group=key&unit=money", "?start=2026-01-01&end=2026-01-31"],
    "metering:requests": ["?status=failed"],
    "catalog:services": ["?region=atlantis", "?sort=cost&modality=embedding"],
    "billing:buy": ["?pack=team"],
    "billing:ask_purchase": ["?pack=team"],
    "accounts:keys": ["?show=ended"],
    "ops:findings": ["?state=resolved"],
}
# A person with a second factor is asked for it (again) here; one without is sent elsewhere.
SECOND_FACTOR = {
    "mfa_reauthenticate", "mfa_deactivate_totp", "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes", "mfa_reauthenticate_webauthn", "mfa_remove_webauthn",
    "mfa_edit_webauthn",
}  # fmt: skip


@dataclass
class Market:
    """All that the pages show, and who looks at them."""

    tenant: Tenant
    sam: User  # staff, with every kind of second factor
    passkey: Authenticator
    newcomer: User  # owner of a company that is not a provider, signed up without a password
    finding: Finding
    wallet: Wallet  # the tenant's
    frozen: Wallet  # the newcomer's, by staff
    arrived: BankTransfer  # names the tenant's order

    def addresses(self, name: str) -> Iterator[tuple[str, str]]:
        """Who looks at the page ``name`` ("" for nobody signed in), and where."""
        route = next(route for route in list_site_routes() if route.name == name)
        for kwargs in self._arguments(name):
            path = reverse(name, kwargs={key: kwargs[key] for key in route.arguments})
            for query in ("", *QUERIES.get(name, ())):
                yield self._person(name), path + query

    def list_visits(self) -> dict[str, list[tuple[str, str]]]:
        """(route, address) of every page, by the e-mail of who looks at it, in a good order."""
        visits: dict[str, list[tuple[str, str]]] = {}
        names = [route.name for route in list_site_routes()]
        for name in sorted(names, key=lambda name: name in LATE_PAGES):
            if SITE_MAP[name].kind is Kind.PAGE:
                for person, path in self.addresses(name):
                    visits.setdefault(person, []).append((name, path))
        return visits

    def _person(self, name: str) -> str:
        least = SITE_MAP[name].least
        if least is Caller.STAFF or name in SECOND_FACTOR:
            return self.sam.email
        if name in {"account_set_password", "partners:apply"}:
            return self.newcomer.email
        if least is Caller.VISITOR:
            return ""
        return {Role.MEMBER: self.tenant.member, Role.BILLING: self.tenant.billing}.get(
            least, self.tenant.owner  # type: ignore[arg-type]
        ).email  # fmt: skip

    def _arguments(self, name: str) -> list[dict[str, Any]]:
        usual = {
            **self.tenant.arguments(name),
            "run": self.finding.last_run.public_id,
            "finding": self.finding.public_id,
            "transfer": self.arrived.public_id,
            "debtor": self.frozen.owner_key,
            "token": INVITATION_TOKEN.format(slug=self.tenant.organisation.slug),
            "pk": self.passkey.pk,
            "transaction": Transaction.objects.get(
                reference=f"call:{self.tenant.call.public_id}"
            ).public_id,
        }
        owner = self.tenant.owner
        token = default_token_generator.make_token(owner)
        special: dict[str, list[dict[str, Any]]] = {
            "web:docs_page": [{"page": page} for page in DOC_PAGES],
            "catalog:model": [{"slug": self.tenant.service.model.slug}],
            "catalog:provider": [{"slug": self.tenant.provider.slug}],
            "catalog:service": [{"slug": self.tenant.service.slug}],
            "partners:apply": [{"organisation": "newcomers"}],
            "billing:order": [{"order": self.tenant.waiting.public_id},
                              {"order": self.tenant.paid.public_id},
                              {"order": self.tenant.transfer.public_id}],
            "ops:wallet": [{"wallet": self.wallet.pk}, {"wallet": self.frozen.pk}],
            "ops:order": [{"order": self.tenant.paid.public_id}],
            "account_reset_password_from_key": [
                {"uidb36": user_pk_to_url_str(owner), "key": token}
            ],
            "account_confirm_email": [
                {"key": EmailConfirmationHMAC(EmailAddress.objects.get(email=owner.email)).key}
            ],
        }  # fmt: skip
        return [{**usual, **more} for more in special.get(name, [{}])]


def make_market(sam: User) -> Market:
    """``sam`` is staff with an authenticator app."""
    pack = make_pack(prices={"USD": 9500, "CNY": 68000})
    tenant = make_tenant("Initech", pack=pack, model=make_model())
    # One with the fapiao that was asked for, one that has none yet.
    asked, _other = (
        buy(tenant.organisation, pack, key, currency="CNY") for key in ("yuan-1", "yuan-2")
    )
    FapiaoLine.objects.create(fapiao=tenant.fapiao, order=asked)
    metering.roll_up_usage(now=utc_now())
    RecoveryCodes.activate(sam)
    passkey = Authenticator.objects.create(
        user=sam,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": "Laptop", "passwordless": True, "credential": make_credential()},
    )
    newcomer = make_person("new@newcomers.example")
    newcomer.set_unusable_password()
    newcomer.save()
    newcomers = make_organisation("Newcomers", owner=newcomer, slug="newcomers")
    frozen = give_tokens(newcomers).wallet
    reconciliation.freeze_wallet(
        wallet=frozen, reason="Looks odd", actor=SYSTEM_ACTOR, now=utc_now()
    )
    wallet = Wallet.objects.get(owner_key=tenant.organisation.public_id, unit="live")
    finding = make_finding(tenant, wallet)
    owe(newcomers, finding)
    arrived = receive(sam, amount_minor=5000, text=f"For {tenant.transfer.provider_session_id}")
    return Market(tenant, sam, passkey, newcomer, finding, wallet, frozen, arrived)


def make_credential() -> dict[str, Any]:
    """A passkey as registration leaves it; nobody ever signs with it."""
    source = AttestedCredentialData.create(
        b"\0" * 16, b"laptop", ES256({1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32})
    )
    proof = AuthenticatorData.create(b"\0" * 32, AuthenticatorData.FLAG.AT, 0, source)
    attestation = AttestationObject.create("none", proof, {})
    said = CollectedClientData.create(
        type=CollectedClientData.TYPE.CREATE, challenge=b"c", origin="http://localhost"
    )
    return {
        "id": websafe_encode(b"laptop"),
        "rawId": websafe_encode(b"laptop"),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(bytes(said)),
            "attestationObject": websafe_encode(bytes(attestation)),
        },
    }


def owe(debtor: Organisation, like: Finding) -> None:
    """Its bank took back $38.00, and the runs that found ``like`` have reported it."""
    now = utc_now()
    ledger.post_transaction(
        kind="adjustment",
        unit="live",
        idempotency_scope="show",
        idempotency_key="debt",
        moves=[Move(("receivable", debtor.public_id), ("clearing", "sandbox"), 38 * MILLION)],
        reason="Taken back",
        now=now,
    )
    ledger.keep_debt_freeze(owner_key=debtor.public_id, unit="live", now=now)
    Finding.objects.create(
        check_number=17,
        subject=f"debt:live:{debtor.public_id}",
        state="open",
        at_stake_millitokens=38 * MILLION,
        first_run=like.first_run,
        last_run=like.last_run,
        first_seen_at=now,
        last_seen_at=now,
        opened_at=now,
    )


def make_finding(tenant: Tenant, wallet: Wallet) -> Finding:
    run = reconciliation.reconcile_balances(trigger="command", now=utc_now())
    return Finding.objects.create(
        check_number=1,
        subject=f"wallet:{tenant.organisation.public_id}:live:",
        state="open",
        wallet=wallet,
        detail={"wallet": "1000", "entries": "900"},
        at_stake_millitokens=100,
        first_run=run,
        last_run=run,
        first_seen_at=utc_now(),
        last_seen_at=utc_now(),
    )
