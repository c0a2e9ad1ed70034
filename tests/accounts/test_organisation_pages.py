"""Settings, the audit log, further organisations, a person's profile."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts import services as accounts
from accounts.models import AuditEvent, Membership, Organisation, User
from portal.kernel.clock import utc_now
from portal.kernel.immutability import missing_guards
from tests.cast import give_second_factor, make_person, signed_in

pytestmark = pytest.mark.django_db

SETTINGS = {
    "name": "Acme Ltd",
    "legal_name": "Acme Limited",
    "address": "Lindenallee 1\n10115 Berlin",
    "tax_id": "DE123456788",
    "country": "DE",
    "timezone": "Asia/Kolkata",
    "billing_email": "bills@acme.example",
}


def test_settings_are_saved_and_audited_field_by_field(acme: Organisation, ada: User) -> None:
    client = signed_in(ada)
    answer = client.post("/o/acme/settings/", SETTINGS)
    assert answer["Location"] == "/o/acme/settings/"
    acme.refresh_from_db()
    assert (acme.legal_name, acme.country, acme.timezone) == ("Acme Limited", "DE", "Asia/Kolkata")
    event = AuditEvent.objects.get(action="organisation.changed")
    assert "name" not in event.after
    assert event.before["timezone"] == "UTC"
    assert event.after["timezone"] == "Asia/Kolkata"
    client.post("/o/acme/settings/", SETTINGS)
    assert AuditEvent.objects.filter(action="organisation.changed").count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "n" * 121),
        ("timezone", "Mars/Olympus"),
        ("country", "XX"),
        ("billing_email", "bills"),
        ("tax_id", "t" * 41),
    ],
)
def test_wrong_settings_change_nothing(
    acme: Organisation, ada: User, field: str, value: str
) -> None:
    answer = signed_in(ada).post("/o/acme/settings/", {**SETTINGS, field: value})
    assert answer.context["form"].errors.keys() == {field}
    assert Organisation.objects.values().get(pk=acme.pk) == {
        **Organisation.objects.values().get(pk=acme.pk),
        "timezone": "UTC",
        "name": "Acme Ltd",
        "country": "",
    }
    assert not AuditEvent.objects.filter(action="organisation.changed").exists()


def test_an_organisation_can_ask_for_two_factor_sign_in(
    acme: Organisation, ada: User, mia: User
) -> None:
    signed_in(ada).post("/o/acme/settings/", {**SETTINGS, "two_factor_required": "on"})
    client = signed_in(mia)
    assert client.get("/o/acme/keys/")["Location"] == "/account/two-factor/"
    assert client.post("/o/acme/keys/new/")["Location"] == "/account/two-factor/"
    give_second_factor(mia)
    assert client.get("/o/acme/keys/").status_code == 200


def test_audit_events_never_change(acme: Organisation) -> None:
    event = accounts.record_audit(
        organisation=acme, actor=accounts.SYSTEM_ACTOR, action="test.done", now=utc_now()
    )
    assert missing_guards(connection) == []
    for harm in (
        lambda: AuditEvent.objects.filter(pk=event.pk).update(action="nothing.happened"),
        lambda: AuditEvent.objects.filter(pk=event.pk).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            harm()
    assert AuditEvent.objects.get(pk=event.pk).action == "test.done"


def make_events(acme: Organisation, count: int, **fields: Any) -> None:
    actor = accounts.Actor(id="usr_x", label=fields.pop("actor", "x@acme.example"))
    for number in range(count):
        accounts.record_audit(
            organisation=acme,
            actor=actor,
            action=fields.get("action", "api_key.created"),
            target_label=fields.get("target", f"target-{number}"),
            now=utc_now() - timedelta(minutes=number),
        )


def test_the_audit_log_is_paged_and_filtered(
    acme: Organisation, ada: User, django_assert_max_num_queries: Any
) -> None:
    make_events(acme, 120)
    make_events(acme, 1, action="member.left", actor="leaver@acme.example", target="leaver")
    client = signed_in(ada)
    with django_assert_max_num_queries(15):
        first = client.get("/o/acme/audit/")
    assert len(first.context["rows"]) == 50
    second = client.get(f"/o/acme/audit/{first.context['page'].older_url}")
    third = client.get(f"/o/acme/audit/{second.context['page'].older_url}")
    seen = [row["event"].pk for page in (first, second, third) for row in page.context["rows"]]
    assert len(seen) == len(set(seen)) == 121
    team = client.get("/o/acme/audit/?area=team").context["rows"]
    assert [row["action"] for row in team] == ["Member left"]
    assert len(client.get("/o/acme/audit/?actor=LEAVER").context["rows"]) == 1
    assert client.get("/o/acme/audit/?end=2001-01-01").context["rows"] == []
    nonsense = client.get("/o/acme/audit/?area=x&start=soon&before=aud_x&after=%00")
    assert nonsense.status_code == 200


def test_the_audit_log_as_csv_is_complete_and_harmless(acme: Organisation, ada: User) -> None:
    make_events(acme, 60)
    make_events(acme, 1, target='=HYPERLINK("http://evil.example")', actor="@x.example")
    client = signed_in(ada)
    answer = client.get("/o/acme/audit.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 61
    bad = next(row for row in rows if "evil" in row["target"])
    assert bad["target"].startswith("'=")
    assert bad["actor"] == "'@x.example"


def test_the_audit_log_shows_only_ones_own(
    acme: Organisation, globex: Organisation, ada: User
) -> None:
    make_events(globex, 3)
    client = signed_in(ada)
    assert client.get("/o/acme/audit/").context["rows"] == []
    assert client.get("/o/globex/audit/").status_code == 404
    assert client.get("/o/globex/audit.csv").status_code == 404


def test_another_organisation_of_the_same_person(ada: User) -> None:
    client = signed_in(ada)
    answer = client.post("/account/organisations/new/", {"name": "Acme Labs"})
    assert answer["Location"] == "/o/acme-labs/"
    made = Organisation.objects.get(slug="acme-labs")
    assert made.verified_at is not None
    assert Membership.objects.get(organisation=made).role == "owner"
    page = client.get("/account/").content.decode()
    assert "/o/acme/" in page
    assert "/o/acme-labs/" in page
    refused = client.post("/account/organisations/new/", {"name": ""})
    assert refused.context["form"].errors
    assert Organisation.objects.count() == 2


def test_one_person_cannot_own_any_number(ada: User) -> None:
    for number in range(19):
        accounts.create_organisation(user=ada, name=f"Acme {number}", now=utc_now())
    answer = signed_in(ada).post("/account/organisations/new/", {"name": "One more"})
    assert answer.context["form"].errors
    assert Organisation.objects.count() == 20


def test_a_persons_name_and_language(ada: User) -> None:
    client = signed_in(ada)
    answer = client.post("/account/", {"name": "Ada", "language": "zh-hans"})
    ada.refresh_from_db()
    assert (ada.name, ada.language) == ("Ada", "zh-hans")
    assert answer.cookies["django_language"].value == "zh-hans"
    assert 'lang="zh-hans"' in client.get("/account/").content.decode()
    client.post("/account/", {"name": "Ada", "language": "tlh"})
    client.post("/language/", {"language": "en", "next": "/account/"})
    ada.refresh_from_db()
    assert ada.language == "en"


def test_signing_in_brings_the_language_along(client: Client) -> None:
    person = make_person("wei@acme.example", language="zh-hans")
    answer = client.post("/login/", {"login": person.email, "password": "correct horse battery"})
    assert answer.cookies["django_language"].value == "zh-hans"


def test_personal_pages_need_a_sign_in_and_are_not_kept(client: Client, ada: User) -> None:
    for path in ("/account/", "/account/organisations/new/"):
        assert client.get(path)["Location"] == f"/login/?next={path}"
        assert "no-store" in signed_in(ada).get(path)["Cache-Control"]


def test_tenant_pages_are_never_kept(ada: User) -> None:
    client = signed_in(ada)
    for path in ("keys/", "keys/new/", "team/", "settings/", "audit/", "leave/"):
        answer = client.get(f"/o/acme/{path}")
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"], path
