"""Keeping ``Service.search_text``: what a buyer might search a listing by, in both languages."""

from collections.abc import Iterator

from django.db.models import QuerySet

from marketplace.catalog import vocabulary
from marketplace.catalog.models import Service
from marketplace.catalog.search import search_text_of


def refresh_search_text(services: QuerySet[Service]) -> int:
    """Write the search text anew where it differs; returns how many were changed."""
    changed = []
    for service in services.select_related("model", "provider"):
        text = search_text_of(_searchable(service))
        if text != service.search_text:
            service.search_text = text
            changed.append(service)
    Service.objects.bulk_update(changed, ["search_text"], batch_size=200)
    return len(changed)


def _searchable(service: Service) -> Iterator[str]:
    model, provider = service.model, service.provider
    yield from (service.handle, model.name, model.family, model.author, provider.name)
    yield from (service.summary_en, service.summary_zh, model.summary_en, model.summary_zh)
    yield from (model.licence_spdx, service.region, service.quantisation)
    for chinese in (False, True):
        yield vocabulary.country_label(service.country, chinese=chinese)
        yield from (vocabulary.language_label(c, chinese=chinese) for c in model.languages)
    yield _words(vocabulary.MODALITIES, model.modality)
    yield _words(vocabulary.REGIONS, service.region)
    yield from (_words(vocabulary.TASKS, code) for code in model.tasks)
    yield from (_words(vocabulary.INDUSTRIES, code) for code in model.industries)


def _words(terms: dict[str, vocabulary.Term], code: str) -> str:
    term = terms.get(code)
    return term.words if term else ""
