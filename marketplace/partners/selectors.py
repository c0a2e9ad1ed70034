"""Reads for providers: what they are owed and have earned."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from marketplace.catalog.models import Provider
from marketplace.ledger import selectors as ledger
from marketplace.metering import selectors as metering


@dataclass(frozen=True)
class Earnings:
    """``payable`` is the balance of the books now; the rest sums the days asked for."""

    payable_millitokens: int
    report: metering.EarningsReport


def get_earnings(*, provider: Provider, start_on: date, end_on: date) -> Earnings:
    """Live tokens only: test tokens are never payable. Both days included."""
    return Earnings(
        payable_millitokens=ledger.get_account_balance(
            kind="payable", owner_key=provider.public_id, unit="live"
        ),
        report=metering.get_provider_earnings(provider, start_on=start_on, end_on=end_on),
    )


def list_earning_days(
    report: metering.EarningsReport, service: metering.ServiceEarnings
) -> list[dict[str, Any]]:
    """The days on which a service earned something."""
    return [
        {"day": day, "earned_millitokens": earned}
        for day, earned in zip(report.days, service.share_by_day, strict=True)
        if earned
    ]
