"""Filling wallets and reading the books, for tests."""

from itertools import count

from accounts.models import Organisation
from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from portal.kernel.clock import utc_now

_numbers = count(1)


def give_tokens(organisation: Organisation, tokens: int, *, unit: str = "live") -> None:
    """Put so many tokens into the organisation's general wallet."""
    amount = tokens * 1000
    ledger.grant_lot(
        owner_key=organisation.public_id,
        unit=unit,
        reference=f"test:{next(_numbers)}:{organisation.public_id}",
        kind="grant",
        face_millitokens=amount,
        debits=[("promotion", "operator", amount)],
        transaction_kind="grant",
        now=utc_now(),
    )


def balance_of(organisation: Organisation, unit: str = "live") -> tuple[int, int]:
    """Posted and held, in millitokens."""
    balance = selectors.get_balance(owner_key=organisation.public_id, unit=unit)
    return balance.posted, balance.held
