"""Real processes at work on one database: ``python -m tests.ledger.crowd JOB COUNT ARGUMENTS``.

One process sets Django up and forks the workers before it opens a connection; they start at the
same moment, and what each returns is printed as one JSON list.
"""

import json
import multiprocessing
import random
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

from tests.databases import CommittedDatabase

_start: Barrier


def run_crowd(
    database: CommittedDatabase, job: Callable[..., Any], count: int, **arguments: Any
) -> list[Any]:
    """What ``job(number, **arguments)`` returned in each of ``count`` processes."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, job.__name__, str(count), json.dumps(arguments)],
        env=database.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def drain(number: int, *, amount: int) -> int:
    """Hold until refused; how often that went well."""
    from tests.ledger import cast

    held = 0
    while cast.place(amount, idempotency_key=f"{number}:{held}").outcome == "held":
        held += 1
    return held


def drain_by_captures(number: int, *, amount: int) -> int:
    """Hold and capture a little more until refused; what was captured."""
    from tests.ledger import cast

    captured = turn = 0
    while (result := cast.place(amount, idempotency_key=f"{number}:{turn}")).outcome == "held":
        captured += cast.capture(result.hold_id, amount + 7).captured_millitokens
        turn += 1
    return captured


def hold_same_key(number: int) -> list[Any]:
    from tests.ledger import cast

    result = cast.place(10, idempotency_key="the same")
    return [result.outcome, result.hold_id, result.replayed]


def grant_same_reference(number: int) -> bool:
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    return ledger.grant_lot(
        owner_key=cast.ACME,
        unit="live",
        reference="order:the-same",
        kind="paid",
        face_millitokens=1000,
        debits=[("clearing", "sandbox", 1000)],
        now=cast.NOW,
    ).created


def reverse_a_part(number: int, *, transaction_id: str, amount: int, key: str) -> str:
    """Take from the provider what it got: "created", "known" or "refused"."""
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    try:
        created = ledger.reverse_transaction(
            transaction_id=transaction_id,
            debits=[("payable", cast.PROVIDER, amount)],
            idempotency_key=key.format(number=number),
            reason="test",
            now=cast.NOW,
        ).created
    except ledger.NotReversible:
        return "refused"
    return "created" if created else "known"


def take_back(number: int) -> bool:
    """All of it, by a charge-back; whether this was the one that posted it."""
    from tests.ledger import purchases

    return purchases.reverse_unaudited(0, purchases.PAID).created


def take_back_or_spend(number: int, *, turns: int) -> int:
    """A third of the workers say what was refunded, a third what was charged back, any total after
    any other, and a third spend from all wallets meanwhile; what was spent."""
    from tests.ledger import cast, purchases

    chance = random.Random(number)
    spent = 0
    for turn in range(turns):
        total = chance.choice([0, 0, chance.randint(1, purchases.PAID), purchases.PAID])
        if number % 3 < 2:
            purchases.reverse_unaudited(*((total, 0), (0, total))[number % 3])
            continue
        key = f"{number}:{turn}"
        placed = cast.place(chance.randint(1, 9000), scopes=(purchases.SCOPE,), idempotency_key=key)
        if placed.outcome == "held":
            cost = chance.randint(0, 9000)
            spent += cast.capture(placed.hold_id, cost).captured_millitokens
    return spent


def freeze_and_lift(number: int, *, wallet_pk: int, turns: int) -> int:
    """Put and lift a reason of one's own and a shared one; how often the shared one was put."""
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    put = 0
    for turn in range(turns):
        for reason in ("shared", f"own {number}"):
            added = ledger.freeze_wallet(wallet_pk=wallet_pk, reason=reason, now=cast.NOW)
            put += added and reason == "shared"
            cast.place(1, idempotency_key=f"{number}:{turn}:{reason}")
            ledger.lift_freeze(wallet_pk=wallet_pk, reason=reason)
    return put


