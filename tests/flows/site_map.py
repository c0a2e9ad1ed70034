"""The URL table of the whole site, every route with its kind and the least role it asks for.

A route that is not classified here fails the walks (test_tenancy.py), and so does an entry whose
route is gone: whoever adds a page says here who may see it, and both walks then visit it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import Role

_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One pattern of the resolver. ``name`` is what ``reverse`` takes, "" for unnamed ones."""

    name: str
    pattern: str

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(_ARGUMENT.findall(self.pattern))


class Kind(Enum):
    """How a route answers those whom it admits."""

    PAGE = "a page"
    ACTION = "a POST that leads elsewhere; a GET shows no page of its own"
    FILE = "something that is not HTML"


class Caller(Enum):
    """Whom a route that belongs to no tenant is for."""

    VISITOR = "anybody; shown to those who are not signed in"
    PERSON = "a person's own"
    STAFF = "staff with two-factor sign-in"


@dataclass(frozen=True)
class Entry:
    """``least``: the lowest role of the organisation in the address, or whose own it is."""

    kind: Kind
    least: Role | Caller

    @property
    def belongs_to_tenant(self) -> bool:
        return isinstance(self.least, Role)


def _entries(kind: Kind, least: Role | Caller, names: str) -> dict[str, Entry]:
    return {name: Entry(kind, least) for name in names.split()}


SITE_MAP: dict[str, Entry] = {
    **_entries(
        Kind.PAGE,
        Caller.VISITOR,
        """
        web:landing web:docs web:docs_page api:docs api:try accounts:terms
        catalog:services catalog:service catalog:model catalog:provider billing:packs
        accounts:invitation accounts:open_invitation
        account_signup account_login account_inactive account_reset_password
        account_reset_password_done account_reset_password_from_key
        account_reset_password_from_key_done account_email_verification_sent
        account_confirm_email account_verify
        billing:sandbox_pay billing:sandbox_card
        """,
    ),
    **_entries(Kind.ACTION, Caller.VISITOR, "set_language web:set_theme billing:inbox"),
    **_entries(
        Kind.FILE,
        Caller.VISITOR,
        "web:health_live web:health_ready web:verifier api:schema api:jwks mfa_login_webauthn",
    ),
    **_entries(
        Kind.PAGE,
        Caller.PERSON,
        """
        web:organisations accounts:profile accounts:create_organisation account_logout
        account_email account_change_password account_set_password account_reauthenticate
        usersessions_list mfa_index mfa_reauthenticate mfa_activate_totp mfa_deactivate_totp
        mfa_view_recovery_codes mfa_generate_recovery_codes mfa_list_webauthn mfa_add_webauthn
        mfa_reauthenticate_webauthn mfa_remove_webauthn mfa_edit_webauthn
        """,
    ),
    # Between password and code: nobody is signed in yet. The journey of staff passes there.
    **_entries(Kind.ACTION, Caller.PERSON, "mfa_authenticate"),
    **_entries(Kind.FILE, Caller.PERSON, "mfa_download_recovery_codes"),
    **_entries(
        Kind.PAGE,
        Role.MEMBER,
        """
        web:home web:start web:usage web:wallet metering:requests metering:request metering:budgets
        accounts:keys accounts:key accounts:create_key accounts:rotate_key accounts:revoke_key
        accounts:change_key_access accounts:key_policy
        accounts:team accounts:leave accounts:notices accounts:notice_settings
        partners:home partners:services partners:service
        billing:purchase_requests billing:ask_purchase billing:purchase_request
        """,
    ),
    **_entries(
        Kind.ACTION,
        Role.MEMBER,
        """
        web:create_first_key accounts:suspend_key accounts:resume_key accounts:read_notices
        billing:withdraw_purchase
        """,
    ),
    **_entries(Kind.FILE, Role.MEMBER, "web:usage_csv metering:requests_csv"),
    **_entries(
        Kind.PAGE,
        Role.BILLING,
        """
        web:proof billing:buy billing:orders billing:order billing:documents billing:document
        billing:fapiao billing:ask_fapiao
        billing:refund billing:statements billing:statement billing:redeem_voucher billing:top_up
        billing:proforma partners:earnings
        metering:create_budget metering:budget metering:archive_budget
        """,
    ),
    **_entries(
        Kind.FILE,
        Role.BILLING,
        """
        web:proof_file billing:document_pdf billing:statement_pdf billing:statement_csv
        billing:proforma_pdf
        """,
    ),
    **_entries(
        Kind.ACTION,
        Role.BILLING,
        """
        billing:pay billing:check billing:cancel billing:receipt billing:withdraw_refund
        billing:decline_purchase billing:withdraw_fapiao
        billing:save_card billing:remove_card billing:top_up_off
        """,
    ),
    **_entries(
        Kind.PAGE,
        Role.OWNER,
        """
        accounts:member accounts:remove_member accounts:settings accounts:policy accounts:audit
        accounts:webhooks accounts:create_webhook accounts:webhook accounts:change_webhook
        accounts:rotate_webhook_secret accounts:remove_webhook
        partners:apply partners:create_service partners:edit_service partners:prices
        partners:retire_service partners:integration partners:create_key partners:revoke_key
        """,
    ),
    **_entries(
        Kind.ACTION,
        Role.OWNER,
        """
        accounts:invite accounts:withdraw_invitation
        accounts:test_webhook accounts:resume_webhook accounts:resend_webhook
        partners:submit_service
        partners:withdraw_service partners:pause_service partners:resume_service
        """,
    ),
    **_entries(Kind.FILE, Role.OWNER, "accounts:audit_csv"),
    **_entries(
        Kind.PAGE,
        Caller.STAFF,
        """
        ops:home ops:vouchers ops:reviews ops:review ops:findings ops:finding ops:runs ops:run
        ops:wallet ops:transaction ops:call ops:order ops:refunds ops:refund
        ops:debts ops:debt ops:fapiao_list ops:fapiao ops:transfers ops:transfer
        billing:sandbox_payment
        """,
    ),
    **_entries(
        Kind.ACTION,
        Caller.STAFF,
        "ops:run_now ops:withdraw_vouchers ops:unmatch ops:record_payback",
    ),
}


def list_routes() -> list[Route]:
    """Everything that the resolver knows, as it composes it."""
    return list(_walk(get_resolver(), "", ""))


def list_site_routes() -> list[Route]:
    """Without the Django admin (whose own gate is walked as one) and the REST routes, which
    tests/api walks method by method."""
    return [
        route
        for route in list_routes()
        if not route.pattern.startswith(("admin/", "api/v1/", "api/provider/v1/", "^api/"))
    ]


def _walk(resolver: URLResolver, prefix: str, namespace: str) -> Iterator[Route]:
    for found in resolver.url_patterns:
        pattern = prefix + str(found.pattern)
        if isinstance(found, URLResolver):
            inner = f"{namespace}{found.namespace}:" if found.namespace else namespace
            yield from _walk(found, pattern, inner)
        elif isinstance(found, URLPattern):
            yield Route(f"{namespace}{found.name}" if found.name else "", pattern)
