"""Server-sent events, read from whatever pieces the network delivers."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event is larger than an honest provider would send."""


class EventParser:
    """Bytes in, the data of complete events out, as the HTML standard reads an event stream.

    Lines may end in LF, CRLF or CR and be split anywhere, also inside a character; several data
    lines of one event are joined with LF; comments, other fields and lines that are no field at
    all are passed over. An event without data is none.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_carriage_return = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that ``piece`` completes. Raises EventTooLarge."""
        if self._after_carriage_return and piece:
            piece = piece.removeprefix(b"\n")
            self._after_carriage_return = False
        if b"\r" in piece:
            self._after_carriage_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Only the new piece is searched, so a line in a thousand pieces costs no more than one.
        first, newline, others = piece.partition(b"\n")
        self._rest += first
        self._refuse_giants(len(self._rest))
        if not newline:
            return []
        lines = [bytes(self._rest), *others.split(b"\n")]
        self._rest = bytearray(lines.pop())
        events: list[bytes] = []
        for line in lines:
            self._take_line(line, events)
        self._refuse_giants(len(self._rest))
        return events

    def close(self) -> list[bytes]:
        """What an event without its final blank line had, at the end of the stream.

        The standard drops it; a provider that forgets the last newline has still said it.
        """
        events: list[bytes] = []
        if self._rest:
            self._take_line(bytes(self._rest), events)
            self._rest.clear()
        self._take_line(b"", events)
        return events

    def _take_line(self, line: bytes, events: list[bytes]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data = []
                self._data_bytes = 0
            return
        field, _colon, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1
            self._refuse_giants(0)

    def _refuse_giants(self, pending: int) -> None:
        if self._data_bytes + pending > self._max:
            raise EventTooLarge
