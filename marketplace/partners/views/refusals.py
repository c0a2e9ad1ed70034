"""The rooms' refusals, beside the fields of a form that they concern."""

from collections.abc import Mapping

from django.forms import Form

from portal.kernel.errors import DomainError


def show_refusal(form: Form, refusal: DomainError, names: Mapping[str, str] | None = None) -> None:
    """Put each reason to its field (``names`` maps fields of the table to those of the form), and
    what concerns no field on top."""
    fields = refusal.data.get("fields") or {}
    if not fields:
        form.add_error(None, str(refusal))
    for name, reasons in fields.items():
        field = (names or {}).get(name, name)
        for reason in reasons:
            form.add_error(field if field in form.fields else None, str(reason))
