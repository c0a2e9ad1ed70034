"""The worker: ``python -m tests.soak.steps`` does what beat schedules, all the time, in any order.

A step that fails is noted in the file that SOAK_FAILURES names, unless only the database was away.
"""

import json
import os
import random
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

BETWEEN_SECONDS = 0.2


def main() -> None:
    import django

    django.setup()
    from django.db import InterfaceError, OperationalError, connection

    chance = random.Random()
    steps = list_steps()
    while True:
        name, step = chance.choice(steps)
        try:
            step()
        except (OperationalError, InterfaceError):
            connection.close()
        except Exception:
            with open(os.environ["SOAK_FAILURES"], "a") as failures:
                failures.write(json.dumps({"step": name, "error": traceback.format_exc()}) + "\n")
        time.sleep(BETWEEN_SECONDS)


def list_steps() -> list[tuple[str, Callable[[], Any]]]:
    """(name, step) of everything on the schedule."""
    from django.conf import settings

    from portal.celery import app

    app.loader.import_default_modules()
    return [
        (entry["task"], partial(app.tasks[entry["task"]], **entry.get("kwargs", {})))
        for entry in settings.CELERY_BEAT_SCHEDULE.values()
    ]


if __name__ == "__main__":
    main()
