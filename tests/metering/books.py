"""What the tests of calls read of the books."""

from typing import Any

from accounts.models import Organisation
from marketplace.ledger.models import Entry, Hold, Limit, Wallet
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from tests.metering.conftest import Meter

COST = 10 * 200 + 5 * 800


def wallet(meter: Meter) -> Wallet:
    return wallet_of(meter.acme)


def wallet_of(organisation: Organisation) -> Wallet:
    return Wallet.objects.get(owner_key=organisation.public_id, unit="live")


def everything() -> Any:
    """All that money depends on, to compare before and after."""
    return [
        sorted(map(tuple, model.objects.values_list()))
        for model in (Wallet, Hold, Limit, Entry, Call, UsageEvent, UsageCharge)
    ]
