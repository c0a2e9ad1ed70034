"""The list of services: search, facets, sort, the reader's cost, paging, all in the address."""

import random
import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone, translation

from marketplace.catalog import selectors, vocabulary
from marketplace.catalog import services as catalog
from marketplace.catalog.listing_query import FACET_KEYS, ListingQuery
from marketplace.catalog.selectors.facets import FACETS
from marketplace.catalog.selectors.public_rows import list_public_rows
from marketplace.catalog.workload import Workload
from tests.catalog.shelf import NOW, make_draft, make_live, make_model, make_provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf():
    """Four services of three models by two providers, and a draft that nobody may see."""
    rhine, huangpu = make_provider("Rhine"), make_provider("Huangpu")
    qwen = make_model("qwen/qwen3-8b", name="Qwen3 8B", tasks=["writing", "coding"])
    llama = make_model(
        "meta/llama", name="Llama", licence_spdx="LicenseRef-Llama-3.3", context_length=131_072
    )
    bge = make_model(
        "baai/bge-m3", name="BGE", modality="embedding", licence_spdx="MIT", context_length=512
    )
    make_live(rhine, qwen, price={"input_millitokens": 100})
    make_live(
        huangpu,
        qwen,
        region="cn-east",
        country="CN",
        quantisation="fp8",
        price={"input_millitokens": 90},
        now=NOW + timedelta(days=3),
    )
    make_live(rhine, llama, retains_prompts_days=30, endpoint_url="", credential="")
    make_live(huangpu, bge, price={"output_millitokens": 0, "input_millitokens": 10,
                                   "cached_input_millitokens": 0})  # fmt: skip
    make_draft(rhine, make_model("x/secret-draft", name="Secret draft"))


def get(client: Client, **params) -> str:
    response = client.get("/services/", params)
    assert response.status_code == 200
    return unescape(response.content.decode())


def names(html: str) -> list[str]:
    return re.findall(r'<h3><a href="[^"]+">([^<]+)</a></h3>', html)


def count_of(html: str, facet: str, value: str) -> int | None:
    found = re.search(
        rf'name="{facet}" value="{re.escape(value)}"[^>]*>\s*<span>[^<]*</span>\s*'
        r'<span class="facet-count">(\d+)</span>',
        html,
    )
    return int(found.group(1)) if found else None


def test_the_public_list_shows_what_is_public(client, shelf):
    html = get(client)
    assert sorted(names(html)) == ["BGE", "Llama", "Qwen3 8B", "Qwen3 8B"]
    assert "Secret draft" not in html
    assert "4 services" in html


def test_choices_widen_within_a_facet_and_narrow_across(client, shelf):
    assert names(get(client, region="cn-east")) == ["Qwen3 8B"]
    both = get(client, region=["cn-east", "eu-central"])
    assert len(names(both)) == 4
    assert names(get(client, region=["cn-east", "eu-central"], modality="embedding")) == ["BGE"]


def test_counts_say_what_a_choice_would_show(client, shelf):
    html = get(client, provider="rhine")
    # Within its own facet the other provider still counts; elsewhere only Rhine's two do.
    assert count_of(html, "provider", "huangpu") == 2
    assert count_of(html, "provider", "rhine") == 2
    assert count_of(html, "licence", "Apache-2.0") == 1
    assert count_of(html, "licence", "MIT") is None
    assert count_of(html, "ready", "yes") == 1
    assert count_of(html, "ready", "no") == 1
    assert count_of(html, "context", "32K") == 2
    assert count_of(html, "context", "128K") == 1
    assert count_of(html, "data", "none") == 1


