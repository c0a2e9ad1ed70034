"""Invoices, credit notes and pro-forma invoices in words."""

from html import unescape
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language, gettext, pgettext

from marketplace.billing import selectors
from marketplace.billing.bank.instructions import describe_transfer
from marketplace.billing.models import Document, Order
from marketplace.billing.paper.content import Paper, Row, Table, describe_party
from marketplace.billing.parties import describe_buyer, describe_seller
from portal.kernel.quantities import (
    format_date,
    format_money,
    format_percent,
    format_time,
    format_tokens_exact,
)


def describe_document(document: Document) -> Paper:
    """The paper of an invoice or credit note, in the active language and the buyer's time zone."""
    order = document.order
    invoice = document.is_invoice
    words = gettext("Invoice %(number)s") if invoice else gettext("Credit note %(number)s")
    return Paper(
        heading=words % {"number": document.label},
        seller=describe_party(document.parties["seller"], title=pgettext("document", "From")),
        buyer=describe_party(document.parties["buyer"], title=pgettext("document", "To")),
        facts=tuple(_list_facts(document)),
        tables=(_describe_goods(document),),
        notes=tuple(_list_notes(order)) if invoice else (),
        warning=""
        if order.livemode
        else gettext("Test mode: no money moved. This is not a tax document."),
    )


def _list_facts(document: Document) -> list[tuple[str, str]]:
    order = document.order
    zone = ZoneInfo(order.organisation.timezone)
    facts = [
        (gettext("Invoice number") if document.is_invoice else gettext("Number"), document.label),
        (gettext("Date"), format_date(document.issued_at, zone)),
    ]
    if document.corrects is not None:
        about = document.corrects
        issued = format_date(about.issued_at, zone)
        facts.append((gettext("For invoice"), f"{about.label} ({issued})"))
    facts.append((gettext("Order number"), order.public_id))
    if order.purchase_reference:
        facts.append((gettext("Your reference"), order.purchase_reference))
    if document.is_invoice:
        assert order.paid_at is not None
        facts += [
            (pgettext("document", "Paid"), format_time(order.paid_at, zone)),
            (gettext("Good for"), selectors.describe_scopes([order.scope])[order.scope]),
        ]
    return facts


def describe_proforma(order: Order) -> Paper:
    """What a buyer by bank transfer pays by: no invoice, and with no number of their series."""
    zone = ZoneInfo(order.organisation.timezone)
    transfer = describe_transfer(order)
    assert transfer is not None
    account = transfer.account
    facts = [
        (gettext("Date"), format_date(order.created_at, zone)),
        (gettext("Order number"), order.public_id),
        (gettext("Your reference"), order.purchase_reference),
        (gettext("Pay until"), format_time(order.expires_at, zone)),
        (gettext("Account holder"), account.holder),
        (gettext("Account number or IBAN"), account.printed_number),
        (gettext("BIC"), account.bic),
        (gettext("Bank"), account.bank),
        (gettext("Payment reference"), transfer.reference),
        (gettext("Good for"), selectors.describe_scopes([order.scope])[order.scope]),
    ]
    return Paper(
        heading=gettext("Pro-forma invoice"),
        seller=describe_party(describe_seller(), title=pgettext("document", "From")),
        buyer=describe_party(describe_buyer(order.organisation), title=pgettext("document", "To")),
        facts=tuple((name, value) for name, value in facts if value),
        tables=(_describe_order(order),),
        notes=(
            gettext("This is not an invoice: the invoice follows when the money has arrived."),
            gettext(
                "Name the payment reference in your transfer, or we cannot tell what it is for."
            ),
        ),
        warning="" if order.livemode else gettext("Test mode: no money moves. Do not pay this."),
    )


def _describe_order(order: Order) -> Table:
    net_minor = order.amount_minor - order.tax_minor
    return Table(
        title=gettext("What was ordered"),
        columns=(
            gettext("Pack"),
            gettext("Amount (%(currency)s)") % {"currency": order.currency},
        ),
        rows=(
            Row(
                order.pack_name, (_amount(order, order.amount_minor),), tuple(_list_details(order))
            ),
        ),
        totals=(
            Row(gettext("Net"), (_amount(order, net_minor),)),
            Row(name_tax(order), (_amount(order, order.tax_minor),)),
            Row(gettext("To transfer"), (_amount(order, order.amount_minor),)),
        ),
    )


def _amount(order: Order, amount_minor: int) -> str:
    return format_money(amount_minor, order.currency, _language())


def _describe_goods(document: Document) -> Table:
    order = document.order
    last = gettext("Total paid") if document.is_invoice else gettext("Total given back")
    return Table(
        title=gettext("What was bought") if document.is_invoice else gettext("What was given back"),
        columns=(
            gettext("Pack"),
            gettext("Amount (%(currency)s)") % {"currency": document.currency},
        ),
        rows=(
            Row(
                order.pack_name,
                (_money(document, document.amount_minor),),
                tuple(_list_details(order)) if document.is_invoice else (),
            ),
        ),
        totals=(
            Row(gettext("Net"), (_money(document, document.net_minor),)),
            Row(name_tax(order), (_money(document, document.tax_minor),)),
            Row(last, (_money(document, document.amount_minor),)),
        ),
    )


def name_tax(order: Order) -> str:
    """``VAT 19%``; plain "Tax" where none was configured, without a rate where it was computed."""
    if not order.tax_name:
        return gettext("Tax")
    if order.tax_minor and not order.tax_basis_points:
        return order.tax_name
    return f"{order.tax_name} {format_percent(order.tax_basis_points)}"


def _list_details(order: Order) -> list[str]:
    unit = format_money(order.unit_minor, order.currency, _language())
    paid, bonus = map(format_tokens_exact, (order.paid_millitokens, order.bonus_millitokens))
    tokens = (
        gettext("%(paid)s paid and %(bonus)s bonus tokens")
        if order.bonus_millitokens
        else gettext("%(paid)s paid tokens")
    )
    return [
        gettext("%(n)s × %(price)s") % {"n": order.quantity, "price": unit},
        tokens % {"paid": paid, "bonus": bonus},
    ]


def _list_notes(order: Order) -> list[str]:
    expires_at = order.tokens_expire_at
    expiry = gettext("The tokens do not expire.")
    if expires_at is not None:
        day = format_date(expires_at, ZoneInfo(order.organisation.timezone))
        expiry = gettext("The tokens expire on %(day)s.") % {"day": day}
    return [expiry, unescape(render_to_string("billing/refund_rule.html")).strip()]


def _money(document: Document, amount_minor: int) -> str:
    return format_money(amount_minor, document.currency, _language())


def _language() -> str:
    return get_language() or settings.LANGUAGE_CODE
