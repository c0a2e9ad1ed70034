"""Pausing, resuming, retiring."""

import pytest

from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from tests.catalog.shelf import NOW, make_draft, make_live, make_model, make_provider, submit

pytestmark = pytest.mark.django_db


def is_callable(service) -> bool:
    return bool(selectors.find_callable_services(service.handle, unit="live", now=NOW))


def test_a_paused_service_is_shown_but_not_called():
    service = make_live(make_provider(), make_model())
    catalog.pause_service(service=service, now=NOW)
    assert not is_callable(service)
    assert selectors.get_service(service.slug) == service
    catalog.resume_service(service=service, now=NOW)
    assert is_callable(service)


def test_a_retired_service_is_gone_with_its_secret_and_its_review():
    service = make_live(make_provider(), make_model())
    catalog.update_service(
        service=service, changes={"credential": "sk-2"}, submitted_by_label="Rita", now=NOW
    )
    catalog.retire_service(service=service, now=NOW)
    service.refresh_from_db()
    assert service.credential == ""
    assert not selectors.list_open_reviews().exists()
    with pytest.raises(selectors.ServiceNotFound):
        selectors.get_service(service.slug)
    assert not is_callable(service)


def test_a_draft_is_retired_too_and_its_review_closed():
    service = make_draft(make_provider(), make_model())
    review = submit(service)
    catalog.retire_service(service=service, now=NOW)
    review.refresh_from_db()
    assert (service.status, review.decision) == ("retired", "withdrawn")


@pytest.mark.parametrize(
    ("status", "move"),
    [
        ("draft", "pause"),
        ("draft", "resume"),
        ("live", "resume"),
        ("paused", "pause"),
        ("retired", "pause"),
        ("retired", "resume"),
        ("retired", "retire"),
    ],
)
def test_moves_that_make_no_sense_are_refused(status, move):
    provider, model = make_provider(), make_model()
    service = make_draft(provider, model) if status == "draft" else make_live(provider, model)
    if status == "paused":
        catalog.pause_service(service=service, now=NOW)
    if status == "retired":
        catalog.retire_service(service=service, now=NOW)
    with pytest.raises(catalog.WrongStatus):
        getattr(catalog, f"{move}_service")(service=service, now=NOW)
    service.refresh_from_db()
    assert service.status == status


def test_a_provider_sees_its_own_services_only():
    rhine, elbe = make_provider("Rhine"), make_provider("Elbe")
    service = make_draft(rhine, make_model())
    assert list(selectors.list_provider_services(rhine)) == [service]
    assert list(selectors.list_provider_services(elbe)) == []
    with pytest.raises(selectors.ServiceNotFound):
        selectors.get_provider_service(elbe, service.public_id)
