"""The snapshot that checks read, and how they read it."""

from typing import Any

from django.db.backends.utils import CursorWrapper

from portal.kernel.snapshot import open_snapshot

__all__ = ["fetch_rows", "open_snapshot"]


def fetch_rows(cursor: CursorWrapper, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    """The answer's rows as dictionaries by column name."""
    cursor.execute(sql, parameters)
    assert cursor.description is not None
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
