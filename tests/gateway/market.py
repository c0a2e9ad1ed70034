"""A market with a fake provider behind it, for calls by real clients against a real process."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, OpenAI

from accounts.models import ApiKey, Organisation
from marketplace.catalog.models import Service
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Hold, Wallet
from marketplace.metering.models import Call, UsageCharge
from tests.cast import make_key
from tests.gateway.thread_site import ThreadSite
from tests.market import MILLION_TOKENS, give_tokens
from tests.partners.cast import make_live_service, make_model, make_provider
from tests.server import LiveSite

CHAT = "qwen/qwen3-8b"
EMBEDDINGS = "intfloat/multilingual-e5-small"
MESSAGES: list[Any] = [{"role": "user", "content": "Say hello."}]
CHAT_PATH = "/v1/chat/completions"
GOOD = {"model": CHAT, "messages": MESSAGES}
STREAM = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
# The usual prices of the cast (millitokens per model token): 200 in, 50 cached, 800 out.
FAKE_CALL_COST = 12 * 200 + 5 * 800


@dataclass
class Market:
    """acme with a key and tokens; provider rhine with a chat and an embeddings service."""

    site: LiveSite | ThreadSite
    acme: Organisation
    key: ApiKey
    secret: str
    chat: Service
    embeddings: Service

    def client(self, *, secret: str | None = None, **options: Any) -> OpenAI:
        options.setdefault("max_retries", 0)
        return OpenAI(base_url=self.site.api_url, api_key=secret or self.secret, **options)

    def async_client(self, **options: Any) -> AsyncOpenAI:
        options.setdefault("max_retries", 0)
        return AsyncOpenAI(base_url=self.site.api_url, api_key=self.secret, **options)

    def post(
        self, path: str, body: Any, *, secret: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers in lower case, and the parsed answer; any body at all can be sent."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._request("POST", path, data, secret, headers)

    def get(self, path: str, *, secret: str | None = None) -> tuple[int, dict[str, str], Any]:
        return self._request("GET", path, None, secret, {})

    def _request(
        self, method: str, path: str, data: bytes | None, secret: str | None, extra: dict[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        headers = {"Authorization": f"Bearer {secret or self.secret}", **extra}
        request = urllib.request.Request(
            self.site.url + path, data=data, method=method, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _lower(answer.headers), json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _lower(error.headers), json.loads(error.read())

    @property
    def spendable(self) -> int:
        return ledger.get_balance(owner_key=self.acme.public_id, unit="live").spendable

    def last_call(self) -> Call:
        return Call.objects.order_by("-pk").first()  # type: ignore[return-value]

    def assert_books_balance(self) -> None:
        """Nothing is held, and what left the wallet is what calls were charged."""
        assert not Hold.objects.filter(state="pending").exists()
        wallet = Wallet.objects.get(owner_key=self.acme.public_id, unit="live")
        assert wallet.held_millitokens == 0
        granted = sum(lot.face_millitokens for lot in wallet.lots.all())
        charged = sum(UsageCharge.objects.values_list("amount_millitokens", flat=True))
        costs = sum(Call.objects.values_list("cost_millitokens", flat=True))
        assert wallet.posted_millitokens == granted - charged == granted - costs


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def build_market(
    site: LiveSite | ThreadSite, acme: Organisation, *, millitokens: int = MILLION_TOKENS
) -> Market:
    give_tokens(acme, millitokens)
    key, secret = make_key(acme)
    provider = make_provider("Rhine")
    chat = make_live_service(provider, make_model(CHAT), endpoint_url=site.upstream.url)
    embeddings = make_live_service(
        provider,
        make_model(EMBEDDINGS, modality="embedding", context_length=512),
        endpoint_url=site.upstream.url,
        prices={"input_millitokens": 20, "cached_input_millitokens": 20, "output_millitokens": 0},
    )
    return Market(site, acme, key, secret, chat, embeddings)