def test_every_count_is_the_length_of_the_list_it_leads_to():
    """Against a slow oracle, for many random filters over a varied shelf."""
    dice = random.Random(7)
    providers = [make_provider(name) for name in ("A", "B", "C")]
    tasks = list(vocabulary.TASKS)
    for number in range(18):
        model = make_model(
            f"maker/model-{number}",
            tasks=dice.sample(tasks, 3),
            context_length=dice.choice([8_192, 40_960, 131_072, 1_000_000]),
            licence_spdx=dice.choice(["MIT", "Apache-2.0", "LicenseRef-Gemma"]),
        )
        make_live(
            dice.choice(providers),
            model,
            region=dice.choice(["eu-west", "us-east", "cn-north"]),
            quantisation=dice.choice(["fp8", "bf16"]),
            retains_prompts_days=dice.choice([0, 0, 7]),
            price={"input_millitokens": dice.choice([50, 400, 2000])},
        )
    rows = list_public_rows(now=NOW)
    read = {spec.key: spec.values for spec in FACETS}

    def oracle(chosen) -> int:
        return sum(
            all(set(values) & set(read[key](row)) for key, values in chosen.items()) for row in rows
        )

    for _ in range(60):
        chosen = {}
        for key in dice.sample(FACET_KEYS, dice.randrange(4)):
            values = sorted({value for row in rows for value in read[key](row)})
            if values:
                chosen[key] = tuple(dice.sample(values, min(len(values), dice.randrange(1, 3))))
        listing = selectors.list_services(query=ListingQuery(chosen=chosen), now=NOW)
        assert len(listing.rows) == oracle(chosen)
        for facet in listing.facets:
            for option in facet.options:
                assert option.count == oracle({**chosen, facet.name: (option.value,)})


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", ["Qwen3 8B", "Qwen3 8B", "BGE", "Llama"]),
        ("price", ["BGE", "Qwen3 8B", "Qwen3 8B", "Llama"]),
        ("cost", ["BGE", "Qwen3 8B", "Qwen3 8B", "Llama"]),
        ("name", ["BGE", "Llama", "Qwen3 8B", "Qwen3 8B"]),
        ("context", ["Llama", "Qwen3 8B", "Qwen3 8B", "BGE"]),
        ("newest", ["Qwen3 8B", "BGE", "Qwen3 8B", "Llama"]),
        ("nonsense", ["Qwen3 8B", "Qwen3 8B", "BGE", "Llama"]),
    ],
)
def test_the_list_is_sorted_as_the_address_says(client, shelf, sort, order):
    assert names(get(client, sort=sort)) == order


def test_a_search_puts_what_was_named_first(client, shelf):
    assert names(get(client, q="rhine"))[0] == "Qwen3 8B"
    assert names(get(client, q="llama")) == ["Llama"]


def test_the_readers_month_is_on_every_card(client, shelf):
    html = get(client, calls="1000", words_in="750", words_out="300", q="qwen cn")
    # 1000 × (1000 × 90 + 400 × 800) millitokens = 410 million = $0.41
    assert "≈ $0.41" in html
    html = get(client, calls="1000000", words_in="750", words_out="300", q="qwen cn")
    assert "≈ $410.00" in html


def test_work_that_does_not_fit_the_context_has_no_cost_and_comes_last(client, shelf):
    html = get(client, sort="cost", words_in="90000")
    assert names(html)[0] == "Llama"
    assert html.count("too long for its context") == 3


@pytest.mark.parametrize(
    ("text", "calls"),
    [("", 10_000), ("abc", 10_000), ("-5", 10_000), ("1e9", 10_000), ("٣", 10_000), ("0", 0),
     ("1,000", 1000), ("9" * 12, 1_000_000_000), ("9" * 99, 10_000), ("5.5", 10_000)],
)  # fmt: skip
def test_figures_that_are_none_are_the_examples(client, shelf, text, calls):
    html = get(client, calls=text)
    assert (
        f'name="calls" type="number" inputmode="numeric" min="0" max="1000000000" value="{calls}"'
        in html
    )


@pytest.mark.parametrize(
    "params",
    [
        {"page": "abc"},
        {"page": "999999999999999999999"},
        {"page": "-1"},
        {"q": "x" * 5000},
        {"q": "\x00'\"%_\\"},
        {"region": ["nowhere"] * 500},
        {"task": "'; DROP TABLE catalog_service; --"},
        {"price": "1e400", "context": "NaN"},
        {"sort": ["a", "b"]},
        {"provider": "\ud7ff\uffff"},
    ],
)
def test_no_address_breaks_the_list(client, shelf, params):
    get(client, **params)


