"""People and the companies they bring: joining, further organisations, settings, verification."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from accounts.hooks import hooks
from accounts.models import Membership, Organisation, Role, User
from accounts.services.audit import Actor, record_audit
from accounts.tax_ids import TaxIdWrong, clean_tax_id
from portal.kernel.errors import Conflict, Rejected

MAX_OWNED_ORGANISATIONS = 20
EDITABLE = (
    "name", "legal_name", "address", "tax_id", "country", "timezone", "billing_email",
    "two_factor_required", "low_balance_tokens",
)  # fmt: skip
# More than anybody can hold.
MOST_LOW_BALANCE_TOKENS = 10**12


class AddressTaken(Conflict):
    """Somebody has an account with this e-mail address. Never shown to whoever typed it in."""

    code = "address_taken"


def join(
    *,
    email: str,
    password: str,
    company: str,
    language: str,
    now: datetime,
    address: str | None = None,
) -> tuple[User, Organisation]:
    """A person with their company, of which they are the owner; nothing is verified yet.

    One commit: user, e-mail address, organisation, membership, audit rows (with the version of
    the terms that were accepted). Raises AddressTaken.
    """
    try:
        with transaction.atomic(durable=True):
            user = create_person(email=email, password=password, language=language)
            organisation = _found(user, company, actor=_actor_of(user, address), now=now)
    except IntegrityError as clash:
        raise AddressTaken(_("There is an account with this address.")) from clash
    return user, organisation


def create_person(*, email: str, password: str, language: str, verified: bool = False) -> User:
    """A person and their one e-mail address, within the caller's transaction."""
    user = User.objects.create_user(email, password, language=language)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return user


def update_person(*, user: User, name: str | None = None, language: str | None = None) -> User:
    """How a person is called and which language the portal and its mails speak to them."""
    if name is not None:
        user.name = name
    if language is not None:
        user.language = language
    user.save(update_fields=["name", "language"])
    return user


def create_organisation(
    *, user: User, name: str, now: datetime, actor: Actor | None = None
) -> Organisation:
    """Another organisation, owned by ``user``; verified at once, as their address is."""
    actor = actor or _actor_of(user, None)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        owned = Membership.objects.filter(user=user, role=Role.OWNER).count()
        if owned >= MAX_OWNED_ORGANISATIONS:
            raise Rejected(
                _("You own the most organisations that one person can have."),
                code="too_many_organisations",
            )
        verified = _has_verified_address(user)
        organisation = _found(user, name, actor=actor, now=now, verified=verified)
        if verified:
            hooks.on_verified(organisation, user.email, now)
    return organisation


def update_organisation(
    *, organisation: Organisation, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> Organisation:
    """Change settings (fields in ``EDITABLE``); the audit row holds what really changed.

    A tax id is checked against the country when either changes, and stored as its authority
    writes it. Raises Rejected, with the field.
    """
    assert set(changes) <= set(EDITABLE), changes.keys()
    if "timezone" in changes and changes["timezone"] not in available_timezones():
        raise Rejected(_("Choose a time zone from the list."), data={"field": "timezone"})
    if "name" in changes and not changes["name"].strip():
        raise Rejected(_("Enter the company's name."), data={"field": "name"})
    mark = changes.get("low_balance_tokens")
    if mark is not None and not 0 <= mark <= MOST_LOW_BALANCE_TOKENS:
        raise Rejected(_("Enter a number of tokens."), data={"field": "low_balance_tokens"})
    with transaction.atomic():
        current = Organisation.objects.select_for_update().get(pk=organisation.pk)
        changes = _with_clean_tax_id(current, changes)
        new = {name: value for name, value in changes.items() if value != getattr(current, name)}
        if not new:
            return current
        old = {name: getattr(current, name) for name in new}
        for name, value in new.items():
            setattr(current, name, value)
        current.save(update_fields=list(new))
        record_audit(
            organisation=current,
            actor=actor,
            action="organisation.changed",
            target_id=current.public_id,
            target_label=current.name,
            before=old,
            after=new,
            now=now,
        )
    return current


def verify_organisations(*, user: User, actor: Actor, now: datetime) -> list[Organisation]:
    """Mark the organisations that ``user`` owns as verified, once they proved their address.

    Those that were not verified before are returned. Twice is once, also at the same time. What
    follows from it (the trial lot) is committed together with it.
    """
    if not _has_verified_address(user):
        return []
    verified = []
    with transaction.atomic():
        for organisation in Organisation.objects.filter(
            memberships__user=user, memberships__role=Role.OWNER, verified_at__isnull=True
        ).order_by("pk"):
            if not Organisation.objects.filter(pk=organisation.pk, verified_at__isnull=True).update(
                verified_at=now
            ):
                continue
            organisation.verified_at = now
            verified.append(organisation)
            record_audit(
                organisation=organisation,
                actor=actor,
                action="organisation.verified",
                target_id=organisation.public_id,
                target_label=organisation.name,
                now=now,
            )
            hooks.on_verified(organisation, user.email, now)
    return verified


def _with_clean_tax_id(current: Organisation, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """An id from before it was checked stands in the way of no other change."""
    typed, stored = changes.get("tax_id", current.tax_id), current.tax_id
    country = changes.get("country", current.country)
    if (typed, country) == (stored, current.country):
        return changes
    try:
        return {**changes, "tax_id": clean_tax_id(typed, country=country)}
    except TaxIdWrong as wrong:
        raise Rejected(
            _(
                "This is not a tax id of the country that you chose. In the European Union enter"
                " the VAT number, in China the unified social credit code of 18 characters."
            ),
            data={"field": "tax_id"},
        ) from wrong


def _found(
    user: User, name: str, *, actor: Actor, now: datetime, verified: bool = False
) -> Organisation:
    organisation = Organisation.objects.create(
        name=name.strip(),
        slug=_free_slug(name),
        billing_email=user.email,
        verified_at=now if verified else None,
        created_at=now,
    )
    Membership.objects.create(organisation=organisation, user=user, role=Role.OWNER, joined_at=now)
    record_audit(
        organisation=organisation,
        actor=actor,
        action="organisation.created",
        target_id=organisation.public_id,
        target_label=organisation.name,
        after={"owner": user.email, "terms": settings.TERMS_VERSION},
        now=now,
    )
    return organisation


def _free_slug(name: str) -> str:
    """From the name in ASCII; with random letters where that is empty or taken."""
    stem = slugify(name)[:48].strip("-_")
    if stem and not Organisation.objects.filter(slug=stem).exists():
        return stem
    return f"{stem or 'company'}-{secrets.token_hex(4)}"


def _has_verified_address(user: User) -> bool:
    return EmailAddress.objects.filter(user=user, verified=True).exists()


def _actor_of(user: User, address: str | None) -> Actor:
    return Actor(id=user.public_id, label=user.email, address=address)
