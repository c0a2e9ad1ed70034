"""The product's promises, each walked from the first click to the last by its people."""

import re
import time

import openai
import pytest
from django.conf import LazySettings
from openai import OpenAI
from playwright.sync_api import Page, expect

from accounts.models import Organisation, Role, User
from marketplace.catalog.models import Provider, Service, ServiceStatus
from marketplace.ledger.selectors import get_balance
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.browser import assert_accessible, assert_fits
from tests.cast import give_second_factor, make_key, make_member, make_person
from tests.fakes.upstream import Behaviour
from tests.market import give_tokens, make_call
from tests.partners.cast import make_live_service, make_model, make_provider
from tests.server import LiveSite
from tests.visits import enter, last_link, read_new_key, sign_in

MODEL = "qwen/qwen3-8b"
EFFECTIVE_SECONDS = 5


@pytest.fixture
def chat(live_site: LiveSite, settings: LazySettings) -> Service:
    """What newcomers can call."""
    settings.OUTBOUND_ALLOWED_PRIVATE = [live_site.upstream.address]
    return make_live_service(
        make_provider("Rhine"), make_model(MODEL), endpoint_url=live_site.upstream.url
    )


def make_client(site: LiveSite, secret: str) -> OpenAI:
    return OpenAI(base_url=site.api_url, api_key=secret, max_retries=0)


def say_hello(client: OpenAI, model: str = MODEL) -> str:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say hello."}]
    )
    return answer.choices[0].message.content or ""


def balance_of(organisation: Organisation) -> int:
    return get_balance(owner_key=organisation.public_id, unit="live").spendable


def join(page: Page, site: LiveSite) -> None:
    """From the landing page to the new organisation's home: three clicks and a mail."""
    page.goto(site.url)
    page.get_by_role("link", name="Join with your company").click()
    page.get_by_label("Work e-mail").fill("nora@initech.example")
    page.get_by_label("Company", exact=True).fill("Initech")
    page.get_by_label("Password").fill("a long enough one")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("e-mail")
    page.goto(last_link(site))
    page.get_by_role("button", name="Verify this address").click()
    page.wait_for_url(f"{site.url}/o/initech/")


def test_a_visitor_makes_the_first_call(live_site: LiveSite, page: Page, chat: Service) -> None:
    """Two clicks after verifying there is a key; the waiting page hears of the call by itself."""
    join(page, live_site)
    page.get_by_role("link", name="Make the first call").first.click()
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    page.get_by_role("button", name="Create a key").click()
    secret = read_new_key(page)
    snippet = page.get_by_role("tabpanel").first
    expect(snippet).to_contain_text(secret)
    expect(snippet).to_contain_text(f"{live_site.url}/v1")

    trial = balance_of(Organisation.objects.get(slug="initech"))
    assert say_hello(make_client(live_site, secret)) == "Hello from the fake."
    expect(page.get_by_text("Your first call has arrived.")).to_be_visible(timeout=10_000)
    cost = Call.objects.get().cost_millitokens
    assert balance_of(Organisation.objects.get(slug="initech")) == trial - cost
    assert cost > 0
    page.get_by_role("link", name="See its receipt").click()
    assert secret not in page.content()
    assert_accessible(page)
    assert_fits(page)
    assert secret not in live_site.read_log(), "a key appears once, and never in the log"


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_the_first_call_without_javascript(live_site: LiveSite, page: Page, chat: Service) -> None:
    """The same, the waiting page being asked again by its reader; then suspending the key."""
    join(page, live_site)
    page.get_by_role("link", name="Make the first call").first.click()
    page.get_by_role("button", name="Create a key").click()
    secret = read_new_key(page)
    # All snippets stand one below the other.
    expect(page.locator("pre", has_text=secret)).to_have_count(3)
    say_hello(make_client(live_site, secret))
    page.goto(f"{live_site.url}/o/initech/start/")
    expect(page.get_by_text("Your first call has arrived.")).to_be_visible()
    page.get_by_role("link", name="Keys", exact=True).first.click()
    page.get_by_role("button", name="Suspend key First key").click()
    expect(page.get_by_text("Suspended", exact=True)).to_be_visible()
    page.get_by_role("link", name="Requests").first.click()
    expect(page.locator("main tbody tr")).to_have_count(1)


