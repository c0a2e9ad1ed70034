"""What accounts needs from rooms above it, which it must not import: they fill these slots.

``portal.web`` does so when it starts (``AppConfig.ready``). An empty slot answers with nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import ApiKey, Organisation


@dataclass(frozen=True, kw_only=True)
class ServiceChoice:
    """A service that a key can be confined to: its public id, and how people know it."""

    public_id: str
    label: str
    # False: a key that was confined to it still shows its name, but no new one can be.
    offered: bool = True


# By the rules of policies that are lists, (code, label) of all that services declare.
ListPolicyChoices = Callable[[], Mapping[str, Sequence[tuple[str, str]]]]
# (policies as ``apply_policies`` gives them, unit): how many connected services of all pass.
CountPermitted = Callable[[Any, str], tuple[int, int]]
ListServices = Callable[[], Sequence[ServiceChoice]]
# Millitokens spent in this month so far, by the key's public id; keys may be missing.
SpendByKey = Callable[[Organisation, Sequence[ApiKey]], Mapping[str, int]]
# (organisation, the verified owner's address, now); runs inside the verifying transaction.
OnVerified = Callable[[Organisation, str, datetime], object]


@dataclass
class Hooks:
    """The slots, one function each."""

    list_services: ListServices = tuple
    list_policy_choices: ListPolicyChoices = dict
    count_permitted: CountPermitted = lambda _policies, _unit: (0, 0)
    spend_by_key: SpendByKey = lambda _organisation, _keys: {}
    on_verified: OnVerified = lambda _organisation, _email, _now: None


hooks = Hooks()
