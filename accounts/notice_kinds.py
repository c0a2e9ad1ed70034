"""Who is told of what, by which channel, unless they choose otherwise.

What announces that calls stop, that tokens expire or that money was taken without a click stays
in the portal of owners and billing: nobody's choice of years ago may make it silent. A payment
that the market made by itself also goes out by mail, since nobody is looking then. A budget that is
reached stops calls too, so it stays for whoever it stops.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.models import NoticeKind, Role


@dataclass(frozen=True, slots=True)
class Channels:
    """Where one kind reaches a person."""

    in_portal: bool
    by_mail: bool


@dataclass(frozen=True, slots=True)
class KindRule:
    """The lowest role that is told, the defaults, and which channels cannot be switched off."""

    least_role: Role
    defaults: Channels
    always: Channels


_BOTH, _NONE = Channels(True, True), Channels(False, False)
_PORTAL = Channels(True, False)

RULES: Mapping[NoticeKind, KindRule] = {
    NoticeKind.BALANCE_LOW: KindRule(Role.BILLING, _BOTH, _PORTAL),
    NoticeKind.DAYS_LEFT: KindRule(Role.BILLING, _BOTH, _NONE),
    NoticeKind.LOT_EXPIRES: KindRule(Role.BILLING, _BOTH, _PORTAL),
    NoticeKind.BUDGET_REACHED: KindRule(Role.BILLING, _BOTH, _PORTAL),
    NoticeKind.OWN_BUDGET_REACHED: KindRule(Role.MEMBER, _BOTH, _PORTAL),
    NoticeKind.TOP_UP_PAID: KindRule(Role.BILLING, _BOTH, _BOTH),
    NoticeKind.TOP_UP_FAILED: KindRule(Role.BILLING, _BOTH, _PORTAL),
    # The invoice is a mail already.
    NoticeKind.ORDER_PAID: KindRule(Role.BILLING, _PORTAL, _NONE),
    NoticeKind.ORDER_FAILED: KindRule(Role.BILLING, _BOTH, _NONE),
    NoticeKind.REFUND_DECIDED: KindRule(Role.BILLING, _BOTH, _NONE),
    NoticeKind.PURCHASE_ASKED: KindRule(Role.BILLING, _BOTH, _NONE),
    NoticeKind.PURCHASE_DECIDED: KindRule(Role.MEMBER, _BOTH, _NONE),
    NoticeKind.FAPIAO_DECIDED: KindRule(Role.BILLING, _BOTH, _NONE),
    NoticeKind.WEBHOOK_STOPPED: KindRule(Role.OWNER, _BOTH, _PORTAL),
}


def list_kinds(role: str) -> list[NoticeKind]:
    """What somebody of this role is told of and may read, in the order of the pages."""
    rank = Role(role).rank
    return [kind for kind, rule in RULES.items() if rule.least_role.rank <= rank]


def resolve_channels(kind: NoticeKind, chosen: Channels | None) -> Channels:
    """The choice, or the default, with what cannot be switched off."""
    rule = RULES[kind]
    wanted = chosen or rule.defaults
    return Channels(
        wanted.in_portal or rule.always.in_portal, wanted.by_mail or rule.always.by_mail
    )