def race_for_holds(number: int, *, hold_ids: list[str], against: str) -> list[str]:
    """Half of the workers capture each hold, the others release it or sweep."""
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    won = []
    for hold_id in hold_ids:
        if number % 2:
            if cast.capture(hold_id, 10, now=cast.NOW).outcome == "captured":
                won.append(f"capture {hold_id}")
        elif against == "release":
            if ledger.release_holds([hold_id], now=cast.NOW) == [True]:
                won.append(f"release {hold_id}")
        else:
            expired = ledger.expire_holds(now=cast.LATER, limit=1)
            won += [f"expire {hold.hold_id}" for hold in expired]
    return won


def capture_in_batches(number: int, *, workers: int) -> int:
    """Capture this worker's share of the holds, in the order of their wallets."""
    from marketplace.ledger import services as ledger
    from marketplace.ledger.models import Hold
    from tests.ledger import cast

    hold_ids = list(Hold.objects.order_by("pk").values_list("public_id", flat=True))
    each = len(hold_ids) // workers
    mine = hold_ids[number * each : (number + 1) * each]
    captured = 0
    for start in range(0, len(mine), 20):
        costs = [cast.cost(hold_id, 10) for hold_id in mine[start : start + 20]]
        results = ledger.capture_holds(costs, now=cast.NOW)
        captured += sum(result.captured_millitokens for result in results)
    return captured


def mix(number: int, *, turns: int) -> int:
    """Anything, in batches over several tenants and limits, in any order."""
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    chance = random.Random(number)
    mine: list[str] = []
    for turn in range(turns):
        requests = [
            cast.ask(
                chance.randint(1, 60),
                owner_key=f"org_{chance.randrange(4)}",
                idempotency_key=f"{number}:{turn}:{item}",
                scopes=chance.choice([(), ("service:1",)]),
                limits=tuple(
                    cast.limit(f"limit:{name}", chance.choice([None, 5000]))
                    for name in chance.sample(range(5), 2)
                ),
            )
            for item in range(chance.randint(1, 5))
        ]
        results = ledger.place_holds(requests, now=cast.NOW)
        mine += [result.hold_id for result in results if result.outcome == "held"]
        chance.shuffle(mine)
        some, mine = mine[:3], mine[3:]
        extensions = [(hold_id, chance.randint(1, 30)) for hold_id in mine[:2]]
        ledger.extend_holds(extensions, now=cast.NOW)
        if chance.random() < 0.3:
            ledger.release_holds(some, now=cast.NOW)
        else:
            costs = [cast.cost(hold_id, chance.randint(0, 90)) for hold_id in some]
            ledger.capture_holds(costs, now=cast.NOW)
        if chance.random() < 0.2:
            cast.grant(200, owner=f"org_{chance.randrange(4)}", reference=f"order:{number}:{turn}")
            ledger.expire_holds(now=cast.NOW)
            ledger.expire_lots(now=cast.NOW)
    return len(mine)


def mix_or_seal(number: int, *, turns: int, sealers: int) -> int:
    """The first few seal all the time, the others do anything; what was sealed, or held."""
    from marketplace.ledger import services as ledger
    from tests.ledger import cast

    if number >= sealers:
        return mix(number, turns=turns)
    return sum(len(ledger.seal_entries(now=cast.NOW)) for _turn in range(turns))


def _prepare(barrier: Barrier) -> None:
    global _start
    _start = barrier


def _work(task: tuple[str, int, dict[str, Any]]) -> Any:
    job, number, arguments = task
    _start.wait()
    return globals()[job](number, **arguments)


def main() -> None:
    import django

    django.setup()
    job, count, arguments = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    context = multiprocessing.get_context("fork")
    with context.Pool(count, _prepare, (context.Barrier(count),)) as pool:
        tasks = [(job, number, arguments) for number in range(count)]
        sys.stdout.write(json.dumps(pool.map(_work, tasks, chunksize=1)) + "\n")


if __name__ == "__main__":
    main()
