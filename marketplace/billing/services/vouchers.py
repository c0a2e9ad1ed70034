"""Making vouchers and redeeming them. Codes are never stored: lost is lost."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing.models import Voucher, VoucherBatch, VoucherRedemption
from marketplace.catalog import vocabulary
from marketplace.ledger import services as ledger
from portal.kernel.errors import Conflict, Rejected

MOST_CODES = 5000
VOUCHER_UNIT = "live"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_LENGTH, _GROUP = 16, 4  # 80 random bits, so that a digest needs no salt
_MISREAD = str.maketrans("OIL", "011", " -\u00a0\u2010\u2011\u2013")


class VoucherBatchRejected(Rejected):
    """Terms that no batch can have; ``data`` names the field."""

    code = "voucher_batch_rejected"
    sentence = _("These terms make no vouchers. Nothing was made.")


class VoucherKeyReused(Conflict):
    """The key stands for a batch on other terms."""

    code = "voucher_key_reused"
    sentence = _(
        "This page has made a batch on other terms already. Nothing was made. Send it again to make"
        " one on these terms too."
    )


class VoucherRefused(Conflict):
    """The one answer to every code that cannot be redeemed, whatever is wrong with it."""

    code = "voucher_refused"

    def __init__(self) -> None:
        super().__init__(
            _(
                "This code cannot be redeemed. It may be mistyped, used, expired or withdrawn, or"
                " your organisation has had its share. Nothing was added."
            )
        )


def list_voucher_scopes() -> list[str]:
    """What the tokens of a voucher can be for: everything, or one modality."""
    return ["", *(f"modality:{code}" for code in vocabulary.MODALITIES)]


def make_voucher_key() -> str:
    """128 random bits. A secret: the codes of its batch follow from it."""
    return secrets.token_urlsafe(16)


def create_vouchers(
    *,
    name: str,
    codes: int,
    millitokens: int,
    redeemable_until: datetime,
    scope: str = "",
    tokens_expire_after_days: int | None = None,
    uses_per_code: int = 1,
    codes_per_organisation: int = 1,
    key: str = "",
    user: User,
    actor: Actor,
    now: datetime,
) -> tuple[VoucherBatch, list[str]]:
    """A batch of so many codes (at most 5000), and these codes.

    ``key`` (see ``make_voucher_key``; a new one if none is given) is what the codes are made from:
    who repeats it with the same terms gets the same batch and codes, nobody else ever does.
    Raises VoucherBatchRejected with the field, or VoucherKeyReused.
    """
    numbers = {
        "codes": (codes, MOST_CODES),
        "millitokens": (millitokens, 10**15),
        "uses_per_code": (uses_per_code, 10**6),
        "codes_per_organisation": (codes_per_organisation, MOST_CODES),
        # None is for ever; 0 would be over before it began.
        "tokens_expire_after_days": (
            1 if tokens_expire_after_days is None else tokens_expire_after_days,
            3650,
        ),
    }
    for field, (number, most) in numbers.items():
        if not 1 <= number <= most:
            raise VoucherBatchRejected(
                _("Choose a number between 1 and %(most)s.") % {"most": most},
                data={"field": field},
            )
    if redeemable_until <= now:
        raise VoucherBatchRejected(_("Choose a time to come."), data={"field": "redeemable_until"})
    if scope not in list_voucher_scopes():
        raise VoucherBatchRejected(data={"field": "scope"})
    terms = {
        "name": name,
        "millitokens": millitokens,
        "scope": scope,
        "tokens_expire_after_days": tokens_expire_after_days,
        "uses_per_code": uses_per_code,
        "codes_per_organisation": codes_per_organisation,
        "redeemable_until": redeemable_until,
        "created_by_id": user.pk,
    }
    key = key or make_voucher_key()
    made = [_make_code(key, number) for number in range(codes)]
    draft = VoucherBatch(key_digest=_sha256(key), created_at=now, **terms)
    with transaction.atomic():
        # Of two that arrive together one inserts; the other waits for it and reads its row.
        VoucherBatch.objects.bulk_create([draft], ignore_conflicts=True)
        batch = VoucherBatch.objects.get(key_digest=draft.key_digest)
        if batch.public_id != draft.public_id:
            _require_same(batch, terms, codes)
            return batch, made
        Voucher.objects.bulk_create(
            [Voucher(batch=batch, digest=_digest(code), most_uses=uses_per_code) for code in made],
            batch_size=500,
        )
        _audit_batch(batch, "voucher_batch.created", actor, now, after={"codes": codes})
    return batch, made


def withdraw_vouchers(*, batch: VoucherBatch, actor: Actor, now: datetime) -> None:
    """No code of it can be redeemed from now on; what was redeemed stays. Twice is once."""
    with transaction.atomic():
        if VoucherBatch.objects.filter(pk=batch.pk, withdrawn_at=None).update(withdrawn_at=now):
            _audit_batch(batch, "voucher_batch.withdrawn", actor, now, after={})


def redeem_voucher(
    *, organisation: Organisation, user: User, code: str, actor: Actor, now: datetime
) -> VoucherRedemption:
    """Grant what the code is good for, in one commit with the record of it.

    Whatever is wrong with a code, the refusal is the same: VoucherRefused. All redemptions of one
    batch wait for each other, so that neither uses nor the organisation's limit are exceeded.
    Raises what ``ledger.grant_lot`` raises.
    """
    with transaction.atomic():
        voucher = Voucher.objects.filter(digest=_digest(code)).first()
        if voucher is None:
            raise VoucherRefused
        batch = VoucherBatch.objects.select_for_update().get(pk=voucher.batch_id)
        if not batch.is_open(now=now) or not _may_redeem(organisation, voucher, batch):
            raise VoucherRefused
        if not Voucher.objects.filter(pk=voucher.pk, uses__lt=F("most_uses")).update(
            uses=F("uses") + 1
        ):
            raise VoucherRefused
        redemption = VoucherRedemption.objects.create(
            voucher=voucher, organisation=organisation, redeemed_by=user, redeemed_at=now
        )
        _grant(redemption, batch, now=now)
        accounts.record_audit(
            organisation=organisation,
            actor=actor,
            action="voucher.redeemed",
            target_id=voucher.public_id,
            target_label=batch.name,
            after={"tokens": str(batch.millitokens // 1000), "scope": batch.scope},
            now=now,
        )
    return redemption


def _may_redeem(organisation: Organisation, voucher: Voucher, batch: VoucherBatch) -> bool:
    """Not this code again, and not more codes of the batch than one organisation may."""
    redeemed = VoucherRedemption.objects.filter(organisation=organisation, voucher__batch=batch)
    vouchers = list(redeemed.values_list("voucher_id", flat=True))
    return voucher.pk not in vouchers and len(vouchers) < batch.codes_per_organisation


def _grant(redemption: VoucherRedemption, batch: VoucherBatch, *, now: datetime) -> None:
    days = batch.tokens_expire_after_days
    ledger.grant_lot(
        owner_key=redemption.organisation.public_id,
        unit=VOUCHER_UNIT,
        reference=redemption.reference,
        kind="grant",
        face_millitokens=batch.millitokens,
        debits=[("promotion", ledger.OPERATOR, batch.millitokens)],
        scope=batch.scope,
        expires_at=None if days is None else now + timedelta(days=days),
        now=now,
    )


def _require_same(batch: VoucherBatch, terms: dict[str, object], codes: int) -> None:
    stands = {field: getattr(batch, field) for field in terms}
    if stands != terms or batch.vouchers.count() != codes:
        raise VoucherKeyReused


def _make_code(key: str, number: int) -> str:
    """A byte for a letter, of which five bits count: each of the 32 letters is as likely."""
    drawn = hmac.digest(key.encode(), str(number).encode(), "sha256")[:_LENGTH]
    letters = "".join(_LETTERS[byte % len(_LETTERS)] for byte in drawn)
    return "-".join(letters[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def _digest(code: str) -> str:
    """Of the code as it was meant: spaces, hyphens and small letters don't matter, nor do letters
    that look like digits."""
    return _sha256(code.upper().translate(_MISREAD))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _audit_batch(
    batch: VoucherBatch, action: str, actor: Actor, now: datetime, *, after: dict[str, object]
) -> None:
    accounts.record_audit(
        organisation=None,
        actor=actor,
        action=action,
        target_id=batch.public_id,
        target_label=batch.name,
        after=after,
        now=now,
    )
