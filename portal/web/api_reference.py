"""The OpenAPI document as a page can show it: groups, operations, fields, examples. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
MOST_DEPTH = 3


@dataclass(frozen=True)
class Field:
    """A parameter, or a member of a body; ``name`` is a path such as ``prices.input``.

    ``choices`` are all values that there are, when there are few.
    """

    name: str
    kind: str
    required: bool
    words: str = ""
    place: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A status that an operation may answer with."""

    status: str
    words: str


@dataclass(frozen=True)
class Operation:
    """One method of one path. Examples are JSON texts, empty when there is none."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[Field]
    body_example: str
    answer_fields: list[Field]
    answer_example: str
    answers: list[Answer]


@dataclass(frozen=True)
class Group:
    """The operations of one tag."""

    slug: str
    name: str
    words: str
    operations: list[Operation] = field(default_factory=list)


def read_groups(document: dict[str, Any]) -> list[Group]:
    """All operations by tag, in the document's order."""
    groups = {
        tag["name"]: Group(_slug(tag["name"]), tag["name"], tag.get("description", ""))
        for tag in document.get("tags", [])
    }
    for path, item in document["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                groups[operation["tags"][0]].operations.append(
                    _read_operation(document, method, path, operation)
                )
    return [group for group in groups.values() if group.operations]


def _read_operation(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any]
) -> Operation:
    body = _json_content(operation.get("requestBody", {}))
    answers = operation["responses"]
    good = _json_content(next((answers[s] for s in answers if s.startswith("2")), {}))
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=[
            Field(
                name=parameter["name"],
                kind=_kind_of(document, parameter.get("schema", {})),
                required=parameter.get("required", False),
                words=parameter.get("description", ""),
                place=parameter["in"],
                choices=_choices_of(document, parameter.get("schema", {})),
            )
            for parameter in operation.get("parameters", [])
        ],
        body=_fields_of(document, body.get("schema", {})),
        body_example=_example_of(body),
        answer_fields=_fields_of(document, good.get("schema", {})),
        answer_example=_example_of(good),
        answers=[Answer(status, str(answer["description"])) for status, answer in answers.items()],
    )


def _json_content(part: dict[str, Any]) -> dict[str, Any]:
    content = part.get("content", {})
    found: dict[str, Any] = content.get("application/json") or next(iter(content.values()), {})
    return found


def _example_of(content: dict[str, Any]) -> str:
    example = content.get("example")
    if example is None:
        named = next(iter(content.get("examples", {}).values()), None)
        example = named["value"] if named else None
    return "" if example is None else json.dumps(example, indent=2, ensure_ascii=False)


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, also one wrapped in ``allOf`` or made nullable by ``oneOf``."""
    for wrapper in ("allOf", "oneOf"):
        inner = [s for s in schema.get(wrapper, []) if s.get("type") != "null"]
        if len(inner) == 1:
            return _resolve(document, inner[0]) | {
                name: value for name, value in schema.items() if name != wrapper
            }
    reference = schema.get("$ref")
    if not reference:
        return schema
    target = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return _resolve(document, target) | rest


def _kind_of(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """Short words for a type: ``string``, ``integer 1–200``, ``array of string``."""
    schema = _resolve(document, schema)
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {_kind_of(document, schema.get('items', {}))}"
    if schema.get("format"):
        return f"{kind} ({schema['format']})"
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} {schema['minimum']}–{schema['maximum']}"
    return str(kind)


def _choices_of(document: dict[str, Any], schema: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in _resolve(document, schema).get("enum", ()))


def _fields_of(
    document: dict[str, Any], schema: dict[str, Any], prefix: str = "", depth: int = 0
) -> list[Field]:
    schema = _resolve(document, schema)
    if schema.get("type") == "array":
        return _fields_of(document, schema.get("items", {}), f"{prefix}[].", depth)
    fields = []
    for name, member in schema.get("properties", {}).items():
        resolved = _resolve(document, member)
        fields.append(
            Field(
                name=f"{prefix}{name}",
                kind=_kind_of(document, member),
                required=name in schema.get("required", []),
                words=member.get("description", ""),
                choices=_choices_of(document, member),
            )
        )
        if depth < MOST_DEPTH:
            step = f"{prefix}{name}" if resolved.get("type") == "array" else f"{prefix}{name}."
            fields += _fields_of(document, resolved, step, depth + 1)
    return fields


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
