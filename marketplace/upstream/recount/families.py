"""Which tokenizer a model has, and how it writes a chat into one prompt.

A model's ``tokenizer`` in the catalogue names its family; where it is empty, the handle tells,
for the models whose tokenizer is published. A family that is wrong makes honest counts look
dishonest, so what is not known for sure has none.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from marketplace.upstream.recount import chat_templates as templates
from marketplace.upstream.recount.chat_templates import ChatTemplate

# In AIModel.tokenizer: a model of which nothing can be counted again, whatever its handle says.
NO_TOKENIZER = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One tokenizer. ``vocabulary`` is a name of ``vocabularies``; ``markers`` are the texts that
    it knows as one token each.

    Without a ``template`` prompts of chats cannot be counted. ``tokens_per_input`` are what it adds
    to each text that it embeds.
    """

    name: str
    vocabulary: str
    markers: tuple[str, ...] = ()
    # Whether it joins letters with their accents before it looks at a text (NFC).
    composes: bool = False
    template: ChatTemplate | None = None
    tokens_per_input: int = 0


_CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_QWEN2 = (*_CHATML, "<tool_call>", "</tool_call>")
_QWEN3 = (*_QWEN2, "<tool_response>", "</tool_response>", "<think>", "</think>")
_DEEPSEEK = (
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>", "<｜tool▁sep｜>",
)  # fmt: skip
_DEEPSEEK_THINKING = (*_DEEPSEEK, "<think>", "</think>")
_GLM = (
    "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<|endoftext|>",
)  # fmt: skip
_LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

_FAMILIES = {
    family.name: family
    for family in (
        Family(name="smollm2", vocabulary="smollm2", markers=_CHATML, template=templates.smollm2),
        Family(
            name="qwen2.5",
            vocabulary="qwen3",
            markers=_QWEN2,
            composes=True,
            template=templates.qwen2_5,
        ),
        Family(
            name="qwen3",
            vocabulary="qwen3",
            markers=_QWEN3,
            composes=True,
            template=templates.qwen3,
            tokens_per_input=1,
        ),
        Family(
            name="deepseek-v3",
            vocabulary="deepseek_v3",
            markers=_DEEPSEEK,
            template=templates.deepseek_v3,
        ),
        Family(
            name="deepseek-v3.1",
            vocabulary="deepseek_v3",
            markers=_DEEPSEEK_THINKING,
            template=templates.deepseek_v3_1,
        ),
        Family(
            name="deepseek-r1",
            vocabulary="deepseek_v3",
            markers=_DEEPSEEK_THINKING,
            template=templates.deepseek_r1,
        ),
        Family(name="glm-4.5", vocabulary="glm4", markers=_GLM, template=templates.glm4_5),
        # No template that could be compared with the authors' own: completions only.
        Family(name="llama-3", vocabulary="llama3", markers=_LLAMA),
        Family(name="kimi-k2", vocabulary="kimi_k2"),
        Family(name="gpt-oss", vocabulary="gpt-oss"),
        Family(name="mistral-tekken", vocabulary="mistral_v3"),
        Family(name="phi-4", vocabulary="phi4"),
    )
}
# The last part of a model's handle. New generations often have new vocabularies, so each pattern
# ends where the generation does.
_HANDLES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"smollm2-", "smollm2"),
        (r"qwen2\.5-(?!vl|omni)", "qwen2.5"),
        (r"qwen3-(?!vl|omni|next)", "qwen3"),
        (r"deepseek-v3\.1", "deepseek-v3.1"),
        (r"deepseek-v3(-|$)", "deepseek-v3"),
        (r"deepseek-r1(-0528)?$", "deepseek-r1"),
        (r"glm-4\.5(-air)?$", "glm-4.5"),
        (r"llama-3(\.[123])?-", "llama-3"),
        (r"kimi-k2-", "kimi-k2"),
        (r"gpt-oss-", "gpt-oss"),
        (r"mistral-(small-3|nemo)", "mistral-tekken"),
        (r"phi-4$", "phi-4"),
    )
)


def is_available() -> bool:
    """Whether tokens can be counted here at all; looks for the package and does not load it."""
    return find_spec("splintr") is not None


@lru_cache(maxsize=1024)
def find_family(model_handle: str, tokenizer: str = "") -> Family | None:
    """The family of a model ("qwen/qwen3-8b"), or None where nothing can be counted again."""
    if not is_available():
        return None
    if tokenizer:
        return _FAMILIES.get(tokenizer)
    name = model_handle.rpartition("/")[2].lower()
    for pattern, family in _HANDLES:
        if pattern.match(name):
            return _FAMILIES[family]
    return None
