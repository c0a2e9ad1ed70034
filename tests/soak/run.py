"""One soak, from the first grant to the verdict."""

import asyncio
import random
import time

from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.soak.buyers import Buyer
from tests.soak.callers import call_at_random
from tests.soak.moods import draw_behaviour
from tests.soak.processes import Fleet
from tests.soak.record import OutsideRecord
from tests.soak.verdict import assert_all_is_well, describe, settle
from tests.soak.world import Tenant, build_world

TENANTS = 5
CALLERS = 12
# More than are called in a second; when they run out, all calls are answered well.
_MOODS_PER_SECOND = 200


def run_soak(
    database: CommittedDatabase, upstream: FakeUpstream, *, seconds: float, seed: int
) -> list[str]:
    """Raises AssertionError if anything was lost or doubled; what it survived, otherwise.

    The seed decides what everybody wants to do; in which order it happens, the machine does.
    """
    chance = random.Random(seed)
    upstream.next(*(draw_behaviour(chance) for _n in range(int(seconds * _MOODS_PER_SECOND))))
    tenants = build_world(chance, endpoint_url=upstream.url, tenants=TENANTS, seconds=seconds)
    record = OutsideRecord(database.var / "told.jsonl")
    fleet = Fleet(database, upstream)
    try:
        fleet.start()
        asyncio.run(_soak(fleet, tenants, record, seconds=seconds, seed=seed))
    finally:
        fleet.stop()
        record.close()
    settle()
    assert_all_is_well(record, fleet)
    return describe(record, fleet)


async def _soak(
    fleet: Fleet, tenants: list[Tenant], record: OutsideRecord, *, seconds: float, seed: int
) -> None:
    until = time.monotonic() + seconds
    addresses = [site.url for site in fleet.sites]
    callers = [
        call_at_random(random.Random(f"{seed}:{n}"), tenants, addresses, record, until=until)
        for n in range(CALLERS)
    ]
    buyers = [
        Buyer(random.Random(f"{seed}:{n}:buyer"), tenant, addresses, record, until=until)
        for n, tenant in enumerate(tenants)
    ]
    killer = fleet.kill_at_random(random.Random(f"{seed}:killer"), until=until)
    await asyncio.gather(killer, *callers, *(buyer.buy_at_random() for buyer in buyers))
