"""The hot path: which services a call may go to, without a query for three seconds at a time.

Each process keeps one picture of all live services per unit. A picture is used for at most
``MAX_AGE_SECONDS`` and never past the moment when the next price comes into force; a change made
in this process drops it at once. Inside a transaction the database is asked, so what is not
committed is neither missed nor remembered.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography.fernet import InvalidToken
from django.db import connection
from django.db.models import F, Min, OuterRef, Subquery, TextField
from django.db.models.functions import Cast

from marketplace.catalog.models import PriceVersion, ServiceStatus
from marketplace.catalog.pricing import PriceSnapshot, typical_cost
from portal.kernel.encryption import decrypt

logger = structlog.get_logger(__name__)

MAX_AGE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class CallableService:
    """All that a call needs to know of a service, at one moment."""

    service_pk: int
    public_id: str
    handle: str
    slug: str
    model_handle: str
    model_name: str
    tokenizer: str
    provider_pk: int
    provider_public_id: str
    provider_slug: str
    provider_name: str
    commission_basis_points: int
    modality: str
    test: bool
    status: str
    endpoint_url: str
    credential: str
    upstream_model: str
    context_length: int
    max_output_tokens: int
    supported_parameters: tuple[str, ...]
    input_modalities: tuple[str, ...]
    cut_stream_billing: str
    region: str
    country: str
    quantisation: str
    licence_spdx: str
    # Per minute, from all callers together; None where the listing does not say.
    requests_per_minute: int | None
    tokens_per_minute: int | None
    retains_prompts_days: int
    trains_on_data: bool
    is_connected: bool
    is_sample: bool
    price: PriceSnapshot

    @property
    def unit(self) -> str:
        """Which tokens pay for it: "live" or "test"."""
        return "test" if self.test else "live"

    def __repr__(self) -> str:
        """Without the credential, which must never reach a log."""
        return f"<CallableService {self.handle}>"


@dataclass(frozen=True, slots=True)
class _Picture:
    services: tuple[CallableService, ...]
    by_handle: Mapping[str, tuple[CallableService, ...]]
    # Ciphertext → credential, to decrypt each only once; gone with its service.
    credentials: Mapping[str, str]
    loaded_at: float
    next_price_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        young = time.monotonic() - self.loaded_at < MAX_AGE_SECONDS
        return young and (self.next_price_at is None or now < self.next_price_at)


class _Pictures:
    """At most one picture per unit and database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, str], _Picture] = {}
        self._generation = object()

    def get(self, unit: str, now: datetime) -> _Picture:
        if connection.in_atomic_block:
            return _load(unit, now, {})
        key = (str(connection.settings_dict["NAME"]), unit)
        picture = self._by_key.get(key)
        if picture and picture.is_good(now):
            return picture
        with self._lock:
            picture = self._by_key.get(key)
            if picture and picture.is_good(now):
                return picture
            generation = self._generation
            fresh = _load(unit, now, picture.credentials if picture else {})
            # A change committed while this was being read makes it unfit to be remembered.
            if generation is self._generation:
                self._by_key = {k: p for k, p in self._by_key.items() if k[0] == key[0]}
                self._by_key[key] = fresh
            return fresh

    def forget(self) -> None:
        self._generation = object()
        self._by_key = {}


_pictures = _Pictures()


def find_callable_services(
    model_or_service_handle: str, *, unit: str, now: datetime
) -> list[CallableService]:
    """The live services that a ``model`` field names, cheapest first; none for an unknown name.

    The handle is a model's ("qwen/qwen3-8b": all its services) or a service's
    ("qwen/qwen3-8b@provider": that one). ``unit`` is "live" or "test". A service may be without
    an endpoint (``is_connected`` False): calls of it are answered ``service_not_connected``.
    """
    return list(_pictures.get(unit, now).by_handle.get(model_or_service_handle, ()))


def list_callable_services(*, unit: str, now: datetime) -> list[CallableService]:
    """All live services of the unit, by model handle, the cheapest of a model first."""
    return list(_pictures.get(unit, now).services)


def forget_callable_services() -> None:
    """Called by this room's services on every committed change."""
    _pictures.forget()


