"""What the tax authority says of a fapiao: its number, which is no other one's, and its day."""

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.translation import gettext_lazy as _

from marketplace.billing.models import Fapiao, RedLetter
from marketplace.billing.services.fapiao_details import FapiaoRejected

# The numbers of fully digital fapiao.
_NUMBER = re.compile(r"[0-9]{20}", re.ASCII)
_CHINA = ZoneInfo("Asia/Shanghai")
_ADVISORY_LOCK = 0x66617069616F  # "fapiao": one number is recorded at a time


def clean_number(number: str) -> str:
    """20 digits, however they were grouped. Raises FapiaoRejected."""
    number = "".join(number.split())
    if not _NUMBER.fullmatch(number):
        raise FapiaoRejected(_("The number has 20 digits."), data={"field": "number"})
    return number


def check_day(day: date, now: datetime) -> None:
    """Raises FapiaoRejected for a day that has not begun in China."""
    if day > now.astimezone(_CHINA).date():
        raise FapiaoRejected(_("This day has not come yet."), data={"field": "issued_on"})


def refuse_used(number: str) -> None:
    """Inside the transaction that records it. Raises FapiaoRejected if it is, in blue or in red.

    Whoever records another waits for that commit: each table knows its own numbers only. So call
    it last, after the locks on orders and fapiao.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
    used = Fapiao.objects.filter(number=number).exists()
    if used or RedLetter.objects.filter(number=number).exists():
        raise FapiaoRejected(
            _("This number is recorded already, of another fapiao."), data={"field": "number"}
        )
