"""How deep JSON is nested: what was read must also be writable, and writing has a limit."""

# Far below what the serialiser can write, far above what OpenAI's answers have.
MOST_ANSWER_DEPTH = 64


def is_deeper(text: bytes, value: object, most: int) -> bool:
    """Whether ``value``, read from ``text``, has more than ``most`` levels of objects and lists."""
    # Brackets may also stand in texts, so few of them prove that it is shallow, many nothing.
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    # Level by level; orjson has refused what could exhaust the stack.
    level = [value] if isinstance(value, dict | list) else []
    for _depth in range(most):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
