"""E-mail for the embedded installation: each message a private file, and a line on the console.

A newcomer has no mail server, yet must be able to follow the link that confirms an address. SMTP
is chosen by EMAIL_BACKEND (docs/configuration.md).
"""

import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

_LINK = re.compile(r"https?://[^\s<>\"']+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class EmailBackend(BaseEmailBackend):
    """Writes to ``settings.EMAIL_FILE_PATH``; what is printed goes to standard error."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            path = _write_private(folder, message.message().as_bytes())
            sys.stderr.write(_describe(message, path))
            sys.stderr.flush()
        return len(email_messages)


def _write_private(folder: Path, content: bytes) -> Path:
    """Mode 0600 from the first byte: the file holds links that sign people in."""
    name = f"{timezone.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}.eml"
    path = folder / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def _describe(message: EmailMessage, path: Path) -> str:
    """One line; control characters in what people typed cannot reach the terminal."""
    links = " ".join(dict.fromkeys(_LINK.findall(str(message.body))))
    parts = [f"E-mail to {', '.join(message.recipients())}: {message.subject}", links, f"({path})"]
    return _CONTROL.sub(" ", "  ".join(part for part in parts if part)) + "\n"
