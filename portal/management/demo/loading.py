"""Filling an empty database, all of it or nothing, and keeping the secrets that only exist once.

The secrets go to ``var/demo.json`` (mode 0600). They are written beside it within the
transaction and put in place after the commit, so a run that is killed anywhere leaves either
nothing, which the next run redoes, or everything, which the next run puts in place.
"""

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import services as accounts
from accounts.models import Organisation, Role, User
from accounts.services import SCOPES_BY_KIND, SYSTEM_ACTOR
from marketplace.billing import services as billing
from marketplace.billing.models import Order, Pack
from marketplace.billing.sandbox import processor
from marketplace.catalog.models import Provider
from portal.management.demo import market, people
from portal.management.demo.connected import CHAT_MODEL, EMBEDDING_MODEL
from portal.management.demo.packs import PACKS
from portal.management.demo.providers import PROVIDERS

CUSTOMER = "Acme Tools"
PURCHASE_KEY = "demo:first-purchase"
PURCHASED_PACK = "team"


class Outcome(StrEnum):
    """What a run did."""

    LOADED = "loaded"
    PRESENT = "present"
    NOT_EMPTY = "not_empty"


@dataclass(frozen=True)
class Files:
    """Where the secrets are kept, and where they wait for the commit."""

    final: Path
    draft: Path


def load_demo(*, var: Path, now: datetime) -> Outcome:
    """Load what is missing of the demo; a database that has other people in it stays as it is."""
    files = Files(var / "demo.json", var / ".demo.json.draft")
    if _is_loaded():
        if files.draft.exists():
            files.draft.replace(files.final)
        market.follow_the_ports(now=now)
        outcome = Outcome.PRESENT
    elif User.objects.exists():
        return Outcome.NOT_EMPTY
    else:
        with transaction.atomic():
            _write_secretly(files.draft, _load(now))
        files.draft.replace(files.final)
        outcome = Outcome.LOADED
    _buy_first_pack(now)
    return outcome


def _is_loaded() -> bool:
    return Provider.objects.filter(slug=PROVIDERS[0].slug, is_sample=True).exists()


def _load(now: datetime) -> dict[str, Any]:
    """Everything but the purchase; returns what goes into the file."""
    olga = people.make_login("olga@market.example", "Olga Operator", "operator", is_staff=True)
    ada = people.make_login("ada@acme.example", "Ada Owner", "owner")
    bill = people.make_login("bill@acme.example", "Bill Billing", "billing")
    mia = people.make_login("mia@acme.example", "Mia Member", "member")
    rita = people.make_login("rita@providers.example", "Rita Provider", "provider")
    operator = people.make_operator(olga.user)
    acme = people.make_company(ada.user, CUSTOMER, country="DE", timezone="Europe/Berlin", now=now)
    people.add_colleague(acme, bill, Role.BILLING, now=now)
    people.add_colleague(acme, mia, Role.MEMBER, now=now)
    companies = {
        provider.slug: people.make_company(
            rita.user,
            provider.name,
            country=provider.country,
            timezone=provider.timezone,
            now=now,
        )
        for provider in PROVIDERS
    }
    market.fill_market(companies, PROVIDERS, reviewer=olga.user, now=now)
    _make_packs(now)
    return {
        "logins": [
            {"email": login.user.email, "password": login.password, "role": login.role}
            for login in (ada, bill, mia, rita, olga)
        ],
        "api_key": _make_key(acme, ada.user, "live", "Demo key", now),
        "test_api_key": _make_key(acme, ada.user, "test", "Demo test key", now),
        "provider_key": _make_key(
            companies[PROVIDERS[0].slug], rita.user, "provider", "Demo provider key", now
        ),
        "chat_model": CHAT_MODEL,
        "embedding_model": EMBEDDING_MODEL,
        "operator_totp_secret": operator.totp_secret,
        "operator_totp_url": operator.totp_url,
        "operator_recovery_codes": operator.recovery_codes,
    }


def _make_key(organisation: Organisation, user: User, kind: str, name: str, now: datetime) -> str:
    _key, text = accounts.create_api_key(
        organisation=organisation,
        created_by=user,
        kind=kind,
        name=name,
        scopes=SCOPES_BY_KIND[kind],
        now=now,
        actor=SYSTEM_ACTOR,
    )
    return text


def _make_packs(now: datetime) -> None:
    for position, pack in enumerate(PACKS):
        billing.create_pack(
            slug=pack.slug,
            name_en=pack.name_en,
            name_zh=pack.name_zh,
            summary_en=pack.summary_en,
            summary_zh=pack.summary_zh,
            paid_millitokens=pack.paid_tokens * 1000,
            bonus_millitokens=pack.bonus_tokens * 1000,
            prices=pack.prices,
            expires_after_days=pack.expires_after_days,
            position=position,
            actor=SYSTEM_ACTOR,
            now=now,
        )


def _buy_first_pack(now: datetime) -> None:
    """Acme's first purchase, by the sandbox's own pay page; repeated until it is settled."""
    acme = Organisation.objects.filter(name=CUSTOMER).order_by("pk").first()
    pack = Pack.objects.filter(slug=PURCHASED_PACK).first()
    if acme is None or pack is None or not settings.SANDBOX_PAYMENTS:
        return
    order = Order.objects.filter(organisation=acme, idempotency_key=PURCHASE_KEY).first()
    if order and not order.is_open:
        return
    buyer = acme.memberships.filter(role=Role.BILLING).order_by("pk")[0].user
    order = order or billing.start_checkout(
        organisation=acme,
        user=buyer,
        pack=pack,
        currency=settings.TARIFF_CURRENCY,
        quantity=1,
        idempotency_key=PURCHASE_KEY,
        now=now,
    )
    billing.open_payment(order=order, now=now)
    session = processor.find_session(order_id=order.public_id, now=now)
    if session is not None:
        processor.pay(session_id=session.session_id, now=now)
        billing.settle_order(order_public_id=order.public_id, now=now)


def _write_secretly(path: Path, content: dict[str, Any]) -> None:
    """Readable by its owner alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
