"""What a notice says, in the language that is active: made from its kind and params when read.

Params by kind (amounts are integers: millitokens, or minor units of ``currency``):

- ``balance_low``: ``left_millitokens``, ``mark_millitokens``
- ``days_left``: ``days``, ``left_millitokens``
- ``lot_expires``: ``left_millitokens``, ``expires_at`` (ISO 8601)
- ``budget_reached``, ``own_budget_reached``: ``percent``, ``period``, ``spent_millitokens``,
  ``max_millitokens``, ``person`` (empty: the whole organisation's), ``ends_at`` (ISO 8601, null for
  a budget in total)
- ``order_paid``: ``order``, ``pack``, ``millitokens``, ``amount_minor``, ``currency``
- ``order_failed``: ``order``, ``pack``, ``amount_minor``, ``currency``
- ``top_up_paid``: ``order``, ``millitokens``, ``amount_minor``, ``currency``
- ``top_up_failed``: ``amount_minor``, ``currency`` and ``outcome``: with ``order`` it is
  ``declined`` or ``authenticate`` (the bank asks for the card's holder), without it ``cap`` (the
  amount is the most in one month), ``failures`` or ``offer_changed`` (it is off)
- ``refund_decided``: ``order``, ``pack``, ``amount_minor``, ``currency``, and as ``outcome``
  ``approved``, ``declined`` or ``failed`` (the payment provider will never send it)
- ``purchase_asked``: ``request``, ``pack``, ``quantity``, ``amount_minor``, ``currency``,
  ``person``
- ``purchase_decided``: the same without ``person``, and as ``outcome`` ``ordered`` or ``declined``
- ``fapiao_decided``: ``title``, and as ``outcome`` ``issued``, ``declined`` or ``red``
- ``webhook_stopped``: ``webhook`` and its ``url``
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils.translation import get_language, gettext, ngettext

from accounts.models import CapPeriod, Notice, NoticeKind
from portal.kernel import quantities


@dataclass(frozen=True)
class NoticeWords:
    """``url`` leads to the cause; the way out is a link and its words, both may be empty."""

    title: str
    text: str
    url: str
    way_out: str = ""
    way_out_url: str = ""


def describe_notice(notice: Notice) -> NoticeWords:
    """Paths without the site's address."""
    return _WORDS[NoticeKind(notice.kind)](notice)


def _balance_low(notice: Notice) -> NoticeWords:
    figures = {
        "left": _tokens(notice, "left_millitokens"),
        "mark": _tokens(notice, "mark_millitokens"),
    }
    return NoticeWords(
        gettext("Only %(left)s tokens are left") % figures,
        gettext(
            "That is below your mark of %(mark)s. When none are left, calls are refused;"
            " nothing is charged then."
        )
        % figures,
        _url(notice, "web:wallet"),
        *_buy(notice),
    )


def _days_left(notice: Notice) -> NoticeWords:
    days = notice.params["days"]
    title = (
        ngettext(
            "Tokens for about %(days)s day are left",
            "Tokens for about %(days)s days are left",
            days,
        )
        % {"days": days}
        if days
        else gettext("Tokens for less than a day are left")
    )
    text = gettext(
        "At the pace of the last seven days your %(left)s tokens will be used up then. After that"
        " calls are refused."
    )
    return NoticeWords(
        title,
        text % {"left": _tokens(notice, "left_millitokens")},
        _url(notice, "web:wallet"),
        *_buy(notice),
    )


def _lot_expires(notice: Notice) -> NoticeWords:
    zone = ZoneInfo(notice.organisation.timezone)
    moment = datetime.fromisoformat(notice.params["expires_at"])
    figures = {
        "left": _tokens(notice, "left_millitokens"),
        "day": quantities.format_date(moment, zone),
        "moment": quantities.format_time(moment, zone),
    }
    return NoticeWords(
        gettext("%(left)s tokens expire on %(day)s") % figures,
        gettext(
            "What is not used by %(moment)s leaves the wallet. Tokens that expire sooner are"
            " always used first."
        )
        % figures,
        _url(notice, "web:wallet"),
    )


def _budget_reached(notice: Notice) -> NoticeWords:
    figures = {
        "percent": notice.params["percent"],
        "whose": notice.params["person"] or gettext("Whole organisation"),
        "period": CapPeriod(notice.params["period"]).label,
    }
    if notice.params["percent"] >= 100:
        title = gettext("A budget stops calls: %(whose)s, %(period)s") % figures
    else:
        title = gettext("%(percent)s%% of a budget is used: %(whose)s, %(period)s") % figures
    return NoticeWords(title, _budget_text(notice), _url(notice, "metering:budgets"))


