"""What a domain refusal is. No HTTP here: each surface maps codes to its own form once."""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """A refusal that the caller can understand and act on; nothing was changed.

    ``code`` is stable and machine-readable, ``message`` is a whole sentence for people (lazy
    translations welcome), ``data`` holds what a surface may show besides (never a secret).
    ``kind`` orders refusals: not_found (404), forbidden (403), conflict (409), rejected (400),
    unpaid (402), limited (429), unavailable (503).
    """

    code = "refused"
    kind = "rejected"

    def __init__(
        self,
        message: object = "",
        *,
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message or self.__class__.__doc__ or ""
        self.code = code or self.code
        self.data = dict(data or {})

    def __str__(self) -> str:
        return str(self.message)


class NotFound(DomainError):
    """There is no such thing here."""

    code, kind = "not_found", "not_found"


class Forbidden(DomainError):
    """Your role does not allow this."""

    code, kind = "forbidden", "forbidden"


class Conflict(DomainError):
    """This contradicts the present state; nothing was changed."""

    code, kind = "conflict", "conflict"


class Rejected(DomainError):
    """The input cannot be accepted; nothing was changed."""

    code, kind = "rejected", "rejected"
