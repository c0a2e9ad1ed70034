# ruff: noqa: S608 (statements are composed of this module's constants)
"""Rows read under lock, always in the order holds, wallets, limits, each by ascending id.

That order, kept by every writer, rules out deadlocks. Lots, parts and memberships in limits only
change under the lock of their wallet or hold, so they are read after it, without a lock.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from marketplace.ledger.services.accounts import FIND_ACCOUNTS, AccountKey, index_accounts
from marketplace.ledger.services.rows import HoldRow, LimitRow, LotRow, PartRow, WalletRow
from marketplace.ledger.sql import Row, Statement, moment, run, run_together

_HOLD_COLUMNS = (
    "h.id, h.public_id, h.owner_key, h.unit, h.amount_millitokens, h.captured_millitokens, "
    "h.state, h.expires_at, h.reference"
)
_WALLET_COLUMNS = (
    "w.id, w.account_id, w.owner_key, w.unit, w.scope, w.posted_millitokens, w.held_millitokens, "
    "w.seq, w.next_expiry_at, w.frozen"
)
_LIMIT_COLUMNS = (
    "l.id, l.subject, l.period_start, l.max_millitokens, l.held_millitokens, l.spent_millitokens"
)
_LOT_COLUMNS = "l.id, l.public_id, l.wallet_id, l.remaining_millitokens, l.expires_at"
# The published order: soonest expiry, then what was given before what was paid, then the oldest.
_BURN_ORDER = (
    "l.wallet_id, l.expires_at NULLS LAST, CASE WHEN l.kind = 'paid' THEN 1 ELSE 0 END, l.id"
)
# Wallets of the holds' parts, and the general ones of their tenants, from which they may get more.
_WALLETS_CONCERNED = """
    SELECT p.wallet_id FROM {rows} JOIN ledger_hold h ON h.public_id = v.public_id
      JOIN ledger_holdpart p ON p.hold_id = h.id
    UNION ALL
    SELECT g.id FROM {rows} JOIN ledger_hold h ON h.public_id = v.public_id
      JOIN ledger_wallet g ON g.owner_key = h.owner_key AND g.unit = h.unit AND g.scope = ''