def _own_budget_reached(notice: Notice) -> NoticeWords:
    figures = {
        "percent": notice.params["percent"],
        "period": CapPeriod(notice.params["period"]).label,
    }
    if notice.params["percent"] >= 100:
        title = gettext("Your budget (%(period)s) stops calls") % figures
    else:
        title = gettext("%(percent)s%% of your budget (%(period)s) is used") % figures
    return NoticeWords(title, _budget_text(notice), _url(notice, "metering:budgets"))


def _budget_text(notice: Notice) -> str:
    figures = {
        "spent": _tokens(notice, "spent_millitokens"),
        "most": _tokens(notice, "max_millitokens"),
    }
    if notice.params["percent"] >= 100:
        text = gettext(
            "%(spent)s of %(most)s tokens are spent. Calls that could exceed the rest are refused;"
            " nothing is charged then."
        )
    else:
        text = gettext(
            "%(spent)s of %(most)s tokens are spent. When none are left, calls are refused;"
            " nothing is charged then."
        )
    if ends_at := notice.params["ends_at"]:
        zone = ZoneInfo(notice.organisation.timezone)
        moment = quantities.format_time(datetime.fromisoformat(ends_at), zone)
        figures |= {"what": text % figures, "moment": moment}
        return gettext("%(what)s It starts anew at %(moment)s.") % figures
    return text % figures


def _top_up_paid(notice: Notice) -> NoticeWords:
    figures = {"tokens": _tokens(notice, "millitokens"), "amount": _money(notice)}
    return NoticeWords(
        gettext("%(tokens)s tokens were topped up for %(amount)s") % figures,
        gettext("Your balance had fallen below the mark of the automatic top-up."),
        _order_url(notice),
    )


def _top_up_failed(notice: Notice) -> NoticeWords:
    amount = {"amount": _money(notice)}
    page = _url(notice, "billing:top_up")
    match notice.params["outcome"]:
        case "authenticate":
            return NoticeWords(
                gettext("Your bank wants you to confirm a payment of %(amount)s") % amount,
                gettext(
                    "The automatic top-up could not charge the saved card without you. Nothing was"
                    " charged, and nothing else will be until you have paid or a day has passed."
                ),
                _order_url(notice),
                gettext("Pay on the order's page"),
                _order_url(notice),
            )
        case "cap":
            return NoticeWords(
                gettext("Automatic top-up has reached your limit for this month"),
                gettext(
                    "Another top-up would pass %(amount)s. Nothing more is bought by itself until"
                    " next month; when no tokens are left, calls are refused."
                )
                % amount,
                page,
                *_buy(notice),
            )
        case "failures":
            return NoticeWords(
                gettext("Automatic top-up is off: three payments in a row failed"),
                gettext("Nothing is bought by itself any more. Check the card and agree anew."),
                page,
                *_buy(notice),
            )
        case "offer_changed":
            return NoticeWords(
                gettext("Automatic top-up is off: the price or the terms changed"),
                gettext(
                    "You had agreed to %(amount)s. Nothing was charged and nothing will be until"
                    " you agree anew."
                )
                % amount,
                page,
                gettext("See the new terms"),
                page,
            )
    return NoticeWords(
        gettext("The automatic top-up could not be paid"),
        gettext(
            "%(amount)s could not be collected, so no tokens were added. Buy tokens by hand or"
            " check how you pay."
        )
        % amount,
        _order_url(notice),
        *_buy(notice),
    )


def _order_paid(notice: Notice) -> NoticeWords:
    figures = {
        "pack": notice.params["pack"],
        "tokens": _tokens(notice, "millitokens"),
        "amount": _money(notice),
    }
    return NoticeWords(
        gettext("%(pack)s is paid: %(tokens)s tokens are in the wallet") % figures,
        gettext("%(amount)s were paid. The invoice stands beside the order.") % figures,
        _order_url(notice),
    )


def _order_failed(notice: Notice) -> NoticeWords:
    figures = {"pack": notice.params["pack"], "amount": _money(notice)}
    return NoticeWords(
        gettext("The payment for %(pack)s failed") % figures,
        gettext("The %(amount)s were not charged, and no tokens were added. You can try again.")
        % figures,
        _order_url(notice),
    )


