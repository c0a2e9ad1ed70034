"""The indexes of the call lists come and go with their migration, while calls are written."""

from typing import Any

from django.core.management import call_command
from django.db import connection

from marketplace.metering.models import Call

NEW_INDEXES = {
    "calls_by_time",
    "calls_to_look_at",
    "troubled_calls_by_service",
    "troubled_calls_by_tenant",
}


def list_indexes() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, Call._meta.db_table))


def test_the_migration_can_be_taken_back_and_repeated(committed_db: Any) -> None:
    assert list_indexes() >= NEW_INDEXES
    call_command("migrate", "metering", "0003", verbosity=0)
    assert not list_indexes() & NEW_INDEXES
    assert "calls_in_doubt" in list_indexes()
    if connection.vendor == "postgresql":
        # As a build that was interrupted would leave it.
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX calls_by_time ON metering_call (id)")
    call_command("migrate", "metering", verbosity=0)
    assert list_indexes() >= NEW_INDEXES
    assert "calls_in_doubt" not in list_indexes()
