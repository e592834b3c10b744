"""What a look at a label says beside the look before it: a table of all hands it may go to, and from."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certbroker.broker.labels import DAILY, judge, next_look
from certbroker.broker.report import State
from certbroker.challenges.holding import Holding, Whose
from certbroker.store import LabelRow
from tests.clock import START

NAME = "_acme-challenge.example.com"
THEN = START - timedelta(days=1)

LOOKS = {
    "ours": Holding(NAME, Whose.OURS, "the zone example.com, by solver dnsimple", (NAME,)),
    "alias": Holding(NAME, Whose.OURS, "the zone example.net, by solver dnsimple", (NAME, "example.com.example.net")),
    "fly": Holding(NAME, Whose.HELD, "Fly", (NAME, "x.flydns.net"), f"{NAME} is a CNAME to x.flydns.net", "delete it"),
    "fastly": Holding(
        NAME, Whose.HELD, "Fastly", (NAME, "y.fastly-validations.com"), f"{NAME} is a CNAME", "delete it"
    ),
    "elsewhere": Holding(NAME, Whose.ELSEWHERE, "a.example.org", (NAME, "a.example.org"), f"{NAME} is a CNAME", "add"),
    "nobody": Holding(NAME, Whose.NOBODY, "nobody", (NAME,), f"{NAME} is in no zone of a solver", "add a solver"),
}
SILENT = Holding(NAME, Whose.UNKNOWN, "", (NAME,), "no recursor answers")


def seen(look: str) -> LabelRow:
    found = LOOKS[look]
    return LabelRow(NAME, found.whose.value, found.by, found.leads_to, since=THEN, at=THEN)


@pytest.mark.parametrize("before", [None, *LOOKS])
@pytest.mark.parametrize("now", LOOKS)
def test_only_what_is_not_ours_fails_and_what_changed_names_both_hands(before: str | None, now: str) -> None:
    known = seen(before) if before else None
    row, finding = judge(known, LOOKS[now], "main", START)
    assert row is not None
    assert finding is not None
    assert (finding.kind, finding.name) == ("label", NAME)
    found = LOOKS[now]
    assert finding.state is (State.OK if found.whose is Whose.OURS else State.FAIL)
    assert (row.whose, row.held_by, row.leads_to, row.at) == (found.whose, found.by, found.leads_to, START)
    changed = known is not None and (known.whose, known.held_by) != (row.whose, row.held_by)
    assert row.since == (THEN if known and not changed else START)
    assert row.was_at == (THEN if changed else None)
    if finding.state is State.FAIL:
        assert ("changed hands" in finding.what) is changed
        assert finding.hint.startswith(found.hint)
        assert "certbroker who-owns main" in finding.hint
    if changed and known is not None:
        assert known.held_by in finding.what
    if before == now:
        assert judge(row, found, "main", START + DAILY)[0] is not None


def test_the_hands_before_are_told_as_long_as_it_lasts() -> None:
    row, first = judge(seen("ours"), LOOKS["fly"], "main", START)
    later, again = judge(row, LOOKS["fly"], "main", START + timedelta(days=9))
    assert first == again
    assert later is not None
    assert (later.since, later.at) == (START, START + timedelta(days=9))
    mended, fine = judge(later, LOOKS["ours"], "main", START + timedelta(days=10))
    assert fine is not None
    assert (fine.state, "held by Fly" in fine.what) == (State.OK, True)
    assert mended is not None
    assert mended.since == START + timedelta(days=10)


@pytest.mark.parametrize("before", [None, *LOOKS])
def test_a_look_that_did_not_find_out_changes_nothing(before: str | None) -> None:
    assert judge(seen(before) if before else None, SILENT, "main", START) == (None, None)


def test_what_still_leads_where_it_led_is_still_whose_it_was_though_the_solver_is_silent() -> None:
    silent = Holding(NAME, Whose.UNKNOWN, "", LOOKS["alias"].way, "the service of the solver is away")
    row, finding = judge(seen("alias"), silent, "main", START)
    assert row is not None
    assert (row.whose, row.at, finding) == ("ours", START, None)
    assert judge(seen("fly"), silent, "main", START) == (None, None)


def test_looks_are_within_a_day_and_spread() -> None:
    moments = {next_look(f"c{number}", START) for number in range(500)}
    assert all(START + DAILY * 0.75 <= moment < START + DAILY for moment in moments)
    assert len(moments) > 100
