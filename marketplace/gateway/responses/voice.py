"""Responses, as `voices.interface` wants them: asked as chat, worded as Response objects."""

from typing import Any

from marketplace.gateway import answers
from marketplace.gateway.calls import Closed, RunningCall
from marketplace.gateway.event_stream import EventStream
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.responses import answer as wording
from marketplace.gateway.responses.events import ResponseSpeaker
from marketplace.gateway.voices.passing_on import CHAT
from marketplace.upstream.usage import Usage


class ResponsesVoice:
    path = CHAT.path

    def shape(self, call: RunningCall) -> bytes:
        return CHAT.shape(call)

    def read_parts(self, answer: dict[str, Any]) -> list[Any]:
        return CHAT.read_parts(answer)

    def write(self, answer: dict[str, Any], call: RunningCall) -> dict[str, Any]:
        [choice, *_others] = answer["choices"]
        finish_reason = answers.read_finish_reason([choice])
        return answers.write_out(
            wording.render_response(
                call,
                status=wording.read_status(finish_reason),
                output=wording.list_items(choice, call),
                finish_reason=finish_reason,
                limited_by=answers.name_limit(call, finish_reason),
            )
        )

    def render_usage(self, usage: Usage, closed: Closed) -> dict[str, Any]:
        return wording.render_usage(usage, closed)

    def speak(self, events: EventStream, request: CallRequest) -> ResponseSpeaker:
        return ResponseSpeaker(events)


RESPONSES = ResponsesVoice()
