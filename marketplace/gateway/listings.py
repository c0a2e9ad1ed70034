"""What a key may call and what its wallet holds, in OpenAI's and OpenRouter's shapes."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.pricing import PriceSnapshot
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.amounts import currency_number, currency_text, tokens_text
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.policies import list_permitted
from marketplace.ledger import selectors as ledger
from portal.kernel.clock import utc_now

_OUTPUTS = {"chat": "text", "embedding": "embeddings"}


def list_models(key: AuthenticatedKey) -> dict[str, Any]:
    """One entry per model that this key may call, at its cheapest service."""
    cheapest: dict[str, list[CallableService]] = {}
    for service in _list_allowed(key):
        cheapest.setdefault(service.model_handle, []).append(service)
    return {"object": "list", "data": render_models(cheapest)}


def get_model(key: AuthenticatedKey, handle: str) -> dict[str, Any]:
    """A model, or a service by its own id. Raises GatewayRefusal (404)."""
    return render_models({handle: find_services(key, handle)})[0]


def find_services(key: AuthenticatedKey, handle: str) -> list[CallableService]:
    """Those of a model, the cheapest first, or the one of that id. Raises GatewayRefusal (404)."""
    services = [s for s in _list_allowed(key) if handle in (s.model_handle, s.handle)]
    if not services:
        raise GatewayRefusal(
            404,
            "model_not_found",
            _("There is no model or service “%(model)s” here. GET /v1/models lists them."),
            values={"model": handle},
            param="model",
        )
    return services


def get_credits(key: AuthenticatedKey) -> dict[str, Any]:
    """What is left: OpenRouter's totals in the tariff currency, and ours in wallet tokens.

    ``paid`` and ``granted`` (bonus included) are what is left of lots that were paid for and of
    those that were not; together they are ``posted``. A call can spend ``spendable``: ``posted``
    less what running calls hold; nothing while the wallet is frozen.
    """
    balance = ledger.get_balance(owner_key=key.organisation_public_id, unit=key.kind)
    lots = ledger.list_lots(owner_key=key.organisation_public_id, unit=key.kind)
    paid = sum(lot.remaining_millitokens for lot in lots if lot.kind == "paid")
    return {
        "data": {
            "total_credits": currency_number(balance.posted),
            "total_usage": 0,
            "unit": key.kind,
            "posted": tokens_text(balance.posted),
            "held": tokens_text(balance.held),
            "spendable": tokens_text(balance.spendable),
            "paid": tokens_text(paid),
            "granted": tokens_text(balance.posted - paid),
        }
    }


def _list_allowed(key: AuthenticatedKey) -> list[CallableService]:
    services = catalog.list_callable_services(unit=key.kind, now=utc_now())
    return list_permitted([service for service in services if service.is_connected], key)


def render_models(models: Mapping[str, list[CallableService]]) -> list[dict[str, Any]]:
    """By the id to show: services that all serve that model, the cheapest first."""
    facts = catalog.get_model_facts({services[0].model_handle for services in models.values()})
    return [
        _render(handle, services, facts[services[0].model_handle])
        for handle, services in models.items()
    ]


def _render(
    handle: str, services: list[CallableService], facts: catalog.ModelFacts
) -> dict[str, Any]:
    cheapest = services[0]
    # What any of them supports: calls go to those that do what is asked for.
    parameters = {name: None for service in services for name in service.supported_parameters}
    return {
        "id": handle,
        "object": "model",
        "created": facts.created,
        "owned_by": cheapest.model_handle.partition("/")[0],
        "name": cheapest.model_name,
        "description": facts.description,
        "context_length": max(service.context_length for service in services),
        "architecture": {
            "input_modalities": list(cheapest.input_modalities) or ["text"],
            "output_modalities": list(facts.output_modalities) or [_OUTPUTS[cheapest.modality]],
            "tokenizer": cheapest.tokenizer or "Other",
        },
        **render_prices(cheapest.price),
        "top_provider": {**render_limits(cheapest), "is_moderated": False},
        "supported_parameters": list(parameters),
    }


def render_limits(service: CallableService) -> dict[str, Any]:
    """In model tokens."""
    return {
        "context_length": service.context_length,
        "max_completion_tokens": service.max_output_tokens if service.modality == "chat" else None,
    }


def render_prices(price: PriceSnapshot) -> dict[str, Any]:
    """Per model token, in the tariff currency and in wallet tokens."""
    return {
        "pricing": _render_price(price, currency_text),
        "pricing_tokens": _render_price(price, tokens_text),
    }


def _render_price(price: PriceSnapshot, write: Any) -> dict[str, str]:
    return {
        "prompt": write(price.input_millitokens),
        "completion": write(price.output_millitokens),
        "input_cache_read": write(price.cached_input_millitokens),
        "request": write(price.request_millitokens),
    }
