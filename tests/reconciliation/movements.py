"""What tests of check 18 do: run when all may be judged, and read what it says."""

from datetime import timedelta
from typing import Any

from accounts.models import User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import (
    Order,
    SandboxMovement,
)
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState, Run, RunKind
from portal.kernel.clock import utc_now
from tests.billing.processors import (
    Processor,
    StripeProcessor,
)
from tests.reconciliation.book import inject


def run(times: int = 2, *, after: timedelta = timedelta(hours=2), kind: str = RunKind.FULL) -> Run:
    """So many runs, the first when what has moved so far may be judged."""
    now = utc_now() + after
    for _ in range(times):
        last = services.reconcile_balances(trigger="command", kind=kind, now=now)
        now += timedelta(minutes=5)
    return last


def told(state: str = FindingState.OPEN) -> list[tuple[str, dict[str, Any]]]:
    """What check 18 says, by the first word of its subject."""
    found = Finding.objects.filter(check_number=18, state=state).order_by("subject")
    return [(finding.subject.partition(":")[0], finding.detail) for finding in found]


def decide(person: User) -> None:
    """All that check 18 says, as staff do."""
    for finding in Finding.objects.filter(check_number=18, state=FindingState.OPEN):
        services.resolve_finding(
            finding=finding, note="Looked at.", user=person, actor=SYSTEM_ACTOR, now=utc_now()
        )


def report_of(last: Run) -> dict[str, Any]:
    [row] = [row for row in last.checks if row["number"] == 18]
    return dict(row)


def session_of(order: Order) -> str:
    return order.provider_session_id or ""


def forget_orders() -> None:
    """As if nobody here had ever ordered: the payment is another shop's."""
    inject(
        "UPDATE billing_order SET public_id = 'ord_other', provider_session_id = NULL,"
        " provider_payment_id = NULL, provider = 'elsewhere'"
    )
    inject("UPDATE billing_attempt SET session_id = ''")


def forget_charges(processor: Processor) -> None:
    """What has gone back stays among the lines."""
    if isinstance(processor, StripeProcessor):
        balance = processor.fake.account.balance
        balance.lines = [one for one in balance.lines if one["reporting_category"] != "charge"]
    SandboxMovement.objects.filter(kind="charge").delete()
