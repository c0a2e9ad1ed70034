"""The receipt of a request that was tried at several services."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.metering import selectors
from marketplace.metering.models import Call
from marketplace.metering.reasons import explain_error
from tests.api.client import ApiClient
from tests.cast import make_key, signed_in
from tests.metering.conftest import Meter
from tests.partners.cast import make_live_service, make_provider


@pytest.fixture
def rival(meter: Meter) -> Service:
    return make_live_service(make_provider("Rival"), meter.service.model)


def read(meter: Meter, call: Call, user: User) -> str:
    page = signed_in(user).get(f"/o/{meter.acme.slug}/requests/{call.public_id}/")
    assert page.status_code == 200
    return str(page.content.decode())


def try_twice(meter: Meter, rival: Service, request_id: str = "req_1") -> tuple[Call, Call]:
    """Failed at rhine's, succeeded at rival's."""
    first = meter.open(request_id=request_id)
    meter.close(first, status="failed", error_code="upstream_timeout", duration_ms=60_000)
    second = meter.open(service=rival, request_id=request_id, attempt=2)
    meter.close(second)
    return tuple(  # type: ignore[return-value]
        Call.objects.get(public_id=opened.public_id) for opened in (first, second)
    )


def test_each_receipt_lists_all_attempts(meter: Meter, rival: Service, ada: User) -> None:
    first, second = try_twice(meter, rival)
    try_twice(meter, rival, request_id="req_2")
    for call, other in ((first, second), (second, first)):
        assert selectors.list_attempts(call) == [first, second]
        page = read(meter, call, ada)
        assert f"/o/acme/requests/{other.public_id}/" in page
        assert page.count("The provider did not answer in time.") == 1 + (call == first)
        assert rival.handle in page
        assert meter.service.handle in page
        assert ("succeeded after 1 other had failed" in page) == (call == second)


def test_a_request_that_went_well_at_once_asks_nothing_more(meter: Meter, ada: User) -> None:
    opened = meter.open(request_id="req_1")
    meter.close(opened)
    call = selectors.get_call(meter.acme, opened.public_id)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert selectors.list_attempts(call) == [call]
    assert not queries.captured_queries
    assert 'id="attempts' not in read(meter, call, ada)


def test_attempts_by_rest(meter: Meter, rival: Service) -> None:
    first, second = try_twice(meter, rival)
    answer = ApiClient(make_key(meter.acme)[1]).get(f"/api/v1/calls/{second.public_id}")
    assert answer.status_code == 200
    found = [
        (row["id"], row["attempt"], row["status"], row["reason"], row["cost_tokens"])
        for row in answer.json()["attempts"]
    ]
    assert found == [
        (first.public_id, 1, "failed", "The provider did not answer in time.", "0"),
        (second.public_id, 2, "succeeded", "", "6"),
    ]


def test_attempts_of_another_tenant_are_not_listed(
    meter: Meter, rival: Service, globex: Organisation
) -> None:
    """Though the request's id were the same."""
    first, second = try_twice(meter, rival)
    Call.objects.filter(pk=first.pk).update(organisation=globex)
    assert selectors.list_attempts(second) == [second]


def test_reasons_are_words() -> None:
    assert explain_error("insufficient_funds") == "The wallet could not pay for this service."
    assert explain_error("") == ""
    assert explain_error("something_new") == "something_new"
