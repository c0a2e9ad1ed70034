"""A response's tools in chat's words: functions of the caller's, and nothing that we would run."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import GatewayRefusal, refuse_unsupported, refuse_value
from marketplace.gateway.fields import read_list

_MODES = ("auto", "none", "required")


def read_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """Chat's ``tools`` and ``tool_choice``, as far as there are any. Raises GatewayRefusal."""
    tools = [_read_tool(tool, place) for place, tool in enumerate(read_list(body, "tools"))]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        # Chat servers don't know it; those that may not be called need not be shown.
        names = _read_names(choice)
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        choice = choice.get("mode", "auto")
    chat: dict[str, Any] = {"tools": tools} if tools else {}
    if choice is not None:
        chat["tool_choice"] = _read_choice(choice)
    return chat


def _read_tool(tool: object, place: int) -> dict[str, Any]:
    param = f"tools[{place}]"
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(kind, str):
        raise refuse_value(param, _("Each tool must be an object with a type."))
    if kind != "function":
        raise _refuse_kind(param, kind)
    if not isinstance(tool.get("name"), str):
        raise refuse_value(param, _("Each function must have a name."))
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _read_choice(choice: object) -> object:
    if choice in _MODES:
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and kind == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if isinstance(kind, str):
        raise _refuse_kind("tool_choice", kind)
    raise refuse_value(
        "tool_choice", _("tool_choice must be auto, none, required, or name a function.")
    )


def _read_names(choice: Mapping[str, Any]) -> set[str]:
    tools = read_list(choice, "tools")
    return {t["name"] for t in tools if isinstance(t, dict) and isinstance(t.get("name"), str)}


def _refuse_kind(param: str, kind: str) -> GatewayRefusal:
    return refuse_unsupported(
        param,
        _("Tools of type %(kind)s are not available here: only functions of your own."),
        kind=kind[:60],
    )
