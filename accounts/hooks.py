"""What accounts needs from rooms above it, which it must not import: they fill these slots.

``portal.web`` does so when it starts (``AppConfig.ready``). An empty slot answers with nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import ApiKey, Organisation


@dataclass(frozen=True, kw_only=True)
class ServiceChoice:
    """A service that a key can be confined to: its public id, and how people know it."""

    public_id: str
    label: str
    # False: a key that was confined to it still shows its name, but no new one can be.
    offered: bool = True


ListServices = Callable[[], Sequence[ServiceChoice]]
# Millitokens spent in this month so far, by the key's public id; keys may be missing.
SpendByKey = Callable[[Organisation, Sequence[ApiKey]], Mapping[str, int]]
# (organisation, the verified owner's address, now); runs inside the verifying transaction.
OnVerified = Callable[[Organisation, str, datetime], object]


@dataclass
class Hooks:
    """The slots, one function each."""

    list_services: ListServices = tuple
    spend_by_key: SpendByKey = lambda _organisation, _keys: {}
    on_verified: OnVerified = lambda _organisation, _email, _now: None


hooks = Hooks()
