"""A web page in a real browser calls the gateway from another origin (CORS)."""

from playwright.sync_api import Page

from accounts.services import KeyAccess
from marketplace.metering.models import Call
from tests.browser import PageWatch
from tests.cast import make_key
from tests.gateway.market import GOOD, Market

# What a page gets to see: status, headers and the answer; or that the browser kept it back.
FETCH = """async ([url, key, body]) => {
  const headers = {
    "Authorization": `Bearer ${key}`,
    "Content-Type": "application/json",
    "X-Stainless-Lang": "js",
  };
  try {
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    const limit = answer.headers.get("x-ratelimit-limit-requests");
    return [answer.status, limit, await answer.json()];
  } catch (error) {
    return [0, null, String(error)];
  }
}"""


def test_a_page_calls_with_the_keys_that_allow_it(
    live_market: Market, page: Page, page_watch: PageWatch
) -> None:
    origin = f"http://{live_market.site.upstream.address}"
    access = KeyAccess(allowed_origins=(origin,), requests_per_minute=2)
    _key, secret = make_key(live_market.acme, access=access)
    url = f"{live_market.site.api_url}/chat/completions"
    page_watch.allow("favicon|blocked by CORS policy|ERR_FAILED|status of 4")
    page.goto(f"{origin}/v1/models")

    answered = page.evaluate(FETCH, [url, secret, GOOD])
    assert answered[:2] == [200, "2"]
    assert answered[2]["choices"][0]["message"]["content"] == "Hello from the fake."
    page.evaluate(FETCH, [url, secret, GOOD])
    status, _limit, refused = page.evaluate(FETCH, [url, secret, GOOD])
    assert (status, refused["error"]["code"]) == (429, "rate_limit_exceeded")

    calls = Call.objects.count()
    assert page.evaluate(FETCH, [url, live_market.secret, GOOD])[0] == 0
    assert Call.objects.count() == calls == 2
