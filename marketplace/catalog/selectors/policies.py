"""What a service declares, held against the policies of an organisation and its key.

It fails closed: what is not declared does not pass, and nothing passes an unreadable policy.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.services import AppliedPolicies, Policy
from marketplace.catalog.models import Service
from marketplace.catalog.vocabulary import QUANTISATION_BITS

if TYPE_CHECKING:
    from accounts.services.policies import PolicyOwner


class Declared(Protocol):
    """What policies look at; a ``CallableService`` has it all."""

    @property
    def region(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def licence_spdx(self) -> str: ...
    @property
    def provider_public_id(self) -> str: ...
    @property
    def quantisation(self) -> str: ...
    @property
    def retains_prompts_days(self) -> int: ...
    @property
    def trains_on_data(self) -> bool: ...


Fits = Callable[[Declared], bool]
Any_ = TypeVar("Any_", bound=Declared)


@dataclass(frozen=True, slots=True)
class DeclaredFacts:
    """A ``Declared`` of its own, for services as the ORM has them."""

    region: str
    country: str
    licence_spdx: str
    provider_public_id: str
    quantisation: str
    retains_prompts_days: int
    trains_on_data: bool


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """Whose policy forbids it, and by which rule, in the reader's words when it is shown."""

    owner: "PolicyOwner"
    words: str | Promise


def get_declared(service: Service) -> DeclaredFacts:
    """With its model and provider, which should be fetched with it."""
    return DeclaredFacts(
        region=service.region,
        country=service.country,
        licence_spdx=service.model.licence_spdx,
        provider_public_id=service.provider.public_id,
        quantisation=service.quantisation,
        retains_prompts_days=service.retains_prompts_days,
        trains_on_data=service.trains_on_data,
    )


def keep_permitted(
    services: Iterable[Any_], policies: AppliedPolicies
) -> tuple[list[Any_], BrokenRule | None]:
    """Those that pass, in their order; when none does, also the rule that excluded the last."""
    left = list(services)
    for owner, policy in policies.policies:
        for words, fits in _list_rules(policy):
            left = [service for service in left if fits(service)]
            if not left:
                return [], BrokenRule(owner, words)
    return left, None


def find_broken_rule(service: Declared, policies: AppliedPolicies) -> BrokenRule | None:
    """The first rule that forbids it; None when it may be called."""
    return keep_permitted([service], policies)[1]


def _list_rules(policy: Policy | None) -> Iterator[tuple[str | Promise, Fits]]:
    if policy is None:
        yield _("a policy that cannot be read"), lambda _service: False
        return
    if regions := policy.regions:
        yield _name(_("allowed regions"), regions), lambda s: s.region in regions
    if countries := policy.countries:
        yield _name(_("allowed countries"), countries), lambda s: s.country in countries
    if licences := policy.licences:
        yield _name(_("allowed licences"), licences), lambda s: s.licence_spdx in licences
    if providers := policy.providers:
        yield _("allowed providers"), lambda s: s.provider_public_id in providers
    if policy.no_training:
        yield _("no training on prompts"), lambda s: s.trains_on_data is False
    if (days := policy.most_retention_days) is not None:
        yield (
            _name(_("days that prompts are kept, at most"), [str(days)]),
            lambda s: s.retains_prompts_days <= days,
        )
    if (bits := policy.least_bits) is not None:
        yield (
            _name(_("bits per weight, at least"), [str(bits)]),
            lambda s: QUANTISATION_BITS.get(s.quantisation, 0) >= bits,
        )


def _name(rule: Promise, values: Sequence[str]) -> Promise:
    return format_lazy("{rule}: {values}", rule=rule, values=", ".join(values))
