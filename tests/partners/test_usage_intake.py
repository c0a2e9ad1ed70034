"""What came in is counted, and what contradicts is kept, whatever becomes of the batch."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, OperationalError

from accounts.models import Organisation
from marketplace.catalog.models import Provider, Service
from marketplace.metering import services as metering
from marketplace.metering.models import UsageCharge
from marketplace.partners.models import Intake, QuarantinedReport
from marketplace.partners.services import usage_reports
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.partners.money import balance_of
from tests.partners.usage_events import EVENTS, event, outcomes, place_holds, report


@pytest.fixture
def holds(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> list[str]:
    """Three holds of rhine's on acme's wallet."""
    return place_holds(ada_api, rhine_api, rhine_service, 3)


def counts(intake: Intake) -> tuple[int, int, int, int]:
    return intake.received, intake.repeated, intake.quarantined, intake.rejected


def test_a_batch_is_counted_once_however_it_is_cut(
    rhine: Provider, rhine_api: ApiClient, holds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_reports, "CHUNK", 2)
    events = [event(hold, f"e{number}") for number, hold in enumerate(holds)]
    batch = [*events, events[0], event(holds[1], "e1", 51), event(holds[0], "e9")]

    answers = report(rhine_api, batch)

    assert outcomes(answers) == [
        "accepted", "accepted", "accepted", "duplicate", "event_id_reused", "hold_captured",
    ]  # fmt: skip
    intake = Intake.objects.get()
    assert counts(intake) == (6, 1, 1, 1)
    assert (intake.source, intake.day) == (f"provider:{rhine.public_id}", utc_now().date())


def test_each_day_is_counted_by_itself(rhine_api: ApiClient, holds: list[str]) -> None:
    report(rhine_api, [event(holds[0], "e0")])
    with time_machine.travel(utc_now() + timedelta(days=1), tick=False):
        report(rhine_api, [event(holds[0], "e0"), event(holds[1], "e1")])

    assert [counts(intake) for intake in Intake.objects.order_by("day")] == [
        (1, 0, 0, 0), (2, 1, 0, 1),
    ]  # fmt: skip


def test_a_batch_that_breaks_shows_as_received(
    rhine_api: ApiClient, holds: list[str], funded: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_arguments: Any, **_named: Any) -> Any:
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(metering, "close_calls", break_down)
    before = balance_of(funded)

    answer = rhine_api.post(EVENTS, [event(hold, f"e{n}") for n, hold in enumerate(holds)])

    assert answer.status_code == 503
    assert counts(Intake.objects.get()) == (3, 0, 0, 0)
    assert not UsageCharge.objects.exists()
    assert balance_of(funded) == before


def test_what_contradicts_again_is_counted_and_its_last_words_kept(
    rhine_api: ApiClient, holds: list[str]
) -> None:
    report(rhine_api, [event(holds[0], "e0", 50)])
    for prompt_tokens in (51, 52):
        report(rhine_api, [event(holds[0], "e0", prompt_tokens)])

    kept = QuarantinedReport.objects.get()
    assert (kept.times, kept.prompt_tokens, kept.hold_id) == (2, 52, holds[0])
    assert kept.first_received_at < kept.last_received_at
    assert UsageCharge.objects.get().amount_millitokens == 10_000


def test_a_batch_that_was_overtaken_keeps_a_contradiction_once(
    rhine_api: ApiClient, holds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is undone as a whole and taken again."""
    report(rhine_api, [event(holds[0], "e0", 50)])
    close_calls = metering.close_calls
    overtaken: list[int] = []

    def close_at_second_try(closings: Any, **named: Any) -> Any:
        if not overtaken:
            overtaken.append(len(closings))
            raise IntegrityError("another process was faster")
        return close_calls(closings, **named)

    monkeypatch.setattr(metering, "close_calls", close_at_second_try)
    answers = report(rhine_api, [event(holds[0], "e0", 51), event(holds[1], "e1")])

    assert outcomes(answers) == ["event_id_reused", "accepted"]
    assert overtaken == [1]
    assert QuarantinedReport.objects.get().times == 1
    assert counts(Intake.objects.get()) == (3, 0, 1, 0)
