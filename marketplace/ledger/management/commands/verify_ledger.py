"""Prove the books from their entries alone: ``manage.py verify_ledger``."""

import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.ledger import services
from marketplace.ledger.services import Head, HeadsDisagree, Verification
from portal.kernel.snapshot import open_snapshot


class Command(BaseCommand):
    """Computes all chains, checkpoints and the equation again; exits 1 on a break."""

    help = "Prove that no entry was changed, added or removed since it was sealed; else exit 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head",
            action="append",
            type=_head,
            default=[],
            metavar="NUMBER:HASH",
            help="a head that was kept elsewhere and must be in the chain; can be repeated",
        )
        parser.add_argument(
            "--export",
            type=Path,
            metavar="FILE",
            default=Path(settings.LEDGER_HEADS_FILE) if settings.LEDGER_HEADS_FILE else None,
            help="append the heads that FILE lacks, when all is well (default LEDGER_HEADS_FILE)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started_at = time.perf_counter()
        with open_snapshot() as cursor:
            verification = services.verify_ledger(cursor)
        missing = services.find_missing_heads(options["head"])
        self._print(verification, time.perf_counter() - started_at)
        for head in missing:
            self.stdout.write(
                f"BROKEN {head} is not in the chain: the tail was cut off or rewritten"
            )
        if missing or not verification.holds:
            sys.exit(1)
        if options["export"]:
            self._export(options["export"])
        self.stdout.write("The ledger is what was sealed, and it balances.")

    def _print(self, verification: Verification, seconds: float) -> None:
        for unit, equation in sorted(verification.equations.items()):
            moved = " ".join(f"{kind} {amount:+d}" for kind, amount in equation.movements.items())
            self.stdout.write(
                f"{unit}: {moved or 'no movements'} = {sum(equation.movements.values())}; "
                f"wallets {equation.posted}; all accounts {equation.accounts} (millitokens)"
            )
            if not equation.holds:
                self.stdout.write(f"BROKEN {unit}: the equation does not hold")
        for broken in verification.broken:
            self.stdout.write(f"BROKEN {broken.chain} at {broken.seq}: {broken.reason}")
        self.stdout.write(
            f"{verification.entries} entries, {verification.chains} chains, "
            f"{verification.checkpoints} checkpoints in {seconds:.1f} s"
        )
        self.stdout.write(f"head {verification.head or 'none yet'}")

    def _export(self, path: Path) -> None:
        try:
            count = services.append_heads(path)
        except (HeadsDisagree, ValueError, OSError) as error:
            raise CommandError(f"BROKEN {error}") from error
        self.stdout.write(f"{count} heads appended to {path}")


def _head(text: str) -> Head:
    try:
        return services.parse_head(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
