"""Writes of the partners room, by topic: signing keys, grants, holds, reported usage."""

from marketplace.partners.services.grants import IssuedGrant, issue_grant, read_grant
from marketplace.partners.services.hold_refusals import HoldKeyReused
from marketplace.partners.services.holds import (
    DirectHold,
    extend_direct_hold,
    get_direct_call,
    place_direct_hold,
    release_direct_hold,
)
from marketplace.partners.services.signing_keys import list_published_keys, rotate_signing_key
from marketplace.partners.services.usage_answers import UsageAnswer, UsageReport
from marketplace.partners.services.usage_reports import report_usage
from marketplace.partners.services.wishes import Wish

__all__ = [
    "DirectHold",
    "HoldKeyReused",
    "IssuedGrant",
    "UsageAnswer",
    "UsageReport",
    "Wish",
    "extend_direct_hold",
    "get_direct_call",
    "issue_grant",
    "list_published_keys",
    "place_direct_hold",
    "read_grant",
    "release_direct_hold",
    "report_usage",
    "rotate_signing_key",
]
