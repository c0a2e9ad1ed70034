"""The suite's own ways to a database keep their promises."""

import subprocess
import sys
import threading

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone

from tests.databases import CommittedDatabase

COUNT_SESSIONS = (
    "import django; django.setup();"
    "from django.contrib.sessions.models import Session; print(Session.objects.count())"
)


def leave_session() -> None:
    Session.objects.create(session_key="left", session_data="", expire_date=timezone.now())


@pytest.mark.django_db
@pytest.mark.parametrize("round_", [1, 2])
def test_db_is_rolled_back(round_: int) -> None:
    assert not Session.objects.exists()
    leave_session()


@pytest.mark.parametrize("round_", [1, 2])
def test_committed_db_is_shared_with_threads_and_processes_and_then_gone(
    committed_db: CommittedDatabase, round_: int
) -> None:
    assert not Session.objects.exists()
    with transaction.atomic(durable=True):
        leave_session()

    seen: list[int] = []

    def count() -> None:
        seen.append(Session.objects.count())
        connection.close()

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    child = subprocess.run(
        [sys.executable, "-c", COUNT_SESSIONS],
        env=committed_db.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen == [1]
    assert child.stdout.strip() == "1"


@pytest.mark.django_db
def test_marker_beside_committed_db_uses_the_clone(committed_db: CommittedDatabase) -> None:
    assert connection.settings_dict["NAME"] == committed_db.name
    assert not connection.in_atomic_block


def test_flushing_is_refused(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="use the fixture committed_db"):
        request.getfixturevalue("transactional_db")


def test_database_is_blocked_unless_asked_for() -> None:
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Session.objects.exists()
