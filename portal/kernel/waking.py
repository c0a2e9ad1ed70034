"""Waking the worker. The intent is always a row; a lost message only means a later sweep."""

from functools import partial
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

_log = structlog.get_logger(__name__)


def wake_on_commit(task: str, *args: Any, countdown: float | None = None) -> None:
    """Send the task after the commit that made its row; at once outside a transaction."""
    transaction.on_commit(partial(_send, task, args, countdown))


def _send(task: str, args: tuple[Any, ...], countdown: float | None) -> None:
    try:
        current_app.send_task(task, args=args, countdown=countdown)
    except (OperationalError, OSError):
        _log.warning("task_not_sent", task=task, exc_info=True)
