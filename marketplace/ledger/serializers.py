"""How balances, lots and entries look in REST: tokens as decimal strings."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.ledger.models import Entry, LotKind, TransactionKind, Unit
from portal.kernel.rest import IntegerTextField, TextField, TokensField
from portal.kernel.rest.fields import format_decimal_tokens

SCOPE_HELP = "Empty: for everything; else `service:…`, `provider:…` or `modality:…`."


class BalanceSerializer(serializers.Serializer):
    """What there is of one unit, over all its wallets. held is a part of posted."""

    unit = serializers.ChoiceField(choices=Unit.values)
    posted_tokens = TokensField(source="balance.posted")
    held_tokens = TokensField(source="balance.held", help_text="Set aside for running calls.")
    spendable_tokens = TokensField(source="balance.spendable")
    frozen = serializers.BooleanField(help_text="True: no new calls until the market lifts it.")


class WalletSerializer(serializers.Serializer):
    """The organisation's balances; live and test tokens never meet."""

    balances = BalanceSerializer(many=True)


class UnitQuerySerializer(serializers.Serializer):
    """Of which unit."""

    unit = serializers.ChoiceField(choices=Unit.values, required=False)


class LotSerializer(serializers.Serializer):
    """What one purchase or grant put into the wallet, and what is left of it."""

    id = serializers.CharField(source="public_id", help_text="`lot_…`")
    kind = serializers.ChoiceField(choices=LotKind.values)
    scope = serializers.CharField(source="wallet.scope", help_text=SCOPE_HELP)
    reference = serializers.CharField(help_text="What it came from, such as `order:ord_…`.")
    face_tokens = TokensField(source="face_millitokens")
    remaining_tokens = TokensField(source="remaining_millitokens")
    paid_minor = IntegerTextField(help_text="Paid, in the currency's minor unit.")
    currency = serializers.CharField(help_text="ISO 4217; empty when nothing was paid.")
    granted_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class EntryQuerySerializer(UnitQuerySerializer):
    """Of which wallet."""

    scope = TextField(max_length=60, allow_blank=True, default="", help_text=SCOPE_HELP)


class EntrySerializer(serializers.Serializer):
    """One movement of the wallet. Entries never change; corrections are new ones."""

    id = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(source="transaction.kind", choices=TransactionKind.values)
    reference = serializers.CharField(
        source="transaction.reference", help_text="`call:call_…`, `order:ord_…`, …"
    )
    reason = serializers.CharField(source="transaction.reason")
    amount_tokens = serializers.SerializerMethodField()
    balance_after_tokens = TokensField(source="wallet_after_millitokens")
    sequence = serializers.IntegerField(
        source="wallet_seq", help_text="Without gaps within one wallet."
    )
    effective_at = serializers.DateTimeField(source="transaction.effective_at")
    recorded_at = serializers.DateTimeField(source="transaction.recorded_at")

    def get_id(self, entry: Entry) -> str:
        return f"{entry.transaction.public_id}/{entry.line}"

    @extend_schema_field(TokensField(help_text="Negative for what left the wallet."))
    def get_amount_tokens(self, entry: Entry) -> str:
        wallet: Any = entry.wallet
        leaves = entry.debit_account_id == wallet.account_id
        amount = entry.amount_millitokens
        return format_decimal_tokens(-amount if leaves else amount)
