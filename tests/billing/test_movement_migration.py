"""An installation that sold through the sandbox before it kept an account gets its lines."""

from typing import Any

from django.core.management import call_command
from django.db import connection

from accounts.models import Organisation
from marketplace.billing.models import SandboxMovement
from portal.kernel.immutability import missing_guards
from tests.billing.money_back import buy
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import make_pack
from tests.databases import CommittedDatabase

BEFORE = ("billing", "0009_refund_requests_can_be_withdrawn")


def test_the_played_account_is_filled(committed_db: CommittedDatabase, acme: Organisation) -> None:
    processor, pack = SandboxProcessor(), make_pack()
    refunded, disputed = (buy(acme, pack, processor, key=key) for key in ("a", "b"))
    processor.refund(refunded.provider_session_id or "", 950)
    processor.dispute(disputed.provider_session_id or "")
    lines = read_lines()
    assert [amount for *_, amount in lines] == [9500, 9500, -9500, -950]

    call_command("migrate", *BEFORE, verbosity=0)
    call_command("migrate", "billing", verbosity=0)

    assert read_lines() == lines
    assert not missing_guards(connection)


def read_lines() -> list[Any]:
    lines = SandboxMovement.objects.order_by("kind", "source_id")
    return list(lines.values_list("session_id", "kind", "source_id", "amount_minor"))
