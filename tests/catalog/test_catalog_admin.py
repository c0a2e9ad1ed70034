"""The stock admin: models are edited, services connected, the rest looked at."""

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service
from tests.cast import signed_in
from tests.catalog.shelf import NOW, make_live, make_model, make_provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(sam: User) -> Client:
    return signed_in(sam)


@pytest.fixture
def service() -> Service:
    return make_live(make_provider(), make_model())


def url(model: str, pk: int | None = None) -> str:
    return f"/admin/catalog/{model}/" + (f"{pk}/change/" if pk else "")


@pytest.mark.parametrize(
    "model", ["aimodel", "provider", "service", "priceversion", "servicereview"]
)
def test_everything_is_there_to_see(staff, service, model):
    assert staff.get(url(model)).status_code == 200
    records = {
        "aimodel": service.model,
        "provider": service.provider,
        "service": service,
        "priceversion": service.price_versions.get(),
        "servicereview": service.reviews.get(),
    }
    page = staff.get(url(model, records[model].pk))
    assert page.status_code == 200
    assert "sk-upstream" not in page.content.decode()


@pytest.mark.parametrize("model", ["provider", "service", "priceversion", "servicereview"])
def test_nothing_is_made_or_removed_here(staff, service, model):
    assert staff.get(f"{url(model)}add/").status_code == 403
    assert staff.post(f"{url(model)}1/delete/", {"post": "yes"}).status_code == 403


def test_staff_connect_a_sample(staff):
    sample = make_live(
        make_provider(), make_model(), endpoint_url="", credential="", is_sample=True
    )
    answer = staff.post(
        url("service", sample.pk),
        {
            "endpoint_url": "https://real.example.com/v1",
            "upstream_model": "qwen3",
            "new_credential": "sk-real",
        },
    )
    assert answer.status_code == 302
    [found] = selectors.find_callable_services(sample.handle, unit="live", now=NOW)
    assert (found.endpoint_url, found.credential) == ("https://real.example.com/v1", "sk-real")
    assert not found.is_sample
    event = AuditEvent.objects.get(action="service.connected")
    assert event.actor_label == "sam@market.example"
    assert "sk-real" not in str(event.after)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint_url": "https://moved.example.com/v1"},  # without its credential
        {"endpoint_url": "https://u:p@moved.example.com/v1", "new_credential": "x"},
        {"endpoint_url": "nonsense", "new_credential": "x"},
    ],
)
def test_a_connection_that_cannot_be_is_refused_and_changes_nothing(staff, service, wrong):
    answer = staff.post(url("service", service.pk), {"upstream_model": "", **wrong})
    assert answer.status_code == 200
    service.refresh_from_db()
    assert service.endpoint_url == "https://api.example.com/v1"
    assert service.credential == "sk-upstream"


def test_a_retired_service_is_only_looked_at(staff, service):
    catalog.retire_service(service=service, now=NOW)
    page = staff.get(url("service", service.pk))
    assert page.status_code == 200
    assert "new_credential" not in page.content.decode()
    assert staff.post(url("service", service.pk), {}).status_code == 403


def test_the_markets_share_is_set_with_a_line_in_the_log(staff, service):
    provider = service.provider
    answer = staff.post(url("provider", provider.pk), {"commission_basis_points": "1500"})
    assert answer.status_code == 302
    provider.refresh_from_db()
    assert provider.commission_basis_points == 1500
    event = AuditEvent.objects.get(action="provider.commission_changed")
    assert event.before == {"commission_basis_points": 1000}
    answer = staff.post(url("provider", provider.pk), {"commission_basis_points": "10001"})
    assert answer.status_code == 200
    assert Provider.objects.get().commission_basis_points == 1500


def test_a_model_is_made_and_corrected_and_the_search_follows(staff, service):
    facts = {
        "name": "GLM-4.5",
        "family": "GLM",
        "author": "Z.ai",
        "modality": "chat",
        "context_length": "131072",
        "licence_spdx": "MIT",
        "input_modalities": '["text"]',
        "output_modalities": '["text"]',
        "languages": '["en", "zh"]',
        "tasks": ["coding", "agents"],
        "industries": [],
    }
    answer = staff.post(f"{url('aimodel')}add/", {"handle": "zai/glm-4.5", **facts})
    assert answer.status_code == 302
    made = AIModel.objects.get(handle="zai/glm-4.5")
    assert made.slug == "zai-glm-4-5"
    assert sorted(made.tasks) == ["agents", "coding"]
    answer = staff.post(url("aimodel", service.model.pk), {**facts, "name": "Renamed"})
    assert answer.status_code == 302
    service.refresh_from_db()
    assert " renamed" in service.search_text