def press_until(page: Page, wanted: str, *, most: int = 60) -> None:
    """Tab on until the element ``wanted`` has the focus, which can be seen all the way."""
    for _press in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
              const at = document.activeElement;
              const style = getComputedStyle(at);
              const text = at.getAttribute("aria-label") || at.innerText || at.name || "";
              return {
                text: text.trim(), name: at.name || "", body: at === document.body,
                seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
              };
            }"""
        )
        if focused["body"]:
            continue
        assert focused["seen"], f"the focus on {focused['text']!r} cannot be seen"
        if wanted in (focused["name"], focused["text"]):
            return
    pytest.fail(f"the keyboard does not reach {wanted!r} on {page.url}")


def test_the_keyboard_alone_gets_a_key(live_site: LiveSite, page: Page, chat: Service) -> None:
    page.goto(live_site.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    press_until(page, "Join with your company")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/join/"))
    for name, text in (("email", "kim@initech.example"), ("company", "Initech")):
        press_until(page, name)
        page.keyboard.type(text)
    press_until(page, "password1")
    page.keyboard.type("a long enough one")
    press_until(page, "terms")
    page.keyboard.press("Space")
    press_until(page, "Create account")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/verify/"))
    page.goto(last_link(live_site))
    press_until(page, "Verify this address")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/o/initech/"))
    press_until(page, "Make the first call")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/start/"))
    press_until(page, "Create a key")
    page.keyboard.press("Enter")
    read_new_key(page)
    press_until(page, "Copy the key")


def test_who_spent_what(live_site: LiveSite, page: Page, acme: Organisation, ada: User) -> None:
    """From home two clicks lead to each colleague's cost, and the sum is what left the wallet."""
    mia = make_member(acme, "mia@acme.example", Role.MEMBER)
    give_tokens(acme)
    before = balance_of(acme)
    chat = make_live_service(make_provider("Rhine"), make_model(MODEL))
    costs = {}
    for person, calls in ((ada, 3), (mia, 1)):
        secret = make_key(acme, created_by=person, name=f"Key of {person.email}")[1]
        made = [make_call(secret, chat, prompt_tokens=500) for _number in range(calls)]
        costs[person.email] = sum(call.cost_millitokens for call in made)
    metering.roll_up_usage(now=utc_now())

    enter(page.context, live_site, ada)
    page.goto(f"{live_site.url}/o/acme/")
    page.get_by_role("navigation").get_by_role("link", name="Usage").click()
    page.get_by_role("link", name="Member", exact=True).click()
    rows = page.locator("main table").last.locator("tbody tr")
    for place, (address, cost) in enumerate(costs.items()):
        expect(rows.nth(place)).to_contain_text(address)
        expect(rows.nth(place)).to_contain_text(f"{cost // 1000:,}")
    total = sum(costs.values())
    expect(page.locator("main table").last).to_contain_text(f"{total // 1000:,}")
    assert balance_of(acme) == before - total
    assert_accessible(page)


