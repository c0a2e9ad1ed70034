"""Drafting and changing listings: what is free, what is reviewed, what is refused."""

import pytest

from accounts.models import AuditEvent
from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import Service, ServiceReview
from tests.cast import make_organisation
from tests.catalog.shelf import (
    NOW,
    approve,
    make_draft,
    make_live,
    make_model,
    make_provider,
    submit,
)

pytestmark = pytest.mark.django_db


def update(service: Service, **changes):
    return catalog.update_service(
        service=service, changes=changes, submitted_by_label="Rita", now=NOW
    )


def state() -> tuple:
    return (
        list(Service.objects.order_by("pk").values()),
        list(ServiceReview.objects.order_by("pk").values()),
        AuditEvent.objects.count(),
    )


def test_an_organisation_is_a_provider_once():
    organisation = make_organisation("Rhine Compute")
    provider = catalog.create_provider(organisation=organisation, name="Rhine Compute", now=NOW)
    assert provider.slug == "rhine-compute"
    assert selectors.get_provider_for(organisation) == provider
    with pytest.raises(catalog.AlreadyProvider):
        catalog.create_provider(organisation=organisation, name="Again", now=NOW)


def test_providers_of_one_name_have_different_addresses():
    first, second = make_provider("Rhine", slug="cloud"), make_provider("Elbe", slug="cloud")
    assert (first.slug, second.slug) == ("cloud", "cloud-2")


def test_handles_tell_model_and_provider_and_never_clash():
    provider, model = make_provider(), make_model("qwen/qwen3-8b")
    handles = [
        make_draft(provider, model, region=region).handle
        for region in ("eu-central", "eu-west", "eu-west")
    ]
    test = make_draft(provider, model, test=True)
    assert handles == [
        "qwen/qwen3-8b@rhine",
        "qwen/qwen3-8b@rhine-eu-west",
        "qwen/qwen3-8b@rhine-eu-west-2",
    ]
    assert test.handle == "qwen/qwen3-8b@rhine-test"
    assert test.slug == "qwen-qwen3-8b-rhine-test"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "atlantis"),
        ("country", "XX1"),
        ("country", "ZZZ"),
        ("quantisation", "int3"),
        ("context_length", 1_000_000),
        ("max_output_tokens", 0),
        ("supported_parameters", ["", "top_p"]),
        ("endpoint_url", "http://api.example.com/v1"),
        ("endpoint_url", "https://user:secret@api.example.com/v1"),
        ("endpoint_url", "https://api.example.com/v1?key=1"),
        ("endpoint_url", "https://127.0.0.1/v1"),
        ("endpoint_url", "https://10.0.0.7:8443/v1"),
        ("endpoint_url", "https://[::1]/v1"),
        ("endpoint_url", "https://localhost/v1"),
        ("endpoint_url", "https://db.internal/v1"),
        ("endpoint_url", "ftp://api.example.com"),
        ("endpoint_url", "https://api.example.com:port/v1"),
    ],
)
def test_a_listing_that_cannot_be_is_refused_by_field(field, value):
    provider, model = make_provider(), make_model()
    before = state()
    with pytest.raises(catalog.ListingRejected) as refusal:
        make_draft(provider, model, **{field: value})
    assert field in refusal.value.data["fields"]
    assert state() == before


def test_an_allow_listed_private_endpoint_is_taken(settings):
    settings.OUTBOUND_ALLOWED_PRIVATE = ["127.0.0.1:8011"]
    service = make_draft(make_provider(), make_model(), endpoint_url="http://127.0.0.1:8011/v1")
    assert service.is_connected


def test_a_draft_changes_at_once():
    service = make_draft(make_provider(), make_model())
    assert update(service, region="us-east", country="US", summary_en="Fast.") is None
    assert (service.region, service.summary_en) == ("us-east", "Fast.")
    assert not ServiceReview.objects.exists()


def test_words_of_a_live_service_change_at_once():
    service = make_live(make_provider(), make_model())
    assert update(service, summary_en="Faster.", max_output_tokens=100) is None
    assert service.summary_en == "Faster."
    assert service.status == "live"


