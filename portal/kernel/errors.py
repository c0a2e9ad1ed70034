"""What a domain refusal is. No HTTP here: each surface maps codes to its own form once."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _


class DomainError(Exception):
    """A refusal that the caller can understand and act on; nothing was changed.

    ``code`` is stable and machine-readable, ``message`` is a whole sentence for people (lazy
    translations welcome; the class's own ``sentence`` unless one is given), ``data`` holds what a
    surface may show besides (never a secret). ``kind`` orders refusals: not_found (404), forbidden
    (403), conflict (409), rejected (400), unpaid (402), limited (429), unavailable (503).
    """

    code = "refused"
    kind = "rejected"
    sentence: object = _("This cannot be done; nothing was changed.")

    def __init__(
        self,
        message: object = "",
        *,
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message or self.sentence
        self.code = code or self.code
        self.data = dict(data or {})

    def __str__(self) -> str:
        return str(self.message)


class NotFound(DomainError):
    """What was named is not there, or not this tenant's."""

    code, kind = "not_found", "not_found"
    sentence = _("There is no such thing here.")


class Forbidden(DomainError):
    """The person may see this but not do it."""

    code, kind = "forbidden", "forbidden"
    sentence = _("Your role does not allow this.")


class Conflict(DomainError):
    """Possible at another time, or was done already."""

    code, kind = "conflict", "conflict"
    sentence = _("This contradicts the present state; nothing was changed.")


class Rejected(DomainError):
    """Never possible as it was asked."""

    code, kind = "rejected", "rejected"
    sentence = _("The input cannot be accepted; nothing was changed.")