def test_a_leaked_key_is_stopped(
    live_site: LiveSite, page: Page, acme: Organisation, ada: User, chat: Service
) -> None:
    """Two clicks from home; within five seconds the next call is refused, and a resumed key works
    again."""
    give_tokens(acme)
    client = make_client(live_site, make_key(acme, created_by=ada, name="Leaked")[1])
    say_hello(client)
    enter(page.context, live_site, ada)
    page.goto(f"{live_site.url}/o/acme/")
    page.get_by_role("link", name="Keys", exact=True).first.click()
    page.get_by_role("button", name="Suspend key Leaked").click()
    expect(page.get_by_text("Within five seconds all calls with it are refused")).to_be_visible()

    time.sleep(EFFECTIVE_SECONDS)
    left = balance_of(acme)
    with pytest.raises(openai.AuthenticationError) as refusal:
        say_hello(client)
    assert refusal.value.code == "api_key_suspended"
    assert balance_of(acme) == left

    page.get_by_role("button", name="Resume key Leaked").click()
    expect(page.get_by_text("Key resumed.")).to_be_visible()
    time.sleep(EFFECTIVE_SECONDS)
    say_hello(client)


@pytest.fixture
def newcomers(live_site: LiveSite) -> Provider:
    """A provider without services; the owner is owner@newcomers.example."""
    make_model(MODEL)
    return make_provider("Newcomers")


def test_a_provider_lists_a_service_that_staff_approve(
    live_site: LiveSite, page: Page, newcomers: Provider, acme: Organisation
) -> None:
    """Drafted, priced, submitted; approved behind a second factor; then anybody can call it."""
    enter(page.context, live_site, newcomers.organisation.memberships.get().user)
    page.goto(f"{live_site.url}/p/newcomers/services/")
    page.get_by_role("link", name="List a service").first.click()
    page.get_by_label("Model", exact=True).select_option(label="Qwen3 8B")
    page.get_by_label("Region").select_option("eu-central")
    page.get_by_label("Country").fill("de")
    page.get_by_label("Endpoint", exact=False).first.fill(live_site.upstream.url)
    page.get_by_label("Credential", exact=False).first.fill("sk-upstream")
    assert_accessible(page)
    page.locator("main form.form button.button-primary").click()
    expect(page.get_by_text("Draft saved. Now set its prices.")).to_be_visible()
    for label, price in (("Input", "0.2"), ("Input from the cache", "0.05"), ("Output", "0.8")):
        page.get_by_label(re.compile(f"^{label},")).fill(price)
    page.get_by_role("button", name="Save prices").click()
    page.get_by_role("button", name="Submit for review").click()
    expect(page.get_by_text("Submitted. You will see the decision here.")).to_be_visible()
    service = Service.objects.get()
    assert service.status == ServiceStatus.IN_REVIEW

    sam = make_person("sam@market.example", is_staff=True, is_superuser=True)
    secret = give_second_factor(sam)
    page.context.clear_cookies()
    sign_in(page, live_site, sam.email, totp_secret=secret)
    page.goto(f"{live_site.url}/ops/reviews/")
    page.get_by_role("link", name=f"{MODEL}@newcomers").first.click()
    expect(page.get_by_text(live_site.upstream.url).first).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Approve").check()
    page.get_by_role("button", name="Store the decision").click()
    page.wait_for_url(re.compile("/ops/reviews/$"))
    service.refresh_from_db()
    assert service.status == ServiceStatus.LIVE

    give_tokens(acme)
    live_site.upstream.next(Behaviour(words=("Listed", ".")))
    client = make_client(live_site, make_key(acme)[1])
    assert say_hello(client, f"{MODEL}@newcomers") == "Listed."
    assert live_site.upstream.calls[-1].headers["Authorization"] == "Bearer sk-upstream"


def test_anothers_pages_say_not_found(
    live_site: LiveSite, page: Page, page_watch, acme: Organisation, gus: User
) -> None:
    """As a company that does not exist; every route of them is walked by test_tenancy.py."""
    page_watch.allow(r"status of 404")
    enter(page.context, live_site, gus)
    said = set()
    for path in ("/o/acme/", "/o/acme/wallet/", "/o/acme/keys/", "/o/nobody/", "/p/nobody/"):
        answer = page.goto(live_site.url + path)
        assert answer
        assert answer.status == 404
        said.add(page.locator("main").inner_text())
    assert len(said) == 1
    assert "acme" not in said.pop().lower()
