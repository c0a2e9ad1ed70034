"""How packs and orders look in REST. Money is a string of minor units, tokens a decimal string."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import AttemptState, Order, OrderStatus
from marketplace.billing.offers import MAX_QUANTITY
from portal.kernel.rest import (
    CountField,
    IntegerTextField,
    StrictSerializer,
    TextField,
    TokensField,
)

AMOUNT_HELP = "In the currency's minor unit: 5000 USD is $50.00, 5000 JPY is ¥5,000."


class PackQuerySerializer(serializers.Serializer):
    """Which packs to list."""

    currency = serializers.ChoiceField(
        choices=list(SALE_CURRENCIES), required=False, help_text="The tariff currency by default."
    )


class OfferSerializer(serializers.Serializer):
    """A pack at its price."""

    id = serializers.CharField(source="pack.public_id", help_text="`pck_…`")
    slug = serializers.CharField(source="pack.slug")
    name = serializers.CharField()
    summary = serializers.CharField()
    currency = serializers.CharField(help_text="ISO 4217.")
    amount_minor = IntegerTextField(help_text=AMOUNT_HELP)
    paid_tokens = TokensField(source="paid_millitokens")
    bonus_tokens = TokensField(source="bonus_millitokens")
    expires_after_days = serializers.IntegerField(
        allow_null=True, help_text="Days after purchase; null: the tokens do not expire."
    )
    scope = serializers.CharField(
        help_text="Empty: for everything; else `service:…`, `provider:…` or `modality:…`."
    )


class OfferListSerializer(serializers.Serializer):
    """Everything on sale in one currency, in the shop's order."""

    data = OfferSerializer(many=True)  # type: ignore[assignment]


class OrderSerializer(serializers.Serializer):
    """One purchase; what was offered when it was ordered stays."""

    id = serializers.CharField(source="public_id", help_text="`ord_…`")
    status = serializers.ChoiceField(choices=OrderStatus.values)
    pack = serializers.CharField(source="pack.public_id", help_text="`pck_…`")
    pack_name = serializers.CharField()
    quantity = serializers.IntegerField()
    currency = serializers.CharField()
    amount_minor = IntegerTextField(help_text=AMOUNT_HELP)
    tax_minor = IntegerTextField(help_text="Part of the amount.")
    paid_tokens = TokensField(source="paid_millitokens")
    bonus_tokens = TokensField(source="bonus_millitokens")
    expires_after_days = serializers.IntegerField(allow_null=True)
    scope = serializers.CharField()
    purchase_reference = serializers.CharField()
    livemode = serializers.BooleanField(help_text="False: no money moves (sandbox).")
    failure_code = serializers.CharField(help_text="Why the last payment failed; empty if none.")
    receipt = serializers.SerializerMethodField()
    pay_url = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="Until when it can be paid.")
    paid_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field({"type": ["string", "null"], "description": "Its invoice's number."})
    def get_receipt(self, order: Order) -> str | None:
        invoice = order.invoice
        return invoice.label if invoice else None

    @extend_schema_field(
        {"type": ["string", "null"], "description": "Where a person pays; null once closed."}
    )
    def get_pay_url(self, order: Order) -> str | None:
        if not order.is_open:
            return None
        attempts = [a for a in order.attempts.all() if a.state == AttemptState.CREATED]
        return attempts[-1].pay_url if attempts else None


class NewOrderSerializer(StrictSerializer):
    """What to buy."""

    pack = TextField(max_length=60, help_text="A pack's id or slug.")
    currency = serializers.ChoiceField(choices=list(SALE_CURRENCIES))
    quantity = CountField(min_value=1, max_value=MAX_QUANTITY, default=1)
    purchase_reference = TextField(
        max_length=80, allow_blank=True, default="", help_text="Yours; shown on the invoice."
    )
