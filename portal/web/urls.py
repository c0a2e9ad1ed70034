"""Routes of the pages that cross rooms."""

from django.urls import path

from portal.web import docs, health, home, landing, preferences, proof, usage, wallet

app_name = "web"

urlpatterns = [
    path("", landing.landing, name="landing"),
    path("o/", home.choose_organisation, name="organisations"),
    path("o/<slug:organisation>/", home.home, name="home"),
    path("o/<slug:organisation>/start/", home.start, name="start"),
    path("o/<slug:organisation>/start/key/", home.create_first_key, name="create_first_key"),
    path("o/<slug:organisation>/wallet/", wallet.wallet, name="wallet"),
    path("o/<slug:organisation>/wallet/proof/", proof.proof, name="proof"),
    path("o/<slug:organisation>/wallet/proof.jsonl", proof.proof_file, name="proof_file"),
    path("verify/tokenworks_verify.py", proof.verifier, name="verifier"),
    path("o/<slug:organisation>/usage/", usage.usage, name="usage"),
    path("o/<slug:organisation>/usage.csv", usage.usage_csv, name="usage_csv"),
    path("docs/", docs.index, name="docs"),
    path("docs/<slug:page>/", docs.page, name="docs_page"),
    path("preferences/theme/", preferences.set_theme, name="set_theme"),
    path("healthz/live", health.live, name="health_live"),
    path("healthz/ready", health.ready, name="health_ready"),
]
