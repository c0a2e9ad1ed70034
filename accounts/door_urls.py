"""allauth's pages at our addresses, under allauth's names (it reverses them itself)."""

from allauth.account import views as account
from django.urls import include, path, re_path

from accounts.views import doors

urlpatterns = [
    path("join/", doors.JoinView.as_view(), name="account_signup"),
    path("login/", account.login, name="account_login"),
    path("login/inactive/", account.account_inactive, name="account_inactive"),
    path("logout/", account.logout, name="account_logout"),
    path("reset/", account.password_reset, name="account_reset_password"),
    path("reset/sent/", account.password_reset_done, name="account_reset_password_done"),
    path(
        "reset/done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("verify/", account.email_verification_sent, name="account_email_verification_sent"),
    path("verify/confirm/", doors.VerifyView.as_view(), name="account_verify"),
    re_path(
        r"^verify/(?P<key>[-:\w]+)/$", doors.VerifyView.as_view(), name="account_confirm_email"
    ),
    path("account/email/", account.email, name="account_email"),
    path("account/password/", account.password_change, name="account_change_password"),
    path("account/password/set/", account.password_set, name="account_set_password"),
    path("account/confirm/", account.reauthenticate, name="account_reauthenticate"),
    path("account/two-factor/", include("allauth.mfa.urls")),
    path("account/sessions/", include("allauth.usersessions.urls")),
    path("language/", doors.set_language, name="set_language"),
]
