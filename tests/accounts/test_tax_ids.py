"""Tax ids: the form is checked where it is known, and stored as its authority writes it."""

import pytest

from accounts import services as accounts
from accounts.models import AuditEvent, Organisation, User
from accounts.services import SYSTEM_ACTOR
from accounts.tax_ids import TaxIdWrong, clean_tax_id
from portal.kernel.clock import utc_now
from portal.kernel.errors import Rejected
from tests.cast import signed_in

CREDIT_CODE = "91110000600037341L"


@pytest.mark.parametrize(
    ("country", "typed", "stored"),
    [
        ("DE", "DE 123 456 788", "DE123456788"),
        ("DE", "123456788", "DE123456788"),
        ("GR", "EL 094259216", "EL094259216"),
        ("GR", "094259216", "EL094259216"),
        ("AT", "U57194903", "ATU57194903"),
        ("BE", "BE697449992", "BE0697449992"),
        ("CN", " 91 110000 600037341l", CREDIT_CODE),
        ("GB", " GB 123 anything ", "GB 123 anything"),
        ("", "no country", "no country"),
        ("DE", "  ", ""),
    ],
)
def test_it_is_written_as_its_authority_writes_it(country: str, typed: str, stored: str) -> None:
    assert clean_tax_id(typed, country=country) == stored


@pytest.mark.parametrize(
    ("country", "typed"),
    [
        ("DE", "DE123456789"),  # the check digit is 8
        ("DE", "FR61954506077"),  # France's
        ("FR", "DE123456788"),
        ("CN", CREDIT_CODE[:-1] + "M"),
        ("CN", CREDIT_CODE[:-1]),
        ("CN", "9111000060003734IL"),  # I is no letter of the code
        ("CN", "DE123456788"),
    ],
)
def test_another_is_refused(country: str, typed: str) -> None:
    with pytest.raises(TaxIdWrong):
        clean_tax_id(typed, country=country)


def test_the_check_digit_of_a_credit_code_is_that_of_gb_32100() -> None:
    """Σ of 17 values × 3^i mod 31, what is missing to a multiple of 31: reckoned by hand here."""
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = "91310000MA1K35X2F"
    total = sum(letters.index(letter) * pow(3, i, 31) for i, letter in enumerate(body))
    right = letters[-total % 31]
    assert clean_tax_id(body + right, country="CN") == body + right
    for other in set(letters) - {right}:
        with pytest.raises(TaxIdWrong):
            clean_tax_id(body + other, country="CN")


SETTINGS = {"name": "Acme Ltd", "timezone": "UTC", "country": "CN", "billing_email": ""}


@pytest.mark.django_db
def test_settings_keep_the_id_clean_and_refuse_a_wrong_one(acme: Organisation, ada: User) -> None:
    client = signed_in(ada)
    before = Organisation.objects.values().get(pk=acme.pk)
    refused = client.post("/o/acme/settings/", {**SETTINGS, "tax_id": CREDIT_CODE[:-1]})
    assert refused.context["form"].errors.keys() == {"tax_id"}
    assert Organisation.objects.values().get(pk=acme.pk) == before
    assert not AuditEvent.objects.filter(action="organisation.changed").exists()
    client.post("/o/acme/settings/", {**SETTINGS, "tax_id": CREDIT_CODE.lower()})
    acme.refresh_from_db()
    assert (acme.tax_id, acme.country) == (CREDIT_CODE, "CN")


@pytest.mark.django_db
def test_the_country_is_checked_against_the_id_that_stands(acme: Organisation) -> None:
    Organisation.objects.update(tax_id="old words", country="GB")

    def change(**changes: str) -> None:
        accounts.update_organisation(
            organisation=acme, changes=changes, actor=SYSTEM_ACTOR, now=utc_now()
        )

    change(name="Acme")
    with pytest.raises(Rejected):
        change(country="DE")
    acme.refresh_from_db()
    assert (acme.name, acme.country, acme.tax_id) == ("Acme", "GB", "old words")
