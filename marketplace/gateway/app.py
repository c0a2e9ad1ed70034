"""The gateway's ASGI application: ``/v1`` beside Django, without a Django view.

A call: ``serve`` finds the route, ``_call`` reads key and body, ``completing`` or ``streaming``
open it (``calls``: choice of service, hold), ask the provider (``upstream``), and close it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

import structlog
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.translation import gettext_lazy as _

from marketplace.gateway import listings, lookups, replay, requests
from marketplace.gateway.completing import complete
from marketplace.gateway.completions import parse_completions
from marketplace.gateway.endpoints import list_endpoints
from marketplace.gateway.errors import GatewayRefusal, refuse_domain, refuse_unexpected
from marketplace.gateway.exchange import ClientGone, Exchange, Receive, Scope, Send
from marketplace.gateway.orderly_stop import OrderlyStop
from marketplace.gateway.preferences import NO_ROUTING, read_routing
from marketplace.gateway.responses.request import parse_responses
from marketplace.gateway.running import Gateway
from marketplace.gateway.streaming import stream
from marketplace.gateway.wishes import NO_WISHES, read_wishes
from marketplace.ledger import services as ledger
from portal.kernel.errors import DomainError

logger = structlog.get_logger(__name__)

Handler = Callable[[Gateway, Exchange], Awaitable[None]]
_MODELS = "/v1/models"


class GatewayApplication:
    """One per process; its resources belong to the event loop that serves."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        stop = OrderlyStop(self._get_gateway().finish_calls)
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                stop.listen()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                stop.forget()
                if self._gateway is not None:
                    gateway, self._gateway = self._gateway, None
                    await gateway.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _get_gateway(self) -> Gateway:
        # Made on first use too: some servers and test clients know no lifespan.
        if self._gateway is None:
            self._gateway = Gateway()
        return self._gateway

    async def _serve(self, exchange: Exchange) -> None:
        gateway = self._get_gateway()
        work = gateway.start_request(_answer(gateway, exchange))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # The server gave up the connection. An opened call is still brought to its end.
            exchange.leave()
            raise


async def _answer(gateway: Gateway, exchange: Exchange) -> None:
    """Every outcome of a request, as an answer."""
    try:
        _check_host(exchange)
        gateway.admit()
        if not await gateway.origins.greet(exchange):
            await _route(exchange)(gateway, exchange)
    except ClientGone:
        return
    except GatewayRefusal as refusal:
        await _refuse(exchange, refusal)
    except DomainError as error:
        await _refuse(exchange, refuse_domain(error))
    except Exception:
        logger.exception("gateway_error", request_id=exchange.request_id)
        await _refuse(exchange, refuse_unexpected())
    finally:
        exchange.close()


async def _refuse(exchange: Exchange, refusal: GatewayRefusal) -> None:
    if refusal.status >= 500:
        logger.warning("gateway_refusal", code=refusal.code, request_id=exchange.request_id)
    # An answer that has begun is broken off by saying no more.
    if not exchange.answer_started:
        await exchange.send_refusal(refusal)


def _check_host(exchange: Exchange) -> None:
    if not _is_ours(exchange.headers.get(b"host", b""), tuple(settings.ALLOWED_HOSTS)):
        raise GatewayRefusal(400, "invalid_host", _("This server is not called by that name."))


@lru_cache(maxsize=256)
def _is_ours(host: bytes, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, allowed)


def _route(exchange: Exchange) -> Handler:
    """Raises GatewayRefusal: 404 for an unknown path, 405 for the wrong method."""
    path = exchange.path.rstrip("/")
    method, handler = _ROUTES.get(path, ("", _show_model))
    if not method and path.startswith(f"{_MODELS}/"):
        method = "GET"
    if not method:
        raise GatewayRefusal(
            404,
            "unknown_url",
            _("There is nothing at %(method)s %(path)s."),
            values={"method": exchange.method, "path": path[:200]},
        )
    if exchange.method != method:
        raise GatewayRefusal(
            405,
            "method_not_allowed",
            _("Use %(method)s for this address."),
            values={"method": method},
            headers=[(b"allow", method.encode())],
        )
    return handler


