"""The signed inbox: the one door without CSRF protection, since the signature is the credential."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from marketplace.billing import services
from marketplace.billing.payment_provider import EventRefused, ProviderSwitchedOff
from portal.kernel.clock import utc_now

# Events are thin; a snapshot event of a real processor has a few kilobytes.
MAX_BODY_BYTES = 256 * 1024


@csrf_exempt
@require_POST
def inbox(request: HttpRequest, provider: str) -> HttpResponse:
    """200 once the event is stored (or was before); 400 for whatever is not genuine."""
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        return JsonResponse({"error": "body_too_large"}, status=413)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        reception = services.receive_event(
            provider=provider, body=body, headers=headers, now=utc_now()
        )
    except ProviderSwitchedOff as error:
        return JsonResponse({"error": error.code}, status=404)
    except EventRefused as error:
        return JsonResponse({"error": error.code}, status=400)
    return JsonResponse({"received": True, "duplicate": not reception.is_new})
