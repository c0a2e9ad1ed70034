"""The gateway against a bare pass-through to the same canned upstream, and where the time goes."""

import cProfile
import os
import pstats
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import orjson
from django.db import connection

from accounts import services as accounts
from marketplace.gateway import calls, requests
from marketplace.gateway.calls import Ending
from marketplace.gateway.choosing import Opening
from marketplace.gateway.rate_limits import RateLimits
from marketplace.gateway.rates import LocalRates
from marketplace.upstream.usage import parse_usage
from portal.kernel.clock import utc_now
from tests.benchmarks.canned_upstream import ANSWER
from tests.benchmarks.load_client import Load, Plan
from tests.benchmarks.machines import (
    OTHER_CORES,
    SERVER_CORES,
    CpuTimes,
    ServerProcess,
    build_request,
    free_port,
    read_cpu_times,
    run_load,
    uvicorn_arguments,
)
from tests.benchmarks.tables import milliseconds, percentile, print_heading, print_table, rate
from tests.cast import make_key, make_organisation
from tests.market import MILLION_TOKENS, give_tokens
from tests.partners.cast import make_live_service, make_model, make_provider
from tests.postgres_server import PostgresServer

MODEL = "canned/chat"
TENANTS = 64
BODY = orjson.dumps(
    {
        "model": MODEL,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Say hello, in one short sentence, please."}],
    }
)
_PATH = "/v1/chat/completions"
_PROFILED_CALLS = 200
_TOP = 12


def measure_gateway(
    server: PostgresServer, *, upstream_port: int, seconds: float, repeats: int
) -> None:
    """Prints calls/s and latencies of both, their ratio, and what a call is made of."""
    print_heading("Gateway against a bare ASGI + aiohttp pass-through")
    secrets = _make_market(upstream_port)
    with ExitStack() as stack:
        stack.enter_context(_start_upstream(upstream_port))
        rows: list[list[str]] = []
        for connections in (1, 64):
            runs = _run_both(server, upstream_port, secrets, connections, seconds, repeats)
            rows += _compare(connections, runs)
        print_table(
            [
                *("connections", "server", "calls/s", "of pass-through", "p50 ms", "p95 ms"),
                *("event loop µs", "threads µs", "PostgreSQL µs"),
            ],
            rows,
        )
        print(
            "Median of the runs. The last three columns are processor time per call: the server's\n"
            "event loop, its database threads, and PostgreSQL. The server has one core; upstream,\n"
            "PostgreSQL and load share the other."
        )
    _show_statements(secrets[0])
    _show_profile(secrets[0])


def _make_market(upstream_port: int) -> list[str]:
    """A service at the canned upstream, and the keys of tenants that can pay."""
    service = make_live_service(
        make_provider("Canned"),
        make_model(MODEL, name="Canned", tokenizer="qwen3"),
        endpoint_url=f"http://127.0.0.1:{upstream_port}/v1",
    )
    assert service.status == "live"
    secrets = []
    for number in range(TENANTS):
        organisation = make_organisation(f"Tenant {number}")
        give_tokens(organisation, 1_000 * MILLION_TOKENS)
        secrets.append(make_key(organisation)[1])
    return secrets


Run = tuple[Load, CpuTimes]
_PASSTHROUGH, _ONE_TENANT, _TENANTS = "pass-through", "gateway, one tenant", "gateway, 64 tenants"


