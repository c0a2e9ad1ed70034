"""Fixtures of the ledger's tests."""

import pytest
from django.db import connection

from tests.ledger.auditor import TABLES


@pytest.fixture
def beyond_32_bits(db: None) -> None:
    """Make the next ids of all tables of the ledger larger than a 32-bit integer."""
    with connection.cursor() as cursor:
        for number, table in enumerate(TABLES, start=1):
            name, first = table._meta.db_table, 2**31 + number * 1000
            if connection.vendor == "postgresql":
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {first})")
            else:
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [name])
                cursor.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [name, first]
                )
