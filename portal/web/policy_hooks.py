"""What policies can choose from, and what a policy leaves, for accounts.hooks."""

from collections.abc import Mapping, Sequence

from accounts.services import AppliedPolicies
from marketplace.catalog import selectors as catalog
from marketplace.catalog import vocabulary
from marketplace.catalog.selectors import CallableService
from portal.kernel.clock import utc_now


def list_policy_choices() -> Mapping[str, Sequence[tuple[str, str]]]:
    """Code and label of all that live and test services declare, by label."""
    services = _list_services("live") + _list_services("test")
    labels = {
        "regions": {s.region: vocabulary.region_label(s.region) for s in services},
        "countries": {s.country: vocabulary.country_label(s.country) for s in services},
        "licences": {s.licence_spdx: _licence_label(s.licence_spdx) for s in services},
        "providers": {s.provider_public_id: s.provider_name for s in services},
    }
    return {
        name: sorted(((code, label) for code, label in found.items() if code), key=lambda c: c[1])
        for name, found in labels.items()
    }


def count_permitted(policies: AppliedPolicies, unit: str) -> tuple[int, int]:
    """How many of the services that can be called pass, and how many there are."""
    connected = [service for service in _list_services(unit) if service.is_connected]
    return len(catalog.keep_permitted(connected, policies)[0]), len(connected)


def _list_services(unit: str) -> list[CallableService]:
    return catalog.list_callable_services(unit=unit, now=utc_now())


def _licence_label(code: str) -> str:
    licence = vocabulary.get_licence(code)
    return licence.name if licence else code
