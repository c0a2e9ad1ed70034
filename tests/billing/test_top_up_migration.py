"""Agreements that were made before they kept their time zone get their organisation's, and back."""

from django.core.management import call_command
from django.db import connection

from marketplace.billing.models import TopUpRule
from portal.kernel.immutability import missing_guards
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import make_pack
from tests.billing.top_ups import agree
from tests.cast import make_organisation
from tests.databases import CommittedDatabase

BEFORE = ("billing", "0014_bank_transfers")


def test_each_rule_gets_the_zone_of_its_organisation(committed_db: CommittedDatabase) -> None:
    zones = {"acme": "Asia/Shanghai", "globex": "Pacific/Auckland"}
    pack = make_pack()
    for slug, zone in zones.items():
        agree(make_organisation(slug, slug=slug, timezone=zone), pack, SandboxProcessor())
    call_command("migrate", *BEFORE, verbosity=0)
    call_command("migrate", "billing", verbosity=0)
    kept = TopUpRule.objects.values_list("organisation__slug", "timezone")
    assert dict(kept) == zones
    assert not missing_guards(connection)
