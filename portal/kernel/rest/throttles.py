"""How often one key may ask: reads and writes are counted apart, per key."""

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class KeyThrottle(SimpleRateThrottle):
    """``DEFAULT_THROTTLE_RATES`` "read" and "write"; callers without a key count by address."""

    def __init__(self) -> None:
        """The rate depends on the request, so nothing is read here."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.scope = "read" if request.method in SAFE_METHODS else "write"
        self.rate = str(api_settings.DEFAULT_THROTTLE_RATES[self.scope])
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        caller = getattr(request.auth, "key_public_id", None) or self.get_ident(request)
        return f"throttle:{self.scope}:{caller}"
