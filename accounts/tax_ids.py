"""Tax ids: VAT numbers of the European Union and Chinese credit codes are checked, others taken.

The check is of the form (length, characters, check digits); whether a number was ever given out
only its authority knows. Ids of other countries are kept as they were typed.
"""

from collections.abc import Callable

from stdnum.cn import uscc
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

EU_COUNTRIES = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
)
# Greece alone has another prefix than its country code.
_VAT_PREFIXES = {"GR": "EL"}


class TaxIdWrong(ValueError):
    """Not a tax id of this country."""


def clean_tax_id(text: str, *, country: str) -> str:
    """The id as its authority writes it: no spaces or dots, letters large, the VAT prefix on.

    ``country`` is an ISO 3166 code or empty. Raises TaxIdWrong.
    """
    if not text.strip():
        return ""
    if country == "CN":
        return _validated(uscc.validate, text)
    if country in EU_COUNTRIES:
        return _clean_vat_number(text, prefix=_VAT_PREFIXES.get(country, country))
    return text.strip()


def _clean_vat_number(text: str, *, prefix: str) -> str:
    """With its prefix or without: a French key of two letters may look like one, so both count."""
    try:
        if text.strip().upper().startswith(prefix):
            return _validated(vat.validate, text)
    except TaxIdWrong:
        pass
    return _validated(vat.validate, prefix + text.strip())


def _validated(validate: Callable[[str], str], text: str) -> str:
    try:
        return validate(text)
    except ValidationError as error:
        raise TaxIdWrong(text) from error
