"""The admin of partners: signing keys are rotated there, and nothing else is changed."""

from django.urls import reverse

from accounts.models import AuditEvent, User
from marketplace.partners.models import SigningKey
from marketplace.partners.services import list_published_keys, rotate_signing_key
from portal.kernel.clock import utc_now
from tests.cast import signed_in


def test_staff_rotate_the_signing_key_and_never_see_it(sam: User) -> None:
    first = rotate_signing_key(now=utc_now())
    client = signed_in(sam)
    listing = reverse("admin:partners_signingkey_changelist")

    shown = client.get(reverse("admin:partners_signingkey_change", args=[first.pk]))
    client.post(listing, {"action": "rotate", "_selected_action": [first.pk]})

    assert "PRIVATE KEY" not in shown.content.decode()
    first.refresh_from_db()
    assert first.retired_at is not None
    assert SigningKey.objects.filter(retired_at=None).count() == 1
    assert len(list_published_keys(now=utc_now())) == 2
    assert AuditEvent.objects.filter(action="signing_key.rotated").count() == 1


def test_nothing_is_added_or_deleted_there(sam: User) -> None:
    client = signed_in(sam)

    for model in ("signingkey", "directgrant", "cappedreport"):
        assert client.get(reverse(f"admin:partners_{model}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:partners_{model}_add")).status_code == 403
