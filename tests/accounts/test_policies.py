"""Policies of organisations and keys: who sets them, what is refused, what the log keeps."""

from typing import Any

import pytest

from accounts import services as accounts
from accounts.models import ApiKey, AuditEvent, Organisation, User
from accounts.services import KeyRevoked, Policy, PolicyRejected
from marketplace.catalog.models import Service
from portal.kernel.clock import utc_now
from tests.cast import make_key, signed_in
from tests.partners.cast import make_live_service, make_model, make_provider

pytestmark = pytest.mark.django_db

PAGE = "/o/acme/settings/policy/"
NONE = {"most_retention_days": "", "least_bits": ""}


@pytest.fixture
def services() -> list[Service]:
    """One in Germany by rhine, one in the USA by delta."""
    model = make_model("qwen/qwen3-8b")
    return [
        make_live_service(make_provider("Rhine"), model),
        make_live_service(make_provider("Delta"), model, region="us-east", country="US"),
    ]


def policy_of(owner: Organisation | ApiKey) -> Any:
    owner.refresh_from_db()
    return owner.policy


def test_an_owner_sets_previews_and_clears_it(
    acme: Organisation, ada: User, services: list[Service]
) -> None:
    rhine = services[0].provider.public_id
    client = signed_in(ada)
    first = client.get(PAGE).content.decode()
    assert "With this policy 2 of 2 services can be called." in first
    form = {**NONE, "regions": ["eu-central"], "providers": [rhine], "no_training": "on"}
    preview = client.post(PAGE, {**form, "preview": "1"})
    assert "With this policy 1 of 2 services can be called." in preview.content.decode()
    assert policy_of(acme) == {}
    for _twice in range(2):
        assert client.post(PAGE, form)["Location"] == PAGE
    stored = {"regions": ["eu-central"], "providers": [rhine], "no_training": True}
    assert policy_of(acme) == stored
    assert "1 of 2 services" in client.get(PAGE).content.decode()

    found = accounts.authenticate_api_key(text=make_key(acme)[1], now=utc_now())
    assert found is not None
    assert found.policies == accounts.apply_policies(organisation=stored)
    [event] = AuditEvent.objects.filter(action="policy.changed")
    mark = accounts.mark_of(stored)
    assert (event.before, event.after) == ({}, stored | {"policy_mark": mark})
    assert found.policies.mark == f"{mark}."
    assert "eu-central" in client.get("/o/acme/audit/").content.decode()

    assert client.post(PAGE, NONE).status_code == 302
    assert policy_of(acme) == {}


def test_a_holder_narrows_their_key(acme: Organisation, mia: User, services: list[Service]) -> None:
    Organisation.objects.filter(pk=acme.pk).update(policy={"countries": ["DE"]})
    key, text = make_key(acme, created_by=mia)
    client, page = signed_in(mia), f"/o/acme/keys/{key.public_id}/policy/"
    form = client.get(page)
    assert [code for code, _label in form.context["form"].fields["countries"].choices] == ["DE"]
    wider = client.post(page, {**NONE, "countries": ["US"]})
    assert wider.context["form"].errors.keys() == {"countries"}
    saved = client.post(page, {**NONE, "most_retention_days": "0", "least_bits": "8"})
    assert saved["Location"] == f"/o/acme/keys/{key.public_id}/"
    assert policy_of(key) == {"most_retention_days": 0, "least_bits": 8}
    assert "0 of 2 services pass" in client.get(saved["Location"]).content.decode()
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert [owner for owner, _policy in found.policies.policies] == ["organisation", "key"]
    successor, _text = accounts.rotate_api_key(
        key=key, grace=accounts.GRACES[1], actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert policy_of(successor) == policy_of(key)
    assert AuditEvent.objects.filter(action="api_key.policy_changed").count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("regions", ["mars"]),
        ("countries", ["XX"]),
        ("licences", ["GPL-2.0"]),
        ("providers", ["prv_unknown"]),
        ("most_retention_days", "-1"),
        ("most_retention_days", "4000"),
        ("most_retention_days", "some"),
        ("least_bits", "5"),
        ("least_bits", "many"),
    ],
)
def test_wrong_input_changes_nothing(
    acme: Organisation, ada: User, services: list[Service], field: str, value: Any
) -> None:
    Organisation.objects.filter(pk=acme.pk).update(policy={"least_bits": 8})
    key, _text = make_key(acme)
    for page in (PAGE, f"/o/acme/keys/{key.public_id}/policy/"):
        answer = signed_in(ada).post(page, {**NONE, field: value})
        assert answer.status_code == 200
        assert answer.context["form"].errors.keys() == {field}
    assert policy_of(acme) == {"least_bits": 8}
    assert policy_of(key) == {}
    assert not AuditEvent.objects.filter(action__contains="policy").exists()


def test_what_is_not_offered_any_more_may_stay(
    acme: Organisation, ada: User, services: list[Service]
) -> None:
    stored = {"licences": ["Gone-1.0"]}
    Organisation.objects.filter(pk=acme.pk).update(policy=stored)
    answer = signed_in(ada).post(PAGE, {**NONE, "licences": ["Gone-1.0"], "least_bits": "16"})
    assert answer.status_code == 302
    assert policy_of(acme) == stored | {"least_bits": 16}


def test_an_unreadable_policy_is_said_and_saved_anew(
    acme: Organisation, ada: User, services: list[Service]
) -> None:
    Organisation.objects.filter(pk=acme.pk).update(policy={"unheard_of": 1})
    client = signed_in(ada)
    page = client.get(PAGE).content.decode()
    assert "cannot be read" in page
    assert "0 of 2 services" in page
    assert client.post(PAGE, {**NONE, "countries": ["DE"]}).status_code == 302
    assert policy_of(acme) == {"countries": ["DE"]}


def test_who_may(
    acme: Organisation, ada: User, mia: User, bill: User, gus: User, services: list[Service]
) -> None:
    key, _text = make_key(acme, created_by=ada)
    form = {**NONE, "countries": ["DE"]}
    answers = [
        [signed_in(person).post(page, form).status_code for person in (mia, bill, gus)]
        for page in (PAGE, f"/o/acme/keys/{key.public_id}/policy/")
    ]
    assert answers == [[403, 403, 404], [404, 404, 404]]
    assert signed_in(ada, recently=False).post(PAGE, form)["Location"] != PAGE
    assert policy_of(acme) == policy_of(key) == {}


def test_services_refuse_what_forms_would_not_send(
    acme: Organisation, services: list[Service]
) -> None:
    actor, now = accounts.SYSTEM_ACTOR, utc_now()
    wrong: list[Any] = [
        Policy(regions=("mars",)), Policy(least_bits=3), Policy(most_retention_days=-1),
        Policy(regions=("",)),
    ]  # fmt: skip
    for policy in wrong:
        with pytest.raises(PolicyRejected):
            accounts.change_organisation_policy(
                organisation=acme, policy=policy, actor=actor, now=now
            )
    key, _text = make_key(acme)
    accounts.revoke_api_key(key=key, actor=actor, now=now)
    with pytest.raises(KeyRevoked):
        accounts.change_key_policy(key=key, policy=Policy(least_bits=8), actor=actor, now=now)
    assert policy_of(acme) == policy_of(key) == {}
