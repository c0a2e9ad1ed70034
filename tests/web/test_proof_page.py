"""The proof as its owner gets it: on a page, by REST, and checked by the program that is served."""

import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Organisation, User
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Checkpoint
from portal.kernel import immutability
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key, signed_in
from tests.market import give_tokens
from tests.server import LiveSite

# The test client gathers what a site sends in pieces.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
PAGE, FILE = "/o/acme/wallet/proof/", "/o/acme/wallet/proof.jsonl"


def read(response: Any) -> bytes:
    return b"".join(response)


@pytest.fixture
def granted(acme: Organisation, globex: Organisation) -> None:
    for organisation in (acme, globex):
        give_tokens(organisation, 5_000_000)


@pytest.fixture
def sealed(granted: None) -> Checkpoint:
    [checkpoint] = ledger.seal_entries(now=utc_now())
    return checkpoint


def test_page_shows_how_far_wallets_are_sealed(
    acme: Organisation, bill: User, sealed: Checkpoint
) -> None:
    give_tokens(acme, 1000, reference="later")
    page = signed_in(bill).get(PAGE)
    [(seal, _label)] = page.context["seals"]
    assert (seal.unit, seal.entries, seal.sealed) == ("live", 2, 1)
    assert seal.sealed_at == sealed.sealed_at
    assert str(sealed) in page.content.decode()


def test_page_before_the_first_seal(bill: User, granted: None) -> None:
    page = signed_in(bill).get(PAGE)
    assert page.status_code == 200
    assert "Nothing has been sealed yet." in page.content.decode()


def test_members_and_strangers_get_nothing(mia: User, gus: User, sealed: Checkpoint) -> None:
    for path in (PAGE, FILE):
        assert signed_in(mia).get(path).status_code == 403
        assert signed_in(gus).get(path).status_code == 404
        assert Client().get(path).status_code == 302


def test_download_is_checked_by_the_program_that_is_served(
    bill: User, globex: Organisation, sealed: Checkpoint, tmp_path: Path
) -> None:
    proof, program = tmp_path / "proof.jsonl", tmp_path / "tokenworks_verify.py"
    answer = signed_in(bill).get(FILE)
    assert answer["Content-Type"] == "application/jsonl"
    assert answer["Content-Disposition"].startswith('attachment; filename="proof-acme-')
    proof.write_bytes(read(answer))
    assert globex.public_id not in proof.read_text()
    program.write_bytes(read(Client().get("/verify/tokenworks_verify.py")))
    done = subprocess.run(
        [sys.executable, "-I", program, proof, "--head", str(sealed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "closing balance 5,000.000 tokens" in done.stdout


def test_rest_gives_a_key_what_it_may_read(
    acme: Organisation, ada: User, mia: User, sealed: Checkpoint
) -> None:
    path = "/api/v1/proof"
    live = read(ApiClient(make_key(acme, created_by=ada)[1]).get(path))
    test = read(ApiClient(make_key(acme, created_by=ada, kind="test")[1]).get(path))
    assert f"wallet:{acme.public_id}:live".encode() in live
    assert b":live" not in test
    assert ApiClient(make_key(acme, created_by=mia)[1]).get(path).status_code == 403
    assert ApiClient().get(path).status_code == 401


def test_seals_that_do_not_fit_prove_nothing(
    acme: Organisation, ada: User, sealed: Checkpoint
) -> None:
    client = ApiClient(make_key(acme, created_by=ada)[1])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    immutability.remove_guards(connection)
    Checkpoint.objects.create(
        number=2,
        sealed_at=utc_now() + timedelta(minutes=5),
        previous=sealed.hash,
        root="f" * 64,
        chains=sealed.chains,
        hash="e" * 64,
    )
    assert client.get("/api/v1/proof").json()["code"] == "seals_disagree"
    page = signed_in(ada).get(FILE)
    assert page.status_code == 503
    assert "do not fit together" in page.content.decode()


def test_running_site_sends_it_in_pieces(
    live_site: LiveSite, acme: Organisation, ada: User
) -> None:
    """Under ASGI, where a plain generator would be gathered whole."""
    give_tokens(acme, 5_000_000)
    ledger.seal_entries(now=utc_now())
    request = urllib.request.Request(
        f"{live_site.url}/api/v1/proof",
        headers={"Authorization": f"Bearer {make_key(acme, created_by=ada)[1]}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        lines = answer.read().splitlines()
    assert lines[-1].startswith(b'{"end":')
    assert "must consume" not in live_site.read_log()
