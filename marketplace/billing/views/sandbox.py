"""The sandbox's pages: what a hosted checkout looks like, on our own domain, moving no money.

Like real ones they are found by the visit's unguessable id and ask for no sign-in.
"""

from datetime import datetime, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from marketplace.billing.forms import SandboxCardForm, SandboxForm
from marketplace.billing.models import SandboxSession
from marketplace.billing.payment_provider import SessionUnknown
from marketplace.billing.providers import sandbox_is_allowed
from marketplace.billing.sandbox import cards, delivery, processor
from portal.kernel.clock import utc_now
from portal.kernel.waking import wake_on_commit


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def pay_page(request: HttpRequest, session: str) -> HttpResponse:
    """Pay, decline, succeed later, or walk away; then back to where the buyer came from."""
    if not sandbox_is_allowed():
        raise Http404
    now = utc_now()
    try:
        found = processor.get_session(session, now=now)
    except SessionUnknown as error:
        raise Http404 from error
    if found.session_id != session:
        raise Http404
    if request.method != "POST":
        return _render_page(request, found, SandboxForm())
    form = SandboxForm(request.POST)
    if not form.is_valid():
        return _render_page(request, found, form, status=400)
    if form.cleaned_data["action"] == "abandon":
        return redirect(found.cancel_url)
    _act(found, form, now=now)
    delivery.deliver_due_events(now=now)
    return redirect(found.return_url)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def card_page(request: HttpRequest, visit: str) -> HttpResponse:
    """Choose how the saved card behaves, or leave; then back to where the buyer came from."""
    if not sandbox_is_allowed():
        raise Http404
    try:
        found = cards.get_visit(visit)
    except SessionUnknown as error:
        raise Http404 from error
    form = SandboxCardForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 400 if request.method == "POST" else 200
        return render(
            request, "billing/sandbox/card.html", {"visit": found, "form": form}, status=status
        )
    chosen = form.cleaned_data["card"]
    if not chosen:
        return redirect(found.cancel_url)
    cards.choose(visit_id=found.visit_id, state=chosen)
    return redirect(found.return_url)


def _act(session: SandboxSession, form: SandboxForm, *, now: datetime) -> None:
    """A second click, or one in another tab, finds the session no longer open: nothing happens."""
    match form.cleaned_data["action"]:
        case "pay":
            processor.pay(session_id=session.session_id, now=now)
        case "decline":
            processor.decline(session_id=session.session_id, now=now)
        case "delay":
            seconds = form.cleaned_data["seconds"]
            delay = timedelta(seconds=seconds)
            if processor.pay_later(session_id=session.session_id, delay=delay, now=now):
                wake_on_commit("billing.deliver_sandbox_events", countdown=seconds + 0.5)


def _render_page(
    request: HttpRequest, session: SandboxSession, form: SandboxForm, *, status: int = 200
) -> HttpResponse:
    return render(
        request, "billing/sandbox/pay.html", {"session": session, "form": form}, status=status
    )
