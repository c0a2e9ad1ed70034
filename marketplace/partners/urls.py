"""Routes of providers' pages. Their REST is composed in portal.web.api_urls."""

from django.urls import path

from marketplace.partners.views import home, integration, prices, services

app_name = "partners"

_PROVIDER = "p/<slug:provider>/"
_SERVICE = f"{_PROVIDER}services/<slug:service>/"
_KEY = f"{_PROVIDER}integration/keys/"

urlpatterns = [
    path("o/<slug:organisation>/provider/", home.apply, name="apply"),
    path(_PROVIDER, home.home, name="home"),
    path(f"{_PROVIDER}earnings/", home.earnings, name="earnings"),
    path(f"{_PROVIDER}services/", services.services, name="services"),
    path(f"{_PROVIDER}services/new/", services.create_service, name="create_service"),
    path(_SERVICE, services.service, name="service"),
    path(f"{_SERVICE}edit/", services.edit_service, name="edit_service"),
    path(f"{_SERVICE}prices/", prices.prices, name="prices"),
    path(f"{_SERVICE}submit/", services.submit_service, name="submit_service"),
    *(
        path(f"{_SERVICE}{move}/", services.move_service, {"move": move}, name=f"{move}_service")
        for move in services.MOVES
    ),
    path(f"{_SERVICE}retire/", services.retire_service, name="retire_service"),
    path(f"{_PROVIDER}integration/", integration.integration, name="integration"),
    path(f"{_KEY}new/", integration.create_key, name="create_key"),
    path(f"{_KEY}<slug:key>/revoke/", integration.revoke_key, name="revoke_key"),
]
