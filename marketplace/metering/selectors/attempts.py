"""The tries of one request: each is a call of its own, of which at most one cost anything."""

from django.db.models import Q

from marketplace.metering.models import Call, CallStatus


def list_attempts(call: Call) -> list[Call]:
    """All calls that were made for the request of this one, in their order; it is among them.

    They are of the same organisation, key and member. A call that succeeded at once costs no
    query.
    """
    if not call.request_id or (call.attempt == 1 and call.status != CallStatus.FAILED):
        return [call]
    tries = (
        # The words of the index calls_tried_again, which has all but requests that went well.
        Call.objects.filter(
            Q(status=CallStatus.FAILED) | Q(attempt__gt=1),
            organisation=call.organisation_id,
            request_id=call.request_id,
        )
        .select_related("service__provider")
        .order_by("attempt", "pk")
    )
    return list(tries)
