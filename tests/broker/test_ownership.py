"""What follows from whose a label is: a table of hands and methods, and what it breaks for whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.broker.found import IN_DNS, Found, NotYet
from certbroker.broker.managing import Managed
from certbroker.broker.ownership import Ownership, decide
from certbroker.broker.report import State
from certbroker.challenges.caa import CaaFinding, Property, Standing
from certbroker.challenges.holders import holder_of
from certbroker.challenges.holding import Holding, Whose
from certbroker.model import Certificate, Method, Record
from certbroker.provider import ManagedFacts
from tests.clock import START

NAME = "example.com"
LABEL = f"_acme-challenge.{NAME}"
AT_FLY = "example.com.abc1234.flydns.net"
ENDS = START + timedelta(days=40)
RECORD = Record(LABEL, "CNAME", ("example.com.alias.example.net.",))

OURS = Holding(LABEL, Whose.OURS, "the zone example.com, by solver dnsimple", (LABEL,))
FLY = Holding(LABEL, Whose.HELD, "Fly", (LABEL, AT_FLY), "held by Fly", "delete it", holder_of(AT_FLY))
ELSEWHERE = Holding(LABEL, Whose.ELSEWHERE, "a.example.org", (LABEL, "a.example.org"), "it leads away", "add a solver")
NOBODY = Holding(LABEL, Whose.NOBODY, "nobody", (LABEL,), "no solver serves the zone", "add a solver")
MISSING = Holding(LABEL, Whose.NOBODY, "nobody", (LABEL,), "it is no CNAME", f"let it be {RECORD}", wanted=RECORD)
WRONG = replace(FLY, why="it leads to Fly", hint=f"let it be {RECORD}", wanted=RECORD)
SILENT = Holding(LABEL, Whose.UNKNOWN, "", (LABEL,), "no recursor answers")
NO_ACCOUNT = NotYet("there is no account yet", "certbroker account make le")


def found(
    label: Holding | NotYet,
    *,
    method: Method = Method.DNS_01,
    caa: Standing | CaaFinding | None = None,
    managed: tuple[Managed, ...] = (),
    http: State = State.FAIL,
    leads_to: frozenset[str] = frozenset(),
    ours: frozenset[str] = frozenset(),
) -> Found:
    """Every other label is held by nobody who would answer for us."""
    holdings = {each: label if each is method else NOBODY for each in IN_DNS}
    ca = ("ca.example",)
    return Found(NAME, holdings, (http, "over HTTP", ""), caa or Standing(), ca, None, managed, leads_to, ours)


def told(here: Found, method: Method | None = Method.DNS_01) -> Ownership:
    certificate = Certificate("main", (NAME,), (), ("le",), (), challenge=method) if method else None
    return decide([here], name=NAME, issuer="le", certificate=certificate, served="8 of 8 edges serve v1")


@pytest.mark.parametrize("method", IN_DNS)
@pytest.mark.parametrize(
    ("label", "code", "old", "new"),
    [
        (OURS, 0, False, False),
        (FLY, 1, True, False),
        (ELSEWHERE, 1, True, False),
        (NOBODY, 1, False, False),
        (MISSING, 3, False, True),
        (WRONG, 1, True, True),
        (SILENT, 0, False, False),
        (NO_ACCOUNT, 3, False, False),
    ],
)
def test_what_is_wanted_works_or_says_the_record_to_change(
    method: Method, label: Holding | NotYet, code: int, old: bool, new: bool
) -> None:
    answer = told(found(label, method=method), method)
    assert answer.exit_code == code
    assert [way.method for way in answer.ways if way.wanted] == [method]
    assert [(bool(change.old), bool(change.new)) for change in answer.changes] == ([(old, new)] if old or new else [])
    for change in answer.changes:
        assert not change.old or (isinstance(label, Holding) and change.old == label.cname)
        assert not change.new or change.new == str(RECORD)
        assert bool(change.breaks) is bool(change.old)  # nobody is hurt by a record that only comes
    assert bool(answer.troubles) is (code != 0)
    for trouble in answer.troubles:
        assert (trouble.what, trouble.now, trouble.hint) > ("", "", "")
        assert trouble.wait is (code == 3)


def managed(target: str = "fly-blue", end: str = AT_FLY, **more: object) -> Managed:
    facts = ManagedFacts(
        "issued", ends=ENDS, challenge=Record(LABEL, "CNAME", (f"{end}.",)), authority="letsencrypt.org"
    )
    return Managed(NAME, target, "Fly", replace(facts, **more))  # type: ignore[arg-type]


NONE: frozenset[str] = frozenset()


def breaks(
    *managed: Managed, label: Holding = FLY, leads_to: frozenset[str] = NONE, ours: frozenset[str] = NONE
) -> str:
    (change,) = told(found(label, managed=managed, leads_to=leads_to, ours=ours)).changes
    return "\n".join(change.breaks)


def test_whose_renewal_ends_and_until_when_what_is_there_lasts() -> None:
    said = breaks(managed())
    assert "Fly cannot renew its own certificate for example.com by DNS any more (fly-blue)" in said
    assert "ends Sat 2 Jan 2027" in said
    assert "may still be renewed" not in said


def test_a_name_that_leads_to_the_platform_may_still_be_renewed_by_that() -> None:
    here = managed(routing=(Record(NAME, "A", ("137.66.0.10",)),))
    assert "while example.com leads to Fly" in breaks(here, leads_to=frozenset({"137.66.0.10"}))
    assert "while example.com leads to Fly" not in breaks(here, leads_to=frozenset({"192.0.2.1"}))


def test_where_ours_is_served_only_the_fallback_ends() -> None:
    assert "only the fallback ends" in breaks(managed(), ours=frozenset({"fly-blue"}))
    assert "only the fallback ends" not in breaks(managed(), ours=frozenset({"fly-green"}))


def test_the_app_that_holds_it_is_told_from_the_one_that_does_not() -> None:
    """Two apps of one owner want two targets for one label (it has the app's id in it): only one can have it."""
    two = (managed("fly-green", "example.com.zzz9999.flydns.net"), managed())
    said = breaks(*two)
    assert "(fly-blue)" in said
    assert "fly-green" not in said
    label = next(h for h in told(found(FLY, managed=two)).holders if h.what == "label")
    assert "for fly-blue" in label.by
    stranger = told(found(FLY, managed=two[:1]))
    assert "for none of the file's targets" in next(h for h in stranger.holders if h.what == "label").by
    assert "none of the file's targets at Fly" in "\n".join(stranger.changes[0].breaks)


def test_one_that_waits_is_said_to_wait_and_one_that_nobody_asked_for_is_not_hurt() -> None:
    assert "cannot get its own certificate" in breaks(managed(state="pending", ends=None))
    assert "until when that lasts is not known here" in breaks(managed(state="none", ends=None))
    assert "whoever answers at a.example.org" in breaks(label=ELSEWHERE)


def test_caa_that_forbids_is_as_good_as_a_label_that_is_held() -> None:
    forbidden = Standing(NAME, (Property(0, "issue", "pki.goog"),))
    answer = told(found(OURS, caa=forbidden))
    assert answer.exit_code == 1
    wish = 'example.com.  CAA  0 issue "ca.example; validationmethods=dns-01"'
    assert [(change.old, change.new) for change in answer.changes] == [("", wish)]
    assert 'example.com.  CAA  0 issue "pki.goog"' in [holder.record for holder in answer.holders]
    assert {way.state for way in answer.ways} == {State.FAIL}


def test_what_works_instead_is_offered() -> None:
    answer = told(found(FLY, http=State.OK))
    assert 'or challenge = "http-01", which works today' in answer.troubles[0].hint


def test_a_name_that_nobody_decided_on_is_told_by_its_best_way_and_drafts_are_never_promised() -> None:
    assert told(found(OURS), None).exit_code == 0
    answer = told(found(FLY, http=State.OK), None)
    assert (answer.exit_code, answer.changes) == (0, ())
    assert "http-01" in answer.sentence
    answer = told(found(OURS, method=Method.DNS_ACCOUNT_01), None)
    assert answer.exit_code == 1
    assert {way.state for way in answer.ways if way.method is Method.DNS_ACCOUNT_01} == {State.WARN}


def test_what_dns_does_not_tell_of_caa_is_not_known_and_broken_dnssec_stops_it() -> None:
    assert told(found(OURS, caa=CaaFinding("warn", NAME, "no answer"))).exit_code == 0
    assert "is not known" in told(found(OURS, caa=CaaFinding("warn", NAME, "no answer"))).sentence
    assert told(found(OURS, caa=CaaFinding("fail", NAME, "DNSSEC is broken"))).exit_code == 1


def test_a_parameter_that_lets_one_method_alone_leaves_that_one() -> None:
    standing = Standing(NAME, (Property(0, "issue", "ca.example; validationmethods=http-01"),))
    answer = told(found(OURS, caa=standing, http=State.OK))
    assert {way.method for way in answer.ways if way.state is State.OK} == {Method.HTTP_01}
    assert 'challenge = "http-01"' in answer.troubles[0].hint
