"""Providers' pages: becoming one, listing, pricing, submitting, keys; members by role only."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, AuditEvent, Organisation, Role, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, PriceVersion, Provider, Service, ServiceReview
from marketplace.metering import services as metering
from marketplace.partners.urls import urlpatterns
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key, make_member, signed_in
from tests.partners.cast import owner_of
from tests.partners.money import give_tokens

FORM = {
    "region": "eu-central",
    "country": "de",
    "quantisation": "fp8",
    "max_output_tokens": "4096",
    "endpoint_url": "https://inference.rhine.example/v1",
    "credential": "sk-upstream",
    "supported_parameters": "temperature, top_p",
    "cut_stream_billing": "delivered",
    "retains_prompts_days": "0",
    "summary_en": "Fast <b>and</b> near.",
}
PRICES = {"input": "0.2", "cached_input": "0.05", "output": "0.8", "request": "0"}


@pytest.fixture
def rosa(rhine: Provider) -> Client:
    """Rhine's owner, signed in."""
    return signed_in(owner_of(rhine.organisation))


def page(name: str, provider: Provider, **more: str) -> str:
    return reverse(f"partners:{name}", kwargs={"provider": provider.slug, **more})


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["form"].errors)


def test_an_owner_makes_the_company_a_provider(acme: Organisation, ada: User, mia: User) -> None:
    address = reverse("partners:apply", kwargs={"organisation": "acme"})
    client = signed_in(ada)
    assert signed_in(mia).get(address).status_code == 403

    wrong = client.post(address, {"name": "Acme AI", "country": "ZZ"})
    assert set(errors_of(wrong)) == {"country"}
    assert not Provider.objects.exists()
    done = client.post(address, {"name": "Acme AI", "country": "de"})

    provider = Provider.objects.get()
    assert (provider.slug, provider.country) == ("acme-ai", "DE")
    assert done["Location"] == page("home", provider)
    assert "List a service" in client.get(done["Location"]).content.decode()
    assert client.get(address)["Location"] == page("home", provider)


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
    saved = rosa.post(address, form | {"retains_prompts_days": "30"}, follow=True)

    assert "A change is being reviewed" in saved.content.decode()
    rhine_service.refresh_from_db()
    assert rhine_service.retains_prompts_days == 0
    assert rhine_service.summary_en == "Fast <b>and</b> near."
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


def test_a_key_is_shown_once_and_revoked(rosa: Client, rhine: Provider) -> None:
    asked = rosa.get(page("create_key", rhine))
    form = {"name": "Exporter", "once": asked.context["form"]["once"].value()}

    made = rosa.post(page("create_key", rhine), form)
    again = rosa.post(page("create_key", rhine), form)

    key = ApiKey.objects.get()
    assert key.kind == "provider"
    assert made["Cache-Control"] == "no-store, private"
    text = made.content.decode()
    secret = text[text.index("tw_provider_") :].split("<")[0].split('"')[0]
    assert ApiClient(secret).get("/api/provider/v1/services").status_code == 200
    assert again.status_code == 302
    listed = rosa.get(page("integration", rhine)).content.decode()
    assert "Exporter" in listed
    assert secret not in listed
    rosa.post(page("revoke_key", rhine, key=key.public_id))
    assert ApiClient(secret).get("/api/provider/v1/services").status_code == 401


def test_making_a_key_needs_a_fresh_sign_in(rhine: Provider) -> None:
    client = signed_in(owner_of(rhine.organisation), recently=False)

    response = client.post(page("create_key", rhine), {"name": "x", "once": "y"})

    assert response.status_code == 302
    assert not ApiKey.objects.exists()


def test_a_tenants_key_of_the_same_company_is_not_revoked_here(
    rosa: Client, rhine: Provider
) -> None:
    key, _text = make_key(rhine.organisation)

    assert rosa.post(page("revoke_key", rhine, key=key.public_id)).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_the_key_of_somebody_who_is_out_does_not_read_as_active(
    rosa: Client, rhine: Provider
) -> None:
    person = make_member(rhine.organisation, "max@rhine.example", Role.OWNER)
    make_key(rhine.organisation, created_by=person, kind="provider")
    assert "Active" in rosa.get(page("integration", rhine)).content.decode()
    person.memberships.all().delete()

    listed = rosa.get(page("integration", rhine)).content.decode()

    assert "Active" not in listed
    assert "Suspended" in listed


