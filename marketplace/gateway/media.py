"""Images, sounds and other media in what a caller sends, by the kinds that models take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "input_file": "file",
}


@dataclass(frozen=True, slots=True)
class Medium:
    """A content part that is no text: where it stands, and its kind as modalities are named."""

    param: str
    kind: str


def kind_of(part: Mapping[str, Any]) -> str:
    """ "image", "audio" …; empty for text and for parts that nobody here knows."""
    kind = part.get("type")
    return _KINDS.get(kind, "") if isinstance(kind, str) else ""


def find_media(messages: list[Any]) -> Iterator[Medium]:
    """Those of chat messages whose shape was checked."""
    for number, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, list):
            for place, part in enumerate(content):
                if kind := kind_of(part):
                    yield Medium(f"messages[{number}].content[{place}]", kind)
