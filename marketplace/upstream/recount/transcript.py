"""What a model generated, gathered from chunks or from a whole answer, to be counted once."""

from typing import Any

# A longer answer is not kept while it streams.
MOST_CHARACTERS = 2_000_000
# What an answer's last token ends without a text of its own.
_ENDS = ("stop", "tool_calls")
_OTHER_OUTPUT = ("audio", "images", "function_call")


class Transcript:
    """The generated texts of one call, by answer and kind, in the order in which they came."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[object, str], list[str]] = {}
        self.characters = 0
        self.has_reasoning = False
        self.has_tool_calls = False
        self.has_other_output = False
        self.stops = 0

    @property
    def is_too_long(self) -> bool:
        return self.characters > MOST_CHARACTERS

    @property
    def texts(self) -> list[str]:
        return ["".join(pieces) for pieces in self._pieces.values()]

    def add(self, choices: list[Any]) -> None:
        """The choices of a chunk (``delta``) or of a whole answer (``message``), of a chat or of
        a text to be continued (``text``)."""
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            if choice.get("finish_reason") in _ENDS:
                self.stops += 1
            index = choice.get("index")
            said = choice.get("delta") or choice.get("message")
            if not isinstance(said, dict):
                self._keep(index, "text", choice.get("text"))
                continue
            self._keep(index, "content", said.get("content"))
            # Most chunks have nothing else.
            if len(said) > 1 or "content" not in said:
                self._add_others(index, said)

    def _add_others(self, index: object, said: dict[str, Any]) -> None:
        # Some engines give the same thoughts under both names.
        thoughts = said.get("reasoning_content") or said.get("reasoning")
        if self._keep(index, "reasoning", thoughts):
            self.has_reasoning = True
        self._keep(index, "refusal", said.get("refusal"))
        calls = said.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self.has_tool_calls = True
                number = call.get("index", position)
                for kind in ("name", "arguments"):
                    self._keep(index, f"tool {number} {kind}", function.get(kind))
        if any(said.get(name) for name in _OTHER_OUTPUT):
            self.has_other_output = True

    def _keep(self, index: object, kind: str, text: object) -> bool:
        """Whether there was a text."""
        if not isinstance(text, str) or not text:
            return False
        self.characters += len(text)
        if self.is_too_long:
            self._pieces.clear()
        else:
            place = (index if isinstance(index, int) else 0, kind)
            self._pieces.setdefault(place, []).append(text)
        return True
