"""Roles, leaving and removing; there is always an owner left."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import services as accounts
from accounts.models import AuditEvent, Invitation, Membership, Organisation, Role, User
from portal.kernel.clock import utc_now
from tests.cast import make_key, make_member, make_person, signed_in

pytestmark = pytest.mark.django_db


def role_of(user: User) -> str:
    return Membership.objects.get(user=user, organisation__slug="acme").role


def test_everybody_sees_the_team_and_owners_change_it(ada: User, mia: User) -> None:
    page = signed_in(mia).get("/o/acme/team/").content.decode()
    assert "ada@acme.example" in page
    assert "Invite a colleague" not in page
    url = f"/o/acme/team/{mia.public_id}/"
    assert url not in page
    answer = signed_in(ada).post(url, {"role": "billing"})
    assert answer["Location"] == "/o/acme/team/"
    assert role_of(mia) == "billing"
    event = AuditEvent.objects.get(action="member.role_changed")
    assert (event.before, event.after) == ({"role": "member"}, {"role": "billing"})
    assert (event.actor_label, event.target_label) == (ada.email, mia.email)
    assert event.address == "127.0.0.1"


def test_the_last_owner_cannot_be_demoted_removed_or_leave(ada: User, mia: User) -> None:
    client = signed_in(ada)
    own = f"/o/acme/team/{ada.public_id}/"
    assert "needs an owner" in client.post(own, {"role": "member"}).content.decode()
    assert "needs an owner" in client.post(f"{own}remove/", {"keys": "suspend"}).content.decode()
    left = client.post("/o/acme/leave/")
    assert left.status_code == 409
    assert "needs an owner" in left.content.decode()
    assert role_of(ada) == "owner"
    assert not AuditEvent.objects.filter(action__startswith="member.").exists()


def test_with_another_owner_the_first_may_go(acme: Organisation, ada: User) -> None:
    make_member(acme, "otto@acme.example", Role.OWNER)
    client = signed_in(ada)
    assert client.post("/o/acme/leave/")["Location"] == "/account/"
    assert client.get("/o/acme/team/").status_code == 404
    assert AuditEvent.objects.filter(action="member.left").count() == 1


def test_a_barred_owner_counts_for_nothing(acme: Organisation, ada: User) -> None:
    otto = make_member(acme, "otto@acme.example", Role.OWNER)
    User.objects.filter(pk=otto.pk).update(is_active=False)
    assert signed_in(ada).post("/o/acme/leave/").status_code == 409


def status_of(text: str) -> str:
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    return found.status


def test_a_removed_member_and_their_keys_are_out_at_once(
    acme: Organisation, globex: Organisation, ada: User, mia: User
) -> None:
    key, text = make_key(acme, created_by=mia)
    _of_ada, text_of_ada = make_key(acme, created_by=ada)
    Membership.objects.create(organisation=globex, user=mia, role=Role.MEMBER)
    _elsewhere, text_elsewhere = make_key(globex, created_by=mia)
    browser = signed_in(mia)
    assert browser.get("/o/acme/keys/").status_code == 200
    owner = signed_in(ada)
    url = f"/o/acme/team/{mia.public_id}/remove/"
    assert "1 key that works" in owner.get(url).content.decode()
    assert owner.post(url, {"keys": "suspend"})["Location"] == "/o/acme/team/"
    assert browser.get("/o/acme/keys/").status_code == 404
    assert (status_of(text), status_of(text_of_ada)) == ("suspended", "ok")
    assert status_of(text_elsewhere) == "ok"
    removed = AuditEvent.objects.get(action="member.removed")
    assert removed.after == {"keys_suspended": 1, "keys_handed_over": 0}
    suspended = AuditEvent.objects.get(action="api_key.suspended")
    assert (suspended.target_id, suspended.actor_id) == (key.public_id, ada.public_id)
    page = owner.get(f"/o/acme/keys/{key.public_id}/").content.decode()
    assert "Suspended" in page
    assert "no longer a member" in page


def test_without_a_choice_nobody_is_removed(acme: Organisation, ada: User, mia: User) -> None:
    _key, text = make_key(acme, created_by=mia)
    answer = signed_in(ada).post(f"/o/acme/team/{mia.public_id}/remove/", {"keys": "keep"})
    assert answer.context["form"].errors
    assert (role_of(mia), status_of(text)) == ("member", "ok")
    assert not AuditEvent.objects.filter(action__in=["member.removed", "api_key.suspended"])


def test_a_removed_members_keys_can_be_handed_over(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, text = make_key(acme, created_by=mia)
    idle, idle_text = make_key(acme, created_by=mia)
    accounts.suspend_api_key(key=idle, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    signed_in(ada).post(f"/o/acme/team/{mia.public_id}/remove/", {"keys": "hand_over"})
    assert (status_of(text), status_of(idle_text)) == ("ok", "suspended")
    key.refresh_from_db()
    assert key.created_by == ada
    removed = AuditEvent.objects.get(action="member.removed")
    assert removed.after == {"keys_suspended": 0, "keys_handed_over": 1}
    event = AuditEvent.objects.get(action="api_key.handed_over")
    assert (event.before, event.after) == ({"holder": mia.email}, {"holder": ada.email})
    assert event.target_id == key.public_id


def test_who_leaves_takes_their_keys_out_of_use(acme: Organisation, ada: User, mia: User) -> None:
    key, text = make_key(acme, created_by=mia)
    assert "keys are suspended" in signed_in(mia).get("/o/acme/leave/").content.decode()
    signed_in(mia).post("/o/acme/leave/")
    assert status_of(text) == "suspended"
    assert AuditEvent.objects.get(action="member.left").after["keys_suspended"] == 1
    # An owner who lets it through again answers for it.
    signed_in(ada).post(f"/o/acme/keys/{key.public_id}/resume/")
    key.refresh_from_db()
    assert (key.created_by, key.suspended_at) == (ada, None)
    assert status_of(text) == "ok"


def test_a_key_without_its_member_opens_nothing_whatever_was_forgotten(
    acme: Organisation, mia: User
) -> None:
    _key, text = make_key(acme, created_by=mia)
    Membership.objects.filter(user=mia).delete()
    assert status_of(text) == "suspended"


def test_lower_roles_are_told_who_can_help(ada: User, bill: User, mia: User) -> None:
    for person in (bill, mia):
        client = signed_in(person)
        for method, path in (
            ("get", f"team/{ada.public_id}/"),
            ("post", f"team/{ada.public_id}/"),
            ("post", f"team/{ada.public_id}/remove/"),
            ("get", "settings/"),
            ("get", "audit/"),
            ("get", "audit.csv"),
        ):
            answer = getattr(client, method)(f"/o/acme/{path}", {"role": "member"})
            assert answer.status_code == 403, path
            assert "Owner" in answer.content.decode()
            assert "ada@acme.example" in answer.content.decode()
    assert role_of(ada) == "owner"


def test_members_of_elsewhere_are_not_found(ada: User, gus: User) -> None:
    client = signed_in(ada)
    for path in (f"team/{gus.public_id}/", f"team/{gus.public_id}/remove/", "team/usr_x/"):
        assert client.post(f"/o/acme/{path}", {"role": "member"}).status_code == 404
    assert Membership.objects.get(user=gus).role == "owner"


def test_an_unknown_role_changes_nothing(ada: User, mia: User) -> None:
    answer = signed_in(ada).post(f"/o/acme/team/{mia.public_id}/", {"role": "root"})
    assert answer.context["form"].errors
    assert role_of(mia) == "member"


def test_after_a_while_the_password_is_asked_for_and_the_work_goes_on(ada: User, mia: User) -> None:
    client = signed_in(ada, recently=False)
    url = f"/o/acme/team/{mia.public_id}/"
    asked = client.post(url, {"role": "billing"})
    assert asked["Location"].startswith("/account/confirm/")
    assert role_of(mia) == "member"
    wrong = client.post(asked["Location"], {"password": "guess", "next": url})
    assert wrong.status_code == 200
    assert role_of(mia) == "member"
    done = client.post(asked["Location"], {"password": "correct horse battery", "next": url})
    assert done["Location"] == "/o/acme/team/"
    assert role_of(mia) == "billing"


def test_two_owners_leaving_at_once_leave_one(committed_db: Any, acme: Organisation) -> None:
    make_member(acme, "otto@acme.example", Role.OWNER)
    memberships = list(Membership.objects.filter(role=Role.OWNER))

    def leave(membership: Membership) -> str:
        try:
            accounts.leave_organisation(
                membership=membership, actor=accounts.SYSTEM_ACTOR, now=utc_now()
            )
        except accounts.LastOwner:
            return "refused"
        finally:
            connection.close()
        return "left"

    for _round in range(5):
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(leave, memberships))
        assert sorted(outcomes) == ["left", "refused"]
        [remaining] = Membership.objects.filter(role=Role.OWNER)
        gone = next(m for m in memberships if m.pk != remaining.pk)
        again = Membership.objects.create(organisation=acme, user_id=gone.user_id, role=Role.OWNER)
        memberships = [remaining, again]


def test_owners_demoting_each_other_at_once_leave_one(
    committed_db: Any, acme: Organisation
) -> None:
    make_member(acme, "otto@acme.example", Role.OWNER)

    def demote(membership: Membership) -> str:
        try:
            accounts.change_role(
                membership=membership,
                role=Role.MEMBER,
                actor=accounts.SYSTEM_ACTOR,
                now=utc_now(),
            )
        except accounts.LastOwner:
            return "refused"
        finally:
            connection.close()
        return "demoted"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(demote, Membership.objects.filter(role=Role.OWNER)))
    assert sorted(outcomes) == ["demoted", "refused"]
    assert Membership.objects.filter(role=Role.OWNER).count() == 1


def test_anonymous_visitors_are_asked_to_sign_in(client: Client, acme: Organisation) -> None:
    for path in ("team/", "keys/", "settings/", "audit/", "leave/"):
        answer = client.get(f"/o/acme/{path}")
        assert answer["Location"] == f"/login/?next=/o/acme/{path}"


def invite(organisation: Organisation, email: str, role: str, by: User) -> Invitation:
    return accounts.invite_member(
        organisation=organisation,
        email=email,
        role=role,
        invited_by=by,
        actor=accounts.SYSTEM_ACTOR,
        now=utc_now(),
    )


@pytest.mark.parametrize(
    ("path", "form"),
    [("remove/", {"keys": "suspend"}), ("", {"role": "billing"}), ("", {"role": "member"})],
)
def test_no_invitation_of_ones_own_leads_back(
    acme: Organisation, globex: Organisation, ada: User, gus: User, path: str, form: dict[str, str]
) -> None:
    otto = make_member(acme, "otto@acme.example", Role.OWNER)
    back_door = invite(acme, "otto@home.example", Role.OWNER, otto)
    by_ada = invite(acme, "new@acme.example", Role.MEMBER, ada)
    elsewhere = invite(globex, "otto@acme.example", Role.MEMBER, gus)
    signed_in(ada).post(f"/o/acme/team/{otto.public_id}/{path}", form)
    spare = make_person("otto@home.example")
    with pytest.raises(accounts.InvitationUnusable):
        accounts.accept_invitation(
            invitation=back_door, user=spare, actor=accounts.SYSTEM_ACTOR, now=utc_now()
        )
    assert not Membership.objects.filter(user=spare).exists()
    event = AuditEvent.objects.get(action="invitation.withdrawn")
    assert (event.actor_id, event.target_id) == (ada.public_id, back_door.public_id)
    for untouched in (by_ada, elsewhere):
        untouched.refresh_from_db()
        assert untouched.withdrawn_at is None


def test_an_invitation_to_ones_own_address_ends_with_the_membership(
    acme: Organisation, ada: User
) -> None:
    invitation = invite(acme, "otto@acme.example", Role.OWNER, ada)
    otto = make_member(acme, "otto@acme.example", Role.MEMBER)
    assert signed_in(otto).post("/o/acme/leave/")["Location"] == "/account/"
    invitation.refresh_from_db()
    assert invitation.withdrawn_at is not None


def test_who_is_an_owner_no_more_invites_nobody(acme: Organisation, ada: User) -> None:
    """Also one whose request was under way while they were demoted, removed or barred."""
    otto = make_member(acme, "otto@acme.example", Role.OWNER)
    membership = Membership.objects.get(user=otto)

    def refused() -> bool:
        with pytest.raises(accounts.InviterNotOwner):
            invite(acme, "new@home.example", Role.OWNER, otto)
        return not Invitation.objects.exists() and not AuditEvent.objects.filter(
            action="invitation.sent"
        )

    User.objects.filter(pk=otto.pk).update(is_active=False)
    assert refused()
    User.objects.filter(pk=otto.pk).update(is_active=True)
    accounts.change_role(
        membership=membership, role=Role.BILLING, actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert refused()
    membership.refresh_from_db()
    accounts.leave_organisation(membership=membership, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    assert refused()


def test_becoming_an_owner_withdraws_nothing(acme: Organisation, ada: User, mia: User) -> None:
    invitation = invite(acme, "new@acme.example", Role.MEMBER, ada)
    Invitation.objects.update(invited_by=mia)
    signed_in(ada).post(f"/o/acme/team/{mia.public_id}/", {"role": "owner"})
    invitation.refresh_from_db()
    assert (role_of(mia), invitation.withdrawn_at) == ("owner", None)


def test_an_owner_who_may_not_go_keeps_their_invitations(acme: Organisation, ada: User) -> None:
    invitation = invite(acme, "new@acme.example", Role.MEMBER, ada)
    assert signed_in(ada).post("/o/acme/leave/").status_code == 409
    invitation.refresh_from_db()
    assert invitation.withdrawn_at is None
