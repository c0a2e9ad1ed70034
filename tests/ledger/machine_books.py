"""Steps of the ledger's machine with lots, corrections, freezes and seals."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from tests.ledger.auditor import read_books
from tests.ledger.cast import PROVIDER
from tests.ledger.machine_base import OWNER_OF, MachineBase


class BookSteps(MachineBase):
    """Each compares what the ledger answers with what the model does."""

    def grant(self, owner, amount, scope, kind, minutes) -> None:
        reference = f"order:{self.fresh()}"
        expires_at = None if minutes is None else self.now + timedelta(minutes=minutes)
        debits = {"clearing": amount - amount // 20, "discount": amount // 20}
        values: dict[str, Any] = {
            "owner_key": owner,
            "unit": "live",
            "reference": reference,
            "kind": kind,
            "face_millitokens": amount,
            "debits": [(name, OWNER_OF[name], part) for name, part in debits.items()],
            "scope": scope,
            "expires_at": expires_at,
            "now": self.now,
        }
        assert ledger.grant_lot(**values).created
        self.model.grant(owner, scope, reference, kind, debits, expires_at)
        before = read_books()
        assert not ledger.grant_lot(**values).created
        more = {"face_millitokens": amount + 1, "debits": [("clearing", "sandbox", amount + 1)]}
        for other in (more, {"scope": "service:other"}):
            with pytest.raises(ledger.GrantedDifferently):
                ledger.grant_lot(**(values | other))
        self.expect_unchanged(before)

    def expire_lots(self) -> None:
        before = self.books
        expired = ledger.expire_lots(now=self.now)
        total = self.model.expire(self.model.wallets.values())
        assert sum(lot.amount_millitokens for lot in expired) == total
        if not expired:
            self.expect_unchanged(before)

    def freeze(self, pick, reason, lift) -> None:
        (owner, scope), wallet = self.last(list(self.model.wallets.items()), pick)
        pk = Wallet.objects.get(owner_key=owner, scope=scope).pk
        if lift:
            known = reason in wallet.reasons
            assert ledger.lift_freeze(wallet_pk=pk, reason=reason) == known
            wallet.reasons.discard(reason)
        else:
            known = reason in wallet.reasons
            assert ledger.freeze_wallet(wallet_pk=pk, reason=reason, now=self.now) != known
            wallet.reasons.add(reason)

    def reverse(self, pick, shares) -> None:
        if not self.captures:
            return
        hold_id, transaction_id = self.last(self.captures, pick)
        left = self.model.left_of(hold_id)
        wanted = shares and {name: left[name] * shares[name] // 100 for name in shares}
        values: dict[str, Any] = {
            "transaction_id": transaction_id,
            "debits": wanted and [(name, OWNER_OF[name], wanted[name]) for name in wanted],
            "idempotency_key": self.fresh(),
            "reason": "machine",
            "now": self.now,
        }
        before = self.books
        try:
            assert ledger.reverse_transaction(**values).created
        except ledger.NotReversible:
            assert not self.model.reverse(hold_id, wanted)
            self.expect_unchanged(before)
        else:
            assert self.model.reverse(hold_id, wanted)
            before = read_books()
            assert not ledger.reverse_transaction(**values).created
            with pytest.raises(ledger.PostedDifferently):
                ledger.reverse_transaction(**(values | {"debits": [("payable", PROVIDER, 10**9)]}))
            self.expect_unchanged(before)

    def post(self, sides, amount) -> None:
        debit, credit = sides
        move = ledger.Move((debit, OWNER_OF[debit]), (credit, OWNER_OF[credit]), amount)
        values: dict[str, Any] = {
            "kind": "payout" if credit == "clearing" else "adjustment",
            "unit": "live",
            "idempotency_scope": "machine",
            "idempotency_key": self.fresh(),
            "moves": [move],
            "reason": "machine",
            "now": self.now,
        }
        assert ledger.post_transaction(**values).created
        self.model.move(debit, credit, amount)
        before = read_books()
        assert not ledger.post_transaction(**values).created
        other = replace(move, amount_millitokens=amount + 1)
        with pytest.raises(ledger.PostedDifferently):
            ledger.post_transaction(**(values | {"moves": [other]}))
        self.expect_unchanged(before)

    def repair_and_seal(self, pick) -> None:
        """Whatever the state, there is nothing to repair, and sealing changes no balance."""
        wallet = self.last(self.books["Wallet"], pick)
        assert ledger.free_stray_reservation(wallet_pk=wallet["id"]) == 0
        ledger.seal_entries(now=self.now)
        with connection.cursor() as cursor:
            assert ledger.find_broken_seals(cursor) == []
        self.expect_unchanged(self.books)
