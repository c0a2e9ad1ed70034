"""A month of a small company's calls: several services, keys and people, good days and bad."""

import random
from datetime import datetime, timedelta

import time_machine

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.metering import services as metering
from tests.cast import make_key
from tests.market import make_call
from tests.reconciliation.book import give

DAYS = 30
QUIET_DAYS = {5, 6}  # Saturday and Sunday


def make_history(
    organisation: Organisation,
    people: list[User],
    services: list[Service],
    *,
    now: datetime,
    busiest_day: int = 8,
) -> int:
    """Calls of the last DAYS days, the same at every run; returns how many. Rolled up."""
    dice = random.Random(2026)
    began = now - timedelta(days=DAYS)
    with time_machine.travel(began - timedelta(hours=1)):
        give(organisation, 40_000_000_000)
    names = ("Support bot", "Report writer", "Search index")
    secrets = [
        make_key(organisation, created_by=people[place % len(people)], name=name, now=began)[1]
        for place, name in enumerate(names)
    ]
    made = 0
    for day in range(DAYS + 1):
        morning = began + timedelta(days=day)
        most = 2 if morning.weekday() in QUIET_DAYS else busiest_day
        for _number in range(dice.randint(1, most)):
            moment = morning + timedelta(minutes=dice.randint(0, 600))
            if moment > now - timedelta(minutes=1):
                continue
            service = dice.choices(services, weights=range(len(services), 0, -1))[0]
            make_call(
                dice.choices(secrets, weights=(5, 3, 2))[0],
                service,
                prompt_tokens=dice.randint(200, 1000),
                completion_tokens=dice.randint(50, 1000) if service.model.modality == "chat" else 0,
                status="succeeded" if dice.random() > 0.06 else "failed",
                duration_ms=dice.randint(180, 2400),
                now=moment,
            )
            made += 1
    metering.roll_up_usage(now=now)
    return made
