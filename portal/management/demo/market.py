"""The demo's catalogue: written by the same services that providers and staff use."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.conf import settings

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service, ServiceStatus
from portal.management.demo.chat_models import CHAT_MODELS
from portal.management.demo.connected import CONNECTED
from portal.management.demo.embedding_models import EMBEDDING_MODELS
from portal.management.demo.samples import SAMPLES
from portal.management.demo.shapes import DemoModel, DemoOffer, DemoProvider, Prices

# The demo servers' own names for their models, and where they listen.
_HOST = "127.0.0.1"
_UPSTREAM_MODELS = {"chat": "smollm2-135m-instruct", "embeddings": "multilingual-e5-small"}
MARKET_AGE = timedelta(days=95)


def fill_market(
    organisations: Mapping[str, Organisation],
    providers: Iterable[DemoProvider],
    *,
    reviewer: User,
    now: datetime,
) -> list[Service]:
    """Models, providers, services and prices; ``organisations`` by the provider's slug."""
    models = {data.handle: _save_model(data) for data in (*CHAT_MODELS, *EMBEDDING_MODELS)}
    parameters = {data.handle: data.parameters for data in (*CHAT_MODELS, *EMBEDDING_MODELS)}
    profiles = {
        data.slug: catalog.create_provider(
            organisation=organisations[data.slug],
            name=data.name,
            slug=data.slug,
            summary_en=data.summary_en,
            summary_zh=data.summary_zh,
            country=data.country,
            is_sample=True,
            now=now - MARKET_AGE,
        )
        for data in providers
    }
    return [
        _list_service(
            offer,
            profiles[offer.provider],
            models[offer.model],
            parameters[offer.model],
            reviewer=reviewer,
            now=now,
        )
        for offer in (*CONNECTED, *SAMPLES)
    ]


def follow_the_ports(*, now: datetime) -> int:
    """Point the connected services at where the demo servers listen this time; how many moved."""
    moved = 0
    for kind, upstream_model in _UPSTREAM_MODELS.items():
        url = _endpoint_of(kind)
        elsewhere = Service.objects.filter(
            provider__is_sample=True,
            upstream_model=upstream_model,
            endpoint_url__startswith=f"http://{_HOST}:",
        ).exclude(endpoint_url=url)
        for service in elsewhere.exclude(status=ServiceStatus.RETIRED):
            catalog.connect_service(
                service=service,
                endpoint_url=url,
                upstream_model=upstream_model,
                actor=SYSTEM_ACTOR,
                now=now,
            )
            moved += 1
    return moved


def _endpoint_of(kind: str) -> str:
    ports = {"chat": settings.DEMO_CHAT_PORT, "embeddings": settings.DEMO_EMBEDDINGS_PORT}
    return f"http://{_HOST}:{ports[kind]}/v1"


def _save_model(data: DemoModel) -> AIModel:
    return catalog.save_model(
        handle=data.handle,
        name=data.name,
        family=data.family,
        author=data.author,
        modality=data.modality,
        input_modalities=list(data.input_modalities),
        output_modalities=["text" if data.modality == "chat" else "embedding"],
        context_length=data.context_length,
        parameters_millions=data.parameters_millions,
        licence_spdx=data.licence_spdx,
        languages=list(data.languages),
        tasks=list(data.tasks),
        industries=list(data.industries),
        summary_en=data.summary_en,
        summary_zh=data.summary_zh,
        released_on=data.released_on,
    )


def _list_service(
    offer: DemoOffer,
    provider: Provider,
    model: AIModel,
    parameters: tuple[str, ...],
    *,
    reviewer: User,
    now: datetime,
) -> Service:
    """Drafted, priced, submitted and approved, so many days ago."""
    then = now - timedelta(days=offer.days_live)
    service = catalog.create_service(
        provider=provider,
        model=model,
        region=offer.region,
        country=offer.country,
        quantisation=offer.quantisation,
        context_length=offer.context_length,
        max_output_tokens=offer.max_output_tokens,
        endpoint_url=_endpoint_of(offer.serves) if offer.serves else "",
        upstream_model=_UPSTREAM_MODELS[offer.serves] if offer.serves else "",
        supported_parameters=parameters,
        cut_stream_billing=offer.cut_stream_billing,
        retains_prompts_days=offer.retains_prompts_days,
        trains_on_data=offer.trains_on_data,
        summary_en=offer.summary_en,
        summary_zh=offer.summary_zh,
        test=offer.test,
        is_sample=offer.serves is None,
        private_endpoint_allowed=True,
        now=then,
    )
    _add_price(service, offer.earlier_price or offer.price, effective_at=then, now=then)
    review = catalog.submit_for_review(service=service, submitted_by_label=provider.name, now=then)
    catalog.decide_review(review=review, decision="approved", decided_by=reviewer, now=then)
    if offer.earlier_price:
        changed_at = now - timedelta(days=offer.changed_days_ago)
        _add_price(service, offer.price, effective_at=changed_at, now=changed_at)
    if offer.coming_price:
        coming_at = now + timedelta(days=offer.coming_in_days)
        _add_price(service, offer.coming_price, effective_at=coming_at, now=now)
    return service


def _add_price(service: Service, price: Prices, *, effective_at: datetime, now: datetime) -> None:
    cached = price.input if price.cached_input is None else price.cached_input
    catalog.add_price_version(
        service=service,
        input_millitokens=price.input,
        cached_input_millitokens=cached,
        output_millitokens=price.output,
        effective_at=effective_at,
        created_by=None,
        now=now,
    )
