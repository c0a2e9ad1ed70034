"""The pages of a service, a model, a provider."""

from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from marketplace.catalog import extras
from marketplace.catalog import services as catalog
from marketplace.catalog.extras import Figures
from marketplace.catalog.models import Service
from portal.kernel.clock import utc_now
from tests.catalog.shelf import NOW, add_price, make_draft, make_live, make_model, make_provider

pytestmark = pytest.mark.django_db


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return unescape(response.content.decode())


@pytest.fixture
def service() -> Service:
    return make_live(
        make_provider("Rhine", country="DE"),
        make_model("qwen/qwen3-8b", name="Qwen3 8B", summary_en="A small all-rounder."),
        retains_prompts_days=7,
        price={"input_millitokens": 800, "output_millitokens": 2400},
    )


@pytest.fixture
def measured(monkeypatch):
    """Figures as another room would give them."""
    figures: dict[int, Figures] = {}
    monkeypatch.setattr(extras._sources, "figures", lambda pks, now: figures)
    return figures


def test_a_service_page_tells_all(client, service):
    html = read(client, f"/services/{service.slug}/")
    for text in (
        "Qwen3 8B by Rhine",
        "A small all-rounder.",
        "$0.80",
        "$2.40",
        "Germany, Central Europe",
        "kept by the provider for 7 days",
        "nothing is trained on your data",
        "Apache 2.0",
        "Commercial use is allowed; keep the licence notice.",
        "qwen/qwen3-8b@rhine",
        'model="qwen/qwen3-8b@rhine"',
        "32,768 tokens",
        "Ready to call",
    ):
        assert text in html, text
    assert "sk-upstream" not in html
    assert "api.example.com" not in html


def test_prices_are_told_in_the_buyers_terms(client, service):
    html = read(client, f"/services/{service.slug}/?calls=1000&words_in=300&words_out=150")
    # An e-mail is 400 × 800 + 200 × 2400 = 800,000 millitokens; $10 is 10⁹ × 10 of them.
    assert "What $10.00 buys" in html
    assert "12.5K" in html
    assert "Your month: <strong>≈ $0.80</strong>" in html


def test_a_price_change_shows_old_new_and_date(client, service):
    at = utc_now() + timedelta(days=20)
    add_price(service, input_millitokens=1000, output_millitokens=3000, now=utc_now(),
              effective_at=at)  # fmt: skip
    html = read(client, f"/services/{service.slug}/")
    assert "A new price is announced" in html
    assert f"{at:%Y-%m-%d}" in html
    assert "$1.00 in, $3.00 out" in html
    assert "in force" in html


def test_figures_are_a_dash_until_they_are_measured(client, service, measured):
    assert ">—</dd>" in read(client, f"/services/{service.slug}/")
    measured[service.pk] = Figures(
        first_token_p50_ms=240,
        answer_p50_ms=1200,
        answer_p95_ms=3400,
        success_basis_points=9990,
    )
    html = read(client, f"/services/{service.slug}/")
    for text in ("240\u00a0ms", "1.2\u00a0s", "3.4\u00a0s", "99.9%"):
        assert text in html, text
    assert "1.2\u00a0s" in read(client, "/services/")
    assert "99.9%" in read(client, f"/models/{service.model.slug}/")


def test_a_sample_says_that_nothing_stands_behind_it(client):
    sample = make_live(
        make_provider(is_sample=True),
        make_model(),
        endpoint_url="",
        credential="",
        is_sample=True,
    )
    html = read(client, f"/services/{sample.slug}/")
    assert "Sample listing, not connected" in html
    assert "503 service_not_connected" in html
    assert "not a real company" in read(client, f"/providers/{sample.provider.slug}/")


def test_what_is_not_public_is_not_there(client, service):
    draft = make_draft(service.provider, make_model("x/draft"))
    test = make_live(service.provider, service.model, test=True)
    for url in (
        f"/services/{draft.slug}/",
        f"/services/{test.slug}/",
        f"/models/{draft.model.slug}/",
        "/services/nothing/",
        "/models/nothing/",
        "/providers/nothing/",
    ):
        assert client.get(url).status_code == 404, url
    catalog.retire_service(service=service, now=NOW)
    assert client.get(f"/services/{service.slug}/").status_code == 404
    assert client.get(f"/models/{service.model.slug}/").status_code == 404


def test_a_models_services_stand_side_by_side(client, service):
    cheap = make_live(
        make_provider("Cheap"), service.model, price={"input_millitokens": 100}, region="us-east"
    )
    html = read(client, f"/models/{service.model.slug}/")
    assert html.index(cheap.provider.name) < html.index("Rhine")
    html = read(client, f"/models/{service.model.slug}/?sort=-input")
    assert html.index(">Rhine<") < html.index(">Cheap<")
    assert 'aria-sort="descending"' in html
    html = read(client, f"/models/{service.model.slug}/?sort=provider")
    assert html.index(">Cheap<") < html.index(">Rhine<")


def test_missing_figures_sort_last_in_either_direction(client, service, measured):
    other = make_live(make_provider("Measured"), service.model, price={"input_millitokens": 900})
    measured[other.pk] = Figures(answer_p50_ms=500)
    for sort in ("answer", "-answer"):
        html = read(client, f"/models/{service.model.slug}/?sort={sort}")
        assert html.index(">Measured<") < html.index(">Rhine<")


def test_a_service_page_leads_to_the_others(client, service):
    make_live(make_provider("Cheap"), service.model, price={"input_millitokens": 100})
    html = read(client, f"/services/{service.slug}/")
    assert "1 other service, from $0.10 per 1M input tokens." in html
    assert f'href="/models/{service.model.slug}/"' in html


def test_a_provider_without_services_says_so(client):
    html = read(client, f"/providers/{make_provider('Empty').slug}/")
    assert "This provider has no public service yet." in html


def test_embeddings_have_no_output(client):
    embedding = make_live(
        make_provider(),
        make_model("baai/bge-m3", modality="embedding"),
        price={"output_millitokens": 0},
    )
    html = read(client, f"/services/{embedding.slug}/")
    assert "pages indexed for search" in html
    assert "Words answered per call" not in html
    assert "client.embeddings.create" in html


@pytest.mark.parametrize("path", ["/services/{0.slug}/", "/models/{0.model.slug}/"])
def test_the_query_count_is_small_and_constant(
    client, service, path, django_assert_max_num_queries
):
    make_live(make_provider("Second"), service.model)
    url = path.format(service)
    client.get(url)
    with django_assert_max_num_queries(10) as few:
        client.get(url)
    for number in range(6):
        make_live(make_provider(f"More {number}"), service.model)
    with django_assert_max_num_queries(10) as many:
        client.get(url)
    assert len(few) == len(many)


def test_pages_are_read_not_written_to(client, service):
    for url in ("/services/", f"/services/{service.slug}/", f"/models/{service.model.slug}/"):
        assert client.post(url).status_code == 405
