"""The one place that asks what time it is; everything below an edge is told by parameter."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)
