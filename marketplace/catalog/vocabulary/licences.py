"""Licences of model weights as data: what an SME has to know before it builds on them.

Codes are SPDX identifiers, or ``LicenseRef-…`` for licences that SPDX does not list.
"""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Openness(StrEnum):
    """How free the weights are to use in business."""

    PERMISSIVE = "permissive"
    CONDITIONS = "conditions"


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence, its name and its consequence in one sentence."""

    code: str
    name: str
    openness: Openness
    note: str | Promise
    url: str


_FREE = _("Commercial use is allowed; keep the licence notice.")


def _by_code(*licences: Licence) -> dict[str, Licence]:
    return {licence.code: licence for licence in licences}


LICENCES = _by_code(
    Licence(
        "Apache-2.0",
        "Apache 2.0",
        Openness.PERMISSIVE,
        _FREE,
        "https://www.apache.org/licenses/LICENSE-2.0",
    ),
    Licence("MIT", "MIT", Openness.PERMISSIVE, _FREE, "https://opensource.org/license/mit"),
    Licence(
        "LicenseRef-Llama-3.3",
        "Llama 3.3 Community License",
        Openness.CONDITIONS,
        _(
            "Commercial use is allowed under Meta's acceptable use policy; products name Llama, "
            "and companies with over 700 million monthly users need Meta's permission."
        ),
        "https://www.llama.com/llama3_3/license/",
    ),
    Licence(
        "LicenseRef-Gemma",
        "Gemma Terms of Use",
        Openness.CONDITIONS,
        _(
            "Commercial use is allowed under Google's prohibited use policy, which must be passed "
            "on to your own users."
        ),
        "https://ai.google.dev/gemma/terms",
    ),
    Licence(
        "LicenseRef-Modified-MIT",
        "Modified MIT",
        Openness.CONDITIONS,
        _(
            "Commercial use is allowed; products with over 100 million monthly users or 20 million "
            "US dollars of monthly revenue must show the model's name."
        ),
        "https://huggingface.co/moonshotai/Kimi-K2-Instruct/blob/main/LICENSE",
    ),
    Licence(
        "LicenseRef-DeepSeek-Model",
        "DeepSeek Model License",
        Openness.CONDITIONS,
        _("Commercial use is allowed within the use-based restrictions of its Attachment A."),
        "https://github.com/deepseek-ai/DeepSeek-V3/blob/main/LICENSE-MODEL",
    ),
)


def get_licence(code: str) -> Licence | None:
    """What is known of the licence; None for one that this list does not hold."""
    return LICENCES.get(code)
