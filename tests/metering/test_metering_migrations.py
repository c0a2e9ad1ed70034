"""Migrations can be taken back and repeated while the site has calls, and keep what they said."""

from typing import Any

from django.core.management import call_command
from django.db import connection

from marketplace.catalog.models import Provider
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.databases import CommittedDatabase
from tests.metering.conftest import Meter

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


def list_plain_indexes() -> set[str]:
    """Columns of calls that have an index of their own, which is not unique."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Call._meta.db_table).values()
    plain = [index["columns"] for index in found if index["index"] and not index["unique"]]
    return {columns[0] for columns in plain if len(columns) == 1}


def test_indexes_that_nothing_reads_can_come_back(committed_db: Any) -> None:
    gone = {"organisation_id", "api_key_id", "service_id", "price_version_id"}
    if connection.vendor == "postgresql":
        gone.add("public_id")
    kept = list_plain_indexes()
    assert not kept & gone
    call_command("migrate", "metering", "0008", verbosity=0)
    assert list_plain_indexes() == kept | gone
    call_command("migrate", "metering", verbosity=0)
    assert list_plain_indexes() == kept


def test_calls_that_still_run_get_the_commission_of_now(
    committed_db: CommittedDatabase, meter: Meter
) -> None:
    """What is closed was divided already: no rate is made up for it."""
    running, lost, closed = meter.open(), meter.open(), meter.open()
    meter.close(closed)
    Call.objects.filter(pk=lost.call_pk).update(status="lost", ended_at=utc_now())
    call_command("migrate", "metering", "0004", verbosity=0)
    Provider.objects.update(commission_basis_points=700)
    call_command("migrate", "metering", verbosity=0)
    rates = dict(Call.objects.values_list("pk", "commission_basis_points"))
    assert rates == {running.call_pk: 700, lost.call_pk: 700, closed.call_pk: 0}