async def _list_models(gateway: Gateway, exchange: Exchange) -> None:
    key = await gateway.keys.authenticate(exchange)
    await exchange.send_json(200, await gateway.database.read(listings.list_models, key))


async def _show_model(gateway: Gateway, exchange: Exchange) -> None:
    key = await gateway.keys.authenticate(exchange)
    # Ids contain a slash; a client may send it escaped, and a server may leave it so.
    handle = unquote(exchange.path.removeprefix(f"{_MODELS}/")).rstrip("/")
    name = handle.removesuffix("/endpoints")
    if name != handle:
        found = await gateway.database.read(list_endpoints, key, name, gateway.health)
    else:
        found = await gateway.database.read(listings.get_model, key, handle)
    await exchange.send_json(200, found)


async def _show_credits(gateway: Gateway, exchange: Exchange) -> None:
    key = await gateway.keys.authenticate(exchange)
    await exchange.send_json(200, await gateway.database.read(listings.get_credits, key))


async def _show_key(gateway: Gateway, exchange: Exchange) -> None:
    key = await gateway.keys.authenticate(exchange)
    await exchange.send_json(200, await gateway.database.read(lookups.get_key, key))


async def _show_generation(gateway: Gateway, exchange: Exchange) -> None:
    key = await gateway.keys.authenticate(exchange)
    query = exchange.scope["query_string"]
    await exchange.send_json(200, await gateway.database.read(lookups.get_generation, key, query))


async def _chat(gateway: Gateway, exchange: Exchange) -> None:
    await _call(gateway, exchange, requests.parse_chat)


async def _continue(gateway: Gateway, exchange: Exchange) -> None:
    await _call(gateway, exchange, parse_completions)


async def _respond(gateway: Gateway, exchange: Exchange) -> None:
    await _call(gateway, exchange, parse_responses)


async def _embed(gateway: Gateway, exchange: Exchange) -> None:
    await _call(gateway, exchange, requests.parse_embeddings)


async def _call(
    gateway: Gateway, exchange: Exchange, parse: Callable[..., requests.CallRequest]
) -> None:
    """Key first, so that a stranger's body is not even read.

    Before it the ledger's guards, so that a call that could not be booked writes nothing at all.
    """
    ledger.refuse_when_unguarded()
    key = await gateway.keys.authenticate(exchange)
    if gateway.keys.is_note_due(key):
        gateway.start(gateway.keys.note_use(key))
    with gateway.budget.share() as share:
        body = await exchange.read_body(
            most_bytes=settings.GATEWAY_MAX_BODY_BYTES,
            seconds=settings.GATEWAY_BODY_SECONDS,
            share=share,
        )
        value = requests.read_json(body, most_depth=settings.GATEWAY_MAX_JSON_DEPTH)
        routing = read_routing(value)
        if routing.models:
            value["model"] = routing.models[0].name
        request = parse(value, body_bytes=len(body))
        wishes = read_wishes(value, exchange.headers)
        if wishes is not NO_WISHES or routing is not NO_ROUTING:
            request = replace(request, wishes=wishes, routing=routing)
        exchange.watch()
        run = stream if request.stream else complete
        async with gateway.rates.admit(exchange, key, request):
            if replay.HEADER in exchange.headers:
                await replay.run_once(run, gateway, exchange, key, request, body=body)
            else:
                await run(gateway, exchange, key, request)


_ROUTES: dict[str, tuple[str, Handler]] = {
    "/v1/chat/completions": ("POST", _chat),
    "/v1/completions": ("POST", _continue),
    "/v1/responses": ("POST", _respond),
    "/v1/embeddings": ("POST", _embed),
    _MODELS: ("GET", _list_models),
    "/v1/credits": ("GET", _show_credits),
    "/v1/key": ("GET", _show_key),
    "/v1/generation": ("GET", _show_generation),
}

application = GatewayApplication()
