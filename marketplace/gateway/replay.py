"""``Idempotency-Key``: a request that is sent again gets the first one's answer and costs nothing.

Whole answers only. A stream is answered as without the header, and says so.
"""

from collections.abc import Awaitable, Callable

import orjson
import structlog
from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.gateway.amounts import tokens_text
from marketplace.gateway.claims import Claim, make_claim
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange, Headers
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.running import Gateway
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id

logger = structlog.get_logger(__name__)

Run = Callable[[Gateway, Exchange, AuthenticatedKey, CallRequest], Awaitable[None]]

HEADER = b"idempotency-key"
_SAYS = b"x-tokenworks-idempotency"
_LONGEST_NAME = 255


async def run_once(
    run: Run,
    gateway: Gateway,
    exchange: Exchange,
    key: AuthenticatedKey,
    request: CallRequest,
    *,
    body: bytes,
) -> None:
    """Run the call, or answer as the earlier one with its idempotency key. Raises GatewayRefusal:
    400 for a key that is none, 422 for another request's, 409 for one without an answer."""
    name = exchange.headers[HEADER]
    if request.stream:
        exchange.answer_headers.append((_SAYS, b"unsupported"))
        return await run(gateway, exchange, key, request)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise GatewayRefusal(
            400,
            "invalid_value",
            _("Idempotency-Key must have 1 to %(most)s characters."),
            param="Idempotency-Key",
            values={"most": _LONGEST_NAME},
        )
    claim = make_claim(
        key,
        key_text=exchange.headers[b"authorization"].partition(b" ")[2].strip(),
        name=name,
        path=exchange.path.rstrip("/"),
        body=body,
        call_id=new_public_id("call"),
    )
    earlier = await gateway.database.write(
        metering.claim_answer,
        key=key,
        name_digest=claim.name_digest,
        request_hash=claim.request_hash,
        call_id=claim.call_id,
        now=utc_now(),
    )
    if earlier is not None:
        return await _repeat(exchange, claim, earlier)
    exchange.claim = claim
    try:
        await run(gateway, exchange, key, request)
    finally:
        if not claim.spent:
            await _give_back(gateway, claim)


async def keep(
    gateway: Gateway, claim: Claim, call_id: str, answer: object, headers: Headers
) -> None:
    """Before the answer is sent, so that whoever lost it finds it. What cannot be kept is sent all
    the same: a repeat is then told of the call."""
    plain = {"headers": [[n.decode(), v.decode()] for n, v in headers], "answer": answer}
    try:
        await gateway.database.write_surely(
            metering.keep_answer,
            claim_id=claim.call_id,
            key_line=claim.key.cap_subject,
            name_digest=claim.name_digest,
            call_id=call_id,
            sealed=claim.seal(orjson.dumps(plain)),
            now=utc_now(),
        )
    except Exception:
        logger.exception("answer_not_kept", call=call_id)


async def _repeat(exchange: Exchange, claim: Claim, earlier: metering.Earlier) -> None:
    if earlier.state == "other":
        raise GatewayRefusal(
            422,
            "idempotency_mismatch",
            _("Another request was sent with this Idempotency-Key. Nothing was charged."),
            param="Idempotency-Key",
        )
    if earlier.state == "running":
        raise GatewayRefusal(
            409,
            "idempotency_in_progress",
            _("The first request with this Idempotency-Key is still running. Nothing was charged "
              "for this one; try again soon."),
            param="Idempotency-Key",
            retry_after_seconds=1,
        )  # fmt: skip
    plain = claim.unseal(earlier.sealed) if earlier.state == "answered" else None
    if plain is None:
        raise _refuse_gone(earlier)
    kept = orjson.loads(plain)
    headers = [(name.encode(), value.encode()) for name, value in kept["headers"]]
    await exchange.send_json(200, kept["answer"], [*headers, (_SAYS, b"replayed")])


def _refuse_gone(earlier: metering.Earlier) -> GatewayRefusal:
    return GatewayRefusal(
        409,
        "idempotency_key_used",
        _("A request with this Idempotency-Key was made before; its answer is not kept (any more). "
          "Its call %(call)s cost %(cost)s tokens. Nothing was charged for this one."),
        param="Idempotency-Key",
        values={"call": earlier.call_id, "cost": tokens_text(earlier.cost_millitokens)},
        headers=[
            (b"x-should-retry", b"false"),
            (b"x-tokenworks-call", earlier.call_id.encode()),
            (b"x-tokenworks-cost", tokens_text(earlier.cost_millitokens).encode()),
        ],
    )  # fmt: skip


async def _give_back(gateway: Gateway, claim: Claim) -> None:
    await gateway.database.write_surely(
        metering.give_back_claim,
        claim_id=claim.call_id,
        key_line=claim.key.cap_subject,
        name_digest=claim.name_digest,
    )
