"""What an organisation is warned of: a low balance, days left, lots that expire, budgets reached.

Each rule says how its matters stand; ``accounts.follow_causes`` tells what is new, once. Between
the mark at which a warning begins and the one at which it can begin anew lies a band, so that a
figure that wavers around a mark is told of once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from accounts import services as accounts
from accounts.models import NoticeKind, Organisation
from accounts.services import Standing
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Lot, Unit
from marketplace.metering import selectors as metering
from portal.web.budget_alerts import judge_budgets, judge_own_budgets

RUN_OUT_STAGES = (1, 3, 7)  # days, the most urgent first
RUN_OUT_RECOVERED_DAYS = 14
EXPIRY_STAGES = (1, 7, 30)  # days
# A clock that is set back a little is no recovery.
EXPIRY_BAND = timedelta(days=1)

Rule = Callable[[Organisation, datetime], Sequence[Standing]]


def watch_balances(*, now: datetime) -> int:
    """One look at every verified organisation; how many notices were written."""
    written = 0
    for organisation in Organisation.objects.filter(verified_at__isnull=False).order_by("pk"):
        for kind, rule in RULES.items():
            written += accounts.follow_causes(
                organisation=organisation,
                kind=kind,
                judge=partial(rule, organisation, now),
                now=now,
            )
    return written


def judge_balance(organisation: Organisation, now: datetime) -> list[Standing]:
    """Low while less is left than the organisation's mark. Holds count as left: they come and go.

    Who never had a token is told how to get some by the first steps of the home page.
    """
    left = _count_left(organisation)
    mark = Organisation.objects.get(pk=organisation.pk).low_balance_millitokens
    if left is None or left >= mark:
        return []
    params = {"left_millitokens": left, "mark_millitokens": mark}
    return [Standing(subject=Unit.LIVE, stage=0, params=params)]


def judge_run_out(organisation: Organisation, now: datetime) -> list[Standing]:
    """By the forecast of the header. Over only when it is far off again: without enough usage to
    say, or between 7 and 14 days, what was told stays told."""
    left = _count_left(organisation)
    if left is None:
        return []
    run_out = metering.get_run_out(organisation, spendable_millitokens=left, now=now)
    if run_out is None:
        return [Standing(subject=Unit.LIVE, stage=None, params={})]
    if run_out.days >= RUN_OUT_RECOVERED_DAYS:
        return []
    stage = next((stage for stage in RUN_OUT_STAGES if run_out.days <= stage), None)
    params = {"days": run_out.days, "left_millitokens": left}
    return [Standing(subject=Unit.LIVE, stage=stage, params=params)]


def judge_expiries(organisation: Organisation, now: datetime) -> list[Standing]:
    """One matter for each purchase or grant: its paid and its bonus tokens expire together."""
    lots = defaultdict[str, list[Lot]](list)
    until = now + timedelta(days=max(EXPIRY_STAGES)) + EXPIRY_BAND
    for lot in ledger.list_lots(owner_key=organisation.public_id, unit=Unit.LIVE):
        if lot.expires_at is not None and now < lot.expires_at <= until:
            lots[lot.reference].append(lot)
    return [_judge_lots(reference, together, now) for reference, together in lots.items()]


def _judge_lots(reference: str, lots: Sequence[Lot], now: datetime) -> Standing:
    expires_at = min(lot.expires_at for lot in lots if lot.expires_at is not None)
    stage = next((days for days in EXPIRY_STAGES if expires_at <= now + timedelta(days=days)), None)
    left = sum(lot.remaining_millitokens for lot in lots)
    params = {"left_millitokens": left, "expires_at": expires_at.isoformat()}
    return Standing(subject=reference, stage=stage, params=params)


RULES: dict[NoticeKind, Rule] = {
    NoticeKind.BALANCE_LOW: judge_balance,
    NoticeKind.DAYS_LEFT: judge_run_out,
    NoticeKind.LOT_EXPIRES: judge_expiries,
    NoticeKind.BUDGET_REACHED: judge_budgets,
    NoticeKind.OWN_BUDGET_REACHED: judge_own_budgets,
}


def _count_left(organisation: Organisation) -> int | None:
    """Millitokens, those that a freeze keeps included: a freeze has a banner of its own. None
    without a wallet."""
    wallets = ledger.list_wallets(owner_key=organisation.public_id, unit=Unit.LIVE)
    posted = [wallet.posted_millitokens for wallet in wallets]
    return sum(posted) if posted else None
