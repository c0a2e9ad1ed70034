"""Words of both languages, cut the same way on both sides of a search."""

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.listing_query import ListingQuery
from marketplace.catalog.search import MAX_QUERY_WORDS, patterns_of, search_text_of, words_of
from tests.catalog.shelf import NOW, make_live, make_model, make_provider


def test_spaced_scripts_are_cut_into_words_and_dense_ones_into_pairs():
    assert list(words_of("Qwen3-8B 智能客服 v3.1")) == [
        "qwen3",
        "8b",
        "智能",
        "能客",
        "客服",
        "v3.1",
    ]


def test_full_width_and_half_width_are_the_same():
    assert list(words_of("ＧＬＭ－４.５")) == list(words_of("GLM-4.5"))


@given(st.text(max_size=80))
def test_a_text_is_found_by_any_query_made_of_itself(text):
    stored = search_text_of([text])
    assert all(pattern in stored for pattern in patterns_of(text))


@given(st.text(max_size=2000))
def test_a_query_never_has_more_than_a_dozen_words(text):
    assert len(patterns_of(text)) <= MAX_QUERY_WORDS


@pytest.fixture
def shelf(db):
    rhine, huangpu = make_provider("Rhine Compute"), make_provider("Huangpu Cloud")
    make_live(
        rhine,
        make_model(
            "zai/glm-4.5",
            name="GLM-4.5",
            summary_zh="为智能体而生：规划、工具调用和编程。",
            tasks=["agents"],
        ),
    )
    make_live(
        huangpu,
        make_model("qwen/qwen3-8b", name="Qwen3 8B", tasks=["customer_service", "translation"]),
        region="cn-east",
        country="CN",
    )


def find(words: str) -> set[str]:
    listing = selectors.list_services(query=ListingQuery(words=words), now=NOW)
    return {row.model_name for row in listing.rows}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("qwen", {"Qwen3 8B"}),
        ("QWEN3-8b", {"Qwen3 8B"}),
        ("glm4.5", {"GLM-4.5"}),
        ("glm 4.5", {"GLM-4.5"}),
        ("客服", {"Qwen3 8B"}),
        ("智能客服", {"Qwen3 8B"}),
        ("智能体", {"GLM-4.5"}),
        ("德", {"GLM-4.5"}),
        ("上海", {"Qwen3 8B"}),
        ("Germany", {"GLM-4.5"}),
        ("germ", {"GLM-4.5"}),
        ("huangpu translation", {"Qwen3 8B"}),
        ("rhine translation", set()),
        ("apache", {"GLM-4.5", "Qwen3 8B"}),
        ("100%_'\"\\", set()),
        ("！？、", {"GLM-4.5", "Qwen3 8B"}),
        ("", {"GLM-4.5", "Qwen3 8B"}),
    ],
)
def test_services_are_found_in_both_languages(shelf, words, found):
    assert find(words) == found


@pytest.mark.only_on("postgresql", why="SQLite reads all services")
def test_postgresql_has_an_index_for_words_where_it_may(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")
        [allowed] = cursor.fetchone()
        cursor.execute(
            "SELECT count(*) FROM pg_indexes "
            "WHERE indexname = 'catalog_service_search_text_trigram'"
        )
        assert cursor.fetchone() == (allowed,)


def test_what_changes_is_found_by_its_new_words(shelf):
    model = make_model("qwen/qwen3-8b", name="Qwen3 8B", tasks=["coding"])
    assert find("编程 qwen") == {"Qwen3 8B"}
    assert find("customer qwen") == set()
    provider = model.services.get().provider
    catalog.update_provider(provider=provider, changes={"name": "Pujiang"}, now=NOW)
    assert find("pujiang") == {"Qwen3 8B"}
