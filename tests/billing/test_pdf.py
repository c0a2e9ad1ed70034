"""The PDF of a document: what a reader of PDF finds in it, in both languages."""

from io import BytesIO

import pytest
from django.utils import translation
from pypdf import PdfReader

from accounts.models import Organisation, User
from marketplace.billing.models import Document, Pack
from marketplace.billing.paper import Paper, Party, Row, Table, draw_pdf
from tests.billing.test_documents import buy
from tests.cast import signed_in

CHINESE_BUYER = {
    "legal_name": "上海词元科技有限公司",
    "address": "中国（上海）自由贸易试验区世纪大道100号\n环球金融中心",
    "tax_id": "91110000600037341L",
    "country": "CN",
}


def read(pdf: bytes) -> str:
    """The text of all pages, without line breaks."""
    pages = PdfReader(BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def make_paper(text: str) -> Paper:
    """The same text in every place that takes one."""
    party = Party(text, text, (text, text))
    row = Row(text, (text,), (text,))
    table = Table(text, (text, text), (row,), (row,))
    return Paper(
        heading=text, seller=party, buyer=party, facts=((text, text),), tables=(table,),
        notes=(text,), warning=text,
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("Invoice TEST-", "Your reference PO-7 采购", "$95.00", "China", "Tax id 9111")),
        ("zh-hans", ("账单 TEST-", "您的参考编号 PO-7 采购", "US$95.00", "中国", "税号 9111")),
    ],
)
def test_an_invoice_as_pdf(
    acme: Organisation, ada: User, team_pack: Pack, language: str, said: tuple[str, ...]
) -> None:
    Organisation.objects.update(**CHINESE_BUYER)
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference="PO-7 采购")
    User.objects.update(language=language)
    invoice = Document.objects.get()
    ada.refresh_from_db()
    answer = signed_in(ada).get(
        f"/o/acme/invoices/{invoice.public_id}/pdf/", headers={"accept-language": language}
    )
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.label}.pdf"'
    text = read(answer.content)
    for part in (*said, invoice.label, order.public_id, "上海词元科技有限公司", "环球金融中心"):
        assert part in text, (part, text)
    reader = PdfReader(BytesIO(answer.content))
    assert len(reader.pages) == 1
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]


@pytest.mark.parametrize(
    ("text", "read_back"),
    [
        ("Łódź & Söhne", "Łódz & Söhne"),  # the font has Ł but no ź
        ("€5.00 £5.00 ¥500", "€5.00 £5.00 ¥500"),
        ("₹5.00", "INR 5.00"),
        ("−5.00", "-5.00"),
        ("株式会社トークン 株", "株式会社トークン 株"),
        ("emoji 😀", "emoji ?"),
        ("<b>bold</b> <img src='/etc/hostname'/>", "<b>bold</b> <img src='/etc/hostname'/>"),
        ("&lt;para&gt; </para>", "&lt;para&gt; </para>"),
    ],
)
def test_any_text_is_drawn_and_none_is_obeyed(text: str, read_back: str) -> None:
    found = read(draw_pdf(make_paper(text)))
    assert found.count(read_back) >= 10, found


def test_long_texts_and_many_rows_go_on_over_pages() -> None:
    long = "W" * 400 + "长" * 200
    row = Row(long, ("$1.00",), (long,))
    party = Party("From", long, (long,))
    paper = Paper(
        heading=long, seller=party, buyer=party, facts=((long, long),),
        tables=(Table(long, ("Pack", "Amount"), (row,) * 30, (row,)),),
    )  # fmt: skip
    reader = PdfReader(BytesIO(draw_pdf(paper)))
    assert len(reader.pages) > 1
    text = "".join("".join(page.extract_text() for page in reader.pages).split())
    assert text.count("W") >= 60 * 400
    assert text.count("长") >= 60 * 200


def test_an_address_longer_than_a_page_goes_on_over_it() -> None:
    """As long as one can be, 200 lines: else such a buyer's invoice would never be mailed."""
    lines = tuple(f"Line {number}." for number in range(200))
    long, short = Party("To", "Long", lines), Party("From", "Short", ("End of the short one",))
    for seller, buyer in ((short, long), (long, short), (long, long)):
        paper = Paper(heading="Invoice", seller=seller, buyer=buyer, facts=(("a", "b"),), tables=())
        text = read(draw_pdf(paper))
        assert all(text.count(line) == (2 if seller is buyer else 1) for line in lines)


def test_the_same_paper_is_the_same_file() -> None:
    with translation.override("zh-hans"):
        paper = make_paper("账单")
        assert draw_pdf(paper) == draw_pdf(paper)
