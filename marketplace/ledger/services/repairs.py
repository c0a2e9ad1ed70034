"""Repairs by rule, for the reconciliation: each recomputes under the wallet's lock."""

from django.db.models import Sum
from django.db.transaction import atomic

from marketplace.ledger.models import HoldPart, HoldState
from marketplace.ledger.services.draft import Draft
from marketplace.ledger.services.reads import lock_wallets
from portal.kernel.clock import utc_now


def free_stray_reservation(*, wallet_pk: int) -> int:
    """Lower what is held to what pending holds explain; returns the freed millitokens.

    Nothing is done (0) when holds explain it all, or more than all: tokens are only given back
    to their owner, never taken. Holds and captures change their wallet in the same commit, so
    the sum under the wallet's lock is the truth.
    """
    with atomic():
        wallet = lock_wallets([wallet_pk])[wallet_pk]
        explained = (
            HoldPart.objects.filter(wallet_id=wallet_pk, hold__state=HoldState.PENDING).aggregate(
                total=Sum("amount_millitokens")
            )["total"]
            or 0
        )
        stray = int(wallet.held - explained)
        if stray <= 0:
            return 0
        wallet.held -= stray
        draft = Draft(utc_now())
        draft.touch(wallet)
        draft.flush()
    return stray
