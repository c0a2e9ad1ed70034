"""What a tenant owes: money that its bank took back for tokens that were used up.

While anything is owed, every wallet of the tenant in that unit is frozen for that reason.
"""

from datetime import datetime

from django.db.transaction import atomic
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import AccountKind, TransactionKind, Wallet
from marketplace.ledger.selectors import get_account_balance, get_debt
from marketplace.ledger.services.commands import Move, PostResult
from marketplace.ledger.services.freezes import freeze_wallet, lift_freeze
from marketplace.ledger.services.postings import post_transaction
from marketplace.ledger.services.reads import lock_wallets
from portal.kernel.errors import Conflict

DEBT_FREEZE = "debt"
_OWED = AccountKind.RECEIVABLE.value


class MoreThanOwed(Conflict):
    """More would be settled than the tenant owes; nothing was changed."""

    code = "more_than_owed"
    sentence = _("This is more than is owed. Nothing was changed.")


def keep_debt_freeze(*, owner_key: str, unit: str, now: datetime) -> int:
    """Freeze the tenant's wallets while it owes, thaw them when it doesn't; what it owes."""
    with atomic():
        wallets = lock_wallets(
            Wallet.objects.filter(owner_key=owner_key, unit=unit).values_list("pk", flat=True)
        )
        debt = get_debt(owner_key=owner_key, unit=unit)
        for wallet_pk in wallets:
            if debt:
                freeze_wallet(wallet_pk=wallet_pk, reason=DEBT_FREEZE, now=now)
            else:
                lift_freeze(wallet_pk=wallet_pk, reason=DEBT_FREEZE)
    return debt


def clear_debt(
    *,
    owner_key: str,
    unit: str,
    amount_millitokens: int,
    paid_into: tuple[str, str],
    idempotency_key: str,
    reason: str,
    reference: str,
    now: datetime,
) -> PostResult:
    """So much of the debt is settled: into a clearing account, or forgiven by promotion.

    ``reference`` is the finding that a person decided ("finding:fnd_…"). Raises MoreThanOwed,
    PostedDifferently.
    """
    with atomic():
        lock_wallets(
            Wallet.objects.filter(owner_key=owner_key, unit=unit).values_list("pk", flat=True)
        )
        result = post_transaction(
            kind=TransactionKind.ADJUSTMENT,
            unit=unit,
            idempotency_scope="debt",
            idempotency_key=idempotency_key,
            moves=[Move(paid_into, (_OWED, owner_key), amount_millitokens)],
            reason=reason,
            reference=reference,
            now=now,
        )
        if get_account_balance(kind=_OWED, owner_key=owner_key, unit=unit) > 0:
            raise MoreThanOwed
        keep_debt_freeze(owner_key=owner_key, unit=unit, now=now)
    return result
