"""How long the server takes for its pages while very many calls are stored."""

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketplace.metering.models import Call, UsageTotal
from tests.benchmarks.load_client import Plan
from tests.benchmarks.machines import (
    SERVER_CORES,
    ServerProcess,
    build_request,
    free_port,
    run_load,
    uvicorn_arguments,
)
from tests.benchmarks.many_calls import BusyTenant, make_busy_tenant, store_calls
from tests.benchmarks.tables import milliseconds, percentile, print_heading, print_table
from tests.cast import signed_in

FEW_CALLS = 10_000
_MOST_SECONDS = 120.0
_AIMS_MS = {"usage": 300, "requests": 150, "services": 150}


def measure_pages(*, calls: int, services: int, requests: int) -> None:
    """Prints a table: p50 and p95 of each page, and its number of queries before and after."""
    print_heading(f"Pages with {calls:,} calls stored")
    tenant = make_busy_tenant(services=services)
    owner = tenant.organisation.memberships.get(role="owner").user
    browser = signed_in(owner)
    store_calls(tenant, count=min(FEW_CALLS, calls // 2))
    before = {name: _count_queries(browser, path) for name, path in _list_pages(tenant).items()}
    store_calls(tenant, count=calls)
    cookie = browser.cookies["sessionid"].value
    rows = []
    port = free_port()
    with ServerProcess(
        uvicorn_arguments("portal.asgi:application", port), port=port, cores=SERVER_CORES
    ):
        for name, path in _list_pages(tenant).items():
            request = build_request("GET", path, headers={"Cookie": f"sessionid={cookie}"})
            plan = Plan(port, [request], connections=1, seconds=_MOST_SECONDS)
            plan.most_requests = requests
            times = run_load(plan).latencies
            aim = _AIMS_MS.get(name.partition(":")[0])
            rows.append(
                [
                    name,
                    milliseconds(percentile(times, 50)),
                    milliseconds(percentile(times, 95)),
                    f"{aim}" if aim else "",
                    f"{before[name]}",
                    f"{_count_queries(browser, path)}",
                ]
            )
    few = f"{min(FEW_CALLS, calls // 2):,}"
    print_table(["page", "p50 ms", "p95 ms", "aim ms", f"queries at {few}", f"at {calls:,}"], rows)
    print(
        f"All calls are one tenant's, over 90 days, with {UsageTotal.objects.count():,} totals; "
        f"{services} services\nare listed. One reader at a time, over HTTP."
    )


def _list_pages(tenant: BusyTenant) -> dict[str, str]:
    slug = {"organisation": tenant.organisation.slug}
    requests = reverse("metering:requests", kwargs=slug)
    usage = reverse("web:usage", kwargs=slug)
    calls = Call.objects.of(tenant.organisation).order_by("started_at")
    middle, some = calls[calls.count() // 2], calls.select_related("service")[0]
    return {
        "usage: 30 days by service": usage,
        "usage: 90 days by key": f"{usage}?period=90&group=key",
        "requests: newest": requests,
        "requests: half-way back": f"{requests}?before={middle.public_id}",
        "requests: one service, failed": (
            f"{requests}?service={some.service.public_id}&status=failed"
        ),
        "services: all": reverse("catalog:services"),
        "services: a search": f"{reverse('catalog:services')}?q=model+7",
        "one request": reverse("metering:request", kwargs={**slug, "call": some.public_id}),
        "home": reverse("web:home", kwargs=slug),
    }


def _count_queries(browser: Client, path: str) -> int:
    """Of a second visit: the first one fills caches."""
    browser.get(path, headers={"host": "localhost"})
    with CaptureQueriesContext(connection) as queries:
        answer = browser.get(path, headers={"host": "localhost"})
    if answer.status_code != 200:
        raise RuntimeError(f"{path} answered {answer.status_code}")
    return len(queries)
