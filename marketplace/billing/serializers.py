"""How billing looks in REST. Money is a string of minor units, tokens a decimal string."""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import (
    AttemptState,
    DocumentKind,
    Order,
    OrderStatus,
    RequestState,
)
from marketplace.billing.offers import MAX_QUANTITY
from marketplace.billing.refund_rule import REFUSALS
from marketplace.billing.statements import LINES, Statement
from portal.kernel.rest import (
    CountField,
    IntegerTextField,
    StrictSerializer,
    TextField,
    TokensField,
)

_AMOUNT = re.compile("[1-9][0-9]{0,17}", re.ASCII)
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
    refunded_minor = IntegerTextField(
        source="reversed_minor", help_text="What has gone back: refunds, and what banks took."
    )
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


@extend_schema_field({"type": "string", "pattern": "^[1-9][0-9]{0,17}$", "examples": ["3800"]})
class AmountField(serializers.RegexField):
    """Money in minor units as a string of digits; in Python the integer."""

    default_error_messages = {"invalid": _('Write minor units as digits, such as "3800".')}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(regex=_AMOUNT, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or not _AMOUNT.fullmatch(data):
            self.fail("invalid")
        return int(data)

    def run_validators(self, value: Any) -> None:
        """The pattern was matched before it became a number."""


class RefundQuoteSerializer(serializers.Serializer):
    """What would come back of an order now."""

    currency = serializers.CharField()
    amount_minor = IntegerTextField(help_text=AMOUNT_HELP)
    paid_tokens = TokensField(source="paid_millitokens", help_text="Taken back for it.")
    bonus_tokens = TokensField(source="bonus_millitokens", help_text="Withdrawn besides.")
    unused_tokens = TokensField(source="unused_millitokens", help_text="Of those bought.")
    refusal = serializers.ChoiceField(
        choices=["", *REFUSALS], help_text="Why nothing can be refunded; empty if it can."
    )


class NewRefundSerializer(StrictSerializer):
    """The amount that the quote said; if it has changed since, nothing is asked for."""

    amount_minor = AmountField(help_text=AMOUNT_HELP)
    reason = TextField(max_length=500, allow_blank=True, default="")


class RefundSerializer(serializers.Serializer):
    """A refund that was asked for. Its tokens are set aside until it is decided."""

    id = serializers.CharField(source="public_id", help_text="`rfq_…`")
    order = serializers.CharField(source="order.public_id", help_text="`ord_…`")
    status = serializers.ChoiceField(choices=RequestState.values, source="state")
    currency = serializers.CharField(source="order.currency")
    amount_minor = IntegerTextField(help_text=AMOUNT_HELP)
    paid_tokens = TokensField(source="paid_millitokens")
    bonus_tokens = TokensField(source="bonus_millitokens")
    reason = serializers.CharField()
    note = serializers.CharField(help_text="What was said when it was declined.")
    requested_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class PartySerializer(serializers.Serializer):
    """As it was when the document was issued."""

    name = serializers.CharField()
    legal_name = serializers.CharField()
    address = serializers.CharField()
    country = serializers.CharField()
    tax_id = serializers.CharField()
    email = serializers.CharField()


class DocumentSerializer(serializers.Serializer):
    """An invoice, or a credit note about one."""

    id = serializers.CharField(source="public_id", help_text="`doc_…`")
    kind = serializers.ChoiceField(choices=DocumentKind.values)
    number = serializers.CharField(source="label")
    order = serializers.CharField(source="order.public_id", help_text="`ord_…`")
    corrects = serializers.CharField(
        source="corrects.public_id", default=None, allow_null=True, help_text="A credit note's."
    )
    currency = serializers.CharField()
    amount_minor = IntegerTextField(help_text="What it charges or gives back.")
    tax_minor = IntegerTextField(help_text="Part of the amount.")
    livemode = serializers.BooleanField(source="order.livemode")
    seller = PartySerializer(source="parties.seller")
    buyer = PartySerializer(source="parties.buyer")
    issued_at = serializers.DateTimeField()


class MonthSerializer(serializers.Serializer):
    """A month that has a statement."""

    month = serializers.CharField(help_text="`2026-11`, in the organisation's time zone.")


class MonthListSerializer(serializers.Serializer):
    """Newest first."""

    data = MonthSerializer(many=True)  # type: ignore[assignment]


class StatementLineSerializer(serializers.Serializer):
    """One term of the equation, signed."""

    kind = serializers.ChoiceField(choices=list(LINES))
    tokens = TokensField()


class StatementUsageSerializer(serializers.Serializer):
    """What one service's calls cost."""

    model = serializers.CharField()
    provider = serializers.CharField()
    calls = serializers.IntegerField()
    tokens = TokensField(source="millitokens")


class StatementSerializer(serializers.Serializer):
    """opening + lines = closing, in live tokens."""

    month = serializers.CharField(source="label")
    first_day = serializers.DateField(source="first")
    last_day = serializers.DateField(source="last")
    is_over = serializers.BooleanField(help_text="False: the month still runs.")
    opening_tokens = TokensField(source="opening")
    closing_tokens = TokensField(source="closing")
    lines = serializers.SerializerMethodField()
    documents = serializers.SerializerMethodField()
    usage = StatementUsageSerializer(many=True)

    @extend_schema_field(StatementLineSerializer(many=True))
    def get_lines(self, statement: Statement) -> Any:
        lines = [{"kind": kind, "tokens": total} for kind, total in statement.lines.items()]
        return StatementLineSerializer(lines, many=True).data

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_documents(self, statement: Statement) -> list[str]:
        return [document.public_id for document in statement.documents]
