"""Freezing wallets: new holds are refused; captures of existing ones go on."""

from datetime import datetime

from django.db.transaction import atomic

from marketplace.ledger.models import Freeze, Wallet
from marketplace.ledger.services.reads import lock_wallets


def freeze_wallet(*, wallet_pk: int, reason: str, now: datetime) -> bool:
    """Add a reason; False if it was there already. Raises Wallet.DoesNotExist."""
    with atomic():
        if wallet_pk not in lock_wallets([wallet_pk]):
            raise Wallet.DoesNotExist
        _, created = Freeze.objects.get_or_create(
            wallet_id=wallet_pk, reason=reason, defaults={"frozen_at": now}
        )
        Wallet.objects.filter(pk=wallet_pk, frozen=False).update(frozen=True)
    return created


def lift_freeze(*, wallet_pk: int, reason: str) -> bool:
    """Take a reason away; False if it was not there. The last one gone, holds are possible."""
    with atomic():
        lock_wallets([wallet_pk])
        lifted, _ = Freeze.objects.filter(wallet_id=wallet_pk, reason=reason).delete()
        if not Freeze.objects.filter(wallet_id=wallet_pk).exists():
            Wallet.objects.filter(pk=wallet_pk, frozen=True).update(frozen=False)
    return bool(lifted)
