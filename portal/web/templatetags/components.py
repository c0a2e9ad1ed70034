"""The parts that pages are made of (no ``{% load %}`` needed); shown in docs/design.md."""

from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import BaseForm, BaseFormSet
from django.forms.boundfield import BoundField
from django.http import HttpRequest
from django.template.context import Context
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext
from heroicons.templatetags.heroicons import heroicon_outline

from portal.web import template_nodes

register = template.Library()
register.tag("capture", template_nodes.capture)
register.tag("card", template_nodes.card)

# How a state is coloured; the word beside it says the same.
STATUS_LEVELS = {
    "ok": "live active paid done succeeded approved accepted verified completed resolved ok "
    "granted available sent issued agrees",
    "warn": "paused pending processing in_review draft suspended rotating open unverified "
    "invited partially_reversed delayed degraded received requested red_letter_due review",
    "bad": "failed revoked declined rejected overdue error down reversed cancelled disputed",
    "muted": "retired expired archived closed removed ignored released not_connected sample "
    "withdrawn uncountable",
}
_LEVEL_OF = {word: level for level, words in STATUS_LEVELS.items() for word in words.split()}
_LEVEL_ICONS = {
    "ok": "check-circle",
    "warn": "clock",
    "bad": "exclamation-circle",
    "info": "information-circle",
    "muted": "minus-circle",
}


@register.simple_tag
def icon(name: str, size: int = 20) -> SafeString:
    """A decorative heroicon (outline); the words beside it carry the meaning."""
    return heroicon_outline(name, size=size, **{"class": "icon", "aria_hidden": "true"})


@register.inclusion_tag("components/badge.html")
def badge(level: str, label: str, icon_name: str = "") -> dict[str, str]:
    """Icon and word; ``level`` is ok, warn, bad, info or muted."""
    return {"level": level, "label": label, "icon_name": icon_name or _LEVEL_ICONS[level]}


@register.inclusion_tag("components/badge.html")
def status_badge(status: str, label: str) -> dict[str, str]:
    """The badge of a model's status: ``{% status_badge key.status key.get_status_display %}``."""
    level = _LEVEL_OF.get(status, "info")
    return {"level": level, "label": label, "icon_name": _LEVEL_ICONS[level]}


@register.inclusion_tag("components/field.html")
def field(bound: BoundField) -> dict[str, Any]:
    """One form field: label, hint, control, error, tied together for screen readers."""
    widget = bound.field.widget
    return {
        "field": bound,
        "is_checkbox": getattr(widget, "input_type", "") == "checkbox"
        and not getattr(widget, "allow_multiple_selected", False),
    }


@register.inclusion_tag("components/error_summary.html")
def error_summary(form: BaseForm) -> dict[str, Any]:
    """On top of the page, focused, one link per faulty field; nothing when the form is fine."""
    return {"form": form}


@register.simple_tag(takes_context=True)
def error_prefix(context: Context) -> str:
    """ "Error: " for the page title when any form on the page was refused."""
    for value in context.flatten().values():
        if isinstance(value, BaseForm | BaseFormSet) and value.is_bound and value.errors:
            return gettext("Error:") + " "
    return ""


@register.inclusion_tag("components/nav_item.html", takes_context=True)
def nav_item(
    context: Context, url_name: str, label: str, icon_name: str = "", **kwargs: Any
) -> dict[str, Any]:
    """A navigation link, marked current on its page and the pages below it.

    The home of a section (its URL is a prefix of all others) passes ``exact=True``.
    """
    exact = kwargs.pop("exact", False)
    url = reverse(url_name, kwargs=kwargs)
    request = context.get("request")
    path = request.path if request else ""
    current = path == url or (not exact and path.startswith(url))
    return {
        "url": url,
        "label": label,
        "icon_name": icon_name,
        "current": ("page" if path == url else "true") if current else "",
    }


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: Context, page: Page, param: str = "page") -> dict[str, Any]:
    """Page links that keep the rest of the URL; nothing for a single page."""
    numbers = page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    return {
        "page": page,
        "links": [(number, _url_with(context["request"], param, number)) for number in numbers],
        "previous_url": _url_with(context["request"], param, page.number - 1),
        "next_url": _url_with(context["request"], param, page.number + 1),
        "ellipsis": page.paginator.ELLIPSIS,
    }


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(
    context: Context,
    key: str,
    label: str,
    *,
    current: str = "",
    numeric: bool = False,
    descending_first: bool = False,
) -> dict[str, Any]:
    """A ``<th>`` that sorts by ``?sort=key`` / ``?sort=-key``, with ``aria-sort``.

    ``current`` is the sort in force (default: the URL's); sorting goes back to the first page.
    """
    request = context["request"]
    current = current or request.GET.get("sort", "")
    upwards, downwards = current == key, current == f"-{key}"
    wants_descending = upwards or (descending_first and not downwards)
    return {
        "label": label,
        "numeric": numeric,
        "aria_sort": "ascending" if upwards else "descending" if downwards else "",
        "url": _url_with(request, "sort", f"-{key}" if wants_descending else key, drop="page"),
    }


def _url_with(request: HttpRequest, param: str, value: object, *, drop: str = "") -> str:
    query = request.GET.copy()
    query[param] = str(value)
    query.pop(drop, None)
    return f"?{query.urlencode()}"


@register.inclusion_tag("components/stat.html")
def stat(
    label: str,
    value: object,
    *,
    change: object = "",
    level: str = "",
    url: str = "",
    values: Any = (),
) -> dict[str, Any]:
    """A tile: label, value, the change in words, and a sparkline of ``values`` if given."""
    return {
        "label": label,
        "value": value,
        "change": change,
        "level": level,
        "url": url,
        "values": values,
    }


@register.inclusion_tag("components/code_tabs.html")
def code_tabs(snippets: Any, label: str = "") -> dict[str, Any]:
    """Code in several languages: ``snippets`` is a list of (id, name, code)."""
    return {"snippets": snippets, "label": label or pgettext("program", "Code")}


@register.inclusion_tag("components/copyable.html")
def copyable(text: str, label: str = "") -> dict[str, str]:
    """One line of code (a key, a URL, an id) with a button that copies it and says so."""
    return {"text": text, "label": label or gettext("Copy")}


@register.inclusion_tag("components/empty.html")
def empty_state(sentence: str, url: str = "", action: str = "", icon_name: str = "inbox") -> dict:
    """One sentence and one action."""
    return {"sentence": sentence, "url": url, "action": action, "icon_name": icon_name}


@register.inclusion_tag("components/notice.html")
def notice(level: str, text: str, title: str = "") -> dict[str, str]:
    """A box in the page; ``level`` is ok, warn, bad or info. Errors stay in the page."""
    icons = {**_LEVEL_ICONS, "warn": "exclamation-triangle"}
    return {"level": level, "text": text, "title": title, "icon_name": icons[level]}
