"""An ``Idempotency-Key`` as it is stored: names and hashes that tell nothing, and answers that only
their owner can read.

The key of the encryption is derived from the text of the API key, which is stored nowhere, and the
idempotency key; so neither the operator nor a copy of the database can read an answer.
"""

import os
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.utils.crypto import salted_hmac

from accounts.services import AuthenticatedKey

_NONCE_BYTES = 12


@dataclass(slots=True)
class Claim:
    """One request's hold on its idempotency key.

    ``call_id`` is that of the request's first try. ``spent`` from the moment that its call may
    have been charged.
    """

    key: AuthenticatedKey
    name_digest: str
    request_hash: str
    call_id: str
    encryption_key: bytes
    spent: bool = False

    def seal(self, answer: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.encryption_key).encrypt(nonce, answer, self._context)

    def unseal(self, sealed: bytes) -> bytes | None:
        """None when it was sealed under another key: the API key was rotated since."""
        try:
            return AESGCM(self.encryption_key).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._context
            )
        except InvalidTag:
            return None

    @property
    def _context(self) -> bytes:
        return f"{self.key.cap_subject}:{self.request_hash}".encode()


def make_claim(
    key: AuthenticatedKey, *, key_text: bytes, name: bytes, path: str, body: bytes, call_id: str
) -> Claim:
    """``body`` is JSON that can be read; order of fields and spaces do not make it another one."""
    value: Any = orjson.loads(body)
    content = path.encode() + b"\n" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return Claim(
        key=key,
        name_digest=_digest("name", name),
        request_hash=_digest("request", name + b"\n" + content),
        call_id=call_id,
        encryption_key=HKDF(
            SHA256(), length=32, salt=None, info=b"tokenworks stored answer\n" + name
        ).derive(key_text),
    )


def _digest(purpose: str, text: bytes) -> str:
    return salted_hmac(f"gateway.claims.{purpose}", text, algorithm="sha256").hexdigest()
