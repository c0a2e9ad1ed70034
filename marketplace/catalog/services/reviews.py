"""The way of a listing to the public: submitted, looked at by staff, decided once.

draft → in review → live (approved) or draft (changes requested, rejected, withdrawn). A change
of a live service is reviewed likewise, while the service goes on as it is.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership, User
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.catalog.models import (
    PriceVersion,
    ReviewDecision,
    Service,
    ServiceReview,
    ServiceStatus,
)
from marketplace.catalog.services.checks import announce_change, audit_service, rejected
from marketplace.catalog.services.search_index import refresh_search_text
from marketplace.catalog.services.snapshots import lock_service, snapshot_of
from portal.kernel.errors import Conflict, Forbidden


class NotADraft(Conflict):
    """Only a draft can be submitted for review."""

    code = "not_a_draft"


class ReviewClosed(Conflict):
    """This review has been decided already."""

    code = "review_closed"


class MayNotReview(Forbidden):
    """Reviews are decided by the market's staff, and never on a listing of their own."""

    code = "may_not_review"


def submit_for_review(
    *, service: Service, submitted_by_label: str, now: datetime, actor: Actor = SYSTEM_ACTOR
) -> ServiceReview:
    """Put a draft before staff. It needs a price; an endpoint may follow after the approval.

    Raises ``NotADraft`` or ``ListingRejected``.
    """
    with transaction.atomic():
        current = lock_service(service)
        if current.status != ServiceStatus.DRAFT:
            raise NotADraft(
                _("Only a draft can be submitted for review; this service is “%(status)s”.")
                % {"status": current.get_status_display()}
            )
        if not PriceVersion.objects.filter(service=current).in_force(now=now).exists():
            raise rejected({"price": [_("Set a price that is in force before you submit.")]})
        current.status = ServiceStatus.IN_REVIEW
        current.save(update_fields=["status"])
        review = ServiceReview.objects.create(
            service=current,
            submitted_by_label=submitted_by_label,
            submitted_at=now,
            snapshot=snapshot_of(current, now=now),
        )
        audit_service(current, "service.submitted", actor=actor, now=now)
    service.refresh_from_db()
    return review


def withdraw_review(
    *, service: Service, now: datetime, actor: Actor = SYSTEM_ACTOR
) -> ServiceReview:
    """Take back what waits for staff; raises ``ReviewClosed`` when nothing does."""
    with transaction.atomic():
        current = lock_service(service)
        review = current.reviews.filter(decision="").first()
        if review is None:
            raise ReviewClosed(_("Nothing of this service is being reviewed."))
        _close(review, ReviewDecision.WITHDRAWN, None, "", now)
        _back_to_draft(current)
        audit_service(current, "service.review_withdrawn", actor=actor, now=now)
    service.refresh_from_db()
    return review


def decide_review(
    *,
    review: ServiceReview,
    decision: str,
    decided_by: User,
    note: str = "",
    now: datetime,
    actor: Actor | None = None,
) -> ServiceReview:
    """Decide: ``decision`` is "approved", "changes_requested" or "rejected" (both with a note).

    Approval makes a draft live, or brings the changes of a live service into force; any other
    decision gives the draft back and leaves a live service as it was.
    Raises ``MayNotReview``, ``ReviewClosed``, ``ListingRejected``.
    """
    actor = actor or Actor(id=decided_by.public_id, label=decided_by.email)
    with transaction.atomic():
        current = lock_service(review.service)
        locked = ServiceReview.objects.select_for_update().get(pk=review.pk)
        _require_reviewer(decided_by, current)
        if locked.decision:
            raise ReviewClosed(_("This review has been decided already."))
        if decision not in ReviewDecision.values or decision == ReviewDecision.WITHDRAWN:
            raise rejected({"decision": [_("Approve, request changes or reject.")]})
        if decision != ReviewDecision.APPROVED and not note.strip():
            raise rejected({"note": [_("Say what the provider should do.")]})
        _close(locked, decision, decided_by, note, now)
        if decision == ReviewDecision.APPROVED:
            _apply(current, locked, now)
        else:
            _back_to_draft(current)
        audit_service(
            current,
            f"service.review_{decision}",
            actor=actor,
            now=now,
            after={"review": locked.public_id, "note": note, "fields": locked.changed_fields},
        )
        announce_change()
    review.refresh_from_db()
    review.service.refresh_from_db()
    return review


def _require_reviewer(user: User, service: Service) -> None:
    own = Membership.objects.filter(
        user=user, organisation_id=service.provider.organisation_id
    ).exists()
    if not user.is_staff or own:
        raise MayNotReview(_("Reviews are decided by staff, never on a listing of their own."))


def _close(
    review: ServiceReview, decision: str, decided_by: User | None, note: str, now: datetime
) -> None:
    review.decision = decision
    review.decided_by = decided_by
    review.decided_at = now
    review.note = note
    # An approved credential moves to the service, any other is forgotten.
    credential, review.credential = review.credential, ""
    review.save()
    review.credential = credential


def _apply(service: Service, review: ServiceReview, now: datetime) -> None:
    for field in review.changed_fields:
        value = review.credential if field == "credential" else review.snapshot[field]
        setattr(service, field, value)
    if service.status == ServiceStatus.IN_REVIEW:
        service.status = ServiceStatus.LIVE
        service.went_live_at = service.went_live_at or now
    service.save(update_fields=[*review.changed_fields, "status", "went_live_at"])
    refresh_search_text(Service.objects.filter(pk=service.pk))


def _back_to_draft(service: Service) -> None:
    if service.status == ServiceStatus.IN_REVIEW:
        service.status = ServiceStatus.DRAFT
        service.save(update_fields=["status"])
