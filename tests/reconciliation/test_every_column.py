"""Every column that money hangs on, changed past all guards: some check sees it.

Each case is a change of a book with everything in it (fixtures.busy), and the numbers of the checks
that must each find it. Where one comparison could hide that another is gone, both records that the
other one reads are changed alike. docs/adr/0080 has the same table in words.
"""

from typing import Any

import pytest

from marketplace.ledger.models import Wallet
from marketplace.reconciliation.models import Finding, RunKind
from tests.reconciliation.book import inject_all, run_once, run_twice

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")

# The row that a statement changes, where one is enough.
ROWS = {
    "{ONE}": "id = (SELECT MIN(id) FROM {table})",
    "{CAPTURE}": "id = (SELECT MIN(id) FROM ledger_transaction WHERE kind = 'capture')",
    "{CAPTURED}": "id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'captured')",
    "{PENDING}": "id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'pending')",
    "{CHARGED}": "id = (SELECT MIN(call_id) FROM metering_usageevent)",
    "{WALLET}": "id = (SELECT MIN(id) FROM ledger_wallet WHERE held_millitokens > 0)",
    "{OTHER}": "(SELECT MAX(id) FROM ledger_wallet WHERE unit = 'live' AND scope = '')",
    "{SCOPED}": "(SELECT MAX(id) FROM ledger_wallet WHERE scope <> '')",
    "{LATEST}": "wallet_seq = (SELECT MAX(wallet_seq) FROM ledger_entry)",
    "{LONGEST}": "transaction_id = (SELECT MAX(id) FROM ledger_transaction WHERE entry_count = 3)",
    "{PAID}": "id = (SELECT MIN(id) FROM ledger_transaction WHERE kind = 'adjustment')",
    "{PAID_BACK}": "id = (SELECT MAX(id) FROM ledger_transaction WHERE kind = 'adjustment')",
}

