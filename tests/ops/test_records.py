"""The stock admin: every model of the market is there, and the money rooms only to look at."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Organisation, User
from marketplace.billing.models import PackPrice
from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from tests.cast import make_key, signed_in
from tests.market import give_tokens, make_call

pytest_plugins = ["tests.partners.fixtures"]

OUR_APPS = ["accounts", "catalog", "ledger", "metering", "billing", "partners", "reconciliation"]
OUR_MODELS = [
    model
    for label in OUR_APPS
    for model in apps.get_app_config(label).get_models(include_auto_created=False)
    if model not in {Membership, PackPrice}  # shown on the pages of what they belong to
]
MONEY_APPS = {"ledger", "metering", "reconciliation"}


@pytest.fixture
def clerk(sam: User) -> Client:
    return signed_in(sam)


@pytest.fixture
def busy_market(acme: Organisation, rhine_service: Service) -> Call:
    """Rows in most tables."""
    give_tokens(acme)
    return make_call(make_key(acme)[1], rhine_service)


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model.__name__)
def test_every_model_is_listed(clerk: Client, busy_market: Call, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    assert model in admin.site._registry
    listing = clerk.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))
    assert listing.status_code == 200


@pytest.mark.parametrize(
    "model",
    [model for model in OUR_MODELS if model._meta.app_label in MONEY_APPS],
    ids=lambda model: model.__name__,
)
def test_money_rooms_are_only_to_look_at(clerk: Client, busy_market: Call, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    name = f"admin:{meta.app_label}_{meta.model_name}"
    assert clerk.get(reverse(f"{name}_add")).status_code == 403
    row = model._default_manager.first()  # type: ignore[attr-defined]
    if row is None:
        return
    before = list(model._default_manager.values())  # type: ignore[attr-defined]
    assert clerk.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
    assert clerk.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
    assert clerk.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert list(model._default_manager.values()) == before  # type: ignore[attr-defined]


def test_the_admins_door_is_the_portals(client: Client, db: None) -> None:
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert "/login/" in client.get("/admin/", follow=True).redirect_chain[-1][0]
