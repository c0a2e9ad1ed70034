"""Requests that make no sense are a caller's mistake: ValueError, before anything is read."""

from collections.abc import Sequence

from django.db import models

from marketplace.ledger.models import (
    Account,
    AccountKind,
    Hold,
    Limit,
    Lot,
    LotKind,
    Transaction,
    Unit,
)
from marketplace.ledger.models.wallets import MAX_AMOUNT
from marketplace.ledger.services.commands import (
    BASIS_POINTS,
    CaptureRequest,
    Credit,
    HoldRequest,
)

_UNITS = frozenset(Unit.values)
_KINDS = frozenset(AccountKind.values)


def _length(model: type[models.Model], name: str) -> int:
    field = model._meta.get_field(name)
    assert isinstance(field, models.CharField)
    assert field.max_length
    return field.max_length


_HOLD_LENGTHS = [
    (name, _length(Hold, name))
    for name in (
        "owner_key",
        "idempotency_scope",
        "idempotency_key",
        "request_hash",
        "reference",
        "price_version",
    )
]
_SUBJECT_LENGTH = _length(Limit, "subject")
_REFERENCE_LENGTH = _length(Transaction, "reference")
_SCOPE_LENGTH = _length(Transaction, "idempotency_scope")
_KEY_LENGTH = _length(Transaction, "idempotency_key")
_REASON_LENGTH = _length(Transaction, "reason")
_LOT_REFERENCE_LENGTH = _length(Lot, "reference")
_ACCOUNT_OWNER_LENGTH = _length(Account, "owner_key")
# Half of it: a scoped wallet's account is named owner/scope.
_WALLET_NAME_LENGTH = _ACCOUNT_OWNER_LENGTH // 2 - 1


def check_hold_request(request: HoldRequest) -> None:
    check_amount(request.amount_millitokens, least=1)
    check_unit(request.unit)
    for name, length in _HOLD_LENGTHS:
        check_text(name, getattr(request, name), length)
    if not request.owner_key or not request.idempotency_key:
        raise ValueError("a hold has an owner and an idempotency key")
    for scope in request.scopes:
        check_text("scope", scope, _WALLET_NAME_LENGTH)
    if "" in request.scopes or len(set(request.scopes)) != len(request.scopes):
        raise ValueError("scopes are named, and each once")
    names = {(demand.subject, demand.period_start) for demand in request.limits}
    if len(names) != len(request.limits):
        raise ValueError("a hold counts once in a limit")
    for demand in request.limits:
        check_text("subject", demand.subject, _SUBJECT_LENGTH)
        if demand.max_millitokens is not None and demand.max_millitokens < 0:
            raise ValueError("a limit's maximum is not negative")


def check_capture_request(request: CaptureRequest) -> None:
    check_amount(request.amount_millitokens, least=0)
    check_text("reference", request.reference, _REFERENCE_LENGTH)
    check_text("reason", request.reason, _REASON_LENGTH)
    check_account(AccountKind.PAYABLE, request.payee)
    if not 0 <= request.share_basis_points <= BASIS_POINTS:
        raise ValueError(
            f"not a share of {BASIS_POINTS} basis points: {request.share_basis_points}"
        )


def check_sides(sides: Sequence[Credit], amount: int) -> None:
    """Other sides of a wallet's movement: each account once, none a wallet, in sum the amount."""
    if len({(side.account_kind, side.owner_key) for side in sides}) != len(sides):
        raise ValueError("an account is named once")
    for side in sides:
        check_amount(side.amount_millitokens, least=0)
        check_account(side.account_kind, side.owner_key)
    if sum(side.amount_millitokens for side in sides) != amount:
        raise ValueError(f"the other accounts' amounts do not add up to {amount}")


def check_account(kind: str, owner_key: str) -> None:
    if kind not in _KINDS or kind == AccountKind.WALLET:
        raise ValueError(f"not the kind of an account beside wallets: {kind}")
    check_text("owner_key", owner_key, _ACCOUNT_OWNER_LENGTH)
    if not owner_key:
        raise ValueError("an account has an owner")


def check_heading(scope: str, key: str, reference: str, reason: str) -> None:
    check_text("idempotency_scope", scope, _SCOPE_LENGTH)
    check_text("idempotency_key", key, _KEY_LENGTH)
    check_text("reference", reference, _REFERENCE_LENGTH)
    check_text("reason", reason, _REASON_LENGTH)
    if not key or not reason:
        raise ValueError("a correction has an idempotency key and a reason")


def check_lot(owner_key: str, unit: str, scope: str, reference: str, kind: str, face: int) -> None:
    check_amount(face, least=1)
    check_unit(unit)
    check_text("reference", reference, _LOT_REFERENCE_LENGTH)
    check_text("scope", scope, _WALLET_NAME_LENGTH)
    check_text("owner_key", owner_key, _WALLET_NAME_LENGTH)
    if not owner_key or not reference or "/" in owner_key:
        raise ValueError("a lot has an owner, without a slash, and a reference")
    if kind not in LotKind.values:
        raise ValueError(f"not a kind of lot: {kind}")


def check_unit(unit: str) -> None:
    if unit not in _UNITS:
        raise ValueError(f"not a unit: {unit}")


def check_amount(amount: int, *, least: int) -> None:
    if type(amount) is not int or not least <= amount <= MAX_AMOUNT:
        raise ValueError(f"not an amount in millitokens from {least} to {MAX_AMOUNT}: {amount!r}")


def check_text(name: str, text: str, length: int) -> None:
    """SQLite would store what is too long, and PostgreSQL fail late; NUL it cannot store."""
    if len(text) > length or "\0" in text or not (text.isascii() or _is_unicode(text)):
        raise ValueError(f"{name} has at most {length} characters, all of them storable")


def _is_unicode(text: str) -> bool:
    """Half a surrogate pair, which JSON can smuggle in, is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
