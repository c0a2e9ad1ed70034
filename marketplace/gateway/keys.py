"""Whose call it is: keys from the Authorization header, remembered for a few seconds.

Only what a key is gets remembered, by the digest of its text; its cap and its wallet's freeze are
looked at on every call, and a suspension is noticed within ``GATEWAY_KEY_CACHE_SECONDS``.
"""

import hashlib
import time
from collections import OrderedDict

from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.services import AuthenticatedKey
from marketplace.gateway.database import Database
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange
from marketplace.gateway.origins import check_origin
from marketplace.gateway.places import check_place
from portal.kernel.clock import utc_now

SCOPE = "inference"
_MOST_REMEMBERED = 10_000
_LONGEST_KEY = 200
_NOTED_SECONDS = 60.0


class KeyRing:
    """The keys that were seen lately, at most ten thousand."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._seen: OrderedDict[bytes, tuple[float, AuthenticatedKey]] = OrderedDict()
        self._noted: dict[int, float] = {}

    async def authenticate(self, exchange: Exchange) -> AuthenticatedKey:
        """The key of a ``Bearer`` header, fit for calls from where this one comes.

        Raises GatewayRefusal (401, 403).
        """
        scheme, _space, secret = exchange.headers.get(b"authorization", b"").partition(b" ")
        text = secret.strip()
        if scheme.lower() != b"bearer" or not text:
            raise _refuse("missing_api_key", _("Send your key as: Authorization: Bearer tw_live_…"))
        if len(text) > _LONGEST_KEY:
            raise _refuse_unknown()
        digest = hashlib.sha256(text).digest()
        expires_at, key = self._seen.get(digest, (0.0, None))
        if key is None or time.monotonic() >= expires_at:
            key = await self._look_up(digest, text)
        _refuse_unfit(key)
        check_place(exchange, key)
        check_origin(exchange, key)
        return key

    def is_note_due(self, key: AuthenticatedKey) -> bool:
        """Whether its use was not written down for a minute."""
        noted_at = self._noted.get(key.key_id, -_NOTED_SECONDS)
        return key.touch_due and time.monotonic() - noted_at >= _NOTED_SECONDS

    async def note_use(self, key: AuthenticatedKey) -> None:
        """Write down that the key was used, once a minute; outside of the call."""
        if not self.is_note_due(key):
            return
        if len(self._noted) >= _MOST_REMEMBERED:
            self._noted.clear()
        self._noted[key.key_id] = time.monotonic()
        await self._database.write(accounts.touch_api_key, key_pk=key.key_id, now=utc_now())

    async def _look_up(self, digest: bytes, text: bytes) -> AuthenticatedKey:
        # The clock starts before the question, so that nothing is believed for longer.
        asked_at = time.monotonic()
        key = await self._database.read(
            accounts.authenticate_api_key, text=text.decode("latin-1"), now=utc_now()
        )
        if key is None:
            self._seen.pop(digest, None)
            raise _refuse_unknown()
        self._seen[digest] = (asked_at + self._seconds, key)
        self._seen.move_to_end(digest)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return key


def _refuse_unfit(key: AuthenticatedKey) -> None:
    if key.status == "suspended":
        raise _refuse("api_key_suspended", _("This key is suspended. Resume it in the portal."))
    if key.status == "expired":
        raise _refuse("api_key_expired", _("This key has expired. Create a new one in the portal."))
    if key.status != "ok":
        raise _refuse("api_key_revoked", _("This key was revoked. Create a new one in the portal."))
    if SCOPE not in key.scopes:
        raise GatewayRefusal(
            403, "insufficient_scope", _("This key may not call models: it lacks that scope.")
        )


def _refuse_unknown() -> GatewayRefusal:
    # The client keeps what it sent: a key is never echoed.
    return _refuse("invalid_api_key", _("There is no such key. Check that you copied all of it."))


def _refuse(code: str, message: object) -> GatewayRefusal:
    return GatewayRefusal(401, code, message)  # type: ignore[arg-type]
