"""Long answers, piece by piece: under ASGI a plain generator would be gathered whole first."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async


async def piecewise(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Take each piece in the request's own thread, when the one before has been sent."""

    @sync_to_async
    def take() -> bytes | None:
        return next(pieces, None)

    while (piece := await take()) is not None:
        yield piece
