"""Accounts are found or made by what they stand for; once made they never change."""

from collections.abc import Iterable

from marketplace.ledger.sql import Row, Statement, run

AccountKey = tuple[str, str, str]  # kind, owner_key, unit

_COLUMNS = "kind text, owner_key text, unit text"
FIND_ACCOUNTS = Statement(
    "SELECT a.kind, a.owner_key, a.unit, a.id FROM {rows} JOIN ledger_account a "
    "ON a.kind = v.kind AND a.owner_key = v.owner_key AND a.unit = v.unit",
    columns=_COLUMNS,
)
_MAKE_ACCOUNTS = Statement(
    "INSERT INTO ledger_account (kind, owner_key, unit) "
    "SELECT v.kind, v.owner_key, v.unit FROM {rows} "
    "WHERE true ORDER BY v.kind, v.owner_key, v.unit ON CONFLICT DO NOTHING RETURNING id",
    columns=_COLUMNS,
)


def resolve_accounts(keys: Iterable[AccountKey]) -> dict[AccountKey, int]:
    """Ids of all these accounts; those that are missing are made."""
    wanted = set(keys)
    found = _find(wanted)
    if missing := wanted - found.keys():
        run(_MAKE_ACCOUNTS, sorted(missing))
        found |= _find(missing)
    return found


def index_accounts(rows: Iterable[Row]) -> dict[AccountKey, int]:
    """What FIND_ACCOUNTS has returned, by key."""
    return {(kind, owner_key, unit): account_id for kind, owner_key, unit, account_id in rows}


def _find(keys: Iterable[AccountKey]) -> dict[AccountKey, int]:
    return index_accounts(run(FIND_ACCOUNTS, sorted(keys)))
