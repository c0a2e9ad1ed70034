"""Mail of the embedded installation: a private file, and a line that a newcomer can follow."""

import stat
from email import message_from_bytes
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection

LINK = "http://localhost:8000/account/confirm/abc/"


@pytest.fixture
def mail_folder(settings, tmp_path: Path) -> Path:
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    return tmp_path / "mail"


def send(subject: str = "Confirm your address", body: str = f"Follow {LINK} please") -> None:
    connection = get_connection("portal.kernel.file_mail.EmailBackend")
    message = EmailMessage(subject, body, "us@localhost", ["ada@acme.example"])
    assert connection.send_messages([message]) == 1


def test_each_mail_is_a_file_that_only_its_owner_reads(mail_folder: Path) -> None:
    send()
    send()

    first, second = mail_folder.iterdir()
    assert first != second
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    mail = message_from_bytes(first.read_bytes())
    assert mail["Subject"] == "Confirm your address"
    assert mail["To"] == "ada@acme.example"
    assert LINK in mail.get_payload()


def test_notice_names_recipient_subject_and_link(
    mail_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send()

    (line,) = capsys.readouterr().err.splitlines()
    assert "ada@acme.example" in line
    assert "Confirm your address" in line
    assert LINK in line


def test_notice_cannot_carry_terminal_controls(
    mail_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(body="http://localhost/\x1b]0;owned\x07x and \x9b31m")

    assert not set(capsys.readouterr().err[:-1]) & {"\x1b", "\x07", "\x9b", "\n"}
