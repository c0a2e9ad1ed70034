"""The book that the tests of this room damage."""

from typing import Any

import pytest

from accounts.models import Organisation
from marketplace.catalog.models import Service
from marketplace.ledger.models import Wallet
from tests.cast import make_key
from tests.market import give_tokens, make_call, open_call


@pytest.fixture
def key(committed_db: Any, acme: Organisation) -> str:
    return make_key(acme)[1]


@pytest.fixture
def book(acme: Organisation, key: str, rhine_service: Service) -> Wallet:
    """acme's wallet after a grant, two calls, one failure and one call that still runs."""
    give_tokens(acme)
    make_call(key, rhine_service)
    make_call(key, rhine_service, prompt_tokens=7, completion_tokens=3)
    make_call(key, rhine_service, status="failed")
    open_call(key, rhine_service)
    return Wallet.objects.get(owner_key=acme.public_id, unit="live", scope="")
