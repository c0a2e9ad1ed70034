"""A process that is killed at any statement loses nothing and doubles nothing."""

import json
import subprocess
import sys
from itertools import pairwise

from tests.databases import CommittedDatabase

# What the repeated operation answers when the killed one had not committed, and when it had.
ANSWERS = {
    "place": (["held", False], ["held", True]),
    "capture": (["captured", 800], ["replayed", 800]),
    "late": (["captured", 800], ["replayed", 800]),
    "release": ([True], [False]),
    "grant": ([1], [0]),
    "extend": ([True, 850], [False, 850]),
    "sweep": ([True], [False]),
    "post": ([True], [False]),
    "freeze": ([True], [False]),
    "expire": ([1000], []),
    "reverse": ([True], [False]),
    "seal": ([1], [0]),
}


def test_kill_at_every_statement(committed_db: CommittedDatabase) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ledger.kills"],
        env=committed_db.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report.keys() == ANSWERS.keys()
    for name, answers in report.items():
        lost, kept = ANSWERS[name]
        assert answers[-1] == kept
        assert answers[0] == lost
        assert len(answers) > 2
        # Once a death comes after the commit, all later ones do.
        assert all(after == kept for before, after in pairwise(answers) if before == kept)
        assert all(answer in (lost, kept) for answer in answers)
