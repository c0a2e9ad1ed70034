"""What a fapiao names of its buyer, checked in form."""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from accounts.tax_ids import TaxIdWrong, clean_tax_id
from marketplace.billing.models import FapiaoKind
from portal.kernel.errors import Rejected

# Of what a fapiao names: how many characters, and what even an ordinary one cannot do without.
_LONGEST = {
    "title": 100,
    "tax_id": 40,  # as it is typed, with spaces perhaps
    "email": 254,
    "address": 200,
    "phone": 40,
    "bank": 100,
    "bank_account": 40,
}
_ALWAYS_NAMED = ("title", "tax_id", "email")


class FapiaoRejected(Rejected):
    """What was asked or recorded cannot be; ``data["field"]`` says which part. Nothing changed."""

    code = "fapiao_rejected"


@dataclass(frozen=True, kw_only=True)
class FapiaoDetails:
    """What a fapiao names of its buyer; a special one needs all of it."""

    kind: FapiaoKind
    title: str
    tax_id: str
    email: str
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""


def clean_details(details: FapiaoDetails) -> dict[str, str]:
    """The columns of a Fapiao, with no space too many. Raises FapiaoRejected."""
    fields = {name: " ".join(getattr(details, name).split()) for name in _LONGEST}
    special = details.kind == FapiaoKind.SPECIAL
    for name in _LONGEST:
        if (special or name in _ALWAYS_NAMED) and not fields[name]:
            said = _("A special fapiao needs this.") if special else _("This is needed.")
            raise FapiaoRejected(said, data={"field": name})
        if len(fields[name]) > _LONGEST[name]:
            raise FapiaoRejected(_("This is too long."), data={"field": name})
    try:
        fields["tax_id"] = clean_tax_id(fields["tax_id"], country="CN")
    except TaxIdWrong as wrong:
        raise FapiaoRejected(
            _("This is no unified social credit code: 18 digits and letters."),
            data={"field": "tax_id"},
        ) from wrong
    try:
        validate_email(fields["email"])
    except ValidationError as wrong:
        raise FapiaoRejected(_("This is no e-mail address."), data={"field": "email"}) from wrong
    return {"kind": details.kind.value, **fields}
