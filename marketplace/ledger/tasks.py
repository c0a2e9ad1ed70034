"""Background work of the ledger: safe to run twice, and at any time."""

from celery import shared_task

from marketplace.ledger import services
from portal.kernel.clock import utc_now


@shared_task(name="ledger.expire_lots")
def expire_lots() -> None:
    services.expire_lots(now=utc_now())


@shared_task(name="ledger.seal_entries")
def seal_entries() -> None:
    services.seal_entries(now=utc_now())
