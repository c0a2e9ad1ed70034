"""Steps of the ledger's machine with holds: placed, extended, captured, released, expired."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.ledger import services as ledger
from tests.ledger.auditor import read_books
from tests.ledger.cast import MONTH, PROVIDER
from tests.ledger.machine_base import OF_EXPIRY, UNKNOWN_HOLD, MachineBase
from tests.ledger.model_rows import ModelCapture


class HoldSteps(MachineBase):
    """Each compares what the ledger answers with what the model does."""

    def place(self, wishes) -> None:
        requests = [
            ledger.HoldRequest(
                owner_key=owner,
                unit="live",
                amount_millitokens=amount,
                idempotency_scope="machine",
                idempotency_key=self.fresh(),
                request_hash="same",
                expires_at=self.now + timedelta(minutes=minutes),
                scopes=scopes,
                limits=tuple(ledger.LimitDemand(name, MONTH, most) for name, most in limits),
            )
            for owner, amount, scopes, limits, minutes in wishes
        ]
        before, model = self.books, self.model
        model.expired_something = False
        results = ledger.place_holds(requests, now=self.now)
        for request in requests:
            model.expire(model.fitting(request.owner_key, request.scopes))
        for request, result in zip(requests, results, strict=True):
            code, subject = model.place(
                result.hold_id,
                request.owner_key,
                request.amount_millitokens,
                request.scopes,
                [(limit.subject, limit.max_millitokens) for limit in request.limits],
                request.expires_at,
            )
            assert (result.decline_code, result.decline_subject) == (code, subject)
            assert result.outcome == ("declined" if code else "held")
            self.asked.append((request, result))
            if not code:
                self.hold_ids.append(result.hold_id)
        if all(result.decline_code for result in results):
            self.expect_unchanged(before, *(OF_EXPIRY if model.expired_something else {"Hold"}))

    def ask_again(self, pick) -> None:
        if not self.asked:
            return
        request, result = self.last(self.asked, pick)
        before = self.books
        again, other, foreign = ledger.place_holds(
            [
                request,
                replace(request, request_hash="other"),
                replace(request, owner_key="org_other"),
            ],
            now=self.now,
        )
        hold = self.model.holds.get(result.hold_id)  # it may have been extended since
        amount = hold.amount if hold else request.amount_millitokens
        assert again == replace(result, replayed=True, amount_millitokens=amount)
        assert (other.outcome, foreign.outcome, foreign.hold_id) == ("conflict", "conflict", "")
        self.expect_unchanged(before)

    def extend(self, wishes) -> None:
        extensions = [(UNKNOWN_HOLD, 1)]
        extensions += [(self.pick_hold(p), extra) for p, extra in wishes if self.hold_ids]
        before = self.books
        self.model.expired_something = False
        extended = ledger.extend_holds(extensions, now=self.now)
        assert extended == self.model.extend(extensions)
        if not any(extended):
            self.expect_unchanged(before, *(OF_EXPIRY if self.model.expired_something else ()))

    def capture(self, wishes) -> None:
        captures = [
            ModelCapture(self.pick_hold(pick), cost, percent, refused_late)
            for pick, cost, percent, refused_late in wishes
            if self.hold_ids
        ]
        requests = [
            ledger.CaptureRequest(
                capture.hold_id,
                capture.cost,
                PROVIDER,
                capture.percent * 100,
                reference=f"call:{capture.hold_id}",
                late="refuse" if capture.refused_late else "debit",
            )
            for capture in captures
        ]
        before = self.books
        results = ledger.capture_holds(requests, now=self.now)
        outcomes = self.model.capture(captures)
        assert [result.outcome for result in results] == outcomes
        if "captured" not in outcomes:
            self.expect_unchanged(before)
        before = read_books()
        again = ledger.capture_holds(requests, now=self.now)
        for capture, result, repeated in zip(captures, results, again, strict=True):
            hold = self.model.holds[capture.hold_id]
            if result.outcome == "captured" and hold.state == "captured":
                self.captures.append((capture.hold_id, result.transaction_id))
            figures = (0,) * 4 if result.outcome == "expired" else hold.figures
            for told in (result, repeated):
                assert (
                    told.captured_millitokens,
                    told.uncovered_millitokens,
                    told.in_suspense_millitokens,
                    told.payable_millitokens,
                ) == figures
            # Nothing at all for a hold past its time can be said again and again.
            fresh_again = hold.state == "expired" and not capture.cost
            once = {"captured": "captured" if fresh_again else "replayed"}
            assert repeated.outcome == once.get(result.outcome, result.outcome)
            assert repeated.transaction_pk == result.transaction_pk
        self.expect_unchanged(before)

    def release(self, picks) -> None:
        hold_ids = [UNKNOWN_HOLD]
        hold_ids += [self.pick_hold(pick) for (pick,) in picks if self.hold_ids]
        before = self.books
        released = [self.model.release(hold_id) for hold_id in hold_ids]
        assert ledger.release_holds(hold_ids, now=self.now) == released
        if not any(released):
            self.expect_unchanged(before)

    def name_the_unknown(self, pick) -> None:
        """A batch with one hold that is not there changes none of the others."""
        hold_ids = [UNKNOWN_HOLD]
        hold_ids += [self.pick_hold(pick)] if self.hold_ids else []
        before = self.books
        with pytest.raises(ledger.UnknownHold):
            ledger.capture_holds(
                [ledger.CaptureRequest(name, 1, PROVIDER, 9000, "call:1") for name in hold_ids],
                now=self.now,
            )
        with pytest.raises(ledger.UnknownTransaction):
            ledger.reverse_transaction(
                transaction_id="txn_unknown", idempotency_key="1", reason="machine", now=self.now
            )
        self.expect_unchanged(before)

    def expire_holds(self) -> None:
        before = self.books
        expired = ledger.expire_holds(now=self.now)
        assert {hold.hold_id for hold in expired} == self.model.expire_holds()
        if not expired:
            self.expect_unchanged(before)
