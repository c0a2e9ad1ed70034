"""The only door to providers' endpoints: their OpenAI-compatible API, distrusted.

Answers are bounded in size and time, redirects are failures, and whatever a provider sends that
is not what was asked for ends in an ``UpstreamFailure``. No database, no money here.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import structlog
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.selectors import CallableService
from marketplace.upstream.failures import (
    UpstreamBusy,
    UpstreamFailure,
    UpstreamForbade,
    UpstreamRejected,
    UpstreamUnreachable,
)
from marketplace.upstream.nesting import MOST_ANSWER_DEPTH, is_deeper
from marketplace.upstream.patience import Limits, Patience
from marketplace.upstream.sse import EventParser, EventTooLarge
from portal.kernel.logs import redact_text
from portal.kernel.outbound import AddressRefused, open_session, refuse_bad_address

logger = structlog.get_logger(__name__)

CHAT_PATH = "/chat/completions"
COMPLETIONS_PATH = "/completions"
EMBEDDINGS_PATH = "/embeddings"

_CONNECTIONS = 1000
_CONNECTIONS_PER_HOST = 500
_MAX_EVENT_BYTES = 1024 * 1024
_MAX_ERROR_BYTES = 16 * 1024
_MAX_MESSAGE_CHARACTERS = 500
_REJECTIONS = frozenset({400, 413, 422})
_RETRY_AFTER_SECONDS = range(1, 3601)
_DONE = b"[DONE]"


class UpstreamStream:
    """A streamed answer: chunks as parsed JSON objects, in the groups that the network delivers."""

    def __init__(
        self, response: aiohttp.ClientResponse, limits: Limits, patience: Patience
    ) -> None:
        self._content = response.content
        self._limits = limits
        self._patience = patience
        self._parser = EventParser(max_event_bytes=_MAX_EVENT_BYTES)
        self._bytes = 0
        # Bytes that are no chunk yet do not put it off: by then another provider can be asked.
        self._first_chunk_by = time.monotonic() + limits.first_byte_seconds
        self._heard = False
        self.done = False
        self.said_done = False

    async def read(self) -> list[dict[str, Any]]:
        """The next chunks, perhaps none; look at ``done``. Raises UpstreamFailure.

        A provider may also close its side without ``[DONE]`` (``said_done``): whether its answer
        was whole, its ``finish_reason`` tells.
        """
        seconds = self._limits.idle_seconds
        if not self._heard:
            seconds = self._first_chunk_by - time.monotonic()
        async with _translated_errors(), self._patience.wait_at_most(seconds):
            piece = await self._content.readany()
        self._bytes += len(piece)
        if self._bytes > self._limits.max_answer_bytes:
            raise UpstreamFailure(_("The provider's answer is larger than is allowed."))
        try:
            events = self._parser.feed(piece) if piece else self._parser.close()
        except EventTooLarge as error:
            raise UpstreamFailure(_("The provider's answer could not be read.")) from error
        chunks: list[dict[str, Any]] = []
        for event in events:
            if event == _DONE:
                self.done = self.said_done = True
                break
            chunks.append(_read_object(event))
        self._heard = self._heard or bool(chunks)
        self.done = self.done or not piece
        return chunks


class UpstreamClient:
    """Connections to providers, shared by all calls of one event loop. Close it at the end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._session = open_session(
            connections=_CONNECTIONS, connections_per_host=_CONNECTIONS_PER_HOST
        )
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.connect_seconds, sock_connect=limits.connect_seconds
        )

    async def close(self) -> None:
        await self._session.close()

    async def complete(
        self,
        service: CallableService,
        path: str,
        body: bytes,
        *,
        patience: Patience,
        on_bytes: Callable[[int], None],
    ) -> dict[str, Any]:
        """The whole answer as a JSON object. Raises UpstreamFailure or UpstreamCutShort.

        The only limit of time is the call's own (``Limits.bound_whole_answer``): a provider sends
        its first byte when all of the answer is there. ``on_bytes`` is told how many arrive, and
        may raise to stop them.
        """
        async with (
            _translated_errors(),
            patience.wait_at_most(self.limits.total_seconds),
            self._send(service, path, body) as response,
        ):
            await _refuse_errors(response, service)
            return _read_object(await self._read_whole(response, on_bytes))

    @asynccontextmanager
    async def stream(
        self, service: CallableService, path: str, body: bytes, *, patience: Patience
    ) -> AsyncIterator[UpstreamStream]:
        """A streamed answer; leaving the block early closes the connection to the provider."""
        async with (
            _translated_errors(),
            patience.wait_at_most(self.limits.first_byte_seconds),
        ):
            response = await self._send(service, path, body)
            try:
                await _refuse_errors(response, service)
                if response.content_type != "text/event-stream":
                    raise UpstreamFailure(_("The provider does not stream its answers."))
            except BaseException:
                response.close()
                raise
        stream = UpstreamStream(response, self.limits, patience)
        try:
            yield stream
        finally:
            # A stream read to its end leaves the connection for the next call.
            if not stream.done:
                response.close()
            else:
                response.release()

    def _send(self, service: CallableService, path: str, body: bytes) -> Any:
        url = service.endpoint_url.rstrip("/") + path
        try:
            refuse_bad_address(url)
        except AddressRefused as error:
            logger.warning("endpoint_address_refused", service=service.handle)
            raise UpstreamUnreachable from error
        headers = {"Content-Type": "application/json"}
        if service.credential:
            headers["Authorization"] = f"Bearer {service.credential}"
        return self._session.post(
            url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
        )

    async def _read_whole(
        self, response: aiohttp.ClientResponse, on_bytes: Callable[[int], None]
    ) -> bytes:
        limit = self.limits.max_answer_bytes
        whole = bytearray()
        if (response.content_length or 0) <= limit:
            async for piece in response.content.iter_any():
                whole += piece
                if len(whole) > limit:
                    break
                on_bytes(len(piece))
            else:
                return bytes(whole)
        raise UpstreamFailure(_("The provider's answer is larger than is allowed."))


