"""What every REST surface stands on: problems, paging, throttles, repeatable writes, fields.

Imports no room; what belongs to a room (its keys, its table of remembered answers) is passed in.
"""

from portal.kernel.rest.fields import (
    BooleanField,
    CountField,
    DayField,
    IntegerTextField,
    MomentField,
    StrictSerializer,
    TextField,
    TokensField,
)
from portal.kernel.rest.filters import MomentFilter
from portal.kernel.rest.idempotency import IdempotentWriteMixin
from portal.kernel.rest.paging import KeysetPagination
from portal.kernel.rest.parsing import BoundedJSONParser
from portal.kernel.rest.problems import BodyTooLarge, ParameterError, problem_response
from portal.kernel.rest.throttles import KeyThrottle
from portal.kernel.rest.views import ApiListView, ApiView, NoSuchRoute

__all__ = [
    "ApiListView",
    "ApiView",
    "BodyTooLarge",
    "BooleanField",
    "BoundedJSONParser",
    "CountField",
    "DayField",
    "IdempotentWriteMixin",
    "IntegerTextField",
    "KeyThrottle",
    "KeysetPagination",
    "MomentField",
    "MomentFilter",
    "NoSuchRoute",
    "ParameterError",
    "StrictSerializer",
    "TextField",
    "TokensField",
    "problem_response",
]
