"""Streamed text: chunks are passed on as they come, the hold grows with the answer, and the charge
is written before the last chunk names it."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.gateway import answers, calls
from marketplace.gateway.calls import SHORT_OF_TIME, Closed, Ending, RunningCall
from marketplace.gateway.delivery import Delivery
from marketplace.gateway.errors import GatewayRefusal, refuse_failure
from marketplace.gateway.event_stream import EventStream
from marketplace.gateway.exchange import ClientGone, Exchange
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.running import Attempts, CallClosing, Gateway
from marketplace.gateway.voices.interface import Farewell, Speaker
from marketplace.gateway.voices.registry import streamed_voice_of, voice_of
from marketplace.upstream.failures import UpstreamCutShort, UpstreamFailure, UpstreamOverran
from marketplace.upstream.patience import Patience
from marketplace.upstream.usage import NOTHING_DELIVERED, Usage

# Chunks without text that may come before the first token (the role), to be sent with it.
_MOST_EARLY_CHUNKS = 16


async def stream(
    gateway: Gateway, exchange: Exchange, key: AuthenticatedKey, request: CallRequest
) -> None:
    """Stream what the first service delivers that can. Raises GatewayRefusal, ClientGone.

    Another service is tried only while none has delivered a token.
    """
    attempts = Attempts(gateway, exchange, key, request)
    async with EventStream(
        exchange,
        keep_alive_seconds=settings.GATEWAY_KEEPALIVE_SECONDS,
        send_seconds=settings.GATEWAY_SEND_SECONDS,
    ) as events:
        speaker = streamed_voice_of(request).speak(events, request)
        while True:
            try:
                call = await attempts.open()
            except GatewayRefusal as refusal:
                return await speaker.fail(refusal)
            relay = Relay(gateway, exchange, events, speaker, call)
            try:
                return await relay.run()
            except UpstreamFailure as failure:
                if relay.has_output or not attempts.worth_another(failure):
                    return await speaker.fail(refuse_failure(failure))


class Relay:
    """One service's streamed answer on its way to the caller."""

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        events: EventStream,
        speaker: Speaker,
        call: RunningCall,
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._events = events
        self._speaker = speaker
        self._call = call
        self._delivery = Delivery(call)
        self._recount = gateway.recounter.begin(call)
        self._patience = Patience(gateway.upstream.limits.total_seconds)
        self._early: list[dict[str, Any]] = []
        self._first_token_ms: int | None = None
        self._finish_reason = ""
        self._upstream_id = ""
        # What we ended the answer for, if we did.
        self._cut = ""
        self._exhausted = False
        self._can_grow = call.most_tokens > call.held_tokens
        self.has_output = False

    async def run(self) -> None:
        """Raises UpstreamFailure (the call is closed as failed then) or ClientGone."""
        self._exchange.on_gone = self._leave
        async with CallClosing(self._gateway, self._call) as closing:
            whole = await self._read(closing)
            usage = await self._recount.fill_in(self._measure(whole))
            closed = await closing.close(self._end(usage, closing.elapsed_ms))
        if whole:
            self._recount.finish(usage, closed)
        if self._exchange.gone:
            raise ClientGone
        await self._say_goodbye(usage, closed)

    async def _read(self, closing: CallClosing) -> bool:
        """Whether the provider's answer was read to its end."""
        call = self._call
        voice = voice_of(call.request)
        self._events.headers = call.headers
        try:
            if self._exchange.gone:
                raise UpstreamCutShort
            async with self._gateway.upstream.stream(
                call.service, voice.path, voice.shape(call), patience=self._patience
            ) as upstream:
                while not upstream.done:
                    for chunk in await upstream.read():
                        await self._take(chunk, closing)
        except UpstreamCutShort:
            return False
        except UpstreamOverran:
            if not self.has_output:
                raise
            self._cut, self._finish_reason = SHORT_OF_TIME, "length"
            return False
        if not self.has_output or not (self._finish_reason or upstream.said_done):
            raise UpstreamFailure(_("The provider broke off its answer."))
        return True

    async def _take(self, chunk: dict[str, Any], closing: CallClosing) -> None:
        if (reported := chunk.pop("usage", None)) is not None:
            self._delivery.reported_usage = reported
        self._upstream_id = self._upstream_id or str(chunk.get("id") or "")
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return
        size = self._delivery.count(choices)
        self._recount.add(choices)
        if self._cut:
            return
        self._finish_reason = answers.read_finish_reason(choices) or self._finish_reason
        if self._exchange.gone and self.has_output:
            return
        if not self.has_output:
            if not size and not self._finish_reason and len(self._early) < _MOST_EARLY_CHUNKS:
                self._early.append(chunk)
                return
            self.has_output = True
            self._first_token_ms = closing.elapsed_ms
            for early in self._early:
                await self._speaker.say(self._call, early)
        await self._grow()
        if not self._cut:
            await self._speaker.say(self._call, chunk)
            if not self._exchange.gone:
                self._delivery.count_delivered(size)

    async def _grow(self) -> None:
        """Hold more before it is used up; end the answer when nothing more can be held."""
        call, used = self._call, self._delivery.about_tokens
        if self._can_grow and used * 4 >= call.held_tokens * 3:
            left = call.most_tokens - call.held_tokens
            block = min(settings.GATEWAY_ASSUMED_OUTPUT_TOKENS, left)
            # Nearly empty wallets give smaller and smaller blocks.
            while not await self._gateway.database.write(calls.extend_call, call, block):
                block //= 4
                if not block:
                    self._can_grow = False
                    self._exhausted = True
                    call.limited_by = await self._gateway.database.read(calls.name_shortage, call)
                    break
            else:
                self._can_grow = call.most_tokens > call.held_tokens
        if self._exhausted and used > call.held_tokens:
            self._cut, self._finish_reason = call.limited_by, "length"
            self._stop_listening()

    def _leave(self) -> None:
        """The client has gone: before any output the call ends at once, after it by the terms."""
        if self.has_output:
            self._stop_listening()
        else:
            self._patience.give_up()

    def _stop_listening(self) -> None:
        """What was delivered is charged by the provider's count: wait for that, within bounds."""
        free = not self._cut and self._call.service.cut_stream_billing == "nothing"
        limits = self._gateway.upstream.limits
        self._patience.give_up(within_seconds=0.0 if free else limits.drain_seconds)

    def _measure(self, whole: bool) -> Usage:
        nothing_arrived = self._exchange.gone and not self._delivery.delivered_pieces
        if not self.has_output or nothing_arrived:
            return NOTHING_DELIVERED
        if whole and self._delivery.is_complete:
            return self._delivery.charge_whole()
        # Nobody can tell whether who is gone while we stop has left or was cut off by the server:
        # the whole of what was not delivered is for neither to pay.
        full = self._call.service.cut_stream_billing == "full"
        return self._delivery.charge_cut(by_us=bool(self._cut) or (self._gateway.stopping and full))

    def _end(self, usage: Usage, duration_ms: int) -> Ending:
        left_early = self._exchange.gone and not (
            self.has_output and self._finish_reason and self._delivery.is_complete
        )
        return Ending(
            status="client_disconnected" if left_early else "succeeded",
            usage=usage,
            finish_reason=self._finish_reason,
            upstream_id=self._upstream_id,
            first_token_ms=self._first_token_ms,
            duration_ms=duration_ms,
        )

    async def _say_goodbye(self, usage: Usage, closed: Closed) -> None:
        await self._speaker.end(
            self._call,
            Farewell(
                usage=usage,
                closed=closed,
                finish_reason=self._finish_reason,
                cut=bool(self._cut),
                limited_by=self._cut or answers.name_limit(self._call, self._finish_reason),
            ),
        )