@asynccontextmanager
async def _translated_errors() -> AsyncIterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise UpstreamUnreachable from error
    except aiohttp.ConnectionTimeoutError as error:
        raise UpstreamUnreachable from error
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamFailure(_("The connection to the provider broke.")) from error


async def _refuse_errors(response: aiohttp.ClientResponse, service: CallableService) -> None:
    """Raises the failure that the answer's status stands for; returns for a readable 200."""
    status = response.status
    if status == 200:
        if response.headers.get("Content-Encoding", "identity").lower() == "identity":
            return
        raise UpstreamFailure(_("The provider's answer could not be read."))
    if status == 429:
        raise UpstreamBusy(retry_after_seconds=_read_retry_after(response))
    if status in _REJECTIONS:
        words = _read_error_message(await response.content.read(_MAX_ERROR_BYTES))
        if service.credential:
            words = words.replace(service.credential, "")
        raise UpstreamRejected(redact_text(words)[:_MAX_MESSAGE_CHARACTERS])
    # Anything else (also 401, 402 and 404: our account there) is not the caller's doing.
    logger.warning("upstream_error", service=service.handle, status=status)
    raise UpstreamForbade if status == 403 else UpstreamFailure


def _read_object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or is_deeper(text, value, MOST_ANSWER_DEPTH):
        raise UpstreamFailure(_("The provider's answer could not be read."))
    if value.get("error"):
        raise UpstreamFailure(_("The provider reported an error in its answer."))
    return value


def _read_retry_after(response: aiohttp.ClientResponse) -> int:
    text = response.headers.get("Retry-After", "")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    return min(max(seconds, _RETRY_AFTER_SECONDS.start), _RETRY_AFTER_SECONDS.stop - 1)


def _read_error_message(text: bytes) -> str:
    """What a provider says is wrong, in OpenAI's shape, in FastAPI's or as a plain sentence."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and name in value:
            value = value[name]
            if isinstance(value, dict):
                value = value.get("message", "")
            return value if isinstance(value, str) else ""
    return ""