"""
_PUBLIC_ID = "public_id text"

_LOCK_HOLDS = Statement(
    f"SELECT {_HOLD_COLUMNS} FROM ledger_hold h JOIN {{rows}} ON v.public_id = h.public_id "
    "ORDER BY h.id {lock}",
    columns=_PUBLIC_ID,
    lock="h",
)
_LOCK_DUE_HOLDS = Statement(
    f"SELECT {_HOLD_COLUMNS} FROM ledger_hold h CROSS JOIN {{rows}} "
    "WHERE h.state = 'pending' AND h.expires_at <= v.now "
    "ORDER BY h.expires_at, h.id LIMIT (SELECT v.most FROM {rows}) {lock}",
    columns="now timestamptz, most bigint",
    lock="h SKIP LOCKED",
)
_LOCK_WALLETS_CONCERNED = Statement(
    f"SELECT {_WALLET_COLUMNS} FROM ledger_wallet w "
    f"WHERE w.id {{among}}{_WALLETS_CONCERNED}{{end}} ORDER BY w.id {{lock}}",
    columns=_PUBLIC_ID,
    lock="w",
)
_LOCK_LIMITS_CONCERNED = Statement(
    f"SELECT {_LIMIT_COLUMNS} FROM ledger_limit l WHERE l.id {{among}}"
    "SELECT x.limit_id FROM {rows} JOIN ledger_hold h ON h.public_id = v.public_id "
    "JOIN ledger_holdlimit x ON x.hold_id = h.id{end} ORDER BY l.id {lock}",
    columns=_PUBLIC_ID,
    lock="l",
)
_PARTS = Statement(
    "SELECT p.hold_id, p.wallet_id, p.position, p.amount_millitokens "
    "FROM {rows} JOIN ledger_holdpart p ON p.hold_id = v.id ORDER BY p.hold_id, p.position",
    columns="id bigint",
)
_LIMITS_OF_HOLDS = Statement(
    "SELECT x.hold_id, x.limit_id FROM {rows} JOIN ledger_holdlimit x ON x.hold_id = v.id "
    "ORDER BY x.id",
    columns="id bigint",
)
_LOCK_WALLETS_NAMED = Statement(
    f"SELECT {_WALLET_COLUMNS} FROM ledger_wallet w JOIN {{rows}} "
    "ON w.owner_key = v.owner_key AND w.unit = v.unit AND w.scope = v.scope "
    "ORDER BY w.id {lock}",
    columns="owner_key text, unit text, scope text",
    lock="w",
)
_LOCK_WALLETS = Statement(
    f"SELECT {_WALLET_COLUMNS} FROM ledger_wallet w JOIN {{rows}} ON w.id = v.id "
    "ORDER BY w.id {lock}",
    columns="id bigint",
    lock="w",
)
_LOTS = Statement(
    f"SELECT {_LOT_COLUMNS} FROM ledger_lot l WHERE l.wallet_id IN (SELECT v.id FROM {{rows}}) "
    f"AND l.remaining_millitokens > 0 ORDER BY {_BURN_ORDER}",
    columns="id bigint",
)
_LOCK_LIMITS_NAMED = Statement(
    f"SELECT {_LIMIT_COLUMNS} FROM ledger_limit l JOIN {{rows}} "
    "ON l.subject = v.subject AND l.period_start = v.period_start ORDER BY l.id {lock}",
    columns="subject text, period_start timestamptz",
    lock="l",
)


@dataclass(frozen=True, slots=True)
class Locked:
    """Holds and all that they concern, under lock. ``accounts`` are those that were asked for."""

    holds: dict[str, HoldRow]
    generals: dict[tuple[str, str], WalletRow]
    accounts: dict[AccountKey, int]


def lock_holds(
    public_ids: Iterable[str],
    *,
    accounts_of: Callable[[HoldRow], Iterable[AccountKey]] | None = None,
) -> Locked:
    """Lock the holds that exist, their wallets and limits, and the tenants' general wallets.

    With ``accounts_of``, lots and those accounts that exist are read too, for a capture.
    """
    # What no public id looks like is not there (and may be what a database can't even read).
    ids = [(public_id,) for public_id in sorted(set(public_ids)) if _is_public_id(public_id)]
    if not ids:
        return Locked({}, {}, {})
    hold_rows, wallet_rows, limit_rows = run_together(
        (_LOCK_HOLDS, ids), (_LOCK_WALLETS_CONCERNED, ids), (_LOCK_LIMITS_CONCERNED, ids)
    )
    holds = {row[0]: _hold(row) for row in hold_rows}
    wallets = {row[0]: _wallet(row) for row in wallet_rows}
    limits = {row[0]: _limit(row) for row in limit_rows}
    pks = [(pk,) for pk in holds]
    calls: list[tuple[Statement, list[Row]]] = [(_PARTS, pks), (_LIMITS_OF_HOLDS, pks)]
    if accounts_of:
        keys = {key for hold in holds.values() for key in accounts_of(hold)}
        calls += [(_LOTS, [(pk,) for pk in wallets]), (FIND_ACCOUNTS, sorted(keys))]
    parts, memberships, *rest = run_together(*calls)
    for hold_pk, wallet_pk, position, amount in parts:
        holds[hold_pk].parts.append(PartRow(wallets[wallet_pk], position, amount, amount))
    for hold_pk, limit_pk in memberships:
        holds[hold_pk].limits.append(limits[limit_pk])
    if accounts_of:
        _hand_out_lots(wallets.values(), rest[0])
    return Locked(
        {hold.public_id: hold for hold in holds.values()},
        {
            (wallet.owner_key, wallet.unit): wallet
            for wallet in wallets.values()
            if not wallet.scope
        },
        index_accounts(rest[1]) if accounts_of else {},
    )


def _is_public_id(text: str) -> bool:
    return text.isascii() and text.replace("_", "").isalnum()


def find_due_holds(now: datetime, most: int) -> list[str]:
    """Pending holds past their expiry, at most so many, without those that others have locked."""
    return [row[1] for row in run(_LOCK_DUE_HOLDS, [(now, most)])]


def lock_wallets_named(
    names: Iterable[tuple[str, str, str]],
) -> dict[tuple[str, str, str], WalletRow]:
    """The wallets that exist, by (owner, unit, scope)."""
    rows = run(_LOCK_WALLETS_NAMED, sorted(set(names)))
    wallets = map(_wallet, rows)
    return {(wallet.owner_key, wallet.unit, wallet.scope): wallet for wallet in wallets}


def lock_wallets(ids: Iterable[int]) -> dict[int, WalletRow]:
    """The wallets, by id."""
    rows = run(_LOCK_WALLETS, [(wallet_id,) for wallet_id in sorted(set(ids))])
    return {row[0]: _wallet(row) for row in rows}


def load_lots(wallets: Iterable[WalletRow]) -> None:
    """Fill in the lots of locked wallets that lack them."""
    lacking = [wallet for wallet in wallets if wallet.lots is None]
    if lacking:
        _hand_out_lots(lacking, run(_LOTS, [(wallet.id,) for wallet in lacking]))


def lock_limits_named(names: Iterable[tuple[str, datetime]]) -> list[LimitRow]:
    """The limits that exist among (subject, period start)."""
    return [_limit(row) for row in run(_LOCK_LIMITS_NAMED, list(names))]


def _hand_out_lots(wallets: Iterable[WalletRow], rows: Iterable[Row]) -> None:
    by_id = {wallet.id: wallet for wallet in wallets}
    for wallet in by_id.values():
        wallet.lots = []
    for lot_id, public_id, wallet_id, remaining, expires_at in rows:
        lots = by_id[wallet_id].lots
        assert lots is not None
        lots.append(LotRow(lot_id, public_id, wallet_id, remaining, moment(expires_at)))


def _wallet(row: Row) -> WalletRow:
    pk, account_id, owner_key, unit, scope, posted, held, seq, due_at, frozen = row
    return WalletRow(
        pk, account_id, owner_key, unit, scope, posted, held, seq, moment(due_at), bool(frozen)
    )


def _limit(row: Row) -> LimitRow:
    period_start = moment(row[2])
    assert period_start is not None
    return LimitRow(row[0], row[1], period_start, *row[3:])


def _hold(row: Row) -> HoldRow:
    pk, public_id, owner_key, unit, amount, captured, state, expires_at, reference = row
    expires = moment(expires_at)
    assert expires is not None
    return HoldRow(pk, public_id, owner_key, unit, amount, captured, state, expires, reference)
