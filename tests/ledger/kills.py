"""kill −9 at every statement: ``python -m tests.ledger.kills`` on a database of its own.

Each operation runs in a child that kills itself before its first statement, its second and so on,
before the commit, and at last after it, before anybody heard of it. Each time the parent audits
the books, repeats the operation under the same key as a caller would, and audits again.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

Operation = Callable[[], Any]

OPERATIONS = (
    *("place", "extend", "capture", "late", "release", "sweep", "grant", "expire", "reverse"),
    *("post", "freeze", "seal"),
)


def main() -> None:
    import django

    django.setup()
    report = {}
    for name in OPERATIONS:
        report[name] = _kill_everywhere(name)
    sys.stdout.write(json.dumps(report) + "\n")


def _kill_everywhere(name: str) -> list[Any]:
    """What the repeated operation answered, for each place that the child was killed at."""
    answers = []
    fatal = 1
    while True:
        operation = _prepare(name, f"org_{name}_{fatal}")
        died = _run_in_child(operation, fatal)
        _audit()
        answers.append(operation())
        _audit()
        if not died:
            return answers
        fatal += 1


def _prepare(name: str, owner: str) -> Operation:
    from marketplace.ledger import services as ledger
    from marketplace.ledger.models import Hold, Lot
    from tests.ledger import cast

    def grant() -> Any:
        # Long expired when ``expire`` runs; other operations leave nothing of it behind.
        days = 1 if name == "expire" else None
        before = Lot.objects.count()
        cast.grant(1000, owner=owner, reference=f"order:{owner}", days=days)
        return [Lot.objects.count() - before]

    def place() -> Any:
        result = cast.place(
            700,
            owner_key=owner,
            idempotency_key=owner,
            scopes=("service:1",),
            limits=(cast.limit(f"key:{owner}", 900),),
        )
        return [result.outcome, result.replayed]

    if name == "grant":
        return grant
    if name == "post":
        return lambda: [_post(owner)]
    grant()
    if name == "freeze":
        pk = cast.wallet(owner).pk
        return lambda: [ledger.freeze_wallet(wallet_pk=pk, reason="test", now=cast.NOW)]
    if name == "seal":
        return lambda: [len(ledger.seal_entries(now=cast.NOW))]
    if name == "expire":
        now = cast.NOW + timedelta(days=2)
        return lambda: [lot.amount_millitokens for lot in ledger.expire_lots(now=now)]
    cast.grant(100, owner=owner, scope="service:1", reference=f"order:{owner}:scoped")
    if name == "place":
        return place
    place()
    [hold_id] = _hold_ids(owner)
    if name == "release":
        return lambda: ledger.release_holds([hold_id], now=cast.NOW)
    if name == "sweep":
        return lambda: [hold_id in [h.hold_id for h in ledger.expire_holds(now=cast.LATER)]]
    if name == "extend":

        def extend() -> Any:
            extended = ledger.extend_holds([(hold_id, 150)], now=cast.NOW)
            return [*extended, Hold.objects.get(public_id=hold_id).amount_millitokens]

        return extend
    if name == "late":
        ledger.expire_holds(now=cast.LATER)

    def capture() -> Any:
        result = cast.capture(hold_id, 800, now=cast.NOW)
        return [result.outcome, result.captured_millitokens]

    if name in ("capture", "late"):
        return capture
    capture()
    transaction_id = cast.capture(hold_id, 800).transaction_id

    def reverse() -> Any:
        return [
            ledger.reverse_transaction(
                transaction_id=transaction_id,
                idempotency_key=owner,
                reason="test",
                now=cast.NOW,
            ).created
        ]

    return reverse


def _post(key: str) -> bool:
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    move = ledger.Move(("suspense", cast.PROVIDER), ("payable", cast.PROVIDER), 10)
    return ledger.post_transaction(
        kind="adjustment",
        unit="live",
        idempotency_scope="test",
        idempotency_key=key,
        moves=[move],
        reason="test",
        now=cast.NOW,
    ).created


def _hold_ids(owner: str) -> list[str]:
    from marketplace.ledger.models import Hold

    return list(Hold.objects.filter(owner_key=owner).values_list("public_id", flat=True))


def _run_in_child(operation: Operation, fatal: int) -> bool:
    """Whether the child died before statement or commit number ``fatal``; if it had fewer, it
    dies at its end."""
    from django.db import connection

    connection.close()
    child = os.fork()
    if child == 0:
        seen = 0

        def live_or_die() -> None:
            nonlocal seen
            seen += 1
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        def execute(run: Any, *arguments: Any) -> Any:
            live_or_die()
            return run(*arguments)

        really_commit = connection.commit

        def commit() -> None:
            live_or_die()
            really_commit()

        try:
            with (
                connection.execute_wrapper(execute),
                mock.patch.object(connection, "commit", commit),
            ):
                operation()
        except BaseException:
            os._exit(1)
        # After the commit, before the answer: a status that tells it from the other deaths.
        os._exit(2)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 2, f"the operation failed at {fatal}"
    return False


def _audit() -> None:
    from django.db import connection

    from marketplace.ledger import services as ledger
    from tests.ledger.auditor import audit

    audit()
    with connection.cursor() as cursor:
        assert ledger.find_broken_seals(cursor) == []


if __name__ == "__main__":
    main()
