"""What beat runs. Each is safe to run twice, at once, or not at all for a while."""

from celery import shared_task

from accounts import services
from portal.kernel.clock import utc_now


@shared_task(name="accounts.mail_notices")
def mail_notices() -> None:
    services.mail_due_notices(now=utc_now())


@shared_task(name="accounts.prune_notices")
def prune_notices() -> None:
    services.prune_notices(now=utc_now())


@shared_task(name="accounts.send_webhooks")
def send_webhooks() -> None:
    services.send_due_webhooks(now=utc_now())


@shared_task(name="accounts.prune_webhooks")
def prune_webhooks() -> None:
    services.prune_webhook_deliveries(now=utc_now())
