"""Payment references as ISO 11649 has them: RF, two check digits, and digits of our own.

The check digits find every single wrong digit and every two that were swapped. The rest is random,
so that nobody names another's order by accident or guess.
"""

import re
import secrets

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10

_DIGITS = 12
_NOT_WRITTEN = re.compile(r"[^0-9A-Z]")
_WRITTEN = re.compile(rf"RF[0-9]{{{_DIGITS + 2}}}")


def make_reference() -> str:
    """Without spaces; one of 10^12."""
    body = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
    return f"RF{mod_97_10.calc_check_digits(f'{body}RF')}{body}"


def print_reference(reference: str) -> str:
    """In groups of four, as people copy it."""
    return str(iso11649.format(reference))


def find_references(text: str) -> list[str]:
    """All that stand in a payer's words, whatever was put between their digits."""
    found = _WRITTEN.findall(_NOT_WRITTEN.sub("", text.upper()))
    return list(dict.fromkeys(one for one in found if iso11649.is_valid(one)))
