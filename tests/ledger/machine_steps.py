"""What the ledger's machine may do next: each step is its method's name and arguments, drawn."""

from typing import Any

from hypothesis import strategies as st

OWNERS = st.sampled_from(["org_a", "org_b"])
SCOPES = st.sampled_from(["", "", "service:1", "modality:chat"])
_FITTING = st.sampled_from(
    [(), (), ("service:1",), ("modality:chat",), ("service:1", "modality:chat")]
)
_LIMITS = st.sampled_from(
    [(), (), (("key:1", 150),), (("key:1", 250), ("org", None)), (("key:2", 60), ("org", 400))]
)
_AMOUNTS = st.integers(1, 120)
_PICKS = st.integers(0, 10**6)  # which of those there are, counted from the last


def _batch(*item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.tuples(*item)), st.lists(st.tuples(*item), min_size=1, max_size=3)
    )


_WISH = (OWNERS, _AMOUNTS, _FITTING, _LIMITS, st.sampled_from([5, 60, 700]))
_COST = (_PICKS, st.integers(0, 200), st.integers(0, 100), st.sampled_from([False, False, True]))
# By account, in percent of what it still has of a capture.
_SHARES = st.dictionaries(
    st.sampled_from(["payable", "commission", "suspense"]),
    st.sampled_from([0, 30, 50, 100, 130]),
    max_size=2,
)
_LOT = (
    OWNERS,
    st.integers(1, 200),
    SCOPES,
    st.sampled_from(["paid", "bonus", "grant"]),
    st.sampled_from([None, 10, 90, 800]),
)
_CORRECTIONS = st.sampled_from(
    [("suspense", "payable"), ("suspense", "promotion"), ("payable", "clearing")]
)
_REASON = (_PICKS, st.sampled_from(["a", "b"]), st.sampled_from([True, True, True, False]))
_STEPS = {
    "place": (_batch(*_WISH),),
    "capture": (_batch(*_COST),),
    "extend": (_batch(_PICKS, _AMOUNTS),),
    "release": (_batch(_PICKS),),
    "ask_again": (_PICKS,),
    "name_the_unknown": (_PICKS,),
    "grant": _LOT,
    "reverse": (_PICKS, st.one_of(st.none(), _SHARES)),
    "post": (_CORRECTIONS, _AMOUNTS),
    "freeze": _REASON,
    "repair_and_seal": (_PICKS,),
    "expire_holds": (),
    "expire_lots": (),
    "pass_time": (st.sampled_from([1, 6, 6, 61, 120, 600, -60]),),
}
_OFTEN = {"place": 7, "capture": 7, "pass_time": 3, "extend": 2, "reverse": 2, "expire_holds": 2}


def _draw_arguments(name: str) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), *_STEPS[name])


# One strategy for one rule: rules of their own would be switched off at random, and few sequences
# would get far.
STEPS = st.sampled_from([name for name in _STEPS for _time in range(_OFTEN.get(name, 1))]).flatmap(
    _draw_arguments
)
