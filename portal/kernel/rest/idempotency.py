"""Writes that may be repeated: the header ``Idempotency-Key`` and the answers remembered for it.

1. *Claim*: a row without an answer is committed. A second request with the same key finds it:
   another body is refused (422), a finished answer is repeated, a running one is told to wait
   (409). A claim whose process died is taken over when its lease has run out.
2. *Write*: the effect and the answer are committed together, and only while the claim is still
   ours; so after a crash either both are there or neither.
3. A refusal changed nothing and is not remembered: the claim is removed.

A write that has to talk to the network between two commits of its own is not enclosed: it must
be repeatable by itself (by the same key), and its answer is stored after it.
"""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from portal.kernel.clock import utc_now
from portal.kernel.encryption import decrypt, encrypt
from portal.kernel.errors import Conflict
from portal.kernel.rest.problems import HeaderError

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
LEASE = timedelta(seconds=60)
KEPT = timedelta(hours=24)
PURGE_ROWS = 50
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class KeyReused(APIException):
    """The key was used before, with another request."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = _(
        "This Idempotency-Key was used for another request. Nothing was changed; use a new key."
    )


class StillRunning(Conflict):
    """The first request with this Idempotency-Key is still running."""

    code = "request_in_flight"

    def __init__(self) -> None:
        message = _("The first request with this Idempotency-Key is still running. Ask again soon.")
        super().__init__(message, data={"retry_after": 2})


@dataclass(frozen=True)
class _Claim:
    row_pk: int
    claimed_at: datetime


class IdempotentWriteMixin:
    """``answer_once`` for API views; ``remembered_answers`` is the table (see accounts)."""

    remembered_answers: ClassVar[Any]

    def answer_once(
        self, request: Request, write: Callable[[str], Response], *, enclosed: bool = True
    ) -> Response:
        """Run ``write(key)`` once per key, and repeat its answer afterwards.

        ``enclosed``: the effect joins the answer's transaction. Raises 400 without a proper
        header, 409 while the first request runs, 422 for another body under the same key.
        """
        key = read_idempotency_key(request)
        claim = self._claim(request, key)
        if isinstance(claim, Response):
            return claim
        try:
            with transaction.atomic() if enclosed else nullcontext():
                response = write(key)
                self._remember(claim, response)
        except BaseException:
            self._rows().filter(pk=claim.row_pk, status=None, created_at=claim.claimed_at).delete()
            raise
        return response

    def _claim(self, request: Request, key: str) -> _Claim | Response:
        now = utc_now()
        request_hash = _hash_request(request)
        self._forget_old(now)
        key_of_caller: Any = request.auth
        caller = {"api_key_id": key_of_caller.key_id, "idempotency_key": key}
        try:
            with transaction.atomic():
                row = self._rows().create(**caller, request_hash=request_hash, created_at=now)
                return _Claim(row.pk, now)
        except IntegrityError:
            row = self._rows().filter(**caller).first()
        if row is None:  # the first one was refused just now and took its claim away
            raise StillRunning()
        if row.request_hash != request_hash:
            raise KeyReused()
        if row.status is not None:
            return _replay(row)
        stale = self._rows().filter(pk=row.pk, status=None, created_at=row.created_at)
        if row.created_at > now - LEASE or not stale.update(created_at=now):
            raise StillRunning()
        return _Claim(row.pk, now)

    def _remember(self, claim: _Claim, response: Response) -> None:
        # Answers can hold short-lived credentials, so they are kept as ciphertext.
        body = encrypt(orjson.dumps(response.data, default=JSONEncoder().default).decode())
        mine = self._rows().filter(pk=claim.row_pk, status=None, created_at=claim.claimed_at)
        if not mine.update(status=response.status_code, body=body):
            raise StillRunning()

    def _forget_old(self, now: datetime) -> None:
        """A few rows past their time go with each write, so the table needs no task."""
        old = self._rows().filter(created_at__lt=now - KEPT)
        if rows := list(old.order_by("created_at").values_list("pk", flat=True)[:PURGE_ROWS]):
            old.filter(pk__in=rows).delete()

    def _rows(self) -> Any:
        return self.remembered_answers.objects.all()


def read_idempotency_key(request: Request) -> str:
    """The header's value: 1 to 200 visible ASCII characters; else 400 naming the header."""
    key = request.headers.get(HEADER, "")
    if _KEY.fullmatch(key):
        return key
    if not key:
        message = _("Send a key of your own with this write, so that a repeat does nothing twice.")
        raise HeaderError({HEADER: [message]}, code="required")
    message = _("Use 1 to 200 visible ASCII characters without spaces.")
    raise HeaderError({HEADER: [message]}, code="invalid")


def _hash_request(request: Request) -> str:
    # The standard library's JSON has one spelling for integers of any size.
    body = json.dumps([request.method, request.path, request.data], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def _replay(row: Any) -> Response:
    return Response(
        orjson.loads(decrypt(row.body)), status=row.status, headers={REPLAYED_HEADER: "true"}
    )
