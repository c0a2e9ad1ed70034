"""What every REST surface stands on: problems, paging, throttles, repeatable writes, fields.

Imports no room; what belongs to a room (its keys, its table of remembered answers) is passed in.
"""

from portal.kernel.rest.fields import (
    CountField,
    IntegerTextField,
    StrictSerializer,
    TextField,
    TokensField,
)
from portal.kernel.rest.idempotency import IdempotentWriteMixin
from portal.kernel.rest.paging import KeysetPagination
from portal.kernel.rest.problems import BodyTooLarge, problem_response
from portal.kernel.rest.throttles import KeyThrottle
from portal.kernel.rest.views import ApiView, NoSuchRoute

__all__ = [
    "ApiView",
    "BodyTooLarge",
    "CountField",
    "IdempotentWriteMixin",
    "IntegerTextField",
    "KeyThrottle",
    "KeysetPagination",
    "NoSuchRoute",
    "StrictSerializer",
    "TextField",
    "TokensField",
    "problem_response",
]
