"""What services declare against policies: nothing passes that was not declared."""

from dataclasses import replace
from typing import Any

import pytest

from accounts.services import NO_POLICIES, Policy, apply_policies, read_policy
from marketplace.catalog.selectors import find_broken_rule, keep_permitted
from marketplace.catalog.selectors.policies import DeclaredFacts
from marketplace.catalog.vocabulary import QUANTISATION_BITS, QUANTISATIONS

GOOD = DeclaredFacts(
    region="eu-central",
    country="DE",
    licence_spdx="Apache-2.0",
    provider_public_id="prv_rhine",
    quantisation="fp8",
    retains_prompts_days=7,
    trains_on_data=False,
)
SILENT = DeclaredFacts(
    region="",
    country="",
    licence_spdx="",
    provider_public_id="prv_silent",
    quantisation="unknown",
    retains_prompts_days=0,
    trains_on_data=False,
)


@pytest.mark.parametrize(
    ("rule", "other", "name"),
    [
        ({"regions": ["eu-central", "eu-west"]}, {"region": "us-east"}, "allowed regions"),
        ({"countries": ["DE"]}, {"country": "FR"}, "allowed countries"),
        ({"licences": ["Apache-2.0"]}, {"licence_spdx": "LicenseRef-Gemma"}, "allowed licences"),
        ({"providers": ["prv_rhine"]}, {"provider_public_id": "prv_x"}, "allowed providers"),
        ({"no_training": True}, {"trains_on_data": True}, "no training"),
        ({"most_retention_days": 7}, {"retains_prompts_days": 8}, "at most: 7"),
        ({"least_bits": 8}, {"quantisation": "mxfp4"}, "at least: 8"),
        ({"least_bits": 4}, {"quantisation": "unknown"}, "at least: 4"),
        ({"least_bits": 4}, {"quantisation": "q5_k"}, "at least: 4"),
    ],
    ids=str,
)
def test_each_rule_lets_through_what_declares_it_alone(
    rule: dict[str, Any], other: dict[str, Any], name: str
) -> None:
    applied = apply_policies(organisation=rule)
    assert find_broken_rule(GOOD, applied) is None
    broken = find_broken_rule(replace(GOOD, **other), applied)
    assert broken is not None
    assert name in str(broken.words)
    assert broken.owner == "organisation"
    assert keep_permitted([replace(GOOD, **other), GOOD], applied) == ([GOOD], None)


@pytest.mark.parametrize(
    "rule",
    [{"regions": ["eu-central"]}, {"countries": ["DE"]}, {"licences": ["MIT"]}, {"least_bits": 4}],
    ids=str,
)
def test_what_is_not_declared_does_not_pass(rule: dict[str, Any]) -> None:
    assert find_broken_rule(SILENT, apply_policies(organisation={}, key=rule)) is not None


@pytest.mark.parametrize(
    "stored",
    [
        None, [], "eu", 1, {"regions": []}, {"regions": "eu-central"}, {"regions": [1]},
        {"regions": [""]}, {"no_training": "yes"}, {"no_training": 1}, {"most_retention_days": -1},
        {"most_retention_days": True}, {"most_retention_days": "7"}, {"least_bits": 7},
        {"least_bits": True}, {"unheard_of": 1}, {"regions": ["eu-central"], "later": None},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_passes_a_policy_that_cannot_be_read(stored: Any) -> None:
    assert read_policy(stored) is None
    broken = find_broken_rule(GOOD, apply_policies(organisation=stored))
    assert broken is not None
    assert str(broken.words) == "a policy that cannot be read"


def test_both_apply_and_the_one_that_excludes_is_named() -> None:
    wide, narrow = {"regions": ["eu-central", "us-east"]}, {"regions": ["us-east", "cn-east"]}
    applied = apply_policies(organisation=wide, key=narrow)
    american, chinese = replace(GOOD, region="us-east"), replace(GOOD, region="cn-east")
    assert keep_permitted([GOOD, american, chinese], applied) == ([american], None)
    assert [getattr(find_broken_rule(s, applied), "owner", None) for s in (GOOD, chinese)] == [
        "key", "organisation",
    ]  # fmt: skip


def test_marks_name_both_policies() -> None:
    assert apply_policies(organisation={}, key={}) is NO_POLICIES
    rule = {"regions": ["eu-central"], "no_training": True}
    turned = dict(reversed(rule.items()))
    assert apply_policies(organisation=rule).mark == apply_policies(organisation=turned).mark
    of_organisation, of_key = apply_policies(organisation=rule, key={"least_bits": 8}).mark.split(
        "."
    )
    assert len(of_organisation) == len(of_key) == 12
    assert apply_policies(organisation={}, key=rule).mark == f".{of_organisation}"


def test_what_is_stored_reads_as_it_was() -> None:
    policy = Policy(regions=("b", "a", "b"), most_retention_days=0, least_bits=16)
    assert policy.as_stored() == {
        "regions": ["a", "b"], "most_retention_days": 0, "least_bits": 16,
    }  # fmt: skip
    assert read_policy(policy.as_stored()) == replace(policy, regions=("a", "b"))
    assert Policy().as_stored() == {}


def test_every_stated_precision_has_its_bits() -> None:
    assert set(QUANTISATION_BITS) == set(QUANTISATIONS) - {"unknown"}
