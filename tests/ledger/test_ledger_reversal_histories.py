"""Purchases taken back in any order, between anything else: the books follow the totals."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from marketplace.ledger import services as ledger
from tests.ledger.auditor import read_books
from tests.ledger.cast import NOW, capture, grant, place, wallet
from tests.ledger.purchases import BONUS, FACE, PAID, balance, buy, moved, reverse

pytestmark = pytest.mark.django_db

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.integers(1, 60_000)),
        st.tuples(st.just("hold"), st.integers(1, 60_000)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("refunded"), st.integers(0, PAID)),
        st.tuples(st.just("charged_back"), st.integers(0, PAID)),
        st.tuples(st.just("other"), st.integers(1, 5_000)),
    ),
    max_size=14,
)


class TestAnyHistory(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(steps=_STEPS, face=st.integers(1, FACE), share=st.integers(1, 100), bonus=st.booleans())
    # A paid token that comes back makes room for one more of the bonus.
    @example(steps=[("hold", 3), ("refunded", 3167), ("refunded", 1)], face=3, share=1, bonus=True)
    def test_the_books_follow_the_totals(self, steps, face, share, bonus):
        """Whatever happened before: clearing has given back exactly what the money says, no more
        than was granted was taken, and asking again changes nothing."""
        worth = max(1, face * share // 100)
        buy(face=face, worth=worth, bonus=BONUS if bonus else 0)
        totals = {"refunded": 0, "charged_back": 0}
        holds: list[str] = []
        others = 0
        for step, amount in steps:
            if step in totals:
                totals[step] = amount
            elif step == "other":
                grant(amount)
                others += amount
            elif step == "release":
                ledger.release_holds([holds.pop()] if holds else [], now=NOW)
            else:
                placed = place(amount)
                if placed.outcome == "held" and step == "spend":
                    capture(placed.hold_id, amount)
                elif placed.outcome == "held":
                    holds.append(placed.hold_id)
            result = reverse(**totals)
            total = min(PAID, sum(totals.values()))
            target = face * total // PAID
            assert -balance("clearing", "sandbox") == worth - worth * target // face + others
            assert 0 <= result.paid_millitokens <= target
            assert result.bonus_millitokens <= BONUS
            assert wallet().frozen == bool(result.debt_millitokens)
            assert not totals["charged_back"] <= 0 < result.debt_millitokens
            before = read_books()
            assert not reverse(**totals).created
            assert read_books() == before
        reverse(0, 0)
        assert moved() == {}
        assert not wallet().frozen
