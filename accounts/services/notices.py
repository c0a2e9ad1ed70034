"""Writing notices: of events once each, of causes when they begin and when they get worse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import selectors
from accounts.models import Notice, NoticeCause, NoticeKind, NoticePreference, Organisation, User
from accounts.notice_kinds import Channels, resolve_channels
from accounts.services.webhook_events import record_webhook_event
from accounts.webhook_data import EVENT_OF_NOTICE, describe_for_webhook


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one matter stands now. ``stage`` is the most urgent that it has reached (the lower the
    worse), or None while it is neither reached nor over: then nothing changes. ``person`` is whom
    alone it concerns, if that is not everybody of the kind's roles."""

    subject: str
    stage: int | None
    params: Mapping[str, Any]
    person: User | None = None


@dataclass(frozen=True)
class _Plan:
    over: list[NoticeCause]
    news: list[tuple[Standing, NoticeCause | None]]


def announce_event(
    *,
    organisation: Organisation,
    kind: NoticeKind,
    subject: str,
    params: Mapping[str, Any],
    person: User | None = None,
    now: datetime,
) -> None:
    """Tell everybody whose role it concerns, or only ``person`` of them, in the caller's
    transaction.

    ``subject`` is the event's own name, up to 200 characters: told a second time, also at the
    same time, it is nothing. ``params`` are what ``accounts.notice_words`` says of the kind.
    """
    _write(organisation, kind, subject, params, person=person, cause=None, now=now)


def follow_causes(
    *,
    organisation: Organisation,
    kind: NoticeKind,
    judge: Callable[[], Sequence[Standing]],
    now: datetime,
) -> int:
    """Make what is told agree with how things stand; how many notices were written.

    ``judge`` says how every matter of this kind stands; an open cause that it does not name is
    over. It is asked once without a lock, and again under the organisation's if anything is new:
    so of two at once, the later sees what the earlier did.
    """
    if _is_settled(_plan(organisation, kind, judge())):
        return 0
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
        plan = _plan(organisation, kind, judge())
        for cause in plan.over:
            cause.ended_at = now
            cause.save(update_fields=["ended_at"])
        return sum(
            _tell_of_cause(organisation, kind, standing, cause, now=now)
            for standing, cause in plan.news
        )


def mark_read(
    *,
    organisation: Organisation,
    person: User,
    public_id: str = "",
    until: str = "",
    now: datetime,
) -> int:
    """One notice, or all up to the one that ``until`` names; how many were unread.

    Raises NotFound for an id that is not this person's in this organisation.
    """
    notices = selectors.list_notices(organisation=organisation, person=person)
    if public_id:
        notice = selectors.get_notice(organisation=organisation, person=person, public_id=public_id)
        notices = notices.filter(pk=notice.pk)
    else:
        newest = selectors.get_notice(organisation=organisation, person=person, public_id=until)
        notices = notices.filter(pk__lte=newest.pk)
    return notices.filter(read_at__isnull=True).update(read_at=now)


def choose_channels(
    *, organisation: Organisation, person: User, chosen: Mapping[NoticeKind, Channels]
) -> None:
    """Keep a person's choices; what cannot be switched off stays on, whatever was chosen."""
    with transaction.atomic():
        for kind, channels in chosen.items():
            kept = resolve_channels(kind, channels)
            NoticePreference.objects.update_or_create(
                organisation=organisation,
                person=person,
                kind=kind,
                defaults={"in_portal": kept.in_portal, "by_mail": kept.by_mail},
            )


def prune_notices(*, now: datetime) -> int:
    """Delete what is older than NOTICE_KEEP_DAYS, and causes that ended before; how many notices.

    An open cause stays, or it would be told anew.
    """
    before = now - timedelta(days=settings.NOTICE_KEEP_DAYS)
    deleted, _by_model = Notice.objects.filter(created_at__lt=before).delete()
    NoticeCause.objects.filter(ended_at__lt=before, notices__isnull=True).delete()
    return deleted


def _plan(organisation: Organisation, kind: NoticeKind, standings: Sequence[Standing]) -> _Plan:
    open_causes = {
        cause.subject: cause
        for cause in NoticeCause.objects.filter(
            organisation=organisation, kind=kind, ended_at__isnull=True
        )
    }
    news = []
    for standing in standings:
        cause = open_causes.pop(standing.subject, None)
        if standing.stage is not None and (cause is None or standing.stage < cause.stage):
            news.append((standing, cause))
    return _Plan(list(open_causes.values()), news)


def _is_settled(plan: _Plan) -> bool:
    return not plan.over and not plan.news


def _tell_of_cause(
    organisation: Organisation,
    kind: NoticeKind,
    standing: Standing,
    cause: NoticeCause | None,
    *,
    now: datetime,
) -> int:
    assert standing.stage is not None
    if cause is None:
        cause = NoticeCause(
            organisation=organisation, kind=kind, subject=standing.subject, began_at=now
        )
    cause.stage = standing.stage
    cause.save()
    subject = f"{cause.public_id}:{cause.stage}"
    return _write(
        organisation, kind, subject, standing.params, person=standing.person, cause=cause, now=now
    )


def _write(
    organisation: Organisation,
    kind: NoticeKind,
    subject: str,
    params: Mapping[str, Any],
    *,
    person: User | None = None,
    cause: NoticeCause | None,
    now: datetime,
) -> int:
    readers = selectors.list_notice_readers(organisation=organisation, kind=kind, person=person)
    notices = [
        Notice(
            organisation=organisation,
            person=person,
            kind=kind,
            subject=subject,
            cause=cause,
            params=dict(params),
            in_portal=channels.in_portal,
            mail_due=channels.by_mail,
            created_at=now,
        )
        for person, channels in readers.items()
        if channels.in_portal or channels.by_mail
    ]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)
    if event_type := EVENT_OF_NOTICE.get(kind):
        record_webhook_event(
            organisation=organisation,
            event_type=event_type,
            subject=subject,
            data=describe_for_webhook(params, cause),
            now=now,
        )
    return len(notices)
