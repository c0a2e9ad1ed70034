"""Checks 1 and 2: a wallet's row against its entries, its account, its freezes and its chain.

A light run begins at each wallet's last sealed checkpoint; a full one at the first entry, and it
computes the sealed chains again.
"""

from typing import Final

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Difference,
    Examined,
    Scope,
    count_rows,
    find_differences,
)
from marketplace.reconciliation.checks.freezes import find_odd_freezes
from marketplace.reconciliation.checks.heads import NUMBER, ask_the_file, find_missed_heads

WALLET_SUBJECT: Final = "'wallet:' || w.owner_key || ':' || w.unit || ':' || w.scope AS subject"

# By account, not by the entry's wallet column, so that a mislabelled entry shows too.
_POSTED_AGAINST_ENTRIES = f"""
WITH moved AS (
    SELECT account_id, SUM(amount) AS total FROM (
        SELECT credit_account_id AS account_id, amount_millitokens AS amount FROM ledger_entry
        UNION ALL
        SELECT debit_account_id, -amount_millitokens FROM ledger_entry
    ) AS sides GROUP BY account_id
)
SELECT {WALLET_SUBJECT}, w.posted_millitokens - COALESCE(moved.total, 0) AS at_stake,
       w.id AS wallet_id, w.posted_millitokens AS posted, COALESCE(moved.total, 0) AS entries
FROM ledger_wallet w LEFT JOIN moved ON moved.account_id = w.account_id
WHERE w.posted_millitokens <> COALESCE(moved.total, 0)
"""  # noqa: S608 (our own text)

_SEALED = """
newest AS (
    SELECT w.id AS wallet_id, (SELECT MAX(c.seq) FROM ledger_walletcheckpoint c
                               WHERE c.wallet_id = w.id) AS seq
    FROM ledger_wallet w
),
sealed AS (
    SELECT c.wallet_id, c.seq, c.posted_millitokens AS posted
    FROM newest n JOIN ledger_walletcheckpoint c ON c.wallet_id = n.wallet_id AND c.seq = n.seq
)
"""

_POSTED_SINCE_SEALED = f"""
WITH {_SEALED},
moved AS (
    SELECT e.wallet_id, SUM(CASE WHEN e.credit_account_id = w.account_id THEN e.amount_millitokens
                                 ELSE -e.amount_millitokens END) AS total
    FROM ledger_wallet w
    LEFT JOIN sealed ON sealed.wallet_id = w.id
    JOIN ledger_entry e ON e.wallet_id = w.id AND e.wallet_seq > COALESCE(sealed.seq, 0)
    GROUP BY e.wallet_id
)
SELECT {WALLET_SUBJECT},
       w.posted_millitokens - COALESCE(sealed.posted, 0) - COALESCE(moved.total, 0) AS at_stake,
       w.id AS wallet_id, w.posted_millitokens AS posted,
       COALESCE(sealed.posted, 0) AS sealed, COALESCE(moved.total, 0) AS since
FROM ledger_wallet w
LEFT JOIN sealed ON sealed.wallet_id = w.id
LEFT JOIN moved ON moved.wallet_id = w.id
WHERE w.posted_millitokens <> COALESCE(sealed.posted, 0) + COALESCE(moved.total, 0)
"""  # noqa: S608 (our own text)

_ACCOUNTS_OF_WALLETS = """
SELECT 'account:' || a.kind || ':' || a.owner_key || ':' || a.unit AS subject,
       w.posted_millitokens AS at_stake, w.id AS wallet_id,
       w.owner_key AS wallet_owner, w.unit AS wallet_unit, w.scope AS wallet_scope
FROM ledger_wallet w JOIN ledger_account a ON a.id = w.account_id
WHERE a.kind <> 'wallet' OR a.unit <> w.unit
   OR a.owner_key <> w.owner_key || CASE WHEN w.scope = '' THEN '' ELSE '/' || w.scope END
UNION ALL
SELECT 'account:' || a.kind || ':' || a.owner_key || ':' || a.unit, 0, NULL, '', '', ''
FROM ledger_account a
WHERE a.kind = 'wallet' AND NOT EXISTS (SELECT 1 FROM ledger_wallet w WHERE w.account_id = a.id)
UNION ALL
SELECT 'wallet:' || w.owner_key || ':' || w.unit || ':' || w.scope, w.posted_millitokens, w.id,
       w.owner_key, w.unit, w.scope
FROM ledger_wallet w
WHERE NOT EXISTS (SELECT 1 FROM ledger_account a WHERE a.id = w.account_id)
"""