def _run_both(
    server: PostgresServer,
    upstream_port: int,
    secrets: list[str],
    connections: int,
    seconds: float,
    repeats: int,
) -> dict[str, list[Run]]:
    """In turns, so that a noisy moment meets both."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for _number in range(repeats):
        with _start_passthrough(upstream_port) as site:
            runs[_PASSTHROUGH].append(_measure(site, server, secrets[:1], connections, seconds))
        with _start_gateway() as site:
            runs[_ONE_TENANT].append(_measure(site, server, secrets[:1], connections, seconds))
            if connections > 1:
                runs[_TENANTS].append(_measure(site, server, secrets, connections, seconds))
    return runs


def _measure(
    site: ServerProcess,
    server: PostgresServer,
    secrets: list[str],
    connections: int,
    seconds: float,
) -> Run:
    warm_up = Plan(site.port, _requests(secrets), connections, seconds=1.0)
    run_load(warm_up)
    before = read_cpu_times(site.pid, family_of=server.pid)
    load = run_load(Plan(site.port, _requests(secrets), connections, seconds, warm_up_seconds=0))
    return load, read_cpu_times(site.pid, family_of=server.pid) - before


def _requests(secrets: list[str]) -> list[str]:
    return [
        build_request(
            "POST",
            _PATH,
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            body=BODY,
        )
        for secret in secrets
    ]


def _compare(connections: int, runs: dict[str, list[Run]]) -> list[list[str]]:
    base = _median(runs[_PASSTHROUGH], _speed)
    rows = []
    for name, measured in runs.items():
        speed = _median(measured, _speed)
        rows.append(
            [
                str(connections),
                name,
                rate(speed),
                f"{100 * speed / base:.0f} %",
                milliseconds(_median(measured, lambda run: percentile(run[0].latencies, 50))),
                milliseconds(_median(measured, lambda run: percentile(run[0].latencies, 95))),
                rate(_median(measured, lambda run: _per_call(run, run[1].first_thread))),
                rate(
                    _median(
                        measured,
                        lambda run: _per_call(run, run[1].process - run[1].first_thread),
                    )
                ),
                rate(_median(measured, lambda run: _per_call(run, run[1].family))),
            ]
        )
    return rows


def _speed(run: Run) -> float:
    return len(run[0].latencies) / run[0].seconds


def _per_call(run: Run, seconds: float) -> float:
    return 1e6 * seconds / max(len(run[0].latencies), 1)


def _median(runs: list[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def _start_upstream(port: int) -> ServerProcess:
    return ServerProcess(
        ["-m", "tests.benchmarks.canned_upstream", str(port)], port=port, cores=OTHER_CORES
    )


def _start_passthrough(upstream_port: int) -> ServerProcess:
    port = free_port()
    return ServerProcess(
        uvicorn_arguments("tests.benchmarks.passthrough:application", port),
        port=port,
        cores=SERVER_CORES,
        environment={"BENCHMARK_UPSTREAM": f"http://127.0.0.1:{upstream_port}/v1/chat/completions"},
    )


def _start_gateway() -> ServerProcess:
    port = free_port()
    return ServerProcess(
        uvicorn_arguments("portal.asgi:application", port), port=port, cores=SERVER_CORES
    )


@contextmanager
def _timed_statements() -> Iterator[dict[str, list[float]]]:
    """Seconds and number of executions by statement."""
    spent: dict[str, list[float]] = defaultdict(list)

    def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        started_at = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent[_name_statement(str(sql))].append(time.perf_counter() - started_at)

    with connection.execute_wrapper(note):
        yield spent


def _name_statement(sql: str) -> str:
    """Its verbs and tables, as many as tell statements apart."""
    words = re.findall(
        r"(INSERT INTO|UPDATE|FROM|JOIN|FOR NO KEY UPDATE)\s+(\w+_\w+)?", " ".join(sql.split())
    )
    found = [f"{verb} {table}".removeprefix("FROM ") for verb, table in words if table]
    return ", ".join(dict.fromkeys(found))[:110] or sql[:60]


def _call_once(secret: str) -> tuple[float, float]:
    """Seconds that opening and closing one call take, without an event loop or a network."""
    key = accounts.authenticate_api_key(text=secret, now=utc_now())
    assert key is not None
    request = requests.parse_chat(requests.read_json(BODY, most_depth=64), body_bytes=len(BODY))
    started_at = time.perf_counter()
    limits = RateLimits(LocalRates())
    [call] = calls.open_calls([Opening(key, request, "req_benchmark", limits)])
    assert isinstance(call, calls.RunningCall)
    opened_at = time.perf_counter()
    usage = parse_usage(ANSWER["usage"], most_prompt_tokens=10_000, most_completion_tokens=64)
    calls.close_calls([(call, Ending(status="succeeded", duration_ms=1, usage=usage))])
    return opened_at - started_at, time.perf_counter() - opened_at


def _show_statements(secret: str) -> None:
    print_heading("A call's database work, alone and in order")
    for _number in range(20):
        _call_once(secret)
    opened, closed = [], []
    with _timed_statements() as spent:
        for _number in range(_PROFILED_CALLS):
            opening, closing = _call_once(secret)
            opened.append(opening)
            closed.append(closing)
    rows = [
        [name, f"{len(times) / _PROFILED_CALLS:.0f}", milliseconds(statistics.median(times))]
        for name, times in spent.items()
    ]
    print_table(["statement", "per call", "median ms"], rows)
    statements = sum(sum(times) for times in spent.values()) / _PROFILED_CALLS
    whole = statistics.mean(map(sum, zip(opened, closed, strict=True)))
    print(
        f"Opening {milliseconds(statistics.median(opened))} ms, closing "
        f"{milliseconds(statistics.median(closed))} ms (medians); of a call's "
        f"{milliseconds(whole)} ms {100 * statements / whole:.0f} % are in statements, "
        "the rest in commits and in Python."
    )


def _show_profile(secret: str) -> None:
    print_heading("Python functions with the most time of their own in that work")
    profile = cProfile.Profile()
    profile.enable()
    for _number in range(_PROFILED_CALLS):
        _call_once(secret)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    rows = []
    for (file, _line, name), (_calls, count, own, _total, _callers) in sorted(
        stats.stats.items(), key=lambda item: -item[1][2]
    )[:_TOP]:
        place = "/".join(file.split(os.sep)[-3:])
        rows.append(
            [
                f"{place} {name}"[:100],
                f"{count / _PROFILED_CALLS:.0f}",
                rate(1e6 * own / _PROFILED_CALLS),
            ]
        )
    print_table(["function", "times per call", "own µs per call"], rows)
    print("Under the profiler, so only their proportions mean something.")