def test_terms_of_a_live_service_wait_for_staff():
    service = make_live(make_provider(), make_model())
    review = update(
        service,
        endpoint_url="https://new.example.com/v1",
        credential="sk-new",
        retains_prompts_days=30,
        summary_en="We moved.",
    )
    assert service.status == "live"
    assert service.summary_en == "We moved."
    [callable_service] = selectors.find_callable_services(service.handle, unit="live", now=NOW)
    assert callable_service.endpoint_url == "https://api.example.com/v1"
    assert callable_service.credential == "sk-upstream"
    assert "sk-new" not in str(review.snapshot)
    changed = {d.field for d in selectors.get_review_diff(review) if d.changed}
    assert changed == {"credential", "endpoint_url", "retains_prompts_days", "summary_en"}

    approve(review)
    service.refresh_from_db()
    assert service.retains_prompts_days == 30
    [callable_service] = selectors.find_callable_services(service.handle, unit="live", now=NOW)
    assert callable_service.endpoint_url == "https://new.example.com/v1"
    assert callable_service.credential == "sk-new"
    # The review does not keep the secret that the service has now.
    review.refresh_from_db()
    assert review.credential == ""


@pytest.mark.parametrize("status", ["draft", "live"])
def test_a_new_endpoint_wants_its_credential_again(status):
    make = make_draft if status == "draft" else make_live
    service = make(make_provider(), make_model())
    before = state()
    with pytest.raises(catalog.EndpointNeedsCredential):
        update(service, endpoint_url="https://elsewhere.example.com/v1")
    assert state() == before


def test_values_that_are_the_same_are_no_change():
    service = make_live(make_provider(), make_model())
    before = state()
    assert update(service, region=service.region, credential="sk-upstream") is None
    assert state() == before


def test_one_change_waits_at_a_time():
    service = make_live(make_provider(), make_model())
    update(service, retains_prompts_days=1)
    before = state()
    with pytest.raises(catalog.UnderReview):
        update(service, retains_prompts_days=2)
    assert state() == before
    catalog.withdraw_review(service=service, now=NOW)
    assert update(service, retains_prompts_days=2) is not None


def test_what_staff_look_at_does_not_change_under_their_eyes():
    service = make_draft(make_provider(), make_model())
    submit(service)
    before = state()
    with pytest.raises(catalog.UnderReview):
        update(service, summary_en="Something else")
    assert state() == before


@pytest.mark.parametrize("field", ["handle", "status", "provider", "is_sample", "test", "nonsense"])
def test_some_things_never_change(field):
    service = make_draft(make_provider(), make_model())
    with pytest.raises(catalog.ListingRejected) as refusal:
        update(service, **{field: "x"})
    assert field in refusal.value.data["fields"]


def test_a_retired_service_stays_as_it_is():
    service = make_live(make_provider(), make_model())
    catalog.retire_service(service=service, now=NOW)
    before = state()
    with pytest.raises(catalog.ServiceRetired):
        update(service, summary_en="Back!")
    assert state() == before


def test_an_operator_connects_a_sample():
    from accounts.services import SYSTEM_ACTOR

    service = make_live(
        make_provider(), make_model(), endpoint_url="", credential="", is_sample=True
    )
    catalog.connect_service(
        service=service,
        endpoint_url="http://10.0.0.7:8000/v1",
        upstream_model="qwen3",
        actor=SYSTEM_ACTOR,
        now=NOW,
    )
    assert not service.is_sample
    assert selectors.find_callable_services(service.handle, unit="live", now=NOW)[0].is_connected
    event = AuditEvent.objects.get(action="service.connected")
    assert event.organisation == service.provider.organisation


def test_every_change_is_in_the_log_without_the_secret():
    service = make_draft(make_provider(), make_model())
    update(service, endpoint_url="https://b.example.com/v1", credential="sk-very-secret")
    event = AuditEvent.objects.get(action="service.updated")
    assert event.after["endpoint_url"] == "https://b.example.com/v1"
    assert event.after["credential"] == "changed"
    assert "secret" not in str([event.before, event.after]).replace("sk-upstream", "secret")
