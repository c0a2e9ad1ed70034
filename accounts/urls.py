"""Routes of people, teams, keys, notices and the audit log. allauth's doors are in door_urls.py."""

from django.urls import path

from accounts.views import (
    doors,
    invitations,
    key_access,
    keys,
    notices,
    organisation,
    people,
    policies,
    team,
    webhooks,
)

app_name = "accounts"
_WEBHOOKS = "o/<slug:organisation>/settings/webhooks/"
_WEBHOOK = f"{_WEBHOOKS}<str:webhook>/"

urlpatterns = [
    path("terms/", doors.terms, name="terms"),
    path("account/", people.profile, name="profile"),
    path("account/organisations/new/", people.create_organisation, name="create_organisation"),
    path("invite/", invitations.invitation, name="invitation"),
    path("invite/<str:token>/", invitations.open_invitation, name="open_invitation"),
    path("o/<slug:organisation>/keys/", keys.keys, name="keys"),
    path("o/<slug:organisation>/keys/new/", keys.create_key, name="create_key"),
    path("o/<slug:organisation>/keys/<str:key>/", keys.key, name="key"),
    path(
        "o/<slug:organisation>/keys/<str:key>/access/",
        key_access.change_key_access,
        name="change_key_access",
    ),
    path("o/<slug:organisation>/keys/<str:key>/policy/", policies.key_policy, name="key_policy"),
    path("o/<slug:organisation>/keys/<str:key>/suspend/", keys.suspend_key, name="suspend_key"),
    path("o/<slug:organisation>/keys/<str:key>/resume/", keys.resume_key, name="resume_key"),
    path("o/<slug:organisation>/keys/<str:key>/rotate/", keys.rotate_key, name="rotate_key"),
    path("o/<slug:organisation>/keys/<str:key>/revoke/", keys.revoke_key, name="revoke_key"),
    path("o/<slug:organisation>/team/", team.team, name="team"),
    path("o/<slug:organisation>/team/invite/", team.invite, name="invite"),
    path(
        "o/<slug:organisation>/team/invitations/<str:invitation>/withdraw/",
        team.withdraw,
        name="withdraw_invitation",
    ),
    path("o/<slug:organisation>/team/<str:member>/", team.member, name="member"),
    path("o/<slug:organisation>/team/<str:member>/remove/", team.remove, name="remove_member"),
    path("o/<slug:organisation>/leave/", people.leave, name="leave"),
    path("o/<slug:organisation>/notifications/", notices.notices, name="notices"),
    path("o/<slug:organisation>/notifications/read/", notices.read_notices, name="read_notices"),
    path(
        "o/<slug:organisation>/notifications/settings/",
        notices.notice_settings,
        name="notice_settings",
    ),
    path("o/<slug:organisation>/settings/", organisation.settings, name="settings"),
    path(_WEBHOOKS, webhooks.webhook_list, name="webhooks"),
    path(f"{_WEBHOOKS}new/", webhooks.create_webhook, name="create_webhook"),
    path(_WEBHOOK, webhooks.webhook, name="webhook"),
    path(f"{_WEBHOOK}change/", webhooks.change_webhook, name="change_webhook"),
    path(f"{_WEBHOOK}secret/", webhooks.rotate_secret, name="rotate_webhook_secret"),
    path(f"{_WEBHOOK}remove/", webhooks.remove_webhook, name="remove_webhook"),
    path(f"{_WEBHOOK}test/", webhooks.test_webhook, name="test_webhook"),
    path(f"{_WEBHOOK}resume/", webhooks.resume_webhook, name="resume_webhook"),
    path(f"{_WEBHOOK}deliveries/<str:delivery>/resend/", webhooks.resend, name="resend_webhook"),
    path("o/<slug:organisation>/settings/policy/", policies.policy, name="policy"),
    path("o/<slug:organisation>/audit/", organisation.audit, name="audit"),
    path("o/<slug:organisation>/audit.csv", organisation.audit_csv, name="audit_csv"),
]