CASES = """
1 | UPDATE ledger_wallet SET posted_millitokens = posted_millitokens + 5 WHERE {WALLET}
1 | UPDATE ledger_wallet SET owner_key = 'org_nobody' WHERE {WALLET}
1 | UPDATE ledger_wallet SET unit = 'xxxx' WHERE {WALLET}
1 | UPDATE ledger_wallet SET scope = 'modality:chat' WHERE {WALLET}
1 | UPDATE ledger_wallet SET frozen = true WHERE {WALLET}
2 | UPDATE ledger_wallet SET seq = seq + 1 WHERE {WALLET}
3 | UPDATE ledger_wallet SET held_millitokens = held_millitokens - 1 WHERE {WALLET}
3 | UPDATE ledger_wallet SET held_millitokens = held_millitokens + 1 WHERE {WALLET}
4 | UPDATE ledger_wallet SET next_expiry_at = NULL WHERE next_expiry_at IS NOT NULL
1 | UPDATE ledger_account SET owner_key = 'org_nobody' WHERE id = (SELECT MIN(account_id) FROM ledger_wallet)
5 | UPDATE ledger_account SET unit = 'test' WHERE kind = 'payable'
5 | UPDATE ledger_account SET kind = 'receivable' WHERE kind = 'commission' AND unit = 'live'
9 | UPDATE ledger_account SET owner_key = 'prv_nobody' WHERE kind = 'payable'
4 | UPDATE ledger_lot SET remaining_millitokens = remaining_millitokens - 1 WHERE remaining_millitokens > 1
4 | UPDATE ledger_lot SET face_millitokens = face_millitokens + 1, remaining_millitokens = remaining_millitokens + 1 WHERE {ONE}
4 | UPDATE ledger_lot SET face_millitokens = face_millitokens + 1 WHERE {ONE}
4 | UPDATE ledger_lot SET wallet_id = {OTHER} WHERE {ONE}
4 | UPDATE ledger_lot SET reference = 'order:ord_other' WHERE kind = 'bonus'
4 | UPDATE ledger_lot SET kind = 'grant' WHERE kind = 'paid'
4 | UPDATE ledger_lot SET granted_at = '2020-01-01 00:00:00+00:00' WHERE {ONE}
4 | UPDATE ledger_lot SET expires_at = '2099-01-01 00:00:00+00:00' WHERE reference LIKE 'order:%'
4 | UPDATE ledger_lot SET expires_at = NULL WHERE reference LIKE 'order:%'
4 | UPDATE ledger_lot SET paid_minor = 5 WHERE kind = 'bonus'
4 | DELETE FROM ledger_lotburn WHERE {ONE}
4 | UPDATE ledger_lotburn SET amount_millitokens = amount_millitokens + 1 WHERE {ONE}
4 | UPDATE ledger_lotburn SET lot_id = (SELECT MAX(id) FROM ledger_lot) WHERE {ONE}
4 | UPDATE ledger_lotburn SET transaction_id = (SELECT MIN(id) FROM ledger_transaction) WHERE {ONE}
1 2 | UPDATE ledger_entry SET amount_millitokens = amount_millitokens + 1 WHERE {ONE}
2 | UPDATE ledger_entry SET wallet_after_millitokens = wallet_after_millitokens + 1 WHERE {ONE}
2 | UPDATE ledger_entry SET wallet_seq = 9999 WHERE {ONE}
2 | UPDATE ledger_entry SET wallet_id = NULL, wallet_seq = NULL, wallet_after_millitokens = NULL WHERE {ONE}
5 | UPDATE ledger_entry SET line = 9 WHERE {ONE}
1 2 | UPDATE ledger_entry SET credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'breakage') WHERE {ONE}
5 9 | UPDATE ledger_entry SET credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'breakage') WHERE credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'payable')
5 | UPDATE ledger_entry SET debit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'commission') WHERE debit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'clearing')
2 5 | DELETE FROM ledger_entry WHERE {ONE}
5 | UPDATE ledger_transaction SET entry_count = entry_count + 1 WHERE {CAPTURE}
5 | UPDATE ledger_transaction SET kind = 'grant' WHERE kind = 'expiry'
3 | UPDATE ledger_transaction SET idempotency_key = 'other' WHERE {CAPTURE}
4 | UPDATE ledger_transaction SET idempotency_key = 'other' WHERE id = (SELECT MIN(id) FROM ledger_transaction WHERE idempotency_key LIKE 'paid:%')
3 | UPDATE ledger_transaction SET recorded_at = '2020-01-01 00:00:00+00:00' WHERE {CAPTURE}
5 | UPDATE ledger_transaction SET recorded_at = '2099-01-01 00:00:00+00:00' WHERE {CAPTURE}
3 | UPDATE ledger_transaction SET reference = 'call:call_other' WHERE {CAPTURE}
4 | UPDATE ledger_transaction SET reference = 'order:ord_other' WHERE kind = 'purchase'
5 | UPDATE metering_recount SET returned_millitokens = returned_millitokens + 1 WHERE correction_id IS NOT NULL
5 | UPDATE metering_recount SET call_id = (SELECT MAX(id) FROM metering_call) WHERE correction_id IS NOT NULL
5 | DELETE FROM metering_recount WHERE correction_id IS NOT NULL
5 | UPDATE ledger_transaction SET reversal_no = 7 WHERE kind = 'reversal'
5 | UPDATE ledger_transaction SET reverses_id = (SELECT MAX(id) FROM ledger_transaction WHERE kind = 'capture') WHERE kind = 'reversal'
9 | UPDATE ledger_hold SET captured_millitokens = captured_millitokens - 1 WHERE {CAPTURED}
3 9 | UPDATE ledger_hold SET state = 'released', captured_millitokens = 0 WHERE {CAPTURED}
3 | UPDATE ledger_hold SET state = 'captured', resolved_at = placed_at WHERE state = 'released'
3 | UPDATE ledger_hold SET state = 'released', resolved_at = placed_at WHERE {PENDING}
3 | UPDATE ledger_hold SET amount_millitokens = amount_millitokens + 1 WHERE {PENDING}
3 | UPDATE ledger_hold SET amount_millitokens = amount_millitokens + 1 WHERE {CAPTURED}
3 | UPDATE ledger_hold SET owner_key = 'org_nobody' WHERE {PENDING}
3 | UPDATE ledger_hold SET unit = 'test' WHERE {PENDING}
3 | UPDATE ledger_hold SET expires_at = '2099-01-01 00:00:00+00:00' WHERE {PENDING}
6 | UPDATE ledger_hold SET expires_at = '2020-01-01 00:00:00+00:00', placed_at = '2020-01-01 00:00:00+00:00' WHERE {PENDING}
3 | UPDATE ledger_hold SET decline_code = 'wallet_frozen' WHERE {CAPTURED}
3 | UPDATE ledger_hold SET resolved_at = '2020-01-01 00:00:00+00:00' WHERE {CAPTURED}
9 | UPDATE ledger_hold SET reference = 'call:call_other' WHERE {CAPTURED}
9 | UPDATE ledger_hold SET price_version = 'prc_other' WHERE {CAPTURED}
3 | UPDATE ledger_holdpart SET amount_millitokens = amount_millitokens + 1 WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'pending')
3 | UPDATE ledger_holdpart SET wallet_id = {OTHER} WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'pending')
3 | DELETE FROM ledger_holdpart WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'captured')
3 | UPDATE ledger_limit SET held_millitokens = held_millitokens + 1
3 | UPDATE ledger_limit SET spent_millitokens = spent_millitokens + 1
3 | DELETE FROM ledger_holdlimit WHERE hold_id IN (SELECT id FROM ledger_hold WHERE state = 'pending')
9 | UPDATE metering_call SET cost_millitokens = cost_millitokens + 1, commission_millitokens = commission_millitokens + 1 WHERE {CHARGED}
9 | UPDATE metering_call SET share_millitokens = share_millitokens + 1, commission_millitokens = commission_millitokens - 1 WHERE {CHARGED}
9 | UPDATE metering_call SET uncovered_millitokens = uncovered_millitokens + 1 WHERE {CHARGED}
9 | UPDATE metering_call SET prompt_tokens = prompt_tokens + 1 WHERE {CHARGED}
9 | UPDATE metering_call SET completion_tokens = completion_tokens - 1 WHERE {CHARGED}
9 | UPDATE metering_call SET unit = 'test' WHERE {CHARGED}
9 | UPDATE metering_call SET organisation_id = (SELECT MAX(id) FROM accounts_organisation) WHERE {CHARGED}
9 | UPDATE metering_call SET status = 'open', ended_at = NULL WHERE status = 'failed'
9 | UPDATE metering_call SET status = 'failed', ended_at = started_at WHERE status = 'open'
9 | UPDATE metering_call SET usage_source = 'none' WHERE {CHARGED}
9 | UPDATE metering_call SET hold_id = NULL WHERE {CHARGED}
9 | DELETE FROM metering_usagecharge WHERE event_id = (SELECT MIN(id) FROM metering_usageevent); DELETE FROM metering_usageevent WHERE id = (SELECT MIN(id) FROM metering_usageevent)
8 | DELETE FROM metering_usagecharge WHERE {ONE}
9 | UPDATE metering_usagecharge SET amount_millitokens = amount_millitokens + 1 WHERE {ONE}
9 | UPDATE metering_usagecharge SET transaction_id = (SELECT MIN(id) FROM ledger_transaction) WHERE {ONE}
9 | UPDATE metering_usageevent SET source = 'provider:prv_other' WHERE {ONE}
9 | UPDATE metering_usageevent SET completion_tokens = completion_tokens + 1 WHERE {ONE}
1 | DELETE FROM ledger_wallet WHERE {WALLET}
5 | DELETE FROM ledger_account WHERE kind = 'payable'
5 | DELETE FROM ledger_transaction WHERE {CAPTURE}
3 9 | DELETE FROM ledger_hold WHERE {CAPTURED}
3 9 | DELETE FROM ledger_hold WHERE {PENDING}
4 | DELETE FROM ledger_lot WHERE remaining_millitokens = 0
9 | DELETE FROM metering_call WHERE {CHARGED}
4 | DELETE FROM billing_order
23 | UPDATE metering_usagetotal SET cost_millitokens = cost_millitokens + 1 WHERE {ONE}
23 | DELETE FROM metering_usagetotal WHERE {ONE}
23 | UPDATE metering_call SET rolled_up = NOT rolled_up WHERE {CHARGED}
9 | UPDATE metering_call SET price_version_id = 999 WHERE {CHARGED}
9 | UPDATE metering_call SET api_key_id = (SELECT MAX(id) FROM accounts_apikey WHERE organisation_id = metering_call.organisation_id) WHERE {CHARGED}
9 | UPDATE metering_call SET commission_basis_points = 2000 WHERE {CHARGED}
9 | UPDATE metering_call SET uncovered_millitokens = 1 WHERE status = 'failed'
9 | UPDATE metering_usageevent SET event_id = 'other' WHERE {ONE}
3 | UPDATE ledger_hold SET captured_millitokens = 1 WHERE state = 'released'
3 | UPDATE ledger_hold SET state = 'unknown' WHERE {CAPTURED}
9 | UPDATE ledger_hold SET idempotency_scope = 'other' WHERE {CAPTURED}
3 | UPDATE ledger_holdpart SET position = position + 1 WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'pending')
3 | UPDATE ledger_holdpart SET wallet_id = {OTHER} WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'captured')
3 | UPDATE ledger_limit SET subject = subject || 's' WHERE subject LIKE 'key:%'
3 | UPDATE ledger_limit SET period_start = '2099-01-01 00:00:00+00:00'
3 | UPDATE ledger_limit SET max_millitokens = max_millitokens + 1 WHERE subject LIKE 'grant:%'
3 | DELETE FROM ledger_limit
4 | UPDATE billing_order SET tariff_millitokens = tariff_millitokens - 1
4 | UPDATE billing_order SET provider = 'stripe'
9 | DELETE FROM catalog_priceversion
23 | UPDATE metering_usagetotal SET organisation_id = (SELECT MAX(id) FROM accounts_organisation) WHERE {ONE}
23 | UPDATE metering_usagetotal SET cached_tokens = cached_tokens + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET api_key_id = (SELECT MAX(id) FROM accounts_apikey) WHERE {ONE}
10 | UPDATE metering_usageevent SET payload_hash = 'other' WHERE {ONE}
10 | UPDATE catalog_priceversion SET output_millitokens = output_millitokens + 1
1 4 | UPDATE ledger_wallet SET posted_millitokens = posted_millitokens - 5 WHERE {WALLET}
1 4 | UPDATE ledger_wallet SET posted_millitokens = -9223372036854775807 WHERE {WALLET}
1 5 | UPDATE ledger_account SET kind = 'receivable' WHERE id = (SELECT MIN(account_id) FROM ledger_wallet)
1 | DELETE FROM ledger_account WHERE kind = 'wallet'
1 | INSERT INTO ledger_freeze (wallet_id, reason, frozen_at) SELECT MIN(id), 'staff: x', '2020-01-01 00:00:00+00:00' FROM ledger_wallet
1 | INSERT INTO ledger_freeze (wallet_id, reason, frozen_at) SELECT MIN(id), 'finding:fnd_none', '2020-01-01 00:00:00+00:00' FROM ledger_wallet; UPDATE ledger_wallet SET frozen = true WHERE {WALLET}
2 | UPDATE ledger_entry SET wallet_seq = wallet_seq + 100 WHERE wallet_seq > 5; UPDATE ledger_wallet SET seq = seq + 100 WHERE {WALLET}
2 | UPDATE ledger_entry SET wallet_id = NULL, wallet_seq = NULL, wallet_after_millitokens = NULL WHERE {LATEST}; UPDATE ledger_wallet SET seq = seq - 1 WHERE {WALLET}
2 | UPDATE ledger_entry SET credit_account_id = debit_account_id, wallet_after_millitokens = 0 WHERE wallet_id = (SELECT MIN(id) FROM ledger_wallet WHERE unit = 'test')
3 | UPDATE ledger_hold SET amount_millitokens = amount_millitokens - 1 WHERE {CAPTURED}
3 | UPDATE ledger_hold SET state = 'unknown' WHERE state = 'released'
3 | UPDATE ledger_hold SET placed_at = '2099-01-01 00:00:00+00:00' WHERE {CAPTURED}
3 | UPDATE ledger_holdpart SET wallet_id = {SCOPED} WHERE hold_id = (SELECT MIN(id) FROM ledger_hold WHERE state = 'captured')
3 | UPDATE ledger_transaction SET effective_at = '2099-01-01 00:00:00+00:00' WHERE {CAPTURE}
3 | UPDATE ledger_transaction SET idempotency_scope = 'other' WHERE {CAPTURE}
3 | INSERT INTO ledger_holdlimit (hold_id, limit_id) SELECT 999, MIN(id) FROM ledger_limit
4 | UPDATE ledger_wallet SET next_expiry_at = '2099-01-01 00:00:00+00:00' WHERE next_expiry_at IS NOT NULL
4 | UPDATE ledger_lot SET face_millitokens = face_millitokens + 1, remaining_millitokens = remaining_millitokens + 1 WHERE kind = 'bonus'; UPDATE ledger_lot SET face_millitokens = face_millitokens - 1, remaining_millitokens = remaining_millitokens - 1 WHERE {ONE}
1 4 | DELETE FROM ledger_lot WHERE reference LIKE 'test:%'; UPDATE ledger_wallet SET posted_millitokens = 0 WHERE unit = 'test'
4 | DELETE FROM billing_order; UPDATE ledger_lot SET expires_at = NULL
4 | UPDATE billing_order SET scope = 'modality:chat'
4 | UPDATE ledger_account SET kind = 'discount' WHERE kind = 'clearing'
4 | UPDATE ledger_lotburn SET lot_id = (SELECT id FROM ledger_lot WHERE kind = 'bonus') WHERE {ONE}
5 | UPDATE ledger_transaction SET kind = 'adjustment' WHERE kind = 'expiry'
5 9 | UPDATE ledger_entry SET credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'suspense') WHERE id = (SELECT MAX(id) FROM ledger_entry WHERE credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'payable'))
5 | UPDATE ledger_entry SET amount_millitokens = -amount_millitokens WHERE wallet_id IS NULL
5 | UPDATE ledger_entry SET credit_account_id = debit_account_id WHERE transaction_id = (SELECT id FROM ledger_transaction WHERE {PAID})
5 | DELETE FROM ledger_entry WHERE wallet_id IS NULL AND {LONGEST}; UPDATE ledger_entry SET line = 3 WHERE line = 2 AND {LONGEST}
5 | UPDATE ledger_entry SET line = 0 WHERE line = 1 AND transaction_id IN (SELECT id FROM ledger_transaction WHERE entry_count = 2)
5 | UPDATE ledger_entry SET line = 9 WHERE line = 3
5 | UPDATE ledger_transaction SET kind = 'reversal', reversal_no = 1, reverses_id = (SELECT id FROM ledger_transaction WHERE {PAID}) WHERE {PAID_BACK}
5 | UPDATE ledger_entry SET amount_millitokens = amount_millitokens + 1 WHERE transaction_id IN (SELECT id FROM ledger_transaction WHERE kind = 'adjustment')
5 | UPDATE ledger_entry SET credit_account_id = (SELECT MIN(id) FROM ledger_account WHERE kind = 'commission') WHERE transaction_id = (SELECT id FROM ledger_transaction WHERE {PAID})
5 | UPDATE ledger_account SET owner_key = 'stripe' WHERE kind = 'clearing'
5 | UPDATE ledger_transaction SET reference = 'payment:pay_other' WHERE {PAID}
5 | UPDATE ledger_transaction SET idempotency_scope = 'other' WHERE {PAID}
5 | UPDATE ledger_transaction SET idempotency_key = 'other' WHERE {PAID}
5 | UPDATE ledger_transaction SET kind = 'payout' WHERE {PAID}
5 | DELETE FROM billing_straypayment
4 | UPDATE ledger_transaction SET reference = 'lot:lot_other' WHERE kind = 'expiry'
4 | DELETE FROM billing_voucherredemption
4 | UPDATE billing_voucherredemption SET redeemed_at = '2020-01-01 00:00:00+00:00'
4 | UPDATE billing_voucherredemption SET organisation_id = (SELECT MAX(id) FROM accounts_organisation)
4 | UPDATE billing_voucherbatch SET millitokens = millitokens + 1
4 | UPDATE billing_voucherbatch SET scope = 'modality:chat'
4 | UPDATE billing_voucher SET public_id = 'vch_other'
4 | UPDATE accounts_trialclaim SET claimed_at = '2020-01-01 00:00:00+00:00'
4 | UPDATE accounts_auditevent SET after = '{"tokens": 5}' WHERE action = 'trial.granted'
4 | UPDATE accounts_auditevent SET after = 'null' WHERE action = 'trial.granted'
4 | UPDATE accounts_auditevent SET recorded_at = '2020-01-01 00:00:00+00:00' WHERE action = 'trial.granted'
8 9 | DELETE FROM metering_usagecharge WHERE {ONE}; UPDATE metering_call SET cost_millitokens = cost_millitokens + 1, commission_millitokens = commission_millitokens + 1 WHERE {CHARGED}
9 | UPDATE metering_usagecharge SET amount_millitokens = amount_millitokens + 1 WHERE {ONE}; UPDATE metering_call SET cost_millitokens = cost_millitokens + 1, commission_millitokens = commission_millitokens + 1 WHERE {CHARGED}
9 | UPDATE metering_usagecharge SET transaction_id = NULL WHERE {ONE}
9 | UPDATE metering_usagecharge SET price_version_id = 999 WHERE {ONE}
9 | UPDATE metering_call SET commission_basis_points = 500 WHERE {CHARGED}
9 | UPDATE metering_call SET commission_millitokens = commission_millitokens + 1 WHERE {CHARGED}
9 | UPDATE metering_call SET cached_tokens = cached_tokens + 1 WHERE {CHARGED}
9 | UPDATE metering_call SET api_key_id = 999 WHERE {CHARGED}
9 | UPDATE metering_call SET status = 'refused' WHERE status = 'failed'
9 | UPDATE metering_call SET status = 'lost' WHERE status = 'failed'
9 | DELETE FROM metering_call WHERE status = 'open'
9 | DELETE FROM accounts_organisation WHERE id = (SELECT MAX(id) FROM accounts_organisation)
9 | UPDATE accounts_apikey SET organisation_id = (SELECT MAX(id) FROM accounts_organisation) WHERE {ONE}
9 | DELETE FROM catalog_provider
9 | UPDATE catalog_priceversion SET service_id = 999
3 9 | UPDATE ledger_hold SET owner_key = 'org_nobody' WHERE state = 'released'
3 9 | UPDATE ledger_hold SET unit = 'test' WHERE state = 'released'
9 | UPDATE ledger_hold SET idempotency_key = 'other' WHERE {CAPTURED}
9 | UPDATE ledger_entry SET wallet_id = {OTHER} WHERE {LATEST}
9 10 | UPDATE metering_usageevent SET cached_tokens = prompt_tokens + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET calls = calls + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET share_millitokens = share_millitokens + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET prompt_tokens = prompt_tokens + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET completion_tokens = completion_tokens + 1 WHERE {ONE}
23 | UPDATE metering_usagetotal SET unit = 'test' WHERE {ONE}
23 | UPDATE metering_usagetotal SET status = 'lost' WHERE {ONE}
"""  # noqa: E501


