"""Heads leave the house, and tell a chain that was rewritten so that it fits together again."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from marketplace.ledger import services as ledger
from marketplace.ledger import tasks
from marketplace.ledger.apps import check_heads_webhook
from marketplace.ledger.models import Checkpoint, HeadDelivery
from portal.kernel import immutability
from portal.kernel.webhooks import WebhookFailed
from tests.databases import CommittedDatabase
from tests.kernel.receiver import SECRET, Receiver
from tests.ledger.cast import NOW, capture, grant, hold

pytest_plugins = ["tests.kernel.fixtures"]


def seal(minutes: int = 0) -> ledger.Head:
    [checkpoint] = ledger.seal_entries(now=NOW + timedelta(minutes=minutes))
    return ledger.Head(checkpoint.number, checkpoint.hash)


def verify(*arguments: str) -> tuple[int, str]:
    """The command's exit code and what it printed."""
    output = io.StringIO()
    try:
        call_command("verify_ledger", *arguments, stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


@pytest.fixture
def heads(committed_db: CommittedDatabase) -> list[ledger.Head]:
    grant(1000)
    first = seal()
    capture(hold(700), 650)
    return [first, seal(5)]


def tamper(*statements: str) -> None:
    immutability.remove_guards(connection)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    immutability.install_guards(connection)


def cut_the_tail() -> None:
    """Undo the last checkpoint and all that it sealed, leaving no trace."""
    tamper(
        "DELETE FROM ledger_walletcheckpoint WHERE checkpoint_number = 2",
        "DELETE FROM ledger_checkpoint WHERE number = 2",
        "DELETE FROM ledger_entry WHERE wallet_seq > 1",
        "DELETE FROM ledger_lotburn",
        "DELETE FROM ledger_transaction WHERE kind = 'capture'",
        "UPDATE ledger_wallet SET seq = 1, posted_millitokens = 1000",
        "UPDATE ledger_lot SET remaining_millitokens = face_millitokens",
    )


def test_sound_ledger(heads: list[ledger.Head]) -> None:
    code, output = verify(*(f"--head={head}" for head in heads))
    assert code == 0
    assert f"head {heads[1]}" in output
    assert "live: capture -650 grant +1000 = 350; wallets 350; all accounts 0" in output
    assert "3 entries, 1 chains, 2 checkpoints in" in output


def test_empty_ledger(committed_db: CommittedDatabase) -> None:
    code, output = verify()
    assert code == 0
    assert "head none yet" in output


def test_break_is_printed_with_its_place(heads: list[ledger.Head]) -> None:
    tamper("UPDATE ledger_transaction SET reason = 'forged' WHERE kind = 'capture'")
    code, output = verify()
    assert code == 1
    assert "BROKEN wallet:org_acme:live at 3: entries 2 to 3 are not those that" in output
    assert "balances." not in output


def test_equation_that_does_not_hold(heads: list[ledger.Head]) -> None:
    tamper("UPDATE ledger_wallet SET posted_millitokens = 351")
    code, output = verify()
    assert code == 1
    assert "BROKEN live: the equation does not hold" in output


def test_head_kept_elsewhere_tells_a_cut_tail(heads: list[ledger.Head]) -> None:
    cut_the_tail()
    assert verify()[0] == 0  # what is left fits together
    assert verify(f"--head={heads[0]}")[0] == 0
    code, output = verify(f"--head={heads[0]}", f"--head={heads[1]}")
    assert code == 1
    assert f"BROKEN {heads[1]} is not in the chain: the tail was cut off or rewritten" in output


def test_head_tells_a_rewritten_chain(heads: list[ledger.Head]) -> None:
    cut_the_tail()
    capture(hold(700), 600)
    assert seal(5).number == heads[1].number
    assert verify()[0] == 0
    assert verify(f"--head={heads[1]}")[0] == 1


@pytest.mark.parametrize("text", ["", "1", "0:" + "a" * 64, "1:" + "A" * 64, "1:abc"])
def test_what_is_no_head_is_refused(heads: list[ledger.Head], text: str) -> None:
    with pytest.raises(CommandError):
        call_command("verify_ledger", f"--head={text}")


def test_export_appends_what_the_file_lacks(heads: list[ledger.Head], tmp_path: Path) -> None:
    path = tmp_path / "heads"
    assert verify(f"--export={path}")[0] == 0
    assert verify(f"--export={path}")[0] == 0
    assert path.read_text() == f"{heads[0]}\n{heads[1]}\n"
    grant(5)
    third = seal(10)
    verify(f"--export={path}")
    assert path.read_text().splitlines() == [*map(str, heads), str(third)]


def test_nothing_is_exported_of_a_broken_ledger(heads: list[ledger.Head], tmp_path: Path) -> None:
    tamper("UPDATE ledger_transaction SET reason = 'forged'")
    assert verify(f"--export={tmp_path / 'heads'}")[0] == 1
    assert not (tmp_path / "heads").exists()


def test_file_itself_is_a_witness(heads: list[ledger.Head], tmp_path: Path) -> None:
    path = tmp_path / "heads"
    ledger.append_heads(path)
    before = path.read_text()
    cut_the_tail()
    capture(hold(700), 600)
    seal(5)
    grant(5)
    seal(10)
    with pytest.raises(ledger.HeadsDisagree):
        ledger.append_heads(path)
    with pytest.raises(CommandError, match="not in the chain"):
        verify(f"--export={path}")
    assert path.read_text() == before


def test_schedule_exports_and_delivers(
    committed_db: CommittedDatabase, receiver: Receiver, settings: Any, tmp_path: Path
) -> None:
    settings.LEDGER_HEADS_FILE = str(tmp_path / "heads")
    settings.LEDGER_HEADS_WEBHOOK_URL = f"http://{receiver.address}/heads"
    settings.LEDGER_HEADS_WEBHOOK_SECRET = SECRET
    for amount in (1000, 5):
        grant(amount)
        tasks.seal_entries()
    tasks.seal_entries()
    heads = [str(checkpoint) for checkpoint in Checkpoint.objects.order_by("number")]
    assert (tmp_path / "heads").read_text().splitlines() == heads
    delivered = [orjson.loads(body)["data"] for _headers, body in receiver.taken]
    assert [f"{head['number']}:{head['hash']}" for head in delivered] == heads
    assert [headers["webhook-id"] for headers, _body in receiver.taken] == ["head_1", "head_2"]


@pytest.fixture
def address(receiver: Receiver, settings: Any) -> Receiver:
    settings.LEDGER_HEADS_WEBHOOK_URL = f"http://{receiver.address}/heads"
    settings.LEDGER_HEADS_WEBHOOK_SECRET = SECRET
    return receiver


def test_head_that_was_not_taken_is_sent_again(db: None, address: Receiver) -> None:
    grant(1000)
    seal()
    address.status = 500
    with pytest.raises(WebhookFailed):
        ledger.deliver_heads(now=NOW)
    assert not HeadDelivery.objects.exists()
    tasks.seal_entries()  # logs it, and goes on
    address.status = 204
    assert ledger.deliver_heads(now=NOW) == 1
    assert ledger.deliver_heads(now=NOW) == 0
    assert {headers["webhook-id"] for headers, _body in address.taken} == {"head_1"}


def test_nothing_is_delivered_without_an_address(db: None) -> None:
    grant(1000)
    seal()
    assert ledger.deliver_heads(now=NOW) == 0
    assert not HeadDelivery.objects.exists()


def test_address_needs_a_secret(address: Receiver, settings: Any) -> None:
    assert check_heads_webhook(app_configs=None) == []
    settings.LEDGER_HEADS_WEBHOOK_SECRET = "no base64"
    [error] = check_heads_webhook(app_configs=None)
    assert error.id == "ledger.E001"
    settings.LEDGER_HEADS_WEBHOOK_URL = ""
    assert check_heads_webhook(app_configs=None) == []
