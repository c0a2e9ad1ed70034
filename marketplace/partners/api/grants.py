"""Direct mode for tenants: grants, and the keys that they are verified with."""

from datetime import timedelta

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantView
from marketplace.partners import services as partners
from marketplace.partners.api.examples import example
from marketplace.partners.serializers.direct import GrantSerializer, NewGrantSerializer
from marketplace.partners.services.signing_keys import JWKS_MAX_AGE
from portal.kernel.clock import utc_now
from portal.kernel.rest import ApiView

GRANT = {
    "id": "grt_01kb7zd6e7f8g9h0j1k2m3n4p5",
    "token": "eyJhbGciOiJFZERTQSIsImtpZCI6InNpZ18wMWtiN3oi…",
    "service": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
    "service_handle": "qwen/qwen3-8b@rhine-compute",
    "ceiling": "1000",
    "expires_at": "2026-11-03T10:35:00Z",
}
JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "sig_01kb7zd1a2b3c4d5e6f7g8h9j0",
    "use": "sig",
    "alg": "EdDSA",
}


class GrantsView(TenantView):
    """Grants for calling a provider directly."""

    tags = ["Direct mode"]
    repeatable = ("POST",)
    problems = {"POST": (404, 503)}

    @extend_schema(
        operation_id="create_direct_grant",
        summary="Let a service hold tokens of your wallet",
        description=(
            "For calling the provider's own endpoint instead of the gateway. The grant holds "
            "nothing; the provider places holds on it, up to the ceiling and within your key's "
            "cap. It lives for at most 15 minutes."
        ),
        request=NewGrantSerializer,
        responses={201: GrantSerializer},
        examples=[
            example(
                "Up to 1,000 tokens",
                {"service": "qwen/qwen3-8b@rhine-compute", "ceiling": "1000"},
                request=True,
            ),
            example("Granted", GRANT),
        ],
    )
    def post(self, request: Request) -> Response:
        return self.answer_once(request, lambda key: self._issue())

    def _issue(self) -> Response:
        wanted = self.read_body(NewGrantSerializer)
        seconds = wanted.get("lifetime_seconds")
        issued = partners.issue_grant(
            key=self.key,
            service=wanted["service"],
            ceiling_millitokens=wanted["ceiling"],
            lifetime=None if seconds is None else timedelta(seconds=seconds),
            now=utc_now(),
        )
        return Response(GrantSerializer(issued).data, status=201)


class JwkSerializer(serializers.Serializer):
    """A public Ed25519 key (RFC 8037)."""

    kty = serializers.CharField()
    crv = serializers.CharField()
    x = serializers.CharField()
    kid = serializers.CharField()
    use = serializers.CharField()
    alg = serializers.CharField()


class JwksSerializer(serializers.Serializer):
    """A JSON Web Key Set (RFC 7517)."""

    keys = JwkSerializer(many=True)


class JwksView(ApiView):
    """The key set, for everybody."""

    tags = ["Direct mode"]
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        operation_id="get_jwks",
        summary="Get the keys that grants are signed with",
        responses=JwksSerializer,
        examples=[example("One key", {"keys": [JWK]})],
    )
    def get(self, request: Request) -> Response:
        keys = partners.list_published_keys(now=utc_now())
        age = int(JWKS_MAX_AGE.total_seconds())
        return Response({"keys": keys}, headers={"Cache-Control": f"public, max-age={age}"})
