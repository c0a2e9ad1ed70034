"""Settings that the life of a hold and the gateway's bounds rest on, looked at before serving."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

_POSITIVE = (
    "GATEWAY_MAX_BODY_BYTES", "GATEWAY_MAX_JSON_DEPTH", "GATEWAY_MAX_BYTES_IN_FLIGHT",
    "GATEWAY_BODY_SECONDS", "GATEWAY_SEND_SECONDS", "GATEWAY_MAX_CALLS", "GATEWAY_MAX_ATTEMPTS",
    "GATEWAY_KEEPALIVE_SECONDS", "GATEWAY_DATABASE_THREADS", "GATEWAY_ASSUMED_OUTPUT_TOKENS",
    "UPSTREAM_CONNECT_SECONDS", "UPSTREAM_FIRST_BYTE_SECONDS", "UPSTREAM_IDLE_SECONDS",
    "UPSTREAM_TOTAL_SECONDS", "UPSTREAM_DRAIN_SECONDS", "UPSTREAM_MAX_ANSWER_BYTES",
)  # fmt: skip
# Sending to a slow reader, a busy database and the writing of the end all fit into the margin.
LEAST_MARGIN_SECONDS = 30.0
# What we publish: a suspended key is refused within five seconds.
MOST_KEY_CACHE_SECONDS = 4.0


@register()
def check_bounds(app_configs: Any, **_options: Any) -> list[CheckMessage]:
    """metering.E001: a bound that is none. E002: holds that could expire before their calls.
    E003: keys remembered for longer than is published."""
    errors: list[CheckMessage] = [
        Error(f"{name} must be greater than 0.", id="metering.E001")
        for name in _POSITIVE
        if not getattr(settings, name) > 0
    ]
    margin = max(LEAST_MARGIN_SECONDS, settings.GATEWAY_SEND_SECONDS + 10)
    if margin > settings.HOLD_MARGIN_SECONDS:
        errors.append(
            Error(
                f"HOLD_MARGIN_SECONDS must be at least {margin:g}, so that no hold expires while "
                "its call is still being sent and written down.",
                id="metering.E002",
            )
        )
    if not 0 <= settings.GATEWAY_KEY_CACHE_SECONDS <= MOST_KEY_CACHE_SECONDS:
        errors.append(
            Error(
                f"GATEWAY_KEY_CACHE_SECONDS must be between 0 and {MOST_KEY_CACHE_SECONDS:g}: a "
                "suspended key is refused within five seconds.",
                id="metering.E003",
            )
        )
    return errors
