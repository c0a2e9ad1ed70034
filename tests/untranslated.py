"""What stayed English on a page that should be Chinese: its texts, compared with the catalogue.

A text that the catalogue translates and that a page shows in English was looked up too early (at
import, or under another language) or went around the catalogue. Names, code and ``lang="en"`` are
nobody's to translate.
"""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.pofile import read_po

CATALOGUE = Path(__file__).parent.parent / "portal/locale/zh_Hans/LC_MESSAGES/django.po"
SPOKEN_ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "data-label")
SILENT = ("script", "style", "code", "pre")
VOID = ("area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr", "use")


def find_english(html: str) -> list[str]:
    """The texts and spoken attributes that have a translation and are shown without it."""
    reader = _TextReader()
    reader.feed(html)
    return sorted(reader.texts & _english_texts())


@cache
def _english_texts() -> frozenset[str]:
    """Whole texts without placeholders whose translation differs."""
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file)
    return frozenset(
        message.id
        for message in catalogue
        if isinstance(message.id, str)
        and message.id
        and "%(" not in message.id
        and message.string
        and message.string != message.id
    )


class _TextReader(HTMLParser):
    """Collects what is read out: text between tags and spoken attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self._silent: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        within = bool(self._silent) and self._silent[-1]
        silent = within or tag in SILENT or given.get("lang") == "en"
        if not silent:
            self.texts |= {_plain(given[name] or "") for name in SPOKEN_ATTRIBUTES if name in given}
        if tag not in VOID:
            self._silent.append(silent)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._silent:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not (self._silent and self._silent[-1]):
            self.texts.add(_plain(data))


def _plain(text: str) -> str:
    return " ".join(text.split())