def _refund_decided(notice: Notice) -> NoticeWords:
    figures = {"pack": notice.params["pack"], "amount": _money(notice)}
    title, text = {
        "approved": (
            gettext("Refund approved: %(amount)s for %(pack)s"),
            gettext("The money goes to the card or account that paid."),
        ),
        "declined": (
            gettext("Refund of %(amount)s for %(pack)s declined"),
            gettext("The order says why. The tokens that were set aside are back in your wallet."),
        ),
        "failed": (
            gettext("Refund of %(amount)s for %(pack)s failed"),
            gettext(
                "The payment provider did not send the money. The tokens that were set aside are"
                " back in your wallet."
            ),
        ),
    }[notice.params["outcome"]]
    return NoticeWords(title % figures, text, _order_url(notice))


def _purchase_asked(notice: Notice) -> NoticeWords:
    figures = _purchase(notice)
    return NoticeWords(
        gettext("%(person)s asks for %(pack)s × %(quantity)s") % figures,
        gettext("It costs %(amount)s. Nothing is bought until you approve it and pay.") % figures,
        _purchase_url(notice),
    )


def _purchase_decided(notice: Notice) -> NoticeWords:
    title, text = {
        "ordered": (
            gettext("Your request for %(pack)s × %(quantity)s was approved"),
            gettext("It has been ordered. The tokens arrive when the order has been paid."),
        ),
        "declined": (
            gettext("Your request for %(pack)s × %(quantity)s was declined"),
            gettext("The request says why. Nothing was bought."),
        ),
    }[notice.params["outcome"]]
    return NoticeWords(title % _purchase(notice), text, _purchase_url(notice))


def _fapiao_decided(notice: Notice) -> NoticeWords:
    title, text = {
        "issued": (
            gettext("The fapiao for %(title)s is issued"),
            gettext("The tax authority's system sends it to the address that you gave."),
        ),
        "declined": (
            gettext("The fapiao for %(title)s was not issued"),
            gettext("The list says why. You can ask for it again."),
        ),
        "red": (
            gettext("A red-letter fapiao for %(title)s is issued"),
            gettext("It takes back what was refunded since the fapiao was issued."),
        ),
    }[notice.params["outcome"]]
    return NoticeWords(title % notice.params, text, _url(notice, "billing:fapiao"))


def _webhook_stopped(notice: Notice) -> NoticeWords:
    names = {"organisation": notice.organisation.slug, "webhook": notice.params["webhook"]}
    return NoticeWords(
        gettext("A webhook was switched off"),
        gettext(
            "%(url)s took no message for five days. Nothing is sent there until you switch it on"
            " again."
        )
        % notice.params,
        reverse("accounts:webhook", kwargs=names),
    )


_WORDS: dict[NoticeKind, Callable[[Notice], NoticeWords]] = {
    NoticeKind.BALANCE_LOW: _balance_low,
    NoticeKind.DAYS_LEFT: _days_left,
    NoticeKind.LOT_EXPIRES: _lot_expires,
    NoticeKind.BUDGET_REACHED: _budget_reached,
    NoticeKind.OWN_BUDGET_REACHED: _own_budget_reached,
    NoticeKind.TOP_UP_PAID: _top_up_paid,
    NoticeKind.TOP_UP_FAILED: _top_up_failed,
    NoticeKind.ORDER_PAID: _order_paid,
    NoticeKind.ORDER_FAILED: _order_failed,
    NoticeKind.REFUND_DECIDED: _refund_decided,
    NoticeKind.PURCHASE_ASKED: _purchase_asked,
    NoticeKind.PURCHASE_DECIDED: _purchase_decided,
    NoticeKind.FAPIAO_DECIDED: _fapiao_decided,
    NoticeKind.WEBHOOK_STOPPED: _webhook_stopped,
}


def _language() -> str:
    return get_language() or settings.LANGUAGE_CODE


def _tokens(notice: Notice, name: str) -> str:
    return quantities.format_tokens(notice.params[name], _language())


def _money(notice: Notice) -> str:
    params = notice.params
    return quantities.format_money(params["amount_minor"], params["currency"], _language())


def _url(notice: Notice, name: str) -> str:
    return reverse(name, kwargs={"organisation": notice.organisation.slug})


def _order_url(notice: Notice) -> str:
    kwargs = {"organisation": notice.organisation.slug, "order": notice.params["order"]}
    return reverse("billing:order", kwargs=kwargs)


def _purchase(notice: Notice) -> dict[str, object]:
    return {**notice.params, "amount": _money(notice)}


def _purchase_url(notice: Notice) -> str:
    names = {"organisation": notice.organisation.slug, "asked": notice.params["request"]}
    return reverse("billing:purchase_request", kwargs=names)


def _buy(notice: Notice) -> tuple[str, str]:
    return gettext("Buy tokens"), _url(notice, "billing:buy")
