"""Query filters that accept what the API's description says, and nothing that a database cannot."""

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from portal.kernel.rest.fields import read_moment


class _MomentFormField(forms.CharField):
    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        if not text:
            return None
        moment = read_moment(text)
        if moment is None:
            raise forms.ValidationError(
                _("Write the time as 2026-10-01T14:05:00Z, with seconds and offset."),
                code="not_moment",
            )
        return moment


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentFilter(django_filters.Filter):
    """A time as RFC 3339."""

    field_class = _MomentFormField
