"""Answers kept for who asks again: claimed by one request, filled by its call, forgotten in time.

A claim is a commit of its own, made before anything is held. It is given back when nothing was
charged; else it stays for ``FORGET_AFTER``, so that no repeat is charged again, whether the answer
is still there, is kept no longer, or was lost with its process.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings

from accounts.services import AuthenticatedKey
from marketplace.metering.models import COSTING_STATUSES, Call, CallStatus, StoredAnswer
from marketplace.metering.selectors import list_attempts
from marketplace.metering.services.sweeping import longest_call

FORGET_AFTER = timedelta(days=7)
# Between a call's end and its answer's being kept, when the database is busy.
_KEEPING_TAKES = timedelta(minutes=1)
# After one of these no other try follows.
_LAST_STATUSES = (*COSTING_STATUSES, CallStatus.LOST)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of the request that has the idempotency key already.

    ``other``: it was another request. ``running``: not answered yet. ``answered``: ``sealed`` is
    its answer. ``gone``: the answer is not kept any more, or was lost. ``cost_millitokens``:
    what the call of either cost.
    """

    state: Literal["other", "running", "answered", "gone"]
    call_id: str
    sealed: bytes = b""
    cost_millitokens: int = 0


def claim_answer(
    *, key: AuthenticatedKey, name_digest: str, request_hash: str, call_id: str, now: datetime
) -> Earlier | None:
    """None when the idempotency key is now this request's; else who has it. Safe to repeat:
    ``call_id`` is new for each request."""
    StoredAnswer.objects.bulk_create(
        [
            StoredAnswer(
                api_key_id=key.key_id,
                key_line=key.cap_subject,
                name_digest=name_digest,
                request_hash=request_hash,
                call=call_id,
                claimed_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    found = StoredAnswer.objects.filter(key_line=key.cap_subject, name_digest=name_digest).first()
    if found is None:
        # Given back between our two looks: whoever asks again will have it.
        return Earlier("running", "")
    if found.call == call_id:
        return None
    if found.request_hash != request_hash:
        return Earlier("other", found.call)
    return _describe(found, now)


def keep_answer(
    *, claim_id: str, key_line: str, name_digest: str, call_id: str, sealed: bytes, now: datetime
) -> None:
    """Keep the answer of the call that served the claim made under ``claim_id``. Safe to repeat."""
    StoredAnswer.objects.filter(
        key_line=key_line, name_digest=name_digest, call__in=(claim_id, call_id)
    ).update(call=call_id, answered_at=now, sealed=sealed)


def give_back_claim(*, claim_id: str, key_line: str, name_digest: str) -> None:
    """Nothing was charged: the idempotency key may be used again."""
    StoredAnswer.objects.filter(
        key_line=key_line, name_digest=name_digest, call=claim_id, answered_at=None
    ).delete()


def forget_answers(*, now: datetime) -> int:
    """Erase answers past their time, and their claims some days later; returns how many answers.

    In batches, and safe to run twice at once.
    """
    kept_until = now - timedelta(seconds=settings.GATEWAY_REPLAY_SECONDS)
    due = StoredAnswer.objects.filter(sealed__isnull=False, answered_at__lt=kept_until)
    erased = 0
    while pks := list(due.values_list("pk", flat=True)[:_BATCH]):
        erased += StoredAnswer.objects.filter(pk__in=pks).update(sealed=None)
    old = StoredAnswer.objects.filter(claimed_at__lt=now - FORGET_AFTER)
    while pks := list(old.values_list("pk", flat=True)[:_BATCH]):
        StoredAnswer.objects.filter(pk__in=pks).delete()
    return erased


def _describe(found: StoredAnswer, now: datetime) -> Earlier:
    if found.answered_at is None:
        # Each of its tries may take that long.
        longest = longest_call() * settings.GATEWAY_MAX_ATTEMPTS
        if now < found.claimed_at + longest and not _has_ended(found.call, now):
            return Earlier("running", found.call)
    call_id, cost = _find_cost(found.call)
    kept = timedelta(seconds=settings.GATEWAY_REPLAY_SECONDS)
    if found.sealed is not None and found.answered_at and now < found.answered_at + kept:
        return Earlier("answered", call_id, bytes(found.sealed), cost)
    return Earlier("gone", call_id, cost_millitokens=cost)


def _has_ended(call_id: str, now: datetime) -> bool:
    """Whether a call of the claim's request ended so long ago that its answer was lost."""
    return any(
        call.status in _LAST_STATUSES and call.ended_at and call.ended_at < now - _KEEPING_TAKES
        for call in _list_tries(call_id)
    )


def _find_cost(call_id: str) -> tuple[str, int]:
    """The call that answered, among the tries of its request, and what it cost."""
    tries = _list_tries(call_id)
    if not tries:
        return call_id, 0
    served = max(tries, key=lambda call: (call.cost_millitokens, call.attempt))
    return served.public_id, served.cost_millitokens


def _list_tries(call_id: str) -> list[Call]:
    call = Call.objects.filter(public_id=call_id).first()
    return list_attempts(call) if call else []
