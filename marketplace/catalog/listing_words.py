"""How a listing's fields and their values read, where a review compares them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from marketplace.catalog import vocabulary
from marketplace.catalog.models import CutStreamBilling

FIELDS = {
    "endpoint_url": _("Endpoint"),
    "credential": _("Credential"),
    "has_credential": _("Has a credential"),
    "upstream_model": _("Model name at the endpoint"),
    "region": _("Region"),
    "country": _("Country"),
    "quantisation": _("Quantisation"),
    "context_length": _("Context length"),
    "max_output_tokens": _("Longest answer"),
    "supported_parameters": _("Supported parameters"),
    "cut_stream_billing": _("Billed when a client leaves in the middle of an answer"),
    "requests_per_minute": _("Requests per minute"),
    "tokens_per_minute": _("Model tokens per minute"),
    "retains_prompts_days": _("Days that prompts are kept"),
    "trains_on_data": _("Prompts are used for training"),
    "summary_en": _("Summary in English"),
    "summary_zh": _("Summary in Chinese"),
    "price": _("Prices per 1M tokens"),
}


def field_label(field: str) -> str:
    """A field's name in the reader's language; one that is not known reads as itself."""
    return str(FIELDS.get(field, field))


def field_labels(fields: Iterable[str]) -> str:
    """Several names in a row."""
    return vocabulary.in_a_row([field_label(field) for field in fields])


def field_value(field: str, value: Any) -> str:
    """A value of ``snapshot_of`` in words; empty where there is none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return gettext("%(input)s in, %(cached)s cached, %(output)s out, %(request)s per call") % {
            "input": _per_million(value["input_millitokens"]),
            "cached": _per_million(value["cached_input_millitokens"]),
            "output": _per_million(value["output_millitokens"]),
            "request": _per_million(value["request_millitokens"]),
        }
    if field == "region":
        return vocabulary.region_label(value)
    if field == "country":
        return vocabulary.country_label(value)
    if field == "quantisation":
        return vocabulary.label_of(vocabulary.QUANTISATIONS, value)
    if field == "cut_stream_billing" and value in CutStreamBilling.values:
        return str(CutStreamBilling(value).label)
    return str(value)


def _per_million(millitokens: int) -> str:
    """Millitokens per token are thousandths of a wallet token: 800 reads "0.800"."""
    return str(Decimal(millitokens).scaleb(-3))
