"""Text search in English and Chinese that works the same on both databases.

Neither database segments Chinese, so words are cut here: English (and any spaced script) into
lower-case words, Chinese, Japanese and Korean into overlapping pairs of characters. A service
keeps all of its words in ``search_text``, each with a space before it; a search is one LIKE per
word of the query. "qwen 8b" finds a word that begins with each; "智能客服" finds 智能, 能客, 客服.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_QUERY_WORDS = 12
MAX_QUERY_CHARACTERS = 200

# Ideographs, kana and hangul: scripts that are searched by pairs of characters.
_DENSE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
# A dense run, or a word that may carry a version: "v3.1", "4.5".
_RUNS = re.compile(rf"[{_DENSE}]+|[^\W_{_DENSE}]+(?:\.[0-9]+)*")
_IS_DENSE = re.compile(rf"[{_DENSE}]")


def words_of(text: str) -> Iterator[str]:
    """The words of a text in order, as both sides of a search cut them."""
    for run in _RUNS.findall(unicodedata.normalize("NFKC", text).lower()):
        if not _IS_DENSE.match(run) or len(run) == 1:
            yield run
        else:
            yield from (run[i : i + 2] for i in range(len(run) - 1))


def search_text_of(texts: Iterable[str]) -> str:
    """What is stored: each different word once, a space before each."""
    words: dict[str, None] = {}
    for text in texts:
        words.update(dict.fromkeys(words_of(text)))
        # "glm4.5" and "gptoss" find what is written "GLM-4.5" and "gpt-oss".
        for token in text.lower().split():
            if "-" in token:
                words.update(dict.fromkeys(words_of(token.replace("-", ""))))
    return "".join(f" {word}" for word in words)


def patterns_of(query: str) -> list[str]:
    """What ``search_text`` must contain, all of it; empty for a query without a word."""
    words = dict.fromkeys(words_of(query[:MAX_QUERY_CHARACTERS]))
    # A single dense character may stand at either place of a pair.
    dense = [word for word in words if _IS_DENSE.match(word)]
    spaced = [f" {word}" for word in words if not _IS_DENSE.match(word)]
    return (spaced + dense)[:MAX_QUERY_WORDS]
