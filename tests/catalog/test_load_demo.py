"""The demo market: all of it or nothing, once, with secrets that only its owner reads."""

import json
import stat
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.management import call_command
from django.test import Client

from accounts import services as accounts
from accounts.models import AuditEvent, Organisation, User
from marketplace.billing.models import Document, Order, Pack
from marketplace.catalog import selectors as catalog
from marketplace.catalog import vocabulary
from marketplace.catalog.models import AIModel, PriceVersion, Provider, Service
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Lot
from portal.kernel.clock import utc_now
from portal.management.demo import loading
from tests.cast import make_organisation

pytestmark = pytest.mark.django_db
ROOMS = (User, Organisation, Provider, AIModel, Service, PriceVersion, Pack, Order, Document, Lot)


@pytest.fixture
def var(settings, tmp_path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


def count_rows() -> list[int]:
    return [model._default_manager.count() for model in (*ROOMS, AuditEvent)]


def read_demo(var: Path) -> dict:
    return json.loads((var / "demo.json").read_text())


def test_an_empty_database_becomes_a_market(var, settings):
    call_command("load_demo")
    now = utc_now()
    demo = read_demo(var)
    assert stat.S_IMODE((var / "demo.json").stat().st_mode) == 0o600

    # Everybody can sign in with what the file says.
    assert [login["role"] for login in demo["logins"]] == [
        "owner", "billing", "member", "provider", "operator",
    ]  # fmt: skip
    for login in demo["logins"]:
        user = User.objects.get(email=login["email"])
        assert user.check_password(login["password"])
        assert EmailAddress.objects.get(user=user).verified
        assert user.is_staff == (login["role"] == "operator")
    secret = demo["operator_totp_secret"]
    assert secret in demo["operator_totp_url"]
    assert len(demo["operator_recovery_codes"]) == 10

    # The keys work, and each opens its own door.
    kinds = {}
    for name in ("api_key", "test_api_key", "provider_key"):
        key = accounts.authenticate_api_key(text=demo[name], now=now)
        assert key is not None
        assert key.status == "ok"
        kinds[name] = key.kind
    assert kinds == {"api_key": "live", "test_api_key": "test", "provider_key": "provider"}

    # Two real models at three providers each, and a test service of each.
    for name in ("chat_model", "embedding_model"):
        live = catalog.find_callable_services(demo[name], unit="live", now=now)
        assert len(live) == 3
        assert all(service.is_connected for service in live)
        assert len({service.price.input_millitokens for service in live}) == 3
        assert len({service.region for service in live}) == 3
        [test] = catalog.find_callable_services(demo[name], unit="test", now=now)
        assert test.is_connected
    samples = [s for s in catalog.list_callable_services(unit="live", now=now) if s.is_sample]
    assert len(samples) >= 15
    assert not any(service.is_connected for service in samples)

    # A balance bought through the sandbox, with an invoice, and worthless tokens for tests.
    acme = Organisation.objects.get(name="Acme Tools")
    order = Order.objects.get()
    assert (order.status, order.organisation, order.livemode) == ("paid", acme, False)
    assert Document.objects.get().order == order
    bought = order.paid_millitokens + order.bonus_millitokens
    assert ledger.get_balance(owner_key=acme.public_id, unit="live").spendable >= bought
    assert ledger.get_balance(owner_key=acme.public_id, unit="test").spendable > 0


def test_the_operators_authenticator_gives_codes_that_are_taken(var):
    call_command("load_demo")
    secret = read_demo(var)["operator_totp_secret"]
    authenticator = Authenticator.objects.get(user__is_staff=True, type="totp")
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    assert TOTP(authenticator).validate_code(code)


def test_every_public_page_of_the_demo_is_there_in_both_languages(var):
    call_command("load_demo")
    client = Client()
    urls = ["/services/", "/services/?page=2"]
    urls += [
        f"/services/{slug}/" for slug in Service.objects.public().values_list("slug", flat=True)
    ]
    urls += [f"/models/{slug}/" for slug in AIModel.objects.values_list("slug", flat=True)]
    urls += [f"/providers/{slug}/" for slug in Provider.objects.values_list("slug", flat=True)]
    for language in ("en", "zh-hans"):
        client.cookies["django_language"] = language
        for url in urls:
            assert client.get(url).status_code == 200, (language, url)


def test_a_second_run_changes_nothing(var):
    call_command("load_demo")
    rows, file = count_rows(), (var / "demo.json").read_bytes()
    call_command("load_demo")
    assert count_rows() == rows
    assert (var / "demo.json").read_bytes() == file


def test_a_start_on_other_ports_moves_the_demos_endpoints(var, settings):
    call_command("load_demo")
    settings.DEMO_CHAT_PORT = 9911
    call_command("load_demo")
    demo, now = read_demo(var), utc_now()
    for unit in ("live", "test"):
        for service in catalog.find_callable_services(demo["chat_model"], unit=unit, now=now):
            assert service.endpoint_url == "http://127.0.0.1:9911/v1"
        for service in catalog.find_callable_services(demo["embedding_model"], unit=unit, now=now):
            assert service.endpoint_url == f"http://127.0.0.1:{settings.DEMO_EMBEDDINGS_PORT}/v1"


def test_a_database_with_people_in_it_is_left_alone(var, capsys):
    make_organisation("Real Company")
    rows = count_rows()
    call_command("load_demo")
    assert count_rows() == rows
    assert not (var / "demo.json").exists()
    assert "data of its own" in capsys.readouterr().out


def test_a_run_that_dies_half_way_leaves_nothing_and_is_redone(var, monkeypatch):
    def die(*_args) -> None:
        raise KeyboardInterrupt

    rows = count_rows()
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_make_packs", die)
        with pytest.raises(KeyboardInterrupt):
            loading.load_demo(var=var, now=utc_now())
    assert count_rows() == rows
    assert not (var / "demo.json").exists()
    assert loading.load_demo(var=var, now=utc_now()) == loading.Outcome.LOADED
    assert read_demo(var)["api_key"]


def test_a_run_that_dies_after_the_commit_is_completed(var, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_buy_first_pack", lambda now: None)
        loading.load_demo(var=var, now=utc_now())
    (var / "demo.json").rename(var / ".demo.json.draft")
    assert not Order.objects.exists()
    assert loading.load_demo(var=var, now=utc_now()) == loading.Outcome.PRESENT
    assert read_demo(var)["api_key"]
    assert Order.objects.get().status == "paid"


def test_facts_of_models_are_plausible(var):
    call_command("load_demo")
    for model in AIModel.objects.all():
        assert model.licence is not None, model.handle
        assert model.summary_en, model.handle
        assert model.summary_zh, model.handle
        assert model.released_on, model.handle
        assert model.released_on < utc_now().date(), model.handle
        for code in model.languages:
            assert vocabulary.language_label(code) != code, model.handle
