"""Providers' pages of a service: drafting, pricing, submitting, pausing."""

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, PriceVersion, Provider, Service, ServiceReview
from portal.kernel.clock import utc_now
from tests.partners.pages import FORM, PRICES, errors_of, page


def test_a_service_is_drafted_priced_submitted_and_shown(
    rosa: Client, rhine: Provider, qwen: AIModel
) -> None:
    drafted = rosa.post(page("create_service", rhine), FORM | {"model": qwen.pk})
    service = Service.objects.get()
    assert drafted["Location"] == page("prices", rhine, service=service.public_id)
    assert service.supported_parameters == ["temperature", "top_p"]
    assert service.context_length == qwen.context_length

    priced = rosa.post(drafted["Location"], PRICES)
    assert priced["Location"] == page("service", rhine, service=service.public_id)
    assert PriceVersion.objects.get().output_millitokens == 800
    shown = rosa.get(priced["Location"]).content.decode()
    assert "Submit for review" in shown
    assert "sk-upstream" not in shown
    rosa.post(page("submit_service", rhine, service=service.public_id))

    service.refresh_from_db()
    assert service.status == "in_review"
    assert ServiceReview.objects.get().submitted_by_label == "owner@rhine.example"
    waiting = rosa.get(priced["Location"]).content.decode()
    assert "Staff are reviewing this service" in waiting
    rosa.post(page("withdraw_service", rhine, service=service.public_id))
    service.refresh_from_db()
    assert service.status == "draft"
    events = AuditEvent.objects.filter(organisation=rhine.organisation)
    assert events.filter(actor_label="owner@rhine.example").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": ""}, "model"),
        ({"region": "moon"}, "region"),
        ({"country": "QQQ"}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"endpoint_url": "http://127.0.0.1/v1"}, "endpoint_url"),
        ({"context_length": "99999999"}, "context_length"),
        ({"max_output_tokens": "0"}, "max_output_tokens"),
        ({"retains_prompts_days": "-1"}, "retains_prompts_days"),
        ({"requests_per_minute": "0"}, "requests_per_minute"),
        ({"tokens_per_minute": "many"}, "tokens_per_minute"),
    ],
)
def test_a_wrong_field_is_named_and_the_input_kept(
    rosa: Client, rhine: Provider, qwen: AIModel, change: dict[str, str], field: str
) -> None:
    response = rosa.post(page("create_service", rhine), FORM | {"model": qwen.pk} | change)

    assert response.status_code == 200
    assert field in errors_of(response)
    text = response.content.decode()
    assert "Error:" in text
    assert "Fast &lt;b&gt;and&lt;/b&gt; near." in text
    assert "sk-upstream" not in text
    assert not Service.objects.exists()


def test_submitting_a_draft_without_prices_says_what_is_missing(
    rosa: Client, rhine: Provider, qwen: AIModel
) -> None:
    rosa.post(page("create_service", rhine), FORM | {"model": qwen.pk})
    service = Service.objects.get()

    response = rosa.post(page("submit_service", rhine, service=service.public_id), follow=True)

    assert "Set a price that is in force before you submit." in response.content.decode()
    assert not ServiceReview.objects.exists()


def test_a_price_change_shows_old_new_and_date_before_it_is_done(
    rosa: Client, rhine: Provider, rhine_service: Service
) -> None:
    address = page("prices", rhine, service=rhine_service.public_id)
    dearer = PRICES | {"input": "0.3"}

    asked = rosa.post(address, dearer)
    text = asked.content.decode()

    assert PriceVersion.objects.count() == 1
    assert "$0.20" in text
    assert "<mark>$0.30</mark>" in text
    assert "They are in force from" in text
    rosa.post(address, dearer | {"confirmed": "yes"})
    version = PriceVersion.objects.get(number=2)
    assert (version.effective_at - utc_now()).days >= 6
    assert (
        "New prices are announced"
        in rosa.get(page("service", rhine, service=rhine_service.public_id)).content.decode()
    )


def test_a_fall_is_in_force_at_once_and_a_rise_too_soon_is_refused(
    rosa: Client, rhine: Provider, rhine_service: Service
) -> None:
    address = page("prices", rhine, service=rhine_service.public_id)
    tomorrow = utc_now().date().toordinal() + 2
    soon = utc_now().date().fromordinal(tomorrow).isoformat()

    refused = rosa.post(address, PRICES | {"input": "0.3", "begins_on": soon, "confirmed": "yes"})
    done = rosa.post(address, PRICES | {"input": "0.1", "confirmed": "yes"})

    assert set(errors_of(refused)) == {"begins_on"}
    assert done.status_code == 302
    assert [v.input_millitokens for v in PriceVersion.objects.order_by("number")] == [200, 100]


@pytest.mark.parametrize("price", ["", "-1", "0.0001", "1001", "NaN", "Infinity", "abc"])
def test_a_price_that_cannot_be_is_refused(
    rosa: Client, rhine: Provider, rhine_service: Service, price: str
) -> None:
    address = page("prices", rhine, service=rhine_service.public_id)

    response = rosa.post(address, PRICES | {"input": price, "confirmed": "yes"})

    assert response.status_code == 200
    assert set(errors_of(response)) == {"input"}
    assert PriceVersion.objects.count() == 1


def test_changing_a_live_service_waits_and_says_so(
    rosa: Client, rhine: Provider, rhine_service: Service
) -> None:
    address = page("edit_service", rhine, service=rhine_service.public_id)
    shown = rosa.get(address).content.decode()
    assert "sk-upstream" not in shown

    form = FORM | {"endpoint_url": rhine_service.endpoint_url, "credential": ""}
    change = {"retains_prompts_days": "30", "requests_per_minute": "600"}
    saved = rosa.post(address, form | change, follow=True)

    assert "A change is being reviewed" in saved.content.decode()
    rhine_service.refresh_from_db()
    assert rhine_service.retains_prompts_days == 0
    assert rhine_service.summary_en == "Fast <b>and</b> near."
    assert rhine_service.requests_per_minute == 600
    assert rhine_service.credential == "sk-upstream"


def test_a_service_is_paused_resumed_and_retired(
    rosa: Client, rhine: Provider, rhine_service: Service
) -> None:
    seen = []
    for name in ("pause_service", "pause_service", "resume_service"):
        rosa.post(page(name, rhine, service=rhine_service.public_id))
        rhine_service.refresh_from_db()
        seen.append(rhine_service.status)
    asked = rosa.get(page("retire_service", rhine, service=rhine_service.public_id))
    rosa.post(page("retire_service", rhine, service=rhine_service.public_id))
    rhine_service.refresh_from_db()

    assert seen == ["paused", "paused", "live"]
    assert "Retire service" in asked.content.decode()
    assert rhine_service.status == "retired"
    assert rhine_service.credential == ""


def test_a_rejected_review_shows_its_note(
    rosa: Client, rhine: Provider, qwen: AIModel, sam: User
) -> None:
    rosa.post(page("create_service", rhine), FORM | {"model": qwen.pk})
    service = Service.objects.get()
    rosa.post(page("prices", rhine, service=service.public_id), PRICES)
    rosa.post(page("submit_service", rhine, service=service.public_id))
    catalog.decide_review(
        review=ServiceReview.objects.get(),
        decision="changes_requested",
        decided_by=sam,
        note="Say where the logs are kept.",
        now=utc_now(),
    )

    text = rosa.get(page("service", rhine, service=service.public_id)).content.decode()

    assert "Say where the logs are kept." in text
    assert "Changes requested" in text
