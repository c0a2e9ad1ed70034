"""The way to the public."""

import threading

import pytest
from django.db import connection

from accounts.models import Membership, Role
from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import Service, ServiceReview
from tests.catalog.shelf import (
    NOW,
    add_price,
    approve,
    get_reviewer,
    make_draft,
    make_live,
    make_model,
    make_provider,
    submit,
)


def decide(review: ServiceReview, decision: str, note: str = "", decided_by=None):
    return catalog.decide_review(
        review=review,
        decision=decision,
        decided_by=decided_by or get_reviewer(),
        note=note,
        now=NOW,
    )


def test_a_listing_goes_from_draft_to_live(db):
    service = make_draft(make_provider(), make_model())
    assert not Service.objects.public().exists()
    review = submit(service)
    assert service.status == "in_review"
    assert list(selectors.list_open_reviews()) == [review]
    assert review.snapshot["price"]["input_millitokens"] == 200
    assert review.snapshot["has_credential"] is True
    approve(review)
    service.refresh_from_db()
    assert service.status == "live"
    assert service.went_live_at == NOW
    assert selectors.get_service(service.slug) == service
    assert not selectors.list_open_reviews().exists()


@pytest.mark.parametrize("decision", ["changes_requested", "rejected"])
def test_any_other_decision_gives_the_draft_back(db, decision):
    service = make_draft(make_provider(), make_model())
    review = submit(service)
    decide(review, decision, note="The region is wrong.")
    service.refresh_from_db()
    assert service.status == "draft"
    assert review.note == "The region is wrong."
    assert review.decided_by == get_reviewer()
    # And the way is open again.
    approve(submit(service))


@pytest.mark.parametrize("decision", ["changes_requested", "rejected"])
def test_a_refused_change_leaves_a_live_service_as_it_was(db, decision):
    service = make_live(make_provider(), make_model())
    review = catalog.update_service(
        service=service,
        changes={"credential": "sk-new", "retains_prompts_days": 9},
        submitted_by_label="Rita",
        now=NOW,
    )
    assert review is not None
    decide(review, decision, note="Why?")
    service.refresh_from_db()
    review.refresh_from_db()
    assert (service.status, service.credential, service.retains_prompts_days) == (
        "live",
        "sk-upstream",
        0,
    )
    assert review.credential == ""


def test_a_draft_without_a_price_is_not_submitted(db):
    service = catalog.create_service(
        provider=make_provider(), model=make_model(), region="eu-west", country="FR", now=NOW
    )
    with pytest.raises(catalog.ListingRejected) as refusal:
        submit(service)
    assert "price" in refusal.value.data["fields"]
    assert not ServiceReview.objects.exists()


def test_only_a_draft_is_submitted(db):
    service = make_live(make_provider(), make_model())
    with pytest.raises(catalog.NotADraft):
        submit(service)


def test_a_decision_needs_words_unless_it_is_yes(db):
    review = submit(make_draft(make_provider(), make_model()))
    with pytest.raises(catalog.ListingRejected):
        decide(review, "rejected", note="  ")
    with pytest.raises(catalog.ListingRejected):
        decide(review, "withdrawn", note="x")
    review.refresh_from_db()
    assert review.decision == ""


def test_staff_decide_and_never_on_their_own_listing(db, gus):
    service = make_draft(make_provider(), make_model())
    review = submit(service)
    with pytest.raises(catalog.MayNotReview):
        decide(review, "approved", decided_by=gus)
    reviewer = get_reviewer()
    Membership.objects.create(
        organisation=service.provider.organisation, user=reviewer, role=Role.MEMBER
    )
    with pytest.raises(catalog.MayNotReview):
        decide(review, "approved", decided_by=reviewer)
    review.refresh_from_db()
    assert review.decision == ""


def test_a_review_is_decided_once(db):
    review = submit(make_draft(make_provider(), make_model()))
    approve(review)
    with pytest.raises(catalog.ReviewClosed):
        decide(review, "rejected", note="Changed my mind.")
    assert review.service.status == "live"


def test_a_withdrawn_review_gives_the_draft_back(db):
    service = make_draft(make_provider(), make_model())
    submit(service)
    review = catalog.withdraw_review(service=service, now=NOW)
    assert (service.status, review.decision) == ("draft", "withdrawn")
    with pytest.raises(catalog.ReviewClosed):
        catalog.withdraw_review(service=service, now=NOW)


def test_a_difference_is_told_against_the_last_approval(db):
    service = make_live(make_provider(), make_model())
    first = service.reviews.get()
    assert all(d.changed and d.before is None for d in selectors.get_review_diff(first))
    second = catalog.update_service(
        service=service, changes={"country": "AT"}, submitted_by_label="Rita", now=NOW
    )
    assert second is not None
    [difference] = [d for d in selectors.get_review_diff(second) if d.changed]
    assert (difference.field, difference.before, difference.after) == ("country", "DE", "AT")


def test_the_price_under_review_stays(db):
    service = make_draft(make_provider(), make_model())
    submit(service)
    with pytest.raises(catalog.UnderReview):
        add_price(service, input_millitokens=1, cached_input_millitokens=0)
    assert service.price_versions.count() == 1


def test_two_staff_deciding_at_once_make_one_decision(committed_db):
    review = submit(make_draft(make_provider(), make_model()))
    get_reviewer()
    outcomes: list[str] = []

    def go(decision: str) -> None:
        try:
            decide(ServiceReview.objects.get(pk=review.pk), decision, note="because")
            outcomes.append(decision)
        except catalog.ReviewClosed:
            outcomes.append("late")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(d,)) for d in ("approved", "rejected") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("late") == 7
    review.refresh_from_db()
    assert review.decision in outcomes
    expected = "live" if review.decision == "approved" else "draft"
    assert review.service.status == expected
