"""Fill an empty database with a small market to try things in."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal.kernel.clock import utc_now
from portal.management.demo.loading import Outcome, load_demo


class Command(BaseCommand):
    help = "Fill an empty database with demo data; its secrets go to demo.json in the var folder."

    def handle(self, **_options: Any) -> None:
        outcome = load_demo(var=Path(settings.VAR_DIR), now=utc_now())
        if outcome == Outcome.LOADED:
            self.stdout.write("Demo data loaded.")
        elif outcome == Outcome.NOT_EMPTY:
            self.stdout.write("The database has data of its own, so no demo data was loaded.")
