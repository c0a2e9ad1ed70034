"""Our bank account, as buyers are told it."""

import re
from dataclasses import dataclass

from django.conf import settings
from stdnum import iban


@dataclass(frozen=True, slots=True)
class BankAccount:
    """``number`` is an IBAN, without its spaces, or whatever the bank calls an account.

    Under one number each id of the bank stands for one transfer.
    """

    holder: str
    number: str
    bic: str
    bank: str

    @property
    def printed_number(self) -> str:
        """In groups of four where it is an IBAN."""
        return str(iban.format(self.number)) if iban.is_valid(self.number) else self.number


def get_account() -> BankAccount:
    """By the settings; parts may be empty."""
    number = settings.BANK_TRANSFER_ACCOUNT
    return BankAccount(
        holder=settings.BANK_TRANSFER_HOLDER,
        number=iban.compact(number) if iban.is_valid(number) else number.strip(),
        bic=settings.BANK_TRANSFER_BIC,
        bank=settings.BANK_TRANSFER_BANK,
    )


def bank_is_set_up() -> bool:
    """Enough to pay by: whose account, its number, and at which bank."""
    account = get_account()
    return bool(account.holder and account.number and account.bank)


def looks_like_iban(number: str) -> bool:
    """Two letters and two digits first, as no other account number begins."""
    return bool(re.match(r"[A-Za-z]{2}\d{2}", number))
