"""Calls that are answered as a whole: embeddings, and text that is not streamed."""

from accounts.services import AuthenticatedKey
from marketplace.gateway import answers
from marketplace.gateway.calls import Ending, RunningCall
from marketplace.gateway.errors import refuse_failure
from marketplace.gateway.exchange import ClientGone, Exchange, Share
from marketplace.gateway.replay import keep
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.running import Attempts, CallClosing, Gateway
from marketplace.gateway.voices.registry import voice_of
from marketplace.upstream.failures import UpstreamCutShort, UpstreamFailure
from marketplace.upstream.patience import Patience
from marketplace.upstream.usage import parse_usage


async def complete(
    gateway: Gateway, exchange: Exchange, key: AuthenticatedKey, request: CallRequest
) -> None:
    """Answer with what the first service delivers that can. Raises GatewayRefusal, ClientGone."""
    attempts = Attempts(gateway, exchange, key, request)
    while True:
        call = await attempts.open()
        try:
            with gateway.budget.share() as share:
                return await _try(gateway, exchange, call, share)
        except UpstreamFailure as failure:
            if not attempts.worth_another(failure):
                raise refuse_failure(failure) from failure


async def _try(gateway: Gateway, exchange: Exchange, call: RunningCall, share: Share) -> None:
    """One service's answer, charged and sent. Whoever leaves before it is there pays nothing."""
    voice = voice_of(call.request)
    seconds = gateway.upstream.limits.bound_whole_answer(
        prompt_tokens=call.opened.prompt_tokens, completion_tokens=call.most_tokens
    )
    patience = Patience(seconds)
    recount = gateway.recounter.begin(call)
    async with CallClosing(gateway, call) as closing:
        exchange.on_gone = patience.give_up
        try:
            if exchange.gone:
                raise UpstreamCutShort
            answer = await gateway.upstream.complete(
                call.service,
                voice.path,
                voice.shape(call),
                patience=patience,
                on_bytes=share.take,
            )
            parts = voice.read_parts(answer)
            written = voice.write(answer, call)
            if exchange.gone:
                raise UpstreamCutShort
        except UpstreamCutShort as error:
            await closing.close(
                Ending(status="client_disconnected", duration_ms=closing.elapsed_ms)
            )
            raise ClientGone from error
        recount.add(parts)
        usage = await recount.fill_in(
            parse_usage(
                answer.get("usage"),
                most_prompt_tokens=call.opened.prompt_tokens,
                most_completion_tokens=call.most_tokens,
            )
        )
        if exchange.claim:
            exchange.claim.spent = True
        closed = await closing.close(
            Ending(
                status="succeeded",
                usage=usage,
                finish_reason=answers.read_finish_reason(parts),
                upstream_id=str(answer.get("id") or ""),
                duration_ms=closing.elapsed_ms,
            )
        )
    written["usage"] = voice.render_usage(usage, closed)
    headers = [*call.headers, *closed.headers]
    if exchange.claim:
        await keep(gateway, exchange.claim, call.opened.public_id, written, headers)
    await exchange.send_json(200, written, headers)
    recount.finish(usage, closed)
