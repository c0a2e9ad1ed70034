"""What beat wakes: all are safe to run twice at once and catch up after a pause."""

from celery import shared_task

from marketplace.metering import services
from portal.kernel.clock import utc_now


@shared_task(name="metering.sweep_open_calls")
def sweep_open_calls() -> int:
    return services.sweep_open_calls(now=utc_now())


@shared_task(name="metering.roll_up_usage")
def roll_up_usage() -> int:
    counted = services.roll_up_usage(now=utc_now())
    services.settle_openings(now=utc_now())
    return counted


@shared_task(name="metering.forget_answers")
def forget_answers() -> int:
    return services.forget_answers(now=utc_now())
