"""A tenant with very many calls, stored straight into PostgreSQL's tables, totals rolled up.

What calls leave in the ledger is left out: the pages measured here do not read it.
"""

from dataclasses import dataclass

from django.db import connection
from django.db.backends.utils import CursorWrapper

from accounts.models import Organisation
from marketplace.catalog.models import Service
from marketplace.metering import latency
from tests.cast import make_key, make_member, make_organisation
from tests.market import MILLION_TOKENS, give_tokens
from tests.partners.cast import make_live_service, make_model, make_provider

DAYS = 90
KEYS = 12
SERVICES_PER_KEY = 3
_PROVIDERS = 10

# Call n of so many is as long ago as its share of all the days. One in 50 failed.
_LOAD = """
    INSERT INTO metering_call (public_id, organisation_id, api_key_id, member_id, service_id,
      price_version_id, unit, surface, operation, streamed, status, error_code, finish_reason,
      request_id, upstream_id, prompt_tokens, cached_tokens, completion_tokens, usage_source,
      usage_doubt, cost_millitokens, share_millitokens, commission_millitokens,
      uncovered_millitokens, region, retains_prompts_days, started_at, first_token_ms,
      duration_ms, ended_at, rolled_up)
    SELECT 'call_' || lpad((c.n + %(offset)s)::text, 26, '0'), %(organisation)s, k.id,
      k.created_by_id, s.id, p.id, 'live', 'gateway', 'chat', false,
      CASE WHEN c.failed THEN 'failed' ELSE 'succeeded' END,
      CASE WHEN c.failed THEN 'upstream_failed' ELSE '' END,
      CASE WHEN c.failed THEN '' ELSE 'stop' END, '', '',
      c.tokens, 0, c.tokens, 'provider', '', c.cost, c.cost * 9 / 10, c.cost - c.cost * 9 / 10, 0,
      'eu-central', 0, c.started_at, c.took / 3, c.took,
      c.started_at + c.took * interval '1 millisecond', true
    FROM (
      SELECT n, n %% 50 = 7 AS failed, (n * 7919) %% 30000 AS took,
        CASE WHEN n %% 50 = 7 THEN 0 ELSE 100 + n %% 900 END AS tokens,
        CASE WHEN n %% 50 = 7 THEN 0 ELSE (100 + n %% 900) * 1000 END AS cost,
        now() - %(days)s * interval '1 day' * (n::float8 / %(count)s) AS started_at,
        (n * 31 %% %(keys)s)::int AS key, (n * 17 %% %(per_key)s)::int AS nth
      FROM generate_series(1::bigint, %(count)s) n
    ) c
    JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS number FROM accounts_apikey
      WHERE organisation_id = %(organisation)s) k ON k.number = c.key
    JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS number FROM catalog_service) s
      ON s.number = (c.key * %(per_key)s + c.nth) %% %(services)s
    JOIN catalog_priceversion p ON p.service_id = s.id
"""
_SUMS = "prompt_tokens, cached_tokens, completion_tokens, cost_millitokens, share_millitokens"
_CLASSES = ", ".join(
    f"count(*) FILTER (WHERE status = 'succeeded' AND duration_ms > {lower} "
    f"AND duration_ms <= {upper})"
    for lower, upper in zip((-1, *latency.BOUNDS_MS), (*latency.BOUNDS_MS, 10**9), strict=True)
)
_ROLL_UP = f"""
    INSERT INTO metering_usagetotal (organisation_id, bucket_start, service_id, api_key_id,
      member_id, unit, status, calls, {_SUMS}, {", ".join(latency.COLUMNS)})
    SELECT organisation_id, date_bin('15 minutes', started_at, '2020-01-01Z') AS bucket,
      service_id, api_key_id, member_id, unit, status, count(*),
      {", ".join(f"sum({name})" for name in _SUMS.split(", "))}, {_CLASSES}
    FROM metering_call
    GROUP BY organisation_id, bucket, service_id, api_key_id, member_id, unit, status
"""  # noqa: S608 (our own column names)


@dataclass(frozen=True)
class BusyTenant:
    organisation: Organisation
    services: int


def make_busy_tenant(*, services: int) -> BusyTenant:
    """Twelve keys of four people, a wallet, and a market of so many services."""
    providers = [make_provider(f"Provider {number}") for number in range(_PROVIDERS)]
    for number in range(services):
        model = make_model(f"benchmark/model-{number:04}", name=f"Model {number}")
        make_live_service(providers[number % _PROVIDERS], model)
    organisation = make_organisation("Busy")
    give_tokens(organisation, 1_000 * MILLION_TOKENS)
    people = [make_member(organisation, f"person{number}@busy.example") for number in range(4)]
    for number in range(KEYS):
        make_key(organisation, created_by=people[number % 4], name=f"Key {number}")
    return BusyTenant(organisation, services)


def store_calls(tenant: BusyTenant, *, count: int) -> None:
    """So many calls in all, from now back to 90 days ago, and their totals."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_call")
        (stored,) = cursor.fetchone()
        # The rows refer to what was made above; eight million look-ups would prove it.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            _LOAD,
            {
                "offset": stored,
                "count": count - stored,
                "organisation": tenant.organisation.pk,
                "days": DAYS,
                "keys": KEYS,
                "per_key": SERVICES_PER_KEY,
                "services": Service.objects.count(),
            },
        )
        cursor.execute("SET session_replication_role = origin")
        store_totals(cursor)
        cursor.execute("VACUUM ANALYZE metering_call")
        cursor.execute("ANALYZE")


def store_totals(cursor: CursorWrapper) -> None:
    """The totals of all calls there are, whatever was rolled up before."""
    cursor.execute("DELETE FROM metering_usagetotal")
    cursor.execute(_ROLL_UP)
    cursor.execute("VACUUM ANALYZE metering_usagetotal")