_COLUMNS = (
    "service_id", "service__public_id", "service__handle", "service__slug",
    "service__model__handle", "service__model__name", "service__model__tokenizer",
    "service__provider_id",
    "service__provider__public_id", "service__provider__slug", "service__provider__name",
    "service__provider__commission_basis_points", "service__model__modality", "service__test",
    "service__status", "service__endpoint_url", "sealed_credential", "service__upstream_model",
    "service__context_length", "service__max_output_tokens", "service__supported_parameters",
    "service__model__input_modalities",
    "service__cut_stream_billing", "service__region", "service__country",
    "service__quantisation", "service__model__licence_spdx", "service__requests_per_minute",
    "service__tokens_per_minute", "service__retains_prompts_days", "service__trains_on_data",
    "service__is_sample", "id", "public_id", "input_millitokens", "cached_input_millitokens",
    "output_millitokens", "request_millitokens",
)  # fmt: skip


def _load(unit: str, now: datetime, known: Mapping[str, str]) -> _Picture:
    loaded_at = time.monotonic()
    in_force = PriceVersion.objects.filter(service=OuterRef("service")).in_force(now=now)
    live = PriceVersion.objects.filter(
        service__status=ServiceStatus.LIVE, service__test=unit == "test"
    )
    rows = (
        live.filter(pk=Subquery(in_force.values("pk")[:1]))
        # The cast keeps the field from decrypting every row of every picture.
        .annotate(sealed_credential=Cast(F("service__credential"), TextField()))
        .values_list(*_COLUMNS)
    )
    credentials: dict[str, str] = {}
    services = [_read(row, known, credentials) for row in rows]
    services.sort(key=lambda s: (s.model_handle, typical_cost(s.price), s.service_pk))
    by_handle: dict[str, tuple[CallableService, ...]] = {}
    for service in services:
        by_handle[service.model_handle] = (*by_handle.get(service.model_handle, ()), service)
        by_handle[service.handle] = (service,)
    coming = live.filter(effective_at__gt=now).aggregate(first=Min("effective_at"))
    return _Picture(tuple(services), by_handle, credentials, loaded_at, coming["first"])


def _read(row: tuple, known: Mapping[str, str], credentials: dict[str, str]) -> CallableService:
    (
        service_pk, public_id, handle, slug, model_handle, model_name, tokenizer, provider_pk,
        provider_public_id, provider_slug, provider_name, commission_basis_points, modality,
        test, status, endpoint_url, sealed, upstream_model, context_length, max_output_tokens,
        supported_parameters, input_modalities, cut_stream_billing, region, country, quantisation,
        licence_spdx, requests_per_minute, tokens_per_minute, retains_prompts_days,
        trains_on_data, is_sample, price_pk, price_public_id, input_price, cached_price,
        output_price, request_price,
    ) = row  # fmt: skip
    credential = ""
    if sealed:
        try:
            credential = known.get(sealed) or decrypt(sealed)
            credentials[sealed] = credential
        except InvalidToken:
            # One unreadable secret must not stop the market: this service alone is unconnected.
            logger.error("credential_unreadable", service=handle)
            endpoint_url = ""
    return CallableService(
        service_pk=service_pk,
        public_id=public_id,
        handle=handle,
        slug=slug,
        model_handle=model_handle,
        model_name=model_name,
        tokenizer=tokenizer,
        provider_pk=provider_pk,
        provider_public_id=provider_public_id,
        provider_slug=provider_slug,
        provider_name=provider_name,
        commission_basis_points=commission_basis_points,
        modality=modality,
        test=test,
        status=status,
        endpoint_url=endpoint_url,
        credential=credential,
        upstream_model=upstream_model or model_handle,
        context_length=context_length,
        max_output_tokens=max_output_tokens,
        supported_parameters=tuple(supported_parameters),
        input_modalities=tuple(input_modalities),
        cut_stream_billing=cut_stream_billing,
        region=region,
        country=country,
        quantisation=quantisation,
        licence_spdx=licence_spdx,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        retains_prompts_days=retains_prompts_days,
        trains_on_data=trains_on_data,
        is_connected=bool(endpoint_url),
        is_sample=is_sample,
        price=PriceSnapshot(
            price_version_pk=price_pk,
            public_id=price_public_id,
            input_millitokens=input_price,
            cached_input_millitokens=cached_price,
            output_millitokens=output_price,
            request_millitokens=request_price,
        ),
    )
