"""What counts as a change of intent, and when the owner is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.intent import Intent, Share, Wish, change, differences

LE = ("le", "https://le.example/dir")
STAGING = ("staging", "https://staging.example/dir")


def wish(*names: str, **changed: Any) -> Wish:
    data: dict[str, Any] = {
        "names": list(names),
        "keys": ["ecdsa-p256"],
        "issuers": [list(LE)],
        "targets": [["cdn", list(names)]],
        "challenge": "dns-01",
        **changed,
    }
    return Wish.of(data)


def many(count: int, *, start: int = 0, **changed: Any) -> dict[str, Wish]:
    return {f"c{n}": wish(f"n{n}.example", **changed) for n in range(start, start + count)}


def places(*targets: str) -> dict[str, Any]:
    return {target: {"type": "fly", "options": {"app": target}} for target in targets}


CDN = places("cdn")


def asked(before: Intent, after: Intent) -> str | None:
    return change(before, after).asks


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        (many(9), many(9), None),
        ({}, many(9), None),  # the first file: nothing stands that it could endanger
        (many(9), many(12), None),  # three more are never too many
        (many(9), many(13), "4 of 13 names"),
        (many(20), many(26), None),  # 6 of 26 are a small share
        (many(9), many(6), None),
        (many(9), many(5), "4 of 9 names"),
        (many(20), many(14), None),
        (many(4), many(4, start=100), "8 of 8 names"),
        (many(4), many(4, issuers=[list(STAGING)]), "4 of 4 names"),
        (many(4), many(4, issuers=[["le", "https://elsewhere.example/dir"]]), "4 of 4 names"),
        (many(4), many(4, issuers=[list(LE), list(STAGING)]), "4 of 4 names"),
        (many(4), many(4, keys=["rsa-2048"]), "4 of 4 names"),
        (many(3), many(3, keys=["rsa-2048"]), None),
        (many(9), many(9, challenge="http-01"), None),  # how it is proven is no intent
    ],
)
def test_the_names_that_count(before: dict[str, Wish], after: dict[str, Wish], asks: str | None) -> None:
    assert asked(Intent(before, CDN), Intent(after, CDN)) == asks


def test_another_target_for_all_is_one_target_and_no_name() -> None:
    """Blue/green: scenario 5."""
    more = {
        f"c{n}": wish(f"n{n}.example", targets=[["cdn", [f"n{n}.example"]], ["blue", [f"n{n}.example"]]])
        for n in range(9)
    }
    found = change(Intent(many(9), CDN), Intent(more, places("cdn", "blue")))
    assert (found.names, found.targets, found.asks) == (Share(0, 9), Share(1, 2), None)
    assert found.words == ("+ c0, c1, c2, c3 and 5 more: goes to blue too",)


def serving(*targets: str) -> dict[str, Wish]:
    return {"main": wish("a.example", targets=[[target, ["a.example"]] for target in targets])}


FIVE = ("t1", "t2", "t3", "t4", "t5")
SIX = (*FIVE, "t6")


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        ((FIVE, places(*FIVE)), (FIVE[:2], places(*FIVE[:2])), None),
        ((FIVE, places(*FIVE)), (FIVE[:1], places(*FIVE[:1])), "4 of 5 targets"),
        ((FIVE, places(*FIVE)), (FIVE[:1], places(*FIVE)), "4 of 5 targets"),
        ((SIX[:2], places(*SIX[:2])), (SIX, places(*SIX)), "4 of 6 targets"),
        (
            (FIVE, places(*FIVE)),
            (FIVE, {**places(*FIVE), **{t: {"type": "fly", "options": {"app": "x"}} for t in FIVE[:4]}}),
            "4 of 5 targets",
        ),
        ((FIVE, places(*FIVE)), (FIVE, places(*FIVE, "u1", "u2", "u3", "u4")), None),  # nobody uses them yet
    ],
)
def test_the_targets_that_count(before: Any, after: Any, asks: str | None) -> None:
    assert asked(Intent(serving(*before[0]), before[1]), Intent(serving(*after[0]), after[1])) == asks


def test_the_words_say_what_changes_with_counts_and_what_is_alike_once() -> None:
    before = Intent(
        {**many(3), "main": wish("a.example", "b.example"), "old": wish("old.example")}, places("cdn", "eu")
    )
    after = Intent(
        {
            **many(3, keys=["rsa-2048"], issuers=[list(STAGING)]),
            "main": wish("a.example", "c.example"),
            "new": wish("x.example", "y.example"),
        },
        {"cdn": {"type": "fly", "options": {"app": "other"}}},
    )
    assert change(before, after).words == (
        "+ 1 certificate, 2 names: new",
        "- 1 certificate, 1 name: old",
        "~ c0, c1, c2: issued by staging, not le",
        "~ c0, c1, c2: keys rsa-2048, not ecdsa-p256",
        "+ main: 1 name more: c.example",
        "- main: 1 name less: b.example",
        "~ target cdn leads to another place",
        "- 1 target: eu",
    )


def test_what_two_files_say_differently() -> None:
    here = wish("a.example", "b.example", keys=["rsa-2048"], targets=[["cdn", ["a.example"]]])
    there = wish("b.example", "c.example", issuers=[list(STAGING)], challenge="http-01")
    assert differences(here, there) == [
        "names: here a.example, there c.example",
        "key types: here rsa-2048, there ecdsa-p256",
        "issuers: here le (https://le.example/dir), there staging (https://staging.example/dir)",
        "targets: here cdn (a.example), there cdn",
        "challenge: here dns-01, there http-01",
    ]
    assert differences(here, here) == []
    assert differences(wish("a.example", "b.example"), wish("b.example", "a.example"))[0] == "names: in another order"


wishes = st.builds(
    lambda names, keys, issuers, targets: wish(
        *names, keys=keys, issuers=issuers, targets=[[t, names] for t in targets]
    ),
    st.lists(
        st.sampled_from(["a.example", "b.example", "c.example", "d.example", "e.example"]), min_size=1, unique=True
    ),
    st.lists(st.sampled_from(["ecdsa-p256", "rsa-2048"]), min_size=1, unique=True),
    st.lists(st.sampled_from([list(LE), list(STAGING)]), min_size=1, unique_by=tuple),
    st.lists(st.sampled_from(["t1", "t2", "t3", "t4"]), unique=True),
)
intents = st.builds(
    Intent, st.dictionaries(st.sampled_from(["main", "old", "new"]), wishes), st.just(places("t1", "t2", "t3", "t4"))
)


@given(intents, intents)
def test_both_ways_count_the_same_and_what_counts_is_told(one: Intent, other: Intent) -> None:
    there, back = change(one, other), change(other, one)
    if one.certificates and other.certificates:
        assert (there.names, there.targets) == (back.names, back.targets)
    assert there.names.touched <= there.names.total
    assert there.targets.touched <= there.targets.total
    if there.names.touched or there.targets.touched:
        assert there.words
    assert change(one, one).words == ()
    assert change(one, one).asks is None
