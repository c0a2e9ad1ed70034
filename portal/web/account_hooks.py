"""What accounts shows and sets off in other rooms (accounts.hooks)."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from accounts.hooks import ServiceChoice, hooks
from accounts.models import ApiKey, KeyKind, Organisation
from marketplace.catalog import selectors as catalog
from marketplace.metering import selectors as metering
from portal.kernel.clock import utc_now
from portal.web.join import welcome_organisation
from portal.web.policy_hooks import count_permitted, list_policy_choices


def connect_accounts() -> None:
    """Called once, when the application starts."""
    hooks.list_services = _list_services
    hooks.list_policy_choices = list_policy_choices
    hooks.count_permitted = count_permitted
    hooks.spend_by_key = _get_spend_by_key
    hooks.on_verified = welcome_organisation


def _list_services() -> Sequence[ServiceChoice]:
    """Live and test services; sample listings cannot be called until they are connected."""
    now = utc_now()
    return [
        ServiceChoice(
            public_id=service.public_id,
            label=f"{service.model_name} · {service.provider_name} ({service.handle})",
            offered=service.is_connected,
        )
        for unit in ("live", "test")
        for service in catalog.list_callable_services(unit=unit, now=now)
    ]


def _get_spend_by_key(organisation: Organisation, keys: Sequence[ApiKey]) -> Mapping[str, int]:
    """This month so far, in the organisation's time zone, from the rolled-up totals."""
    today = utc_now().astimezone(ZoneInfo(organisation.timezone)).date()
    spend = {key.public_id: 0 for key in keys if key.kind != KeyKind.PROVIDER}
    for unit in sorted({str(key.kind) for key in keys if key.kind != KeyKind.PROVIDER}):
        report = metering.get_usage(
            organisation, start_on=today.replace(day=1), end_on=today, group_by="key", unit=unit
        )
        for group in report.groups:
            if group.key in spend:
                spend[group.key] += group.cost_millitokens
    return spend
