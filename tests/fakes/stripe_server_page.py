"""The hosted pay page, as far as a browser needs one: buttons that lead back to the shop."""

from html import escape
from typing import Any

from tests.fakes.stripe_server_account import StripeAccount

PATH = "/c/pay/"
_PAGE = """<!doctype html>
<html lang="{locale}"><head><meta charset="utf-8"><title>Checkout</title>
<link rel="icon" href="data:,"></head>
<body><h1>{name}</h1><p>{amount} {currency}</p>
<form method="post">
<button name="action" value="pay">Pay by card</button>
<button name="action" value="pay_later">Pay by bank</button>
<button name="action" value="decline">Use an empty card</button>
</form>
<a href="{cancel_url}">Back to the shop</a>
</body></html>"""


def show(account: StripeAccount, session_id: str) -> bytes:
    session = account.get_session(session_id)
    shown: dict[str, Any] = {
        "locale": session["locale"],
        "name": session["metadata"]["order"],
        "amount": session["amount_total"],
        "currency": session["currency"],
        "cancel_url": session["cancel_url"],
    }
    return _PAGE.format(**{name: escape(str(value)) for name, value in shown.items()}).encode()


def act(account: StripeAccount, session_id: str, action: str) -> str:
    """Where the buyer goes next. A declined card stays; a second click finds it paid."""
    hands = {"pay": account.pay, "pay_later": account.pay_later, "decline": account.decline}
    hands[action](session_id)
    session = account.get_session(session_id)
    return str(session["url"] if session["status"] == "open" else session["success_url"])