def test_earnings_are_shown_by_day_and_service(
    acme: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rosa: Client,
    rhine: Provider,
    rhine_service: Service,
) -> None:
    give_tokens(acme, 10_000)
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "5000"}
    ).json()["token"]
    body = {"grant": grant, "max_quantities": {"prompt_tokens": 10_000}}
    held = rhine_api.post("/api/provider/v1/holds", body).json()
    rhine_api.post(
        f"/api/provider/v1/holds/{held['id']}/capture", {"quantities": {"prompt_tokens": 10_000}}
    )
    metering.roll_up_usage(now=utc_now())

    home = rosa.get(page("home", rhine)).content.decode()
    earnings = rosa.get(page("earnings", rhine), {"period": "7"}).content.decode()
    nonsense = rosa.get(page("earnings", rhine), {"period": "\x00"})

    for text in (home, earnings):
        assert "1.8K" in text  # 2,000 tokens less ten per cent
        assert "Acme" not in text
        assert acme.public_id not in text
    assert "<svg" in earnings
    assert rhine_service.handle in earnings
    assert nonsense.status_code == 200


def test_members_see_what_their_role_allows(rhine: Provider, rhine_service: Service) -> None:
    member = signed_in(make_member(rhine.organisation, "max@rhine.example"))
    billing = signed_in(make_member(rhine.organisation, "bea@rhine.example", Role.BILLING))
    service = {"service": rhine_service.public_id}

    assert member.get(page("home", rhine)).status_code == 200
    assert "Owed to you now" not in member.get(page("home", rhine)).content.decode()
    assert member.get(page("services", rhine)).status_code == 200
    assert member.get(page("service", rhine, **service)).status_code == 200
    assert member.get(page("earnings", rhine)).status_code == 403
    assert billing.get(page("earnings", rhine)).status_code == 200
    for client in (member, billing):
        for name in ("create_service", "integration", "create_key"):
            assert client.get(page(name, rhine)).status_code == 403
        for name in ("edit_service", "prices", "retire_service"):
            assert client.get(page(name, rhine, **service)).status_code == 403
        for name in ("submit_service", "pause_service"):
            assert client.post(page(name, rhine, **service)).status_code == 403
    rhine_service.refresh_from_db()
    assert rhine_service.status == "live"


def test_strangers_find_nothing_and_visitors_sign_in(
    ada: User, rhine: Provider, rival: Provider, rhine_service: Service, qwen: AIModel
) -> None:
    """Every page of the room, as a stranger, as another provider's owner, and signed out."""
    key, _text = make_key(rhine.organisation, kind="provider")
    kwargs = {
        "provider": rhine.slug,
        "service": rhine_service.public_id,
        "key": key.public_id,
        "organisation": rhine.organisation.slug,
    }
    others = signed_in(owner_of(rival.organisation))
    walked = 0
    for route in urlpatterns:
        needed = {name: kwargs[name] for name in route.pattern.converters}
        address = reverse(f"partners:{route.name}", kwargs=needed)
        for method in ("get", "post"):
            stranger = getattr(signed_in(ada), method)(address)
            assert stranger.status_code in {404, 405}, address
            assert getattr(others, method)(address).status_code in {404, 405}, address
            visitor = getattr(Client(), method)(address)
            assert visitor.status_code in {302, 405}, address
        walked += 1
    assert walked == 16
    # One's own address with another's service is nothing either.
    for name in ("service", "edit_service", "prices", "retire_service"):
        address = page(name, rival, service=rhine_service.public_id)
        assert others.get(address).status_code == 404
    rhine_service.refresh_from_db()
    assert rhine_service.status == "live"


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


def test_lists_cost_the_same_queries_for_one_and_many(
    rosa: Client, rhine: Provider, qwen: AIModel, django_assert_max_num_queries: Any
) -> None:
    for _number in range(4):
        rosa.post(page("create_service", rhine), FORM | {"model": qwen.pk})

    for name in ("services", "home", "earnings"):
        with django_assert_max_num_queries(15):
            assert rosa.get(page(name, rhine)).status_code == 200


def test_the_way_to_a_providers_pages_is_in_the_switcher_and_the_settings(
    rosa: Client, rhine: Provider, acme: Organisation, ada: User
) -> None:
    own = f'href="{page("home", rhine)}"'
    home = rosa.get(reverse("web:home", kwargs={"organisation": "rhine"})).content.decode()
    settings = rosa.get(reverse("accounts:settings", kwargs={"organisation": "rhine"}))
    others = signed_in(ada).get(reverse("accounts:settings", kwargs={"organisation": "acme"}))

    assert own in home
    assert own in settings.content.decode()
    assert reverse("partners:apply", kwargs={"organisation": "acme"}) in others.content.decode()
