"""What automatic top-up charges in one month: never more than was agreed to."""

from datetime import timedelta

from accounts.models import Organisation
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Pack, TopUpRule
from portal.kernel.clock import utc_now
from tests.billing.money_back import spend
from tests.billing.processors import Processor, SandboxProcessor
from tests.billing.shop import balance_of
from tests.billing.top_ups import agree, outcomes, run, top_ups_of

MINUTE = timedelta(minutes=1)


def test_the_cap_of_the_month_holds_and_is_told_once(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor, cap_minor=19_000)
    for number in range(4):
        if run(utc_now() + number * MINUTE):
            spend(acme, balance_of(acme))
    assert processor.count_charged() == 19_000
    assert len(top_ups_of(acme)) == 2
    assert outcomes(acme) == ["paid", "paid", "cap"]


def test_of_the_organisations_month_not_of_utc(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    acme.timezone = "Pacific/Auckland"
    acme.save()
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month(acme.timezone, now=utc_now())
    next_month = top_up_state.begin_of_month(acme.timezone, now=began + timedelta(days=40))
    rule.refresh_from_db()
    assert top_up_state.judge_rule(rule, now=next_month - MINUTE).reason == "cap"
    assert top_up_state.judge_rule(rule, now=next_month).reason == ""


def test_the_month_stays_the_one_that_was_agreed_to(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """Whoever moves to another time zone does not get a month's worth twice."""
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    assert "(time zone UTC)" in rule.consent_text
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month("UTC", now=utc_now())
    next_month = top_up_state.begin_of_month("UTC", now=began + timedelta(days=40))
    acme.timezone = "Pacific/Auckland"
    acme.save()
    assert run(next_month - MINUTE) == 0
    assert processor.count_charged() == 9_500
    rule = TopUpRule.objects.get()
    assert top_up_state.judge_rule(rule, now=next_month - MINUTE).reason == "cap"
    assert top_up_state.judge_rule(rule, now=next_month).reason == ""


def test_what_was_ordered_last_month_and_paid_in_this_one_counts(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month(acme.timezone, now=utc_now())
    rule.orders.update(created_at=began - MINUTE)
    assert run() == 0
    assert top_up_state.judge_rule(rule, now=utc_now()).reason == "cap"
    assert processor.count_charged() == 9_500


def test_a_month_counts_each_currency_by_itself(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor, currency="EUR", cap_minor=8_900)
    run()
    spend(acme, balance_of(acme))
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    assert top_up_state.sum_of_month(rule, now=utc_now()) == 0
    assert run() == 1
    assert top_up_state.sum_of_month(rule, now=utc_now()) == 9_500


def test_what_may_yet_be_paid_counts_and_what_failed_does_not(
    acme: Organisation, team_pack: Pack
) -> None:
    rule = agree(acme, team_pack, SandboxProcessor(), "asks_holder")
    run()
    assert top_up_state.sum_of_month(rule, now=utc_now()) == 9_500
    services.sweep_orders(now=utc_now() + timedelta(days=1))
    assert top_ups_of(acme)[0].status == "expired"
    assert top_up_state.sum_of_month(rule, now=utc_now()) == 0


def test_another_companys_top_ups_do_not_count(
    acme: Organisation, globex: Organisation, team_pack: Pack
) -> None:
    rules = [agree(one, team_pack, SandboxProcessor()) for one in (acme, globex)]
    run()
    assert [top_up_state.sum_of_month(rule, now=utc_now()) for rule in rules] == [9_500] * 2
