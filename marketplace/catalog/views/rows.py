"""Lists of services as templates read them: the card and what was measured of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.catalog.extras import NOT_MEASURED, Figures, get_figures
from marketplace.catalog.selectors import ServiceCard


@dataclass(frozen=True, slots=True)
class MeasuredCard:
    """A card of a list, or a row of a table."""

    card: ServiceCard
    figures: Figures


def with_figures(cards: Sequence[ServiceCard], *, now: datetime) -> list[MeasuredCard]:
    """The cards with the figures of all of them, asked for at once."""
    figures = get_figures([card.service.pk for card in cards], now=now)
    return [MeasuredCard(card, figures.get(card.service.pk, NOT_MEASURED)) for card in cards]
