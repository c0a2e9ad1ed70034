"""Who takes part: tenants with keys and small wallets of several lots, and what they can call."""

import random
from dataclasses import dataclass
from datetime import timedelta

from accounts.models import Organisation
from marketplace.ledger import services as ledger
from portal.kernel.clock import utc_now
from tests.billing.shop import make_pack
from tests.cast import make_key, make_organisation
from tests.partners.cast import make_live_service, make_model, make_provider

PACK = "soak"
MILLION = 1_000_000_000  # a million tokens in millitokens; the pack's size
# Some calls a wallet: a usual one costs about twenty million millitokens.
_PRICES = {
    "input_millitokens": 50_000,
    "cached_input_millitokens": 10_000,
    "output_millitokens": 900_000,
}
_CHAT, _DEAR, _EMBEDDINGS = "soak/chat", "soak/per-call", "soak/embeddings"
CHAT_MODELS = (_CHAT, _CHAT, _CHAT, _DEAR)
EMBEDDING_MODEL = _EMBEDDINGS


@dataclass(frozen=True)
class Tenant:
    """``keys`` call; the first also orders. ``public_id`` is the organisation's."""

    public_id: str
    keys: tuple[str, ...]


def build_world(
    chance: random.Random, *, endpoint_url: str, tenants: int, seconds: float
) -> list[Tenant]:
    """The market is open; ``seconds`` is how long it will be, so that lots expire meanwhile."""
    make_pack(
        PACK,
        paid_millitokens=MILLION,
        bonus_millitokens=MILLION // 20,
        prices={"USD": 95},
        expires_after_days=1,
    )
    chat, dear = make_model(_CHAT, name="Chat"), make_model(_DEAR, name="Dear")
    embeddings = make_model(_EMBEDDINGS, name="Embeddings", modality="embedding")
    services = []
    for number, name in enumerate(("Rhine", "Rival")):
        provider = make_provider(name)
        prices = _PRICES | {"output_millitokens": 900_000 + number}
        services.append(make_live_service(provider, chat, endpoint_url=endpoint_url, prices=prices))
    free = dict.fromkeys(_PRICES, 0)
    make_live_service(
        provider, dear, endpoint_url=endpoint_url, prices=free | {"request_millitokens": 999_999}
    )
    make_live_service(provider, embeddings, endpoint_url=endpoint_url, prices=_PRICES)
    return [
        _make_tenant(chance, number, f"service:{services[0].public_id}", seconds)
        for number in range(tenants)
    ]


def _make_tenant(chance: random.Random, number: int, scope: str, seconds: float) -> Tenant:
    organisation = make_organisation(f"Tenant {number}")
    for turn in range(6):
        # Some gone before the end, some left.
        _give(organisation, chance, turn, expires_in=chance.uniform(2, 1.5 * seconds))
    _give(organisation, chance, 6, expires_in=None)
    _give(organisation, chance, 7, expires_in=chance.uniform(5, seconds), scope=scope)
    keys = [make_key(organisation)[1]]
    keys += [make_key(organisation, cap_millitokens=2 * MILLION)[1], make_key(organisation)[1]]
    return Tenant(organisation.public_id, tuple(keys))


def _give(
    organisation: Organisation,
    chance: random.Random,
    turn: int,
    *,
    expires_in: float | None,
    scope: str = "",
) -> None:
    now = utc_now()
    amount = chance.randint(MILLION // 50, MILLION // 5)
    ledger.grant_lot(
        owner_key=organisation.public_id,
        unit="live",
        reference=f"soak:{organisation.public_id}:{turn}",
        kind=chance.choice(["grant", "bonus"]),
        face_millitokens=amount,
        debits=[("promotion", ledger.OPERATOR, amount)],
        scope=scope,
        expires_at=None if expires_in is None else now + timedelta(seconds=expires_in),
        now=now,
    )
