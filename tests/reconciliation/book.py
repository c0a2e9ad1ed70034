"""A busy, healthy book, and a hand that writes past every guard."""

import re
from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services as billing
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Run
from portal.kernel import immutability
from portal.kernel.clock import utc_now


def run_once(**options: Any) -> Run:
    return services.reconcile_balances(trigger="command", now=utc_now(), **options)


def run_twice(**options: Any) -> Run:
    run_once(**options)
    return run_once(**options)


def grant(owner: Organisation, face: int, *, reference: str, **more: Any) -> None:
    """Live tokens for the general wallet, unless ``more`` says otherwise."""
    terms: dict[str, Any] = {
        "owner_key": owner.public_id,
        "unit": "live",
        "reference": reference,
        "kind": "grant",
        "face_millitokens": face,
        "debits": [("promotion", "operator", face)],
        "now": utc_now(),
    }
    ledger.grant_lot(**(terms | more))


def give(owner: Organisation, millitokens: int = 10**9, **terms: Any) -> None:
    """By a voucher, as staff hand them out: so the grant has its cause."""
    now, user = utc_now(), owner.memberships.order_by("pk")[0].user
    _batch, [code] = billing.create_vouchers(
        name="Fair",
        codes=1,
        millitokens=millitokens,
        redeemable_until=now + timedelta(days=1),
        user=user,
        actor=SYSTEM_ACTOR,
        now=now,
        **terms,
    )
    billing.redeem_voucher(organisation=owner, user=user, code=code, actor=SYSTEM_ACTOR, now=now)


def raise_posted(wallet: Wallet, by: int = 5) -> None:
    """A balance that no entry explains."""
    inject(
        "UPDATE ledger_wallet SET posted_millitokens = posted_millitokens + %s WHERE id = %s",
        by, wallet.pk,
    )  # fmt: skip


def raise_held(wallet: Wallet, by: int = 77) -> None:
    """A reservation that no hold explains: repaired by rule."""
    inject(
        "UPDATE ledger_wallet SET held_millitokens = held_millitokens + %s WHERE id = %s",
        by, wallet.pk,
    )  # fmt: skip


def change_first_charge(by: int) -> None:
    """Not what was captured, then."""
    inject(
        "UPDATE metering_usagecharge SET amount_millitokens = amount_millitokens + %s"
        " WHERE id = (SELECT MIN(id) FROM metering_usagecharge)",
        by,
    )


def inject(sql: str, *parameters: Any) -> None:
    """Write past every trigger, as the owner of the database could, who then puts them back."""
    drop_triggers(_tables_of([sql]))
    with connection.cursor() as cursor:
        cursor.execute(sql, [_adapt(value) for value in parameters])
    immutability.install_guards(connection)


def inject_all(statements: Iterable[str]) -> int:
    """The same with several statements, past CHECKs and foreign keys too, which would refuse what a
    damaged disk or a careless restore does not ask for; how many rows were changed."""
    statements = list(statements)
    changed = 0
    drop_triggers(_tables_of(statements))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _drop_checks(_tables_of(statements))
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            cursor.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            cursor.execute(statement, [])
            changed += cursor.rowcount
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = origin")
    immutability.install_guards(connection)
    return changed


def drop_triggers(tables: Container[str] | None = None) -> None:
    """Of these tables, or all of them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
            )
            drop = 'DROP TRIGGER "{name}" ON {table}'
        else:
            cursor.execute("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
            drop = 'DROP TRIGGER "{name}"'
        for table, name in cursor.fetchall():
            if tables is None or table in tables:
                cursor.execute(drop.format(table=table, name=name))


def _drop_checks(tables: set[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        )
        for table, name in cursor.fetchall():
            if table in tables:
                cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')


def _tables_of(statements: Iterable[str]) -> set[str]:
    """What they name: more than they write to, which does no harm."""
    return {
        table for sql in statements for table in re.findall(r"(?:UPDATE|INTO|FROM)\s+(\w+)", sql)
    }


def _adapt(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value
