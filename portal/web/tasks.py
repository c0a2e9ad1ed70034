"""What beat runs of the work that looks across rooms. Safe to run twice and at once."""

from celery import shared_task

from accounts import services as accounts
from portal.kernel.clock import utc_now
from portal.web import notices


@shared_task(name="web.watch_balances")
def watch_balances() -> None:
    """What begins is mailed at once, so that it is still true when it is read."""
    notices.watch_balances(now=utc_now())
    accounts.mail_due_notices(now=utc_now())
