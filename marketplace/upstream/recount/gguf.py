"""Reads what a GGUF file says of its model, and builds the tokenizer that it describes.

Only the key-value head is read: sizes are bounded, and the weights behind it are not touched.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import orjson

_MAGIC = b"GGUF"
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST_ITEMS = 1_000_000
_MOST_STRING_BYTES = 1_000_000
_NORMAL_TOKEN = 1


def read_head(path: Path) -> dict[str, Any]:
    """The keys and values of a GGUF file. Raises ValueError for anything else."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise ValueError(f"{path.name} is no GGUF file")
        _version, _tensors = _scalar(file, "<I"), _scalar(file, "<Q")
        count = _bounded(_scalar(file, "<Q"), _MOST_ITEMS)
        return {_string(file): _value(file, _scalar(file, "<I")) for _number in range(count)}


def describe_tokenizer(head: dict[str, Any]) -> bytes:
    """The byte-level BPE of a head as a ``tokenizer.json``. Raises ValueError for another kind.

    The split into words is SmolLM's: single digits, then GPT-2's.
    """
    if (head.get("tokenizer.ggml.model"), head.get("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        raise ValueError("this GGUF file has another tokenizer than SmolLM's")
    tokens, types = head["tokenizer.ggml.tokens"], head["tokenizer.ggml.token_type"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    byte_level["trim_offsets"] = True
    return orjson.dumps(
        {
            "version": "1.0",
            "added_tokens": [
                {
                    "id": number,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
                if kind != _NORMAL_TOKEN
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
            },
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": head["tokenizer.ggml.merges"],
            },
        }
    )


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, count = _scalar(file, "<I"), _bounded(_scalar(file, "<Q"), _MOST_ITEMS)
        if inner == _ARRAY:
            raise ValueError("nested arrays are not expected here")
        return [_value(file, inner) for _number in range(count)]
    if kind not in _SCALARS:
        raise ValueError("unknown kind of value")
    return _scalar(file, _SCALARS[kind])


def _string(file: BinaryIO) -> str:
    size = _bounded(_scalar(file, "<Q"), _MOST_STRING_BYTES)
    return file.read(size).decode("utf-8", "replace")


def _scalar(file: BinaryIO, layout: str) -> Any:
    text = file.read(struct.calcsize(layout))
    try:
        return struct.unpack(layout, text)[0]
    except struct.error as error:
        raise ValueError("the file ends too early") from error


def _bounded(number: int, most: int) -> int:
    if number > most:
        raise ValueError("larger than is sensible")
    return number