def read_cases() -> list[Any]:
    found = []
    for line in CASES.strip().splitlines():
        numbers, _bar, sql = line.partition(" | ")
        table = sql.split()[2 if sql.startswith("DELETE") else 1]
        for name, row in ROWS.items():
            sql = sql.replace(name, row)
        statements = tuple(sql.replace("{table}", table).replace("%", "%%").split("; "))
        found.append(pytest.param(set(map(int, numbers.split())), statements, id=line))
    return found


def test_a_busy_healthy_book_raises_nothing(busy: Wallet) -> None:
    run = run_twice()
    assert list(Finding.objects.exclude(check_number=22)) == []
    assert run.error == ""
    assert {row["differences"] for row in run.checks if row["number"] != 22} == {0}
    assert {unit: terms["gap"] for unit, terms in run.equation.items()} == {
        "live": "0",
        "test": "0",
    }
    light = run_once(kind=RunKind.LIGHT)
    assert {row["differences"] for row in light.checks if row["number"] != 22} == {0}


@pytest.mark.parametrize(("numbers", "statements"), read_cases())
def test_a_change_past_all_guards_is_seen(
    busy: Wallet, numbers: set[int], statements: tuple[str, ...]
) -> None:
    assert inject_all(statements) > 0, "nothing was changed"
    run = run_once()
    assert run.error == ""
    # A healthy book has findings of check 22 alone: see above.
    found = set(Finding.objects.values_list("check_number", flat=True))
    assert numbers <= found, (found, list(Finding.objects.values("check_number", "subject")))
    assert Finding.objects.filter(at_stake_millitokens__lt=0).count() == 0
