"""Pausing, resuming and retiring services."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.catalog.models import ReviewDecision, Service, ServiceStatus
from marketplace.catalog.services.checks import announce_change, audit_service
from marketplace.catalog.services.snapshots import lock_service
from portal.kernel.errors import Conflict


class WrongStatus(Conflict):
    """The service is not in a state that allows this."""

    code = "wrong_status"


def pause_service(*, service: Service, now: datetime, actor: Actor = SYSTEM_ACTOR) -> Service:
    """Take no new calls for now; running ones end. Raises ``WrongStatus`` unless it is live."""
    return _move(service, (ServiceStatus.LIVE,), ServiceStatus.PAUSED, "paused", actor, now)


def resume_service(*, service: Service, now: datetime, actor: Actor = SYSTEM_ACTOR) -> Service:
    """Take calls again. Raises ``WrongStatus`` unless it is paused."""
    return _move(service, (ServiceStatus.PAUSED,), ServiceStatus.LIVE, "resumed", actor, now)


def retire_service(*, service: Service, now: datetime, actor: Actor = SYSTEM_ACTOR) -> Service:
    """End the service for good and close what waits for review; its past calls stay.

    Raises ``WrongStatus`` when it is retired already.
    """
    allowed = tuple(s for s in ServiceStatus if s != ServiceStatus.RETIRED)
    with transaction.atomic():
        moved = _move(service, allowed, ServiceStatus.RETIRED, "retired", actor, now)
        service.reviews.filter(decision="").update(
            decision=ReviewDecision.WITHDRAWN, decided_at=now, credential=""
        )
        # Nobody will call it again, so its secret need not be kept.
        Service.objects.filter(pk=service.pk).update(credential="")
    return moved


def _move(
    service: Service,
    allowed: tuple[ServiceStatus, ...],
    status: ServiceStatus,
    verb: str,
    actor: Actor,
    now: datetime,
) -> Service:
    with transaction.atomic():
        current = lock_service(service)
        if current.status not in allowed:
            raise WrongStatus(
                _("This cannot be done while the service is “%(status)s”.")
                % {"status": current.get_status_display()}
            )
        before, current.status = current.status, status
        current.save(update_fields=["status"])
        audit_service(
            current,
            f"service.{verb}",
            actor=actor,
            now=now,
            before={"status": before},
            after={"status": status},
        )
        announce_change()
    service.refresh_from_db()
    return service
