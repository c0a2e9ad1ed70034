"""What beat and the queue run. Each is safe to run twice, at once, or not at all for a while."""

from celery import shared_task

from marketplace.billing import services
from marketplace.billing.sandbox import delivery
from portal.kernel.clock import utc_now


@shared_task(name="billing.settle_order")
def settle_order(order_public_id: str) -> None:
    services.settle_order(order_public_id=order_public_id, now=utc_now())


@shared_task(name="billing.send_refund")
def send_refund(request_public_id: str) -> None:
    services.send_refund(request_public_id=request_public_id, now=utc_now())


@shared_task(name="billing.drive_inbox")
def drive_inbox() -> None:
    services.drive_inbox(now=utc_now())


@shared_task(name="billing.sweep_orders")
def sweep_orders() -> None:
    services.sweep_orders(now=utc_now())


@shared_task(name="billing.run_top_ups")
def run_top_ups() -> None:
    services.run_due_top_ups(now=utc_now())


@shared_task(name="billing.mail_documents")
def mail_documents() -> None:
    services.mail_due_documents(now=utc_now())


@shared_task(name="billing.deliver_sandbox_events")
def deliver_sandbox_events() -> None:
    """The sandbox's far side at work; nothing to do where it is switched off."""
    delivery.deliver_due_events(now=utc_now())
