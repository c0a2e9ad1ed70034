"""The rules of the ledger once more, in plain Python and as simply as they can be said.

Nothing here imports the ledger.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.ledger.model_market import Market
from tests.ledger.model_rows import ModelCapture, ModelHold, ModelLimit, ModelWallet


class Model(Market):
    """What becomes of holds, and of what they moved."""

    def place(self, hold_id, owner, amount, scopes, limits, expires_at) -> tuple[str, str]:
        """("", "") when held, else the code and subject of the decline."""
        wallets = self.fitting(owner, scopes)
        if sum(self.spendable(wallet) for wallet in wallets) < amount:
            frozen = any(wallet.reasons for wallet in wallets)
            return ("wallet_frozen" if frozen else "insufficient_funds", "")
        for subject, maximum in limits:
            limit = self.limits.get(subject)
            used = self.limit_held(subject) + (limit.spent if limit else 0)
            if maximum is not None and used + amount > maximum:
                return ("limit_exceeded", subject)
        for subject, maximum in limits:
            self.limits.setdefault(subject, ModelLimit(maximum)).maximum = maximum
        parts = self.share(amount, wallets)
        names = [subject for subject, _ in limits]
        self.holds[hold_id] = ModelHold(owner, amount, parts, names, expires_at)
        return ("", "")

    def extend(self, extensions: Sequence[tuple[str, int]]) -> list[bool]:
        alive = {
            hold_id: hold
            for hold_id, _ in extensions
            if (hold := self.holds.get(hold_id))
            and hold.state == "pending"
            and hold.expires_at > self.now
        }
        for hold in alive.values():
            self.expire(self.sources(hold))
        answers = []
        for hold_id, extra in extensions:
            hold = alive.get(hold_id)
            answers.append(hold is not None and self.more(hold, extra) == extra)
            if hold is not None and answers[-1]:
                self.grow(hold, extra)
        return answers

    def capture(self, captures: Sequence[ModelCapture]) -> list[str]:
        """The outcome of each, in one commit: what is due expires before any is taken."""
        firsts: dict[str, ModelCapture] = {}
        for capture in captures:
            firsts.setdefault(capture.hold_id, capture)
        outcomes = {hold_id: self.judge(capture) for hold_id, capture in firsts.items()}
        fresh = [c for hold_id, c in firsts.items() if outcomes[hold_id] == "captured"]
        for capture in fresh:
            hold = self.holds[capture.hold_id]
            if capture.cost and (hold.state == "expired" or capture.cost > hold.amount):
                self.expire(self.sources(hold))
        for capture in fresh:
            self.take(self.holds[capture.hold_id], capture)
        answers = []
        for capture in captures:
            outcome, first = outcomes[capture.hold_id], firsts[capture.hold_id]
            if capture is not first and outcome != "expired":
                same = capture.content == first.content
                outcome = {"captured": "replayed"}.get(outcome, outcome)
                outcome = outcome if same else "already_resolved"
            answers.append(outcome)
        return answers

    def judge(self, capture: ModelCapture) -> str:
        """What will come of it, before anything of its batch is taken."""
        hold = self.holds[capture.hold_id]
        if hold.state == "captured":
            return "replayed" if capture.content == hold.asked else "already_resolved"
        if hold.state == "released":
            return "already_resolved" if capture.cost else "replayed"
        late = hold.state == "expired" or hold.expires_at <= self.now
        return "expired" if late and capture.refused_late else "captured"

    def take(self, hold: ModelHold, capture: ModelCapture) -> None:
        cost = capture.cost
        if not cost:
            hold.state = "expired" if hold.state == "expired" else "released"
            return
        takes = self.take_late(hold, cost) if hold.state == "expired" else self.use(hold, cost)
        hold.state, hold.asked = "captured", capture.content
        hold.captured = sum(amount for _, amount in takes)
        hold.in_suspense = max(cost - hold.amount, 0)
        owed = cost - hold.in_suspense
        hold.uncovered = owed - hold.captured
        hold.payable = owed * capture.percent // 100
        for subject in hold.limits:
            self.limits[subject].spent += hold.captured
        for wallet, amount in takes:
            hold.burns += [[wallet, lot, taken] for lot, taken in wallet.burn(amount)]
        givers: list[list[Any]] = [[wallet, amount] for wallet, amount in takes if amount]
        if cost > hold.captured:
            givers.append([None, cost - hold.captured])
        getters = [
            ["payable", hold.payable],
            ["commission", owed - hold.payable],
            ["suspense", hold.in_suspense],
        ]
        self.pair(hold, givers, getters)

    def use(self, hold: ModelHold, cost: int) -> list[tuple[ModelWallet, int]]:
        if cost > hold.amount:
            self.grow(hold, self.more(hold, cost - hold.amount))
        takes = []
        for wallet, amount in hold.parts:
            takes.append((wallet, min(amount, cost)))
            cost -= min(amount, cost)
        return takes

    def take_late(self, hold: ModelHold, cost: int) -> list[tuple[ModelWallet, int]]:
        """All of the cost, else all that was held, else nothing."""
        if self.more(hold, cost) == cost:
            hold.amount = max(hold.amount, cost)
            return self.share(cost, self.sources(hold))
        if self.more(hold, hold.amount) == hold.amount:
            return self.share(hold.amount, self.sources(hold))
        return []

    def pair(self, hold: ModelHold, givers: list[list[Any]], getters: list[list[Any]]) -> None:
        for account, due in getters:
            amount = due
            while amount:
                giver, offer = givers[0]
                moved = min(offer, amount)
                hold.lines.append([giver, account, moved])
                self.balances[account] += moved
                if giver is None:
                    self.balances["promotion"] -= moved
                amount -= moved
                givers[0][1] -= moved
                if not givers[0][1]:
                    givers.pop(0)

    def release(self, hold_id: str) -> bool:
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "pending":
            return False
        hold.state = "released"
        return True

    def expire_holds(self) -> set[str]:
        due = {
            hold_id
            for hold_id, hold in self.holds.items()
            if hold.state == "pending" and hold.expires_at <= self.now
        }
        for hold_id in due:
            self.holds[hold_id].state = "expired"
        return due

    def left_of(self, hold_id: str) -> Counter[str]:
        """By account, what of the hold's capture it has not given back."""
        left: Counter[str] = Counter()
        for _giver, account, amount in self.holds[hold_id].lines:
            left[account] += amount
        return left

    def reverse(self, hold_id: str, wanted: dict[str, int] | None) -> bool:
        """Give back so much at each account's expense, or all that is left."""
        hold, left = self.holds[hold_id], self.left_of(hold_id)
        wanted = dict(left) if wanted is None else wanted
        if not any(wanted.values()) or any(wanted[name] > left[name] for name in wanted):
            return False
        for account, share in wanted.items():
            amount = share
            for line in reversed(hold.lines):
                if line[1] == account:
                    taken = min(line[2], amount)
                    line[2] -= taken
                    amount -= taken
                    self.give_back(hold, line[0], account, taken)
        return True

    def give_back(self, hold: ModelHold, wallet: ModelWallet | None, account, amount) -> None:
        self.balances[account] -= amount
        if wallet is None:
            self.balances["promotion"] += amount
            return
        for burn in reversed(hold.burns):
            if burn[0] is wallet:
                taken = min(burn[2], amount)
                burn[2] -= taken
                burn[1].remaining += taken
                amount -= taken
        assert amount == 0
