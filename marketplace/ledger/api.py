"""REST of the ledger for tenants: balances, lots in burn order, entries."""

from datetime import UTC, datetime

from django.db.models import (
    Case,
    DateTimeField,
    F,
    IntegerField,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantListView, TenantView
from accounts.models import Role
from marketplace.ledger import selectors, services
from marketplace.ledger.models import Entry, Lot, LotKind
from marketplace.ledger.serializers import (
    EntryQuerySerializer,
    EntrySerializer,
    LotSerializer,
    UnitQuerySerializer,
    WalletSerializer,
)
from portal.kernel.clock import utc_now
from portal.kernel.streams import piecewise

# Later than any expiry: lots that do not expire burn last.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

WALLET = {
    "balances": [
        {
            "unit": "live",
            "posted_tokens": "104999812",
            "held_tokens": "1204.8",
            "spendable_tokens": "104998607.2",
            "frozen": False,
        },
        {
            "unit": "test",
            "posted_tokens": "0",
            "held_tokens": "0",
            "spendable_tokens": "0",
            "frozen": False,
        },
    ]
}
LOT = {
    "id": "lot_01kb7z4v5w6x7y8z9a0b1c2d3e",
    "kind": "bonus",
    "scope": "",
    "reference": "order:ord_01kb7z4q5r6s7t8v9w0x1y2z3a",
    "face_tokens": "5000000",
    "remaining_tokens": "4999812",
    "paid_minor": "0",
    "currency": "",
    "granted_at": "2026-11-03T10:05:00Z",
    "expires_at": "2027-11-03T10:05:00Z",
}
ENTRY = {
    "id": "txn_01kb7zc5f6g7h8j9k0m1n2p3q4/1",
    "kind": "capture",
    "reference": "call:call_01kb7zc3d4e5f6g7h8j9k0m1n2",
    "reason": "",
    "amount_tokens": "-169.2",
    "balance_after_tokens": "104999830.8",
    "sequence": 3,
    "effective_at": "2026-11-03T10:20:31.456789Z",
    "recorded_at": "2026-11-03T10:20:31.456789Z",
}


class LedgerView(TenantView):
    """What a key may see of the organisation's wallets."""

    tags = ["Wallet"]

    def choose_unit(self, asked: str | None) -> str:
        """The unit asked for, else the key's own; a test key reads test tokens only (403)."""
        unit = asked or self.units[0]
        if unit not in self.units:
            raise PermissionDenied(_("A test key reads test tokens only."), code="test_key")
        return unit


class WalletView(LedgerView):
    """Balances."""

    @extend_schema(
        operation_id="get_wallet",
        summary="Get your balances",
        responses=WalletSerializer,
        examples=[OpenApiExample("Balances", value=WALLET, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        owner_key = self.organisation.public_id
        balances = [
            {
                "unit": unit,
                "balance": selectors.get_balance(owner_key=owner_key, unit=unit),
                "frozen": selectors.is_frozen(owner_key=owner_key, unit=unit),
            }
            for unit in self.units
        ]
        return Response(WalletSerializer({"balances": balances}).data)


class LotsView(LedgerView, TenantListView):
    """Lots with a remainder."""

    role = Role.BILLING
    queryset = Lot.objects.none()
    serializer_class = LotSerializer
    query_serializer = UnitQuerySerializer
    keyset = ("burns_late", "burn_scope", "burns_until", "burns_after", "id")

    def list_rows(self) -> QuerySet[Lot]:
        unit = self.choose_unit(self.query.get("unit"))
        lots = selectors.list_lots(owner_key=self.organisation.public_id, unit=unit)
        # The order of ``list_lots`` as values that are never null, so that pages can follow it.
        return lots.annotate(
            burns_late=_one_if(wallet__scope=""),
            burn_scope=F("wallet__scope"),
            burns_until=Coalesce("expires_at", Value(_NEVER), output_field=DateTimeField()),
            burns_after=_one_if(kind=LotKind.PAID),
        )

    @extend_schema(
        operation_id="list_lots",
        summary="List lots in the order they burn",
        description=(
            "Lots with a remainder: those for certain services first, then soonest expiry, then "
            "bonus before paid. The key's maker needs the role billing."
        ),
        parameters=[UnitQuerySerializer],
        examples=[OpenApiExample("Lots", value=LOT, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class EntriesView(LedgerView, TenantListView):
    """Movements of one wallet."""

    role = Role.BILLING
    queryset = Entry.objects.none()
    serializer_class = EntrySerializer
    query_serializer = EntryQuerySerializer
    keyset = ("-wallet_seq",)

    def list_rows(self) -> QuerySet[Entry]:
        return selectors.list_entries(
            owner_key=self.organisation.public_id,
            unit=self.choose_unit(self.query.get("unit")),
            scope=self.query["scope"],
        )

    @extend_schema(
        operation_id="list_entries",
        summary="List the entries of a wallet",
        description=(
            "Newest first, each with the balance after it; of the general wallet unless a scope "
            "is given. The key's maker needs the role billing."
        ),
        parameters=[EntryQuerySerializer],
        examples=[OpenApiExample("Entries", value=ENTRY, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class ProofView(LedgerView):
    """All entries, with what proves them."""

    role = Role.BILLING
    problems = {"GET": (503,)}

    @extend_schema(
        operation_id="get_proof",
        summary="Download your entries with their proof",
        description=(
            "JSON lines: the entries of all wallets as they are hashed, their way to the newest "
            "checkpoint, and all checkpoints. `tokenworks_verify.py` checks the file, and against "
            "an older one. A test key gets the test tokens' entries. The key's maker needs the "
            "role billing."
        ),
        responses={(200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        pieces = services.stream_proof(
            owner_key=self.organisation.public_id, units=self.units, now=utc_now()
        )
        return StreamingHttpResponse(piecewise(pieces), content_type="application/jsonl")


def _one_if(**condition: object) -> Case:
    return Case(When(**condition, then=Value(1)), default=Value(0), output_field=IntegerField())
