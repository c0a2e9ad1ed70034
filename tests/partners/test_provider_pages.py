"""Providers' pages: becoming one, keys, earnings; members by role only."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, Organisation, Role, User
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.metering import services as metering
from marketplace.partners.urls import urlpatterns
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key, make_member, signed_in
from tests.partners.cast import owner_of
from tests.partners.money import give_tokens
from tests.partners.pages import FORM, errors_of, page


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
