"""The services of one model with how they are doing, in OpenRouter's shape."""

from typing import Any

from accounts.services import AuthenticatedKey
from marketplace.catalog.selectors import CallableService
from marketplace.gateway import listings
from marketplace.gateway.health import Health

# OpenRouter's numbers: 0 is well, the lower the worse.
_STATUSES = {"normal": 0, "degraded": -1, "fallback_only": -2, "resting": -3}


def list_endpoints(key: AuthenticatedKey, handle: str, health: Health) -> dict[str, Any]:
    """Each service that the key may call, cheapest first. Raises GatewayRefusal (404).

    What is measured comes from this process's own calls of about the last half hour, and is None
    while there were too few to tell.
    """
    services = listings.find_services(key, handle)
    model = listings.render_models({handle: services})[0]
    about = {name: model[name] for name in ("id", "name", "created", "description", "architecture")}
    return {"data": {**about, "endpoints": [_render(service, health) for service in services]}}


def _render(service: CallableService, health: Health) -> dict[str, Any]:
    seen = health.describe(service.service_pk)
    return {
        "name": f"{service.provider_name} | {service.model_handle}",
        "tag": service.provider_slug,
        "service": service.handle,
        "model_name": service.model_name,
        "provider_name": service.provider_name,
        "quantization": service.quantisation or None,
        **listings.render_limits(service),
        **listings.render_prices(service.price),
        "supported_parameters": list(service.supported_parameters),
        "status": _STATUSES[seen.status],
        "uptime_last_30m": seen.uptime,
        "latency_last_30m": _name_percentiles(seen.latency_ms),
        "throughput_last_30m": _name_percentiles(seen.throughput),
    }


def _name_percentiles(values: dict[int, float] | None) -> dict[str, float] | None:
    return None if values is None else {f"p{percent}": each for percent, each in values.items()}
