"""Which voice speaks at which address."""

from collections.abc import Mapping

from marketplace.gateway.requests import CallRequest, Operation
from marketplace.gateway.responses.voice import RESPONSES
from marketplace.gateway.voices.interface import Voice
from marketplace.gateway.voices.passing_on import CHAT, COMPLETIONS, EMBEDDINGS

_VOICES: Mapping[Operation, Voice] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
    "embeddings": EMBEDDINGS,
}


def voice_of(request: CallRequest) -> Voice:
    return _VOICES[request.operation]
