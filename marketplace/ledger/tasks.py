"""Background work of the ledger: safe to run twice, and at any time."""

from pathlib import Path

import structlog
from celery import shared_task
from django.conf import settings

from marketplace.ledger import services
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

logger = structlog.get_logger(__name__)


@shared_task(name="ledger.expire_lots")
def expire_lots() -> None:
    services.expire_lots(now=utc_now())


@shared_task(name="ledger.seal_entries")
def seal_entries() -> None:
    """Seal what is new, then hand the heads to where they are kept; what fails is tried again
    with the next seal."""
    services.seal_entries(now=utc_now())
    if settings.LEDGER_HEADS_FILE:
        try:
            services.append_heads(Path(settings.LEDGER_HEADS_FILE))
        except (services.HeadsDisagree, ValueError, OSError) as error:
            logger.error("heads_not_exported", reason=str(error))
    try:
        services.deliver_heads(now=utc_now())
    except (DomainError, ValueError) as error:
        logger.error("heads_not_delivered", reason=str(error))
