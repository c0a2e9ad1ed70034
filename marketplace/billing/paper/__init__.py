"""What is printed: documents and statements in words and figures, for pages, mails and PDF."""

from marketplace.billing.paper.content import Paper, Party, Row, Table
from marketplace.billing.paper.documents import describe_document, describe_proforma
from marketplace.billing.paper.pdf import draw_pdf
from marketplace.billing.paper.statements import describe_statement, list_csv_rows

__all__ = [
    "Paper",
    "Party",
    "Row",
    "Table",
    "describe_document",
    "describe_proforma",
    "describe_statement",
    "draw_pdf",
    "list_csv_rows",
]
