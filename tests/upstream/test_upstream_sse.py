"""The event stream parser: whatever way the bytes are cut, the same events come out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.upstream.sse import EventParser, EventTooLarge


def parse(pieces: list[bytes], *, most: int = 1_000_000) -> list[bytes]:
    parser = EventParser(max_event_bytes=most)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
# No line break inside, else it would be another line; anything else, also broken UTF-8.
DATA = st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\r", b"x").replace(b"\n", b"y"))
NOISE = st.sampled_from(
    [b": comment", b":", b"event: chunk", b"id: 7", b"retry", b"nonsense", b"dat: x", b"datax: y"]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream and the events that it holds."""
    whole, events = b"", []
    if draw(st.booleans()):
        whole = b"\xef\xbb\xbf"
    for lines in draw(st.lists(st.lists(DATA, max_size=3), max_size=6)):
        end = draw(LINE_ENDS)
        for line in lines:
            whole += b"data: " + line + end
            for noise in draw(st.lists(NOISE, max_size=2)):
                whole += noise + end
        whole += end
        if lines:
            events.append(b"\n".join(lines))
    return whole, events


@given(streams(), st.data())
def test_any_stream_cut_anywhere(stream: tuple[bytes, list[bytes]], data: st.DataObject) -> None:
    whole, events = stream
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    bounds = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(bounds)]
    assert parse(pieces) == events
    assert parse([whole[i : i + 1] for i in range(len(whole))]) == events


@given(st.lists(st.binary(max_size=40)))
def test_garbage_never_breaks_it(pieces: list[bytes]) -> None:
    assert parse(pieces) == parse([b"".join(pieces)])


def test_spellings() -> None:
    assert parse([b"data:x\n\ndata:  y\n\ndata\n\n"]) == [b"x", b" y", b""]
    assert parse([b"data: a: b\n\n"]) == [b"a: b"]
    # The last event without its blank line, even without its line end.
    assert parse([b"data: x\n\ndata: y"]) == [b"x", b"y"]
    assert parse([b""]) == []


def test_giants_are_refused() -> None:
    for pieces in (
        [b"data: " + b"x" * 200],
        [b"data: ", *[b"x" * 10] * 20],
        [b"data: " + b"x" * 60 + b"\n", b"data: " + b"y" * 60 + b"\n"],
        [b"x" * 200],
    ):
        with pytest.raises(EventTooLarge):
            parse(pieces, most=100)
    assert parse([b"data: " + b"x" * 80 + b"\n\n"] * 5, most=100) == [b"x" * 80] * 5
