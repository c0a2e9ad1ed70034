"""Direct mode in REST: grants, holds, and the usage that providers report."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from marketplace.partners.quantities import Quantities
from marketplace.partners.services import Wish
from marketplace.partners.tokens import MAX_TOKEN_CHARACTERS
from portal.kernel.rest import CountField, MomentField, StrictSerializer, TextField, TokensField

EVENT_TYPE = "tokenworks.usage.v1"
HOLD_PATTERN = r"^hld_[0-9a-z]{26}$"


class NewGrantSerializer(StrictSerializer):
    """Which service may hold how much, for how long."""

    service = TextField(max_length=200, help_text="A service's id or handle.")
    ceiling = TokensField(help_text="The most that all holds on the grant may come to.")
    lifetime_seconds = CountField(
        required=False,
        min_value=30,
        max_value=settings.DIRECT_GRANT_SECONDS,
        help_text="The longest by default.",
    )


class GrantSerializer(serializers.Serializer):
    """A grant. Hand `token` to the provider; it is not shown again."""

    id = serializers.CharField(source="grant.public_id", help_text="`grt_…`, the token's `jti`.")
    token = serializers.CharField(help_text="A JWT signed with EdDSA; see the key set.")
    service = serializers.CharField(source="service.public_id", help_text="The token's `aud`.")
    service_handle = serializers.CharField(source="service.handle")
    ceiling = TokensField(source="grant.ceiling_millitokens")
    expires_at = serializers.DateTimeField(source="grant.expires_at")


class MostSerializer(StrictSerializer):
    """The most model tokens that the call can use."""

    prompt_tokens = CountField(default=0)
    completion_tokens = CountField(default=0)


class WishSerializer(StrictSerializer):
    """How much to hold: one of the two."""

    max_quantities = MostSerializer(required=False)
    amount = TokensField(
        required=False, help_text="Wallet tokens; rounded down to whole model tokens."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("amount" in attrs) == ("max_quantities" in attrs):
            raise serializers.ValidationError(
                _("Give either max_quantities or amount."), code="one_of_two"
            )
        return attrs


class NewHoldSerializer(WishSerializer):
    """A hold on a grant."""

    grant = TextField(max_length=MAX_TOKEN_CHARACTERS, help_text="The token as the tenant sent it.")


def read_wish(attrs: dict[str, Any]) -> Wish:
    """What the two serializers above have validated."""
    if "amount" in attrs:
        return Wish(amount_millitokens=attrs["amount"])
    return Wish(quantities=Quantities(**attrs["max_quantities"]))


class HoldSerializer(serializers.Serializer):
    """Tokens set aside for one call."""

    id = serializers.CharField(source="hold_id", help_text="`hld_…`")
    call = serializers.CharField(source="call_id", help_text="`call_…`")
    amount = TokensField(source="amount_millitokens")
    expires_at = serializers.DateTimeField(
        help_text="Until when usage may be reported: the grant's life and the grace."
    )


class QuantitiesSerializer(StrictSerializer):
    """Model tokens that the call used."""

    prompt_tokens = CountField()
    cached_tokens = CountField(default=0, help_text="Part of the prompt tokens.")
    completion_tokens = CountField(default=0)


class CaptureSerializer(StrictSerializer):
    """What the call came to."""

    quantities = QuantitiesSerializer()
    occurred_at = MomentField(required=False, help_text="When the call ended; now when left out.")
    finish_reason = TextField(max_length=30, allow_blank=True, default="")
    upstream_id = TextField(
        max_length=120, allow_blank=True, default="", help_text="Your own id of the call."
    )


class ChargeSerializer(serializers.Serializer):
    """What was charged for one call."""

    call = serializers.CharField(source="call_id", help_text="`call_…`")
    charged = TokensField(source="charged_millitokens")
    capped = serializers.BooleanField(
        help_text="True: more was reported than was held, and the hold was charged."
    )


class UsageEventSerializer(serializers.Serializer):
    """A CloudEvents 1.0 event; other attributes are allowed and ignored, `source` among them:
    the source is the credential."""

    specversion = serializers.ChoiceField(choices=["1.0"])
    id = TextField(max_length=100, help_text="Yours; unique for ever among your events.")
    source = TextField(max_length=500, required=False)  # type: ignore[assignment]
    type = serializers.ChoiceField(choices=[EVENT_TYPE])
    subject = serializers.RegexField(HOLD_PATTERN, help_text="The hold, `hld_…`.")
    time = MomentField(help_text="When the call ended.")
    data = QuantitiesSerializer()  # type: ignore[assignment]


class UsageAnswerSerializer(serializers.Serializer):
    """What became of one event."""

    id = serializers.CharField(source="event_id", allow_null=True)
    outcome = serializers.ChoiceField(choices=["accepted", "duplicate", "rejected"])
    code = serializers.CharField(help_text="Why it was rejected; else empty.")
    reason = serializers.CharField(help_text="The same for people.")
    call = serializers.CharField(source="call_id")
    charged = TokensField(source="charged_millitokens")
    capped = serializers.BooleanField()


class UsageAnswersSerializer(serializers.Serializer):
    """One answer per event, in their order."""

    results = UsageAnswerSerializer(many=True)
