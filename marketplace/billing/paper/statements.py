"""Monthly statements in words, and as rows for spreadsheets."""

from collections import defaultdict
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import get_language, gettext

from marketplace.billing.models import Document
from marketplace.billing.paper.content import Paper, Row, Table, describe_party
from marketplace.billing.parties import describe_buyer, describe_seller
from marketplace.billing.statements import LINES, Statement, Usage
from portal.kernel.csv_cells import safe_cell
from portal.kernel.quantities import (
    MILLITOKENS_PER_TOKEN,
    format_count_exact,
    format_date,
    format_money,
    format_tokens_exact,
    money_from_minor,
)

CSV_COLUMNS = ("section", "item", "detail", "date", "calls", "tokens", "currency", "amount", "tax")


def describe_statement(statement: Statement) -> Paper:
    """The paper of a month, in the active language and the organisation's time zone."""
    organisation = statement.organisation
    days = f"{statement.first.isoformat()} – {statement.last.isoformat()}"
    return Paper(
        heading=gettext("Statement %(month)s") % {"month": statement.label},
        seller=describe_party(describe_seller(), title=gettext("Issued by")),
        buyer=describe_party(describe_buyer(organisation), title=gettext("Issued to")),
        facts=(
            (gettext("Period"), days),
            (gettext("Time zone"), organisation.timezone),
            (gettext("Account"), organisation.public_id),
        ),
        tables=tuple(
            table
            for table in (
                _tabulate_balance(statement),
                _tabulate_purchases(statement),
                _tabulate_usage(statement),
            )
            if table.rows
        ),
        notes=(gettext("Test tokens are not part of this statement."),),
        warning=""
        if statement.is_over
        else gettext("This month is not over yet: the figures are those of now."),
    )


def list_csv_rows(statement: Statement) -> Iterator[list[object]]:
    """The header, then the equation line by line, purchases and usage; tokens and money as plain
    decimals, texts as spreadsheets may safely read them."""
    yield list(CSV_COLUMNS)
    equation = {"opening": statement.opening, **statement.lines, "closing": statement.closing}
    for line, total in equation.items():
        yield ["balance", line, "", "", "", _plain_tokens(total), "", "", ""]
    zone = ZoneInfo(statement.organisation.timezone)
    for document in statement.documents:
        sign = 1 if document.is_invoice else -1
        amounts = [
            money_from_minor(sign * minor, document.currency)
            for minor in (document.amount_minor, document.tax_minor)
        ]
        yield [
            document.kind,
            document.label,
            safe_cell(document.order.pack_name),
            format_date(document.issued_at, zone),
            "",
            "",
            document.currency,
            *map(str, amounts),
        ]
    for usage in statement.usage:
        names = [safe_cell(usage.model), safe_cell(usage.provider)]
        tokens = _plain_tokens(usage.millitokens)
        yield ["usage", *names, "", usage.calls, tokens, "", "", ""]


def _tabulate_balance(statement: Statement) -> Table:
    rows = [Row(gettext("Opening balance"), (format_tokens_exact(statement.opening),))]
    rows += [
        Row(str(LINES[line]), (format_tokens_exact(total),))
        for line, total in statement.lines.items()
    ]
    return Table(
        title=gettext("Balance"),
        columns=(gettext("Balance"), gettext("Tokens")),
        rows=tuple(rows),
        totals=(Row(gettext("Closing balance"), (format_tokens_exact(statement.closing),)),),
    )


def _tabulate_purchases(statement: Statement) -> Table:
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    rows = []
    for document in statement.documents:
        sign = 1 if document.is_invoice else -1
        figures = (sign * document.tax_minor, sign * document.amount_minor)
        rows.append(_row(document, figures, statement))
        for at, minor in enumerate(figures):
            totals[document.currency][at] += minor
    return Table(
        title=gettext("Purchases"),
        columns=(gettext("Document"), gettext("Tax"), gettext("Amount")),
        rows=tuple(rows),
        totals=tuple(
            Row(
                gettext("Total in %(currency)s") % {"currency": currency},
                tuple(_money(minor, currency) for minor in sums),
            )
            for currency, sums in sorted(totals.items())
        ),
    )


def _row(document: Document, figures: tuple[int, ...], statement: Statement) -> Row:
    day = format_date(document.issued_at, ZoneInfo(statement.organisation.timezone))
    details = [day, document.order.pack_name, document.order.purchase_reference]
    return Row(
        f"{document.get_kind_display()} {document.label}",
        tuple(_money(minor, document.currency) for minor in figures),
        (" · ".join(filter(None, details)),),
    )


def _tabulate_usage(statement: Statement) -> Table:
    calls = sum(usage.calls for usage in statement.usage)
    spent = sum(usage.millitokens for usage in statement.usage)
    return Table(
        title=gettext("Usage"),
        columns=(gettext("Service"), gettext("Calls"), gettext("Tokens")),
        rows=tuple(
            Row(
                _name(usage),
                (format_count_exact(usage.calls), format_tokens_exact(usage.millitokens)),
            )
            for usage in statement.usage
        ),
        totals=(Row(gettext("Total"), (format_count_exact(calls), format_tokens_exact(spent))),),
    )


def _name(usage: Usage) -> str:
    if not usage.model:
        return gettext("Other services")
    return gettext("%(model)s by %(provider)s") % {
        "model": usage.model,
        "provider": usage.provider,
    }


def _plain_tokens(millitokens: int) -> str:
    """``-12345.678``: exact, for machines."""
    whole, rest = divmod(abs(millitokens), MILLITOKENS_PER_TOKEN)
    return f"{'-' if millitokens < 0 else ''}{whole}.{rest:03d}"


def _money(amount_minor: int, currency: str) -> str:
    return format_money(amount_minor, currency, get_language() or settings.LANGUAGE_CODE)
