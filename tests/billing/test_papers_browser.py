"""Papers and the voucher page in a real browser: a phone, both themes, Chinese, no JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organisation, User
from marketplace.billing.models import Document, Pack
from portal.kernel.clock import utc_now
from tests.billing.shop import MILLION, balance_of
from tests.billing.test_documents import buy, credit
from tests.billing.test_pdf import CHINESE_BUYER
from tests.billing.test_vouchers import make_codes
from tests.browser import assert_accessible, assert_fits
from tests.server import LiveSite
from tests.visits import sign_in

PHONE = {"width": 360, "height": 780}
NOTHING_CUT_OFF = (
    "[...document.querySelectorAll('.table-wrap, .table td')]"
    ".every(one => one.scrollWidth <= one.clientWidth)"
)


def test_papers_fit_a_phone_in_chinese_and_both_themes(
    live_site: LiveSite, page: Page, acme: Organisation, ada: User, team_pack: Pack
) -> None:
    Organisation.objects.update(**CHINESE_BUYER, name="词" * 60)
    User.objects.update(language="zh-hans")
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference="W" * 80)
    credit(order, 950)
    sign_in(page, live_site, ada.email)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    papers = [f"invoices/{document.public_id}/" for document in Document.objects.all()]
    month = f"statements/{utc_now():%Y-%m}/"
    for address in ("invoices/", *papers, "statements/", month, "voucher/"):
        page.goto(f"{live_site.url}/o/acme/{address}")
        expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            assert_accessible(page)
            assert_fits(page)
        assert page.evaluate(NOTHING_CUT_OFF), address


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_a_voucher_needs_no_javascript(
    live_site: LiveSite, page: Page, acme: Organisation, ada: User, sam: User
) -> None:
    [code] = make_codes(sam)
    sign_in(page, live_site, ada.email)
    page.goto(f"{live_site.url}/o/acme/voucher/")
    page.get_by_label("Voucher code").fill(f" {code.lower()} ")
    page.get_by_role("button", name="Redeem the voucher").click()
    expect(page.get_by_text("1,000,000 tokens are in your wallet")).to_be_visible()
    assert balance_of(acme) == MILLION
