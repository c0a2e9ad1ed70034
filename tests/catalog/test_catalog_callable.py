"""The gateway's picture of what can be called."""

import threading
import time
from datetime import timedelta

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import Service
from tests.catalog.shelf import NOW, add_price, make_draft, make_live, make_model, make_provider


def find(handle: str, *, unit: str = "live", now=NOW):
    return selectors.find_callable_services(handle, unit=unit, now=now)


def test_a_models_handle_finds_all_its_services_the_cheapest_first(db):
    model = make_model()
    dear = make_live(make_provider("Dear"), model, price={"output_millitokens": 900})
    cheap = make_live(make_provider("Cheap"), model, price={"output_millitokens": 700})
    make_draft(make_provider("Draft"), model, price={"output_millitokens": 1})
    assert [s.handle for s in find(model.handle)] == [cheap.handle, dear.handle]
    assert [s.handle for s in find(dear.handle)] == [dear.handle]
    assert find("no/such-model") == []


def test_a_service_is_told_with_all_that_a_call_needs(db):
    service = make_live(
        make_provider("Rhine", commission_basis_points=1200),
        make_model(),
        upstream_model="qwen3",
        max_output_tokens=2048,
        requests_per_minute=60,
        retains_prompts_days=3,
        supported_parameters=["temperature"],
    )
    [found] = find(service.handle)
    assert found.service_pk == service.pk
    assert found.provider_slug == "rhine"
    assert found.commission_basis_points == 1200
    assert (found.endpoint_url, found.credential) == ("https://api.example.com/v1", "sk-upstream")
    assert (found.upstream_model, found.max_output_tokens) == ("qwen3", 2048)
    assert found.supported_parameters == ("temperature",)
    assert found.retains_prompts_days == 3
    assert (found.requests_per_minute, found.tokens_per_minute) == (60, None)
    assert found.is_connected
    assert not found.is_sample
    assert found.price == service.price_versions.get().snapshot
    assert "sk-upstream" not in repr(found)


def test_live_and_test_never_meet(db):
    model, provider = make_model(), make_provider()
    live = make_live(provider, model)
    test = make_live(provider, model, test=True)
    assert [s.handle for s in find(model.handle)] == [live.handle]
    assert [s.handle for s in find(model.handle, unit="test")] == [test.handle]
    assert find(test.handle) == []
    assert [s.handle for s in selectors.list_callable_services(unit="test", now=NOW)] == [
        test.handle
    ]


def test_a_service_without_an_endpoint_is_told_but_not_connected(db):
    service = make_live(make_provider(), make_model(), endpoint_url="", credential="")
    [found] = find(service.handle)
    assert not found.is_connected


def test_a_price_comes_into_force_at_its_moment(db):
    service = make_live(make_provider(), make_model())
    at = NOW + timedelta(days=1)
    add_price(service, input_millitokens=100, effective_at=at)
    assert find(service.handle, now=at - timedelta(seconds=1))[0].price.input_millitokens == 200
    assert find(service.handle, now=at)[0].price.input_millitokens == 100


def test_an_unreadable_credential_disconnects_that_service_alone(db, settings):
    model = make_model()
    broken = make_live(make_provider("Broken"), model)
    sound = make_live(make_provider("Sound"), model)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE catalog_service SET credential = 'gibberish' WHERE id = %s", [broken.pk]
        )
    assert {s.handle: s.is_connected for s in find(model.handle)} == {
        broken.handle: False,
        sound.handle: True,
    }


def test_committed_services_are_asked_for_once_in_three_seconds(committed_db):
    service = make_live(make_provider(), make_model())
    with CaptureQueriesContext(
        connection,
    ) as first:
        assert find(service.handle)
    with CaptureQueriesContext(connection) as second:
        assert find(service.handle)
        assert find("no/such-model") == []
        assert selectors.list_callable_services(unit="live", now=NOW)
    assert len(first) == 2
    assert len(second) == 0


def test_a_change_in_this_process_is_seen_at_once(committed_db):
    service = make_live(make_provider(), make_model())
    assert find(service.handle)
    catalog.pause_service(service=service, now=NOW)
    assert find(service.handle) == []
    catalog.resume_service(service=service, now=NOW)
    assert find(service.handle)


def test_a_change_in_another_process_is_seen_within_three_seconds(committed_db):
    service = make_live(make_provider(), make_model())
    assert find(service.handle)
    Service.objects.filter(pk=service.pk).update(status="paused")
    assert find(service.handle)
    time.sleep(3.1)
    assert find(service.handle) == []


def test_a_remembered_picture_does_not_outlive_its_prices(committed_db):
    service = make_live(make_provider(), make_model())
    at = NOW + timedelta(seconds=1)
    add_price(service, input_millitokens=100, effective_at=at)
    assert find(service.handle)[0].price.input_millitokens == 200
    assert find(service.handle, now=at)[0].price.input_millitokens == 100


def test_an_uncommitted_change_is_neither_missed_nor_remembered(committed_db):
    service = make_live(make_provider(), make_model())
    assert find(service.handle)
    with transaction.atomic():
        catalog.pause_service(service=service, now=NOW)
        assert find(service.handle) == []
        transaction.set_rollback(True)
    assert find(service.handle)


def test_many_threads_load_one_picture(committed_db):
    service = make_live(make_provider(), make_model())
    selectors.forget_callable_services()
    results: list[int] = []

    def look() -> None:
        try:
            results.append(len(find(service.handle)))
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 16
