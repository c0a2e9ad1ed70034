"""Which voice speaks at which address."""

from collections.abc import Mapping

from marketplace.gateway.requests import CallRequest, Operation
from marketplace.gateway.responses.voice import RESPONSES
from marketplace.gateway.voices.interface import StreamedVoice, Voice
from marketplace.gateway.voices.passing_on import CHAT, COMPLETIONS, EMBEDDINGS

_STREAMED: Mapping[Operation, StreamedVoice] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "responses": RESPONSES,
}
_VOICES: Mapping[Operation, Voice] = {**_STREAMED, "embeddings": EMBEDDINGS}


def voice_of(request: CallRequest) -> Voice:
    return _VOICES[request.operation]


def streamed_voice_of(request: CallRequest) -> StreamedVoice:
    """Requests for vectors cannot ask for a stream: parsing refuses that."""
    return _STREAMED[request.operation]
