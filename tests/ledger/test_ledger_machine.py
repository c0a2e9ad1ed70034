"""Any sequence of operations agrees with the model, and the books balance after every step."""

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.ledger.machine_books import BookSteps
from tests.ledger.machine_holds import HoldSteps
from tests.ledger.machine_steps import SCOPES, STEPS

# More by hand, after changes: LEDGER_EXAMPLES=2000 finds what one run in the suite may not.
EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "25"))


class LedgerMachine(HoldSteps, BookSteps):
    """Two tenants at a time that goes on, and sometimes back an hour."""

    @rule(drawn=STEPS)
    def take_a_step(self, drawn) -> None:
        name, *arguments = drawn
        getattr(self, name)(*arguments)

    @initialize(scope=SCOPES, minutes=st.sampled_from([60, 200]))
    def start(self, scope, minutes) -> None:
        for owner in ("org_a", "org_b"):
            self.grant(owner, 150, "", "paid", None)
            self.grant(owner, 80, "", "grant", minutes)
        self.grant(owner, 100, scope, "bonus", 2 * minutes)

    def pass_time(self, minutes) -> None:
        self.now += timedelta(minutes=minutes)
        self.model.now = self.now


@pytest.mark.django_db
def test_ledger_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
