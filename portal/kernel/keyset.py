"""Pages of long lists, newest first: by position, so page 10,000 costs as much as page 1."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class KeysetPage(Generic[Row]):
    """Rows newest first; the URLs are query strings that keep the filter, empty at an end."""

    rows: list[Row]
    newer_url: str
    older_url: str


def paginate_newest_first(
    rows: QuerySet[Row], *, time_field: str, query: QueryDict, page_size: int
) -> KeysetPage[Row]:
    """The page that ``?before=`` or ``?after=`` (a row's public id) asks for, else the newest.

    An id that the filtered list does not hold, another tenant's too, gives the first page.
    """
    newest_first = rows.order_by(f"-{time_field}", "-pk")
    before, after = query.get("before", ""), query.get("after", "")
    pivot = rows.filter(public_id=before or after).first() if before or after else None
    if pivot is None:
        page = list(newest_first[: page_size + 1])
        more_older, more_newer = len(page) > page_size, False
        page = page[:page_size]
    elif before:
        page = list(newest_first.filter(_beyond(time_field, pivot, "lt"))[: page_size + 1])
        more_older, more_newer = len(page) > page_size, True
        page = page[:page_size]
    else:
        oldest_first = rows.order_by(time_field, "pk").filter(_beyond(time_field, pivot, "gt"))
        page = list(oldest_first[: page_size + 1])
        more_older, more_newer = True, len(page) > page_size
        page = page[:page_size][::-1]
    return KeysetPage(
        page,
        _url(query, "after", page[0]) if page and more_newer else "",
        _url(query, "before", page[-1]) if page and more_older else "",
    )


def _beyond(time_field: str, pivot: Model, comparison: str) -> Q:
    moment = getattr(pivot, time_field)
    # Said by the rest too, but only this lets a database begin there instead of at the newest.
    bound = Q(**{f"{time_field}__{comparison}e": moment})
    return bound & (
        Q(**{f"{time_field}__{comparison}": moment})
        | Q(**{time_field: moment, f"pk__{comparison}": pivot.pk})
    )


def _url(query: QueryDict, name: str, row: Model) -> str:
    changed = query.copy()
    changed.pop("before", None)
    changed.pop("after", None)
    changed[name] = row.public_id  # type: ignore[attr-defined]
    return f"?{changed.urlencode()}"
