"""Which cap or budget refused a call: whose it is, for how long, and when it starts anew."""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.gateway.amounts import tokens_text
from marketplace.gateway.errors import GatewayRefusal
from marketplace.metering.periods import get_zone
from marketplace.metering.selectors import describe_refusing_limit
from portal.kernel import quantities

_SENTENCES = {
    ("key", "day"): _("This call could exceed this key's cap per day. Nothing was charged."),
    ("key", "week"): _("This call could exceed this key's cap per week. Nothing was charged."),
    ("key", "month"): _("This call could exceed this key's cap per month. Nothing was charged."),
    ("key", "total"): _("This call could exceed this key's cap in total. Nothing was charged."),
    ("member", "day"): _(
        "This call could exceed the budget of %(tokens)s tokens per day of the member who holds "
        "this key. Nothing was charged."
    ),
    ("member", "week"): _(
        "This call could exceed the budget of %(tokens)s tokens per week of the member who holds "
        "this key. Nothing was charged."
    ),
    ("member", "month"): _(
        "This call could exceed the budget of %(tokens)s tokens per month of the member who holds "
        "this key. Nothing was charged."
    ),
    ("member", "total"): _(
        "This call could exceed the budget of %(tokens)s tokens in total of the member who holds "
        "this key. Nothing was charged."
    ),
    ("organisation", "day"): _(
        "This call could exceed the organisation's budget of %(tokens)s tokens per day. Nothing "
        "was charged."
    ),
    ("organisation", "week"): _(
        "This call could exceed the organisation's budget of %(tokens)s tokens per week. Nothing "
        "was charged."
    ),
    ("organisation", "month"): _(
        "This call could exceed the organisation's budget of %(tokens)s tokens per month. Nothing "
        "was charged."
    ),
    ("organisation", "total"): _(
        "This call could exceed the organisation's budget of %(tokens)s tokens in total. Nothing "
        "was charged."
    ),
}


def refuse_over_budget(subject: str, key: AuthenticatedKey, *, now: datetime) -> GatewayRefusal:
    """A 402 for the limit of the ledger that does not allow the call."""
    limit = describe_refusing_limit(subject, key=key, now=now)
    if limit is None:
        message = _("This call could exceed a budget. Nothing was charged.")
        return GatewayRefusal(402, "budget_exhausted", message)
    sentence = _SENTENCES[limit.whose, limit.period]
    tokens = tokens_text(limit.max_millitokens)
    if limit.starts_anew_at is None:
        return GatewayRefusal(402, "budget_exhausted", sentence, values={"tokens": tokens})
    moment = quantities.format_time(limit.starts_anew_at, get_zone(key.organisation_timezone))
    return GatewayRefusal(
        402,
        "budget_exhausted",
        _("%(what)s It starts anew at %(moment)s."),
        values={"what": _Filled(sentence, tokens), "moment": moment},
    )


class _Filled:
    """A sentence with its amount, in the language in which it is read."""

    def __init__(self, sentence: object, tokens: str) -> None:
        self._sentence, self._tokens = sentence, tokens

    def __str__(self) -> str:
        return str(self._sentence) % {"tokens": self._tokens}
