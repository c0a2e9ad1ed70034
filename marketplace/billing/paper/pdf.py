"""A paper as PDF, drawn with reportlab on A4.

Bitstream Vera, which comes with reportlab, is embedded and draws European names; what it lacks is
Chinese as a rule and is left to the reader's own font for GB 18030 (every PDF reader has one), so
no font file is needed. What neither has loses its accent, or becomes its currency's code.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import groupby
from xml.sax.saxutils import escape

from django.utils.translation import get_language
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from marketplace.billing.paper.content import Paper, Party, Row, Table

LATIN, LATIN_BOLD, CHINESE = "Vera", "VeraBd", "STSong-Light"
MARGIN = 16 * mm
WIDTH = A4[0] - 2 * MARGIN
FIGURE_WIDTH = 34 * mm
_GREY, _LINE, _WARNING = HexColor("#5b6470"), HexColor("#c9ced6"), HexColor("#8a4b00")
_SPOKEN = {"₹": "INR ", "₩": "KRW ", "₫": "VND ", "−": "-", "\u00a0": " "}

_TEXT = ParagraphStyle("text", fontName=LATIN, fontSize=9, leading=13)
_SMALL = ParagraphStyle("small", parent=_TEXT, fontSize=7.5, leading=11, textColor=_GREY)
_STRONG = ParagraphStyle("strong", parent=_TEXT, fontName=LATIN_BOLD)
_HEADING = ParagraphStyle("heading", parent=_STRONG, fontSize=16, leading=22, spaceAfter=4 * mm)
_TITLE = ParagraphStyle("title", parent=_STRONG, fontSize=10, leading=14, spaceBefore=5 * mm)
_ALERT = ParagraphStyle("alert", parent=_STRONG, textColor=_WARNING, spaceAfter=4 * mm)


def draw_pdf(paper: Paper) -> bytes:
    """The same paper gives the same bytes."""
    _load_fonts()
    story = [
        _write(paper.heading, _HEADING),
        *([_write(paper.warning, _ALERT)] if paper.warning else []),
        _draw_parties(paper.seller, paper.buyer),
        Spacer(0, 5 * mm),
        _draw_facts(paper.facts),
    ]
    for table in paper.tables:
        story += [_write(table.title, _TITLE), Spacer(0, 2 * mm), _draw_table(table)]
    story += [Spacer(0, 5 * mm), *(_write(note, _SMALL) for note in paper.notes)]
    target = BytesIO()
    SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=paper.heading,
        author=paper.seller.name,
        lang=get_language() or "en",
        invariant=True,
    ).build(story, onFirstPage=_number_page, onLaterPages=_number_page)
    return target.getvalue()


def _draw_parties(*parties: Party) -> Flowable:
    cells = [
        [
            _write(party.title, _SMALL),
            _write(party.name, _STRONG),
            *(_write(line, _TEXT) for line in party.lines),
        ]
        for party in parties
    ]
    return Grid(
        [cells],
        colWidths=[WIDTH / 2] * 2,
        style=[_TOP, _NO_INDENT],
        hAlign="LEFT",
        splitInRow=1,  # an address may be longer than a page
    )


def _draw_facts(facts: Sequence[tuple[str, str]]) -> Flowable:
    rows = [[_write(name, _SMALL), _write(value, _TEXT)] for name, value in facts]
    widths = [45 * mm, WIDTH - 45 * mm]
    return Grid(rows, colWidths=widths, style=[_TOP, _NO_INDENT, *_TIGHT], hAlign="LEFT")


def _draw_table(table: Table) -> Flowable:
    figures = len(table.columns) - 1
    heads = [_write(text, _SMALL, right=at > 0) for at, text in enumerate(table.columns)]
    body = [_draw_row(row, strong=False) for row in table.rows]
    totals = [_draw_row(row, strong=row is table.totals[-1]) for row in table.totals]
    return Grid(
        [heads, *body, *totals],
        colWidths=[WIDTH - figures * FIGURE_WIDTH, *[FIGURE_WIDTH] * figures],
        style=[_TOP, _NO_INDENT, ("LINEBELOW", (0, 0), (-1, len(body)), 0.5, _LINE)],
        hAlign="LEFT",
        repeatRows=1,
    )


def _draw_row(row: Row, *, strong: bool) -> list[object]:
    style = _STRONG if strong else _TEXT
    label = [_write(row.label, style), *(_write(line, _SMALL) for line in row.details)]
    return [label, *(_write(figure, style, right=True) for figure in row.figures)]


_TOP = ("VALIGN", (0, 0), (-1, -1), "TOP")
_NO_INDENT = ("LEFTPADDING", (0, 0), (0, -1), 0)
_TIGHT = [("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)]


def _number_page(canvas: Canvas, template: SimpleDocTemplate) -> None:
    canvas.setFont(LATIN, 7.5)
    canvas.setFillColor(_GREY)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, str(template.page))


def _write(text: str, style: ParagraphStyle, *, right: bool = False) -> Flowable:
    """Plain text, whatever stands in it: nothing of it is taken for reportlab's markup."""
    letters = "".join(map(_drawable, text))
    runs = [
        (chinese, escape("".join(run)))
        for chinese, run in groupby(letters, key=lambda letter: not _latin_has(letter))
    ]
    markup = "".join(
        f'<font name="{CHINESE}">{run}</font>' if chinese else run for chinese, run in runs
    )
    # Chinese breaks between any two characters, everything else between words.
    wrap = "CJK" if any(chinese for chinese, _ in runs) else None
    changes = {"wordWrap": wrap, "splitLongWords": True}
    if right:
        changes["alignment"] = TA_RIGHT
    return Paragraph(markup, ParagraphStyle(style.name, parent=style, **changes))


@cache
def _drawable(letter: str) -> str:
    if letter in _SPOKEN:
        return _SPOKEN[letter]
    if _latin_has(letter) or _is_chinese(letter):
        return letter
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if _latin_has(base) else "?"


def _latin_has(letter: str) -> bool:
    return ord(letter) in pdfmetrics.getFont(LATIN).face.charToGlyph


def _is_chinese(letter: str) -> bool:
    try:
        letter.encode("gbk")
    except UnicodeEncodeError:
        return False
    return letter.isprintable()


@cache
def _load_fonts() -> None:
    pdfmetrics.registerFont(TTFont(LATIN, "Vera.ttf"))
    pdfmetrics.registerFont(TTFont(LATIN_BOLD, "VeraBd.ttf"))
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
