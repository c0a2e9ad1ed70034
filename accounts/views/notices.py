"""A person's inbox in an organisation, and what they want to be told."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.access import OrganisationRequest, organisation_view, posted
from accounts.forms.notices import LowBalanceForm, NoticeChoicesForm
from accounts.models import Organisation, Role
from accounts.notice_words import describe_notice
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound
from portal.kernel.keyset import paginate_newest_first

PAGE_SIZE = 25


@require_safe
@organisation_view()
def notices(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Newest first, each with the way to what it is about."""
    page = paginate_newest_first(
        selectors.list_notices(organisation=request.organisation, person=request.user),
        time_field="created_at",
        query=request.GET,
        page_size=PAGE_SIZE,
    )
    context = {
        "rows": [(notice, describe_notice(notice)) for notice in page.rows],
        "page": page,
        "newest": page.rows[0].public_id if page.rows else "",
        "query": request.GET.urlencode(),
    }
    return render(request, "accounts/notices.html", context)


@require_POST
@organisation_view()
def read_notices(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Mark the one that ``notice`` names, or all up to ``until``: what came since stays new."""
    try:
        services.mark_read(
            organisation=request.organisation,
            person=request.user,
            public_id=request.POST.get("notice", ""),
            until=request.POST.get("until", ""),
            now=utc_now(),
        )
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    place = QueryDict(request.POST.get("query", "")).urlencode()
    url = reverse("accounts:notices", kwargs={"organisation": organisation})
    return redirect(f"{url}?{place}" if place else url)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
def notice_settings(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """One's own choices; for owners and billing also the organisation's mark."""
    choices = selectors.list_notice_choices(membership=request.membership)
    sets_mark = request.membership.includes(Role.BILLING)
    # A copy: what was typed must not show up in the layout around it.
    current = Organisation.objects.get(pk=request.organisation.pk)
    asked = request.POST.get("form", "") if request.method == "POST" else ""
    form = NoticeChoicesForm(posted(request) if asked == "choices" else None, choices=choices)
    mark_form = LowBalanceForm(posted(request) if asked == "mark" else None, instance=current)
    if asked == "choices" and form.is_valid():
        services.choose_channels(
            organisation=request.organisation, person=request.user, chosen=form.chosen()
        )
        return _saved(request)
    if asked == "mark" and sets_mark and mark_form.is_valid():
        try:
            services.update_organisation(
                organisation=request.organisation,
                changes=mark_form.cleaned_data,
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            mark_form.add_error("low_balance_tokens", str(refusal))
        else:
            return _saved(request)
    context: dict[str, Any] = {"form": form, "mark_form": mark_form if sets_mark else None}
    return render(request, "accounts/notice_settings.html", context)


def _saved(request: OrganisationRequest) -> HttpResponse:
    messages.success(request, _("Settings saved."))
    return redirect("accounts:notice_settings", organisation=request.organisation.slug)
