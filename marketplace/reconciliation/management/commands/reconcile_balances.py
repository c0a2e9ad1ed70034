"""Reconcile on demand: ``manage.py reconcile_balances``."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from marketplace.reconciliation import selectors, services
from marketplace.reconciliation.checks import BY_NUMBER
from marketplace.reconciliation.models import Run
from portal.kernel.clock import utc_now

_NO_MOVEMENT = {"opening", "closing", "held", "movements", "gap"}


class Command(BaseCommand):
    """Prints the equation and every check; exits 1 while a finding is open."""

    help = "Prove that the books balance; exits 1 while a finding is open."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--passes",
            type=int,
            default=2,
            help="runs one after another; a difference counts when seen twice (default 2)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = services.reconcile_balances(trigger="command", now=utc_now())
        for _pass in range(options["passes"] - 1):
            time.sleep(0.5)
            run = services.reconcile_balances(trigger="command", now=utc_now())
        services.announce_findings(now=utc_now())
        self._print(run)
        findings = list(selectors.list_findings())
        for finding in findings:
            self.stdout.write(
                f"FINDING {finding.public_id} check {finding.check_number} {finding.subject}: "
                f"{finding.detail} (at stake: {finding.at_stake_millitokens} millitokens)"
            )
        if run.error:
            self.stdout.write(f"NOT ALL WAS CHECKED: {run.error}")
        if findings or run.error:
            sys.exit(1)
        self.stdout.write("The books balance; no finding is open.")

    def _print(self, run: Run) -> None:
        for unit, terms in run.equation.items():
            moved = " ".join(
                f"{kind} {int(amount):+d}"
                for kind, amount in terms.items()
                if kind not in _NO_MOVEMENT and int(amount)
            )
            self.stdout.write(
                f"{unit}: opening {terms['opening']} {moved or 'no movements'} = closing "
                f"{terms['closing']}, of which held {terms['held']}; gap {terms['gap']}"
            )
        for source, counts in run.intake.items():
            said = ", ".join(f"{name} {count}" for name, count in counts.items())
            self.stdout.write(f"usage from {source}: {said}")
        for row in run.checks:
            self.stdout.write(
                f"{row['number']:>3} {BY_NUMBER[row['number']].title}: {row['examined']} examined, "
                f"{row['differences']} differences, {row['milliseconds']} ms"
            )
