"""Granting lots: what a purchase, a bonus or a gift puts into a wallet, once per reference."""

from collections.abc import Sequence
from datetime import datetime

from django.db.transaction import atomic
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import AccountKind, Lot, TransactionKind
from marketplace.ledger.models.wallets import MAX_BALANCE
from marketplace.ledger.selectors import get_debt
from marketplace.ledger.services import checks
from marketplace.ledger.services.accounts import resolve_accounts
from marketplace.ledger.services.commands import Credit, GrantResult
from marketplace.ledger.services.debts import DEBT_FREEZE
from marketplace.ledger.services.draft import Draft, Heading, Line, hash_request
from marketplace.ledger.services.freezes import freeze_wallet
from marketplace.ledger.services.reads import lock_wallets_named
from marketplace.ledger.services.rows import WalletRow
from marketplace.ledger.sql import Statement, run
from marketplace.ledger.watch import refuse_when_unguarded
from portal.kernel.errors import Conflict, Rejected
from portal.kernel.public_ids import new_public_id

_GRANT_KINDS = (TransactionKind.PURCHASE, TransactionKind.GRANT)

_MAKE_WALLETS = Statement(
    """
    INSERT INTO ledger_wallet (account_id, owner_key, unit, scope, posted_millitokens,
      held_millitokens, seq, frozen)
    SELECT v.account_id, v.owner_key, v.unit, v.scope, 0, 0, 0, false FROM {rows}
    WHERE true ON CONFLICT DO NOTHING
    RETURNING id
    """,
    columns="account_id bigint, owner_key text, unit text, scope text",
)
_INSERT_LOT = Statement(
    """
    INSERT INTO ledger_lot (public_id, wallet_id, reference, kind, face_millitokens,
      remaining_millitokens, paid_minor, currency, granted_at, expires_at)
    SELECT v.public_id, v.wallet_id, v.reference, v.kind, v.face, v.face, v.paid_minor,
      v.currency, v.now, v.expires_at
    FROM {rows} WHERE true
    ON CONFLICT (reference, kind) DO NOTHING
    RETURNING id
    """,
    columns="public_id text, wallet_id bigint, reference text, kind text, face bigint, "
    "paid_minor bigint, currency text, now timestamptz, expires_at timestamptz",
)


class GrantedDifferently(Conflict):
    """Something else was granted under this reference before."""

    code = "granted_differently"


class WalletFull(Rejected):
    """The wallet cannot hold that many tokens."""

    code = "wallet_full"


def grant_lot(
    *,
    owner_key: str,
    unit: str,
    reference: str,
    kind: str,
    face_millitokens: int,
    debits: Sequence[tuple[str, str, int]],
    transaction_kind: str = TransactionKind.GRANT,
    scope: str = "",
    paid_minor: int = 0,
    currency: str = "",
    expires_at: datetime | None = None,
    reason: str = "",
    now: datetime,
) -> GrantResult:
    """Credit a lot to a tenant's wallet of ``scope``, making the wallet if need be.

    ``debits`` (account kind, owner, millitokens) say where the face comes from and add up to it.
    Idempotent on (reference, kind): a second call returns the lot with ``created=False``. Raises
    GrantedDifferently if that lot has another wallet or face, WalletFull above the bound of a
    balance, LedgerUnguarded, ValueError for input that makes no sense.
    """
    refuse_when_unguarded()
    sides = [Credit(*debit) for debit in debits]
    checks.check_lot(owner_key, unit, scope, reference, kind, face_millitokens)
    checks.check_sides(sides, face_millitokens)
    if transaction_kind not in _GRANT_KINDS or paid_minor < 0 or len(currency) > 3:
        raise ValueError("not a purchase or grant")
    lot = _find_lot(reference, kind)
    created = False
    if lot is None:
        with atomic():
            wallet = _lock_or_make_wallet(owner_key, unit, scope, now)
            values = (face_millitokens, paid_minor, currency, now, expires_at)
            created = _insert_lot(wallet, reference, kind, values)
            if created:
                _credit(wallet, sides, reference, kind, transaction_kind, reason, expires_at, now)
        lot = _find_lot(reference, kind)
        assert lot is not None
    found = (lot.wallet.owner_key, lot.wallet.unit, lot.wallet.scope, lot.face_millitokens)
    if found != (owner_key, unit, scope, face_millitokens):
        raise GrantedDifferently(
            _("Something else was granted under this reference before. Nothing was changed.")
        )
    return GrantResult(lot, created)


def _find_lot(reference: str, kind: str) -> Lot | None:
    return Lot.objects.select_related("wallet").filter(reference=reference, kind=kind).first()


def _lock_or_make_wallet(owner_key: str, unit: str, scope: str, now: datetime) -> WalletRow:
    name = (owner_key, unit, scope)
    wallets = lock_wallets_named([name])
    if name not in wallets:
        # A scoped wallet has an account of its own, beside the general one's.
        account = (AccountKind.WALLET.value, f"{owner_key}/{scope}" if scope else owner_key, unit)
        run(_MAKE_WALLETS, [(resolve_accounts([account])[account], *name)])
        wallets = lock_wallets_named([name])
        if get_debt(owner_key=owner_key, unit=unit):
            freeze_wallet(wallet_pk=wallets[name].id, reason=DEBT_FREEZE, now=now)
    return wallets[name]


def _insert_lot(wallet: WalletRow, reference: str, kind: str, values: tuple[object, ...]) -> bool:
    row = (new_public_id("lot"), wallet.id, reference, kind, *values)
    return bool(run(_INSERT_LOT, [row]))


def _credit(
    wallet: WalletRow,
    sides: Sequence[Credit],
    reference: str,
    kind: str,
    transaction_kind: str,
    reason: str,
    expires_at: datetime | None,
    now: datetime,
) -> None:
    amount = sum(side.amount_millitokens for side in sides)
    if wallet.posted + amount > MAX_BALANCE:
        raise WalletFull(_("This wallet cannot hold that many tokens. Nothing was changed."))
    accounts = resolve_accounts((side.account_kind, side.owner_key, wallet.unit) for side in sides)
    lines = [
        Line(
            accounts[side.account_kind, side.owner_key, wallet.unit],
            wallet.account_id,
            side.amount_millitokens,
            wallet,
        )
        for side in sides
        if side.amount_millitokens
    ]
    draft = Draft(now)
    if expires_at is not None:
        wallet.next_expiry_at = min(expires_at, wallet.next_expiry_at or expires_at)
    heading = Heading(
        kind=transaction_kind,
        idempotency_scope="grant",
        idempotency_key=f"{kind}:{reference}",
        request_hash=hash_request(wallet.id, amount),
        reference=reference,
        reason=reason,
    )
    draft.post(heading, lines)
    draft.flush()
