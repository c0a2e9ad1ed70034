"""Budgets in the browser: made, changed and archived by owners and billing, seen by members."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from marketplace.metering.models import Budget
from tests.cast import make_key, signed_in
from tests.market import make_budget

BUDGETS = "/o/acme/budgets/"
GOOD = {
    "whose": "all", "max_tokens": "5000", "period": "month", "unit": "live",
    "alerts": "80, 50 %，100",
}  # fmt: skip


def text_of(browser: Client, path: str = BUDGETS) -> str:
    return browser.get(path).content.decode()


def test_a_budget_from_its_making_to_its_end(acme: Organisation, bill: User, mia: User) -> None:
    browser = signed_in(bill)
    assert "No budgets yet" in text_of(browser)
    for _twice in range(2):
        answer = browser.post(f"{BUDGETS}new/", GOOD)
        assert (answer.status_code, answer["Location"]) == (302, BUDGETS)
    budget = Budget.objects.get()
    assert (budget.max_millitokens, budget.alert_percentages) == (5_000_000, [50, 80, 100])
    assert budget.created_by == bill
    page = text_of(browser)
    assert "Whole organisation" in page
    assert "0 of 5K tokens spent" in page
    assert "50%, 80%, 100%" in page

    address = f"{BUDGETS}{budget.public_id}/"
    assert 'value="50, 80, 100"' in text_of(browser, address)
    changed = browser.post(address, {"max_tokens": "0.5", "alerts": ""})
    assert changed["Location"] == BUDGETS
    budget.refresh_from_db()
    assert (budget.max_millitokens, budget.alert_percentages) == (500, [])
    assert 'value="0.5"' in text_of(browser, address)

    assert "limits no calls any more" in text_of(browser, f"{address}archive/")
    for _twice in range(2):
        assert browser.post(f"{address}archive/")["Location"] == BUDGETS
    assert "No budgets yet" in text_of(browser)
    assert browser.get(address).status_code == 404
    assert browser.post(address, {"max_tokens": "7", "alerts": ""}).status_code == 400
    events = AuditEvent.objects.filter(action__startswith="budget.").order_by("pk")
    assert [event.action for event in events] == [
        "budget.created", "budget.changed", "budget.archived",
    ]  # fmt: skip
    assert "Budget archived" in text_of(signed_in(acme.memberships.all()[0].user), "/o/acme/audit/")


@pytest.mark.parametrize(
    "wrong",
    [
        {"whose": "usr_nobody"}, {"max_tokens": ""}, {"max_tokens": "0"}, {"max_tokens": "1.2345"},
        {"max_tokens": "-1"}, {"max_tokens": "10000000000000000"}, {"max_tokens": "many"},
        {"max_tokens": "NaN"}, {"period": "year"}, {"unit": "gold"}, {"alerts": "0"},
        {"alerts": "101"}, {"alerts": "half"}, {"alerts": "1.5"},
        {"alerts": ", ".join(map(str, range(1, 12)))}, {"alerts": "1 " * 60},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_input_is_named_and_nothing_is_made(
    acme: Organisation, ada: User, wrong: dict[str, Any]
) -> None:
    answer = signed_in(ada).post(f"{BUDGETS}new/", GOOD | wrong)
    assert answer.status_code == 400
    assert set(answer.context["form"].errors) == set(wrong)
    assert not Budget.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_second_budget_for_the_same_is_refused(acme: Organisation, ada: User, mia: User) -> None:
    browser = signed_in(ada)
    browser.post(f"{BUDGETS}new/", GOOD)
    answer = browser.post(f"{BUDGETS}new/", GOOD | {"max_tokens": "6000"})
    assert answer.status_code == 400
    assert "There is a budget for this period already" in answer.content.decode()
    assert browser.post(f"{BUDGETS}new/", GOOD | {"whose": mia.public_id}).status_code == 302
    assert browser.post(f"{BUDGETS}new/", GOOD | {"unit": "test"}).status_code == 302
    assert Budget.objects.count() == 3


def test_members_see_what_concerns_them_and_change_nothing(
    acme: Organisation, globex: Organisation, ada: User, mia: User, gus: User
) -> None:
    make_budget(acme, 10**6)
    of_ada = make_budget(acme, 10**6, member=ada, period="month")
    make_budget(acme, 10**6, member=mia, period="week")
    make_key(acme, created_by=mia, name="Robot", cap_millitokens=9_000)
    make_key(acme, created_by=ada, name="Secret robot", cap_millitokens=9_000)
    browser, before = signed_in(mia), list(Budget.objects.values())
    page = text_of(browser)
    assert page.count("0 of 1K tokens spent") == 2 * 2  # in words and for screen readers
    assert "Robot" in page
    assert "Secret robot" not in page
    assert ada.email not in page
    assert "Make a budget" not in page
    assert "Secret robot" in text_of(signed_in(ada))
    for path in ("new/", f"{of_ada.public_id}/", f"{of_ada.public_id}/archive/"):
        assert browser.get(BUDGETS + path).status_code == 403
        assert browser.post(BUDGETS + path, GOOD).status_code == 403
        theirs = (BUDGETS + path).replace("acme", "globex")
        assert signed_in(gus).post(theirs, {"max_tokens": "1"}).status_code in (400, 404)
    assert list(Budget.objects.values()) == before
