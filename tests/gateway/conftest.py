import pytest
from django.conf import LazySettings

from accounts.models import Organisation
from tests.gateway.market import Market, build_market
from tests.server import LiveSite


@pytest.fixture
def market(live_site: LiveSite, acme: Organisation, settings: LazySettings) -> Market:
    """acme can call two services of a fake provider at a running site."""
    settings.OUTBOUND_ALLOWED_PRIVATE = [live_site.upstream.address]
    return build_market(live_site, acme)