def test_filters_in_force_can_be_removed_one_by_one(client, shelf):
    html = get(client, q="qwen", task=["writing", "coding"], sort="price")
    chips = {
        label.strip(): url
        for url, label in re.findall(
            r'<a href="([^"]+)"><span class="visually-hidden">Remove filter:</span>([^<]+)', html
        )
    }
    assert chips == {
        "Search: qwen": "?task=writing&task=coding&sort=price",
        "Task: Writing and editing": "?q=qwen&task=coding&sort=price",
        "Task: Programming": "?q=qwen&task=writing&sort=price",
    }
    assert 'href="?sort=price">Remove all filters' in html


def test_an_unknown_choice_in_an_address_can_be_removed_too(client, shelf):
    html = get(client, region="atlantis")
    assert names(html) == []
    assert "Region: atlantis" in html
    assert "No service matches all of these filters." in html
    assert ">Show all services</a>" in html


def test_pages_hold_24_and_keep_the_rest_of_the_address(client):
    provider = make_provider()
    for number in range(30):
        make_live(provider, make_model(f"maker/m{number:02}"))
    first = get(client, sort="name", task="writing")
    assert len(names(first)) == 24
    assert "1–24 of 30" in first
    next_url = re.search(r'<a href="(\?[^"]+)" rel="next"', first)
    assert next_url
    second = client.get(f"/services/{next_url.group(1)}").content.decode()
    assert names(second) == [f"m{number}" for number in range(24, 30)]


def test_an_address_says_only_what_is_not_by_default():
    assert ListingQuery().address() == "."
    query = ListingQuery(words="q&a", workload=Workload(5, 6, 7), sort="cost")
    assert query.address() == "?q=q%26a&sort=cost&calls=5&words_in=6&words_out=7"


def test_htmx_gets_the_results_and_the_counts_alone(client, shelf):
    response = client.get(
        "/services/", {"task": "coding", "calls": "10000", "q": ""}, headers={"HX-Request": "true"}
    )
    html = response.content.decode()
    assert html.lstrip().startswith('<section class="stack" id="results"')
    assert html.count('hx-swap-oob="true"') == len(FACETS)
    assert response["HX-Push-Url"] == "/services/?task=coding"
    assert "HX-Request" in response["Vary"]


def test_a_request_that_changes_nothing_adds_no_step_to_go_back(client, shelf):
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/services/?task=coding"}
    assert client.get("/services/?task=coding&q=", headers=here)["HX-Push-Url"] == "false"
    assert client.get("/services/?task=coding&q=x", headers=here)["HX-Push-Url"] != "false"


def test_htmx_restoring_history_gets_the_whole_page(client, shelf):
    response = client.get(
        "/services/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}
    )
    assert "<!doctype html>" in response.content.decode()


def test_the_query_count_is_small_and_constant(client, django_assert_max_num_queries):
    provider = make_provider()
    for name in ("maker/first", "maker/second"):
        make_live(provider, make_model(name))
    url = "/services/?q=maker&task=writing&sort=cost"
    client.get(url)
    with django_assert_max_num_queries(10) as few:
        client.get(url)
    for number in range(12):
        make_live(provider, make_model(f"maker/more-{number}"))
    with django_assert_max_num_queries(10) as many:
        client.get(url)
    assert len(many) == len(few)


def test_the_list_speaks_the_readers_language(client, shelf):
    model = make_model("qwen/qwen3-8b", name="Qwen3 8B", summary_en="English.", summary_zh="中文。")
    assert model.summary == "English."
    with translation.override("zh-hans"):
        assert model.summary == "中文。"
        assert model.services.order_by("pk")[0].country_label == "德国"


def test_a_paused_service_is_shown_as_such(client, shelf):
    from marketplace.catalog.models import Service

    service = Service.objects.get(model__name="BGE")
    catalog.pause_service(service=service, now=timezone.now())
    html = get(client, ready="no")
    assert sorted(names(html)) == ["BGE", "Llama"]
    assert "Paused" in html
