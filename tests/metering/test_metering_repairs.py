"""A charge that is missing is written again as its capture says, once, or not at all."""

from marketplace.metering import services as metering
from marketplace.metering.models import UsageCharge
from tests.databases import CommittedDatabase
from tests.metering.books import COST, everything
from tests.metering.conftest import Meter
from tests.reconciliation.book import inject


def change_cost(by: int) -> None:
    inject(
        "UPDATE metering_call SET cost_millitokens = cost_millitokens + %s,"
        " commission_millitokens = commission_millitokens + %s",
        by, by,
    )  # fmt: skip


def test_a_missing_charge_is_written_as_the_capture_says(
    committed_db: CommittedDatabase, meter: Meter
) -> None:
    opened = meter.open()
    closed = meter.close(opened)
    inject("DELETE FROM metering_usagecharge")
    # Capture and call do not name one amount: nothing is written.
    change_cost(by=1)
    before = everything()
    assert metering.write_missing_charge(call_id=opened.public_id) is None
    assert everything() == before
    change_cost(by=-1)
    assert metering.write_missing_charge(call_id=opened.public_id) == COST
    charge = UsageCharge.objects.get()
    assert charge.transaction is not None
    assert (charge.amount_millitokens, charge.transaction.public_id) == (
        COST,
        closed.transaction_id,
    )
    assert charge.price_version == meter.service.price_versions.get()
    # Once is enough, and where there was no usage there is no charge.
    unused = meter.open()
    before = everything()
    for call in (opened, unused):
        assert metering.write_missing_charge(call_id=call.public_id) is None
    assert everything() == before