_CHAIN = f"""
WITH {_SEALED},
chain AS (
    SELECT e.wallet_id, e.wallet_seq, e.wallet_after_millitokens AS after,
           CASE WHEN e.credit_account_id = w.account_id THEN e.amount_millitokens
                WHEN e.debit_account_id = w.account_id THEN -e.amount_millitokens
                ELSE 0 END AS moved,
           LAG(e.wallet_seq) OVER seq AS before_seq,
           LAG(e.wallet_after_millitokens) OVER seq AS before_after,
           {{begin}} AS sealed_seq, {{posted}} AS sealed_posted
    FROM ledger_wallet w
    LEFT JOIN sealed ON sealed.wallet_id = w.id
    JOIN ledger_entry e ON e.wallet_id = w.id AND e.wallet_seq > {{begin}}
    WINDOW seq AS (PARTITION BY e.wallet_id ORDER BY e.wallet_seq)
),
broken AS (
    SELECT wallet_id, MIN(wallet_seq) AS first_seq, COUNT(*) AS breaks FROM chain
    WHERE wallet_seq <> COALESCE(before_seq, sealed_seq) + 1 OR moved = 0
       OR after <> COALESCE(before_after, sealed_posted) + moved
    GROUP BY wallet_id
),
tail AS (
    SELECT wallet_id, MAX(wallet_seq) AS last_seq FROM chain GROUP BY wallet_id
)
SELECT {WALLET_SUBJECT}, w.posted_millitokens AS at_stake, w.id AS wallet_id, w.seq,
       COALESCE(tail.last_seq, {{begin}}) AS last_seq,
       COALESCE(broken.breaks, 0) AS breaks, broken.first_seq
FROM ledger_wallet w
LEFT JOIN sealed ON sealed.wallet_id = w.id
LEFT JOIN tail ON tail.wallet_id = w.id
LEFT JOIN broken ON broken.wallet_id = w.id
WHERE w.seq <> COALESCE(tail.last_seq, {{begin}}) OR broken.breaks IS NOT NULL
"""  # noqa: S608 (our own text)
_CHAIN_FROM_THE_FIRST = _CHAIN.format(begin="0", posted="0")
_CHAIN_FROM_THE_SEAL = _CHAIN.format(
    begin="COALESCE(sealed.seq, 0)", posted="COALESCE(sealed.posted, 0)"
)

_UNLABELLED = f"""
SELECT {WALLET_SUBJECT}, SUM(sides.amount) AS at_stake, w.id AS wallet_id,
       COUNT(*) AS unlabelled
FROM (
    SELECT credit_account_id AS account_id, wallet_id, amount_millitokens AS amount
    FROM ledger_entry WHERE transaction_id > %s
    UNION ALL
    SELECT debit_account_id, wallet_id, amount_millitokens
    FROM ledger_entry WHERE transaction_id > %s
) AS sides JOIN ledger_wallet w ON w.account_id = sides.account_id
WHERE sides.wallet_id IS NULL OR sides.wallet_id <> w.id
GROUP BY w.id, w.owner_key, w.unit, w.scope
"""  # noqa: S608 (our own text)


def _examine_posted(cursor: CursorWrapper, scope: Scope) -> Examined:
    against = _POSTED_AGAINST_ENTRIES if scope.since is None else _POSTED_SINCE_SEALED
    return Examined(
        count_rows(cursor, "ledger_wallet"),
        [
            *find_differences(cursor, against),
            *find_differences(cursor, _ACCOUNTS_OF_WALLETS),
            *find_odd_freezes(cursor),
        ],
    )


def _examine_chain(cursor: CursorWrapper, scope: Scope) -> Examined:
    chain = _CHAIN_FROM_THE_FIRST if scope.since is None else _CHAIN_FROM_THE_SEAL
    floor = scope.after("ledger_transaction")
    differences = [
        *find_differences(cursor, chain),
        *find_differences(cursor, _UNLABELLED, [floor, floor]),
        *find_missed_heads(cursor),
    ]
    if scope.since is None:
        differences += [
            Difference(
                f"seal:{broken.chain}",
                {"entry": str(broken.seq), "reason": str(broken.reason)},
                wallet_pk=broken.wallet_pk,
            )
            for broken in ledger.find_broken_seals(cursor)
        ]
    return Examined(count_rows(cursor, "ledger_wallet"), differences)


POSTED = Check(
    1,
    _("Each balance equals its entries, and each wallet fits its account and its freezes"),
    Action.FREEZE,
    _examine_posted,
    windowed=True,
)
CHAIN = Check(
    NUMBER,
    _("Each wallet's chain of entries is whole, and so are the seals"),
    Action.FREEZE,
    _examine_chain,
    ask=ask_the_file,
    windowed=True,
)
