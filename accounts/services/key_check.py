"""The hot path of keys: from the text of a credential to what it may do, in one query."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from django.db import connection
from django.db.models import Q

from accounts.models import ApiKey
from accounts.services.client_address import Address
from accounts.services.policies import NO_POLICIES, AppliedPolicies, apply_policies

KeyStatus = Literal["ok", "suspended", "revoked", "expired"]

# 43 characters of base 62 hold 256 random bits; the first ten are public.
SECRET_LENGTH = 43
PUBLIC_LENGTH = 10
TOUCH_EVERY = timedelta(minutes=1)

_SHAPE = re.compile(rf"tw_(?:live|test|provider)_[0-9A-Za-z]{{{SECRET_LENGTH}}}", re.ASCII)
_UNKNOWN_DIGEST = hashlib.sha256(b"no such key").hexdigest()
_QUERY = """
    SELECT k.digest, k.id, k.public_id, k.kind, k.scopes, k.cap_millitokens, k.cap_period,
           k.cap_subject, k.allowed_services, k.created_by_id, o.id, o.public_id, o.slug,
           o.timezone, k.requests_per_minute, k.tokens_per_minute, k.allowed_networks,
           k.allowed_origins, o.policy, k.policy,
           CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                WHEN k.expires_at <= %s THEN 'expired'
                WHEN k.suspended_at IS NOT NULL OR NOT u.is_active OR m.id IS NULL
                     THEN 'suspended'
                ELSE 'ok' END,
           CASE WHEN k.last_used_at >= %s THEN 0 ELSE 1 END
      FROM accounts_apikey k JOIN accounts_organisation o ON o.id = k.organisation_id
      JOIN accounts_user u ON u.id = k.created_by_id
      LEFT JOIN accounts_membership m
        ON m.organisation_id = k.organisation_id AND m.user_id = k.created_by_id
     WHERE k.prefix = %s
"""


@dataclass(frozen=True, slots=True)
class AuthenticatedKey:
    """What a key is and may do, without the ORM. Holds no secret; safe to keep for seconds.

    ``key_id`` and ``…_pk`` are primary keys. ``cap_millitokens`` None means no cap, an empty
    ``allowed_services`` all services. Only ``status == "ok"`` opens a door; the keys of
    somebody who is barred, or no member any more, count as suspended.
    """

    key_id: int
    key_public_id: str
    kind: str
    scopes: frozenset[str]
    cap_millitokens: int | None
    cap_period: str
    # Limits of the cap are counted under this id: it stays the same through rotations.
    cap_subject: str
    allowed_services: frozenset[str]
    member_pk: int
    organisation_pk: int
    organisation_public_id: str
    organisation_slug: str
    organisation_timezone: str
    status: KeyStatus
    # Whether ``touch_api_key`` has something to do.
    touch_due: bool
    # Per minute; None leaves it to the site's setting. Counted under ``cap_subject``, too.
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    # Where it may be used from: none means everywhere.
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    # Web pages whose browsers may use it: none means no page.
    allowed_origins: frozenset[str] = frozenset()
    # What services must declare before a call goes to them.
    policies: AppliedPolicies = NO_POLICIES

    def admits(self, address: Address | None) -> bool:
        """Whether it may be used from there; an unknown address is nowhere."""
        if not self.allowed_networks:
            return True
        return address is not None and any(address in net for net in self.allowed_networks)


def digest_of(text: str) -> str:
    """SHA-256 in hex; the text has 256 bits of randomness, so no slow hash is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text: str) -> str:
    """The public part of a key: kind and the first characters, as in ``tw_live_8Zk2Pq7LmA``."""
    return text[: len(text) - SECRET_LENGTH + PUBLIC_LENGTH]


def authenticate_api_key(*, text: str, now: datetime) -> AuthenticatedKey | None:
    """Whose key ``text`` is, or None. Look at ``status``: revoked keys are found too.

    The digests are compared in constant time; an unknown prefix costs the same comparison.
    """
    if not _SHAPE.fullmatch(text):
        return None
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, [adapt(now), adapt(now - TOUCH_EVERY), prefix_of(text)])
        row = cursor.fetchone()
    matches = hmac.compare_digest(row[0] if row else _UNKNOWN_DIGEST, digest_of(text))
    if not row or not matches:
        return None
    return AuthenticatedKey(
        key_id=row[1],
        key_public_id=row[2],
        kind=row[3],
        scopes=frozenset(json.loads(row[4])),
        cap_millitokens=row[5],
        cap_period=row[6],
        cap_subject=row[7],
        allowed_services=frozenset(json.loads(row[8])),
        member_pk=row[9],
        organisation_pk=row[10],
        organisation_public_id=row[11],
        organisation_slug=row[12],
        organisation_timezone=row[13],
        requests_per_minute=row[14],
        tokens_per_minute=row[15],
        allowed_networks=tuple(map(ip_network, json.loads(row[16]))),
        allowed_origins=frozenset(json.loads(row[17])),
        policies=apply_policies(organisation=json.loads(row[18]), key=json.loads(row[19])),
        status=row[20],
        touch_due=bool(row[21]),
    )


def touch_api_key(*, key_pk: int, now: datetime) -> None:
    """Note the use, at most once a minute; call it outside the hot path, when ``touch_due``."""
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - TOUCH_EVERY)
    ApiKey.objects.filter(stale, pk=key_pk).update(last_used_at=now)
