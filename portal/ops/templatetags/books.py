"""How the operator's pages write what the books refer to (``{% load books %}``)."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.ops.records import link_reference
from portal.web.templatetags.numbers import DASH

register = template.Library()


@register.simple_tag
def reference_link(reference: str, text: str) -> SafeString:
    """``text``, leading to the call or order that ``reference`` ("call:call_…") names, if any."""
    url = link_reference(reference)
    if not url:
        return format_html('<span class="break">{}</span>', text or DASH)
    return format_html('<a class="break" href="{}">{}</a>', url, text)
