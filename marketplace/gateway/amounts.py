"""Millitokens as the gateway writes them: exact, never through a float."""

import orjson

_TOKENS = 3
_CURRENCY = 9


def tokens_text(millitokens: int) -> str:
    """Wallet tokens as a decimal string: 850 millitokens are "0.85"."""
    return _shift(millitokens, _TOKENS)


def currency_text(millitokens: int) -> str:
    """Units of the tariff currency as a decimal string: 850 millitokens are "0.00000085"."""
    return _shift(millitokens, _CURRENCY)


def currency_number(millitokens: int) -> orjson.Fragment:
    """The same as a JSON number with all its digits."""
    return orjson.Fragment(currency_text(millitokens))


def _shift(millitokens: int, places: int) -> str:
    whole, rest = divmod(abs(millitokens), 10**places)
    text = f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return f"-{text}" if millitokens < 0 else text
