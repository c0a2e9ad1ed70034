"""A short soak in the suite; ``make soak`` runs it for minutes."""

import os
import sys
import time

import pytest
from django.conf import LazySettings

from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.soak.processes import SETTINGS
from tests.soak.run import run_soak

SECONDS = 20.0


@pytest.mark.only_on("postgresql", why="several processes write at once")
def test_nothing_is_lost_or_doubled_under_the_axe(
    committed_db: CommittedDatabase, fake_upstream: FakeUpstream, settings: LazySettings
) -> None:
    settings.OUTBOUND_ALLOWED_PRIVATE = [fake_upstream.address]
    for name in ("UPSTREAM_TOTAL_SECONDS", "UPSTREAM_DRAIN_SECONDS", "HOLD_MARGIN_SECONDS"):
        setattr(settings, name, float(SETTINGS[name]))
    seed = int(os.environ.get("SOAK_SEED", str(time.time_ns() % 10**6)))
    sys.stdout.write(f"SOAK_SEED={seed}\n")  # shown when it fails
    lines = run_soak(committed_db, fake_upstream, seconds=SECONDS, seed=seed)
    sys.stdout.write("\n".join(lines))
