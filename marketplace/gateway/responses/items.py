"""Input items of a response as chat messages."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import GatewayRefusal, refuse_unsupported, refuse_value
from marketplace.gateway.media import Medium, kind_of
from marketplace.gateway.requests import MOST_MESSAGES

# Templates of open models know one system message, and none of a developer.
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def read_transcript(
    value: object, instructions: str
) -> tuple[list[dict[str, Any]], tuple[Medium, ...]]:
    """Messages, and the media in them by their place in ``input``. Raises GatewayRefusal."""
    transcript = _Transcript()
    if instructions:
        transcript.add("system", instructions)
    if isinstance(value, str) and value:
        transcript.add("user", value)
    elif isinstance(value, list) and value:
        if len(value) > MOST_MESSAGES:
            raise refuse_value("input", _("There are too many items."))
        for number, item in enumerate(value):
            _read_item(transcript, item, f"input[{number}]")
    else:
        raise refuse_value("input", _("input must be a text or a list of items; not empty."))
    if not transcript.messages:
        raise refuse_value("input", _("input must be a text or a list of items; not empty."))
    return transcript.messages, tuple(transcript.media)


class _Transcript:
    """Chat messages as they come to stand."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.media: list[Medium] = []

    def add(self, role: str, content: str | list[dict[str, Any]]) -> None:
        """What stands before the first turn is one system message."""
        last = self.messages[-1] if len(self.messages) == 1 else None
        if (
            last
            and role == last["role"] == "system"
            and isinstance(content, str)
            and isinstance(last["content"], str)
        ):
            last["content"] += "\n\n" + content
        else:
            self.messages.append({"role": role, "content": content})

    def call_function(self, call: dict[str, Any]) -> None:
        """Part of what the assistant said last, if it was the last to speak."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": None})
        self.messages[-1].setdefault("tool_calls", []).append(call)

    def answer_function(self, call_id: str, content: str | list[dict[str, Any]]) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})


def _read_item(transcript: _Transcript, item: object, param: str) -> None:
    if not isinstance(item, dict):
        raise refuse_value(param, _("Each item must be an object."))
    kind = item.get("type") or ("message" if "role" in item else None)
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is not None:
        read(transcript, item, param)
    elif kind == "reasoning":
        # The model thought so for its last answer; templates leave it out of the next.
        return
    elif isinstance(kind, str):
        raise refuse_unsupported(
            param, _("Items of type %(kind)s are not supported here."), kind=kind[:60]
        )
    else:
        raise refuse_value(param, _("Each item must have a type, or a role."))


def _read_message(transcript: _Transcript, item: dict[str, Any], param: str) -> None:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise refuse_value(f"{param}.role", _("role must be user, assistant, system or developer."))
    content = _read_content(transcript, item.get("content"), f"{param}.content")
    transcript.add(_ROLES[role], content)


def _read_function_call(transcript: _Transcript, item: dict[str, Any], param: str) -> None:
    transcript.call_function(
        {
            "id": _read_text(item, "call_id", param),
            "type": "function",
            "function": {
                "name": _read_text(item, "name", param),
                "arguments": _read_text(item, "arguments", param),
            },
        }
    )


def _read_function_output(transcript: _Transcript, item: dict[str, Any], param: str) -> None:
    call_id = _read_text(item, "call_id", param)
    content = _read_content(transcript, item.get("output"), f"{param}.output")
    transcript.answer_function(call_id, content)


_READERS: Mapping[str, Callable[[_Transcript, dict[str, Any], str], None]] = {
    "message": _read_message,
    "function_call": _read_function_call,
    "function_call_output": _read_function_output,
}


def _read_text(item: Mapping[str, Any], name: str, param: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise refuse_value(f"{param}.{name}", _("%(name)s must be a text."), name=name)
    return value


def _read_content(
    transcript: _Transcript, content: object, param: str
) -> str | list[dict[str, Any]]:
    """Texts alone are put together: every chat server takes a text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise refuse_value(param, _("content must be a text or a list of content parts."))
    parts = []
    for place, part in enumerate(content):
        part_param = f"{param}[{place}]"
        if not isinstance(part, dict):
            raise refuse_value(part_param, _("Each content part must be an object."))
        if kind := kind_of(part):
            transcript.media.append(Medium(part_param, kind))
        parts.append(_read_part(part, part_param))
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _read_part(part: dict[str, Any], param: str) -> dict[str, Any]:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXTS:
        return {"type": "text", "text": _read_text(part, _TEXTS[kind], param)}
    if part.get("file_id") is not None:
        raise refuse_unsupported(
            f"{param}.file_id", _("Files are not kept here: send what is in the file itself.")
        )
    if kind == "input_image":
        image = {"url": _read_text(part, "image_url", param)}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    if kind == "input_file":
        return {"type": "file", "file": {k: v for k, v in part.items() if k != "type"}}
    raise _refuse_part(kind, param)


def _refuse_part(kind: object, param: str) -> GatewayRefusal:
    if isinstance(kind, str):
        return refuse_unsupported(
            param, _("Content parts of type %(kind)s are not supported here."), kind=kind[:60]
        )
    return refuse_value(param, _("Each content part must have a type."))
