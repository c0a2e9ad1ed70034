"""Structured logs: readable on a terminal, one JSON object a line otherwise, never a secret.

Both structlog's and the standard library's loggers pass through the same last step, which drops
the values of fields that hold secrets, query strings of requests, and anything in a text or a
traceback that looks like a key.
"""

import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

REDACTED = "[redacted]"
SECRET_FIELDS = frozenset(
    "api_key authorization cookie credential csrfmiddlewaretoken password secret sessionid "
    "set-cookie token x-api-key".split()
)
# Our keys (tw_live_…), webhook secrets (whsec_…), providers' keys (sk-…), Stripe's (sk_live_…):
# the kind stays visible.
_KEY = re.compile(r"\b(tw_[a-z]+_|whsec_|sk-|[rs]k_(?:live|test)_)[A-Za-z0-9_\-+/=]{8,}")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE)
# Links that are secrets themselves: what follows these words in a path (not their fixed pages).
_SECRET_PATH = re.compile(
    r"(/(?:invite|reset|verify|sandbox/pay)/)(?!(?:sent|done|confirm)/)[^/\s\"']+(/(?=[^/\s\"'])[^/\s\"']+)*"
)
_REQUEST_QUERY = re.compile(r"\?.*", re.DOTALL)

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Send structlog through the standard library's logging, once per process."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(stream: TextIO | None = None) -> structlog.stdlib.ProcessorFormatter:
    """The formatter named in settings.LOGGING; ``stream`` (stderr) decides between the forms."""
    configure()
    on_terminal = (stream or sys.stderr).isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def bind_request_id(request_id: str) -> None:
    """Every line that this task or thread logs from here on carries ``request_id``."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def redact(_logger: Any, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    """A structlog processor: the event without secrets."""
    if isinstance(request := event.get("request"), str):
        event["request"] = _REQUEST_QUERY.sub("", request)
    return {name: _redact_field(name, value) for name, value in event.items()}


def redact_text(text: str) -> str:
    text = _SECRET_PATH.sub(rf"\1{REDACTED}", text)
    return _BEARER.sub(rf"\1 {REDACTED}", _KEY.sub(rf"\1{REDACTED}", text))


def _redact_field(name: object, value: Any) -> Any:
    if isinstance(name, str) and name.lower() in SECRET_FIELDS:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: _redact_field(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_field(None, inner) for inner in value]
    return value
