"""What is printed: documents and statements in words and figures, for pages, mails and PDF."""

from marketplace.billing.paper.content import Paper, Party, Row, Table
from marketplace.billing.paper.documents import describe_document
from marketplace.billing.paper.pdf import draw_pdf

__all__ = ["Paper", "Party", "Row", "Table", "describe_document", "draw_pdf"]
