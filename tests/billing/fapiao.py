"""What tests of fapiao do: ask for one, issue it, take it back in red."""

from dataclasses import replace
from datetime import date

from accounts.models import User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoKind, Order
from portal.kernel.clock import utc_now
from tests.billing.processors import SandboxProcessor, deliver

PROCESSOR = SandboxProcessor()
PRICE = 68000  # ¥680.00
USCC = "91110000600037341L"
DETAILS = services.FapiaoDetails(
    kind=FapiaoKind.ORDINARY, title="北京某某科技有限公司", tax_id=USCC, email="cw@acme.example"
)
SPECIAL = replace(
    DETAILS,
    kind=FapiaoKind.SPECIAL,
    address="北京市海淀区某路 1 号",
    phone="010 5555 0100",
    bank="某某银行海淀支行",
    bank_account="6222 0000 0000 0001",
)


def ask_for(*orders: Order, details: services.FapiaoDetails = DETAILS) -> Fapiao:
    return services.request_fapiao(
        organisation=orders[0].organisation,
        user=orders[0].ordered_by,
        orders=[order.public_id for order in orders],
        details=details,
        actor=SYSTEM_ACTOR,
        now=utc_now(),
    )


def number(serial: int) -> str:
    return f"26117000000{serial:09d}"


def issue(fapiao: Fapiao, user: User, serial: int = 1, *, amount: int = PRICE) -> Fapiao:
    services.issue_fapiao(
        fapiao=fapiao, user=user, number=number(serial), issued_on=date(2026, 1, 5),
        expected_minor=amount, actor=SYSTEM_ACTOR, now=utc_now(),
    )  # fmt: skip
    fapiao.refresh_from_db()
    return fapiao


def make_red(fapiao: Fapiao, user: User, serial: int, amount: int) -> Fapiao:
    services.record_red_letter(
        fapiao=fapiao, user=user, number=number(serial), issued_on=date(2026, 1, 6),
        expected_minor=amount, actor=SYSTEM_ACTOR, now=utc_now(),
    )  # fmt: skip
    fapiao.refresh_from_db()
    return fapiao


def give_back(order: Order, amount: int) -> None:
    deliver(PROCESSOR, *PROCESSOR.refund(order.provider_session_id or "", amount))


def stands(fapiao: Fapiao) -> tuple[str, int]:
    fapiao.refresh_from_db()
    return fapiao.state, fapiao.red_due_minor


def withdraw(fapiao: Fapiao) -> None:
    services.withdraw_fapiao(fapiao=fapiao, actor=SYSTEM_ACTOR, now=utc_now())
