"""The words of the main flows, whole: compare with tests/golden, write anew with CERTBROKER_GOLDEN=write."""

from __future__ import annotations

import re
from pathlib import Path

from certbroker.testkit.simulator import Fault, Response
from tests.golden import golden
from tests.scenarios.test_restore import FASTLY_EDGE, choking, later_than
from tests.scenarios.town import Town, town

MASKS = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"/acct/\d+", "/acct/N"),
    (r"\brun [a-z2-9]{6}\b", "run ABCDEF"),
    (r"\bfile [0-9a-f]{7}\b", "file 0123456"),
    (r"\bstore( +)[0-9a-f]{8}\b", r"store\g<1>01234567"),
    (r"\btrace [0-9a-f]{32}\b", "trace 0123456789abcdef"),
    (r"\b(v\d+) [0-9a-f]{6}\b", r"\1 012345"),
    (r"\b(v\d+) [0-9a-f]{12}\b", r"\1 0123456789ab"),
    (r"T\d\d:\d\d:\d\d", "Thh:mm:ss"),
    (r"\bkey \d{4}-\d\d-[0-9a-f]{4}\b", "key 2026-11-0123"),
    (r'\btoken "[a-z]{7}"', 'token "abcdefg"'),
    (r" *\d+\.\d s\b", " 0.0 s"),
    (r"slowest target [\w-]+", "slowest target folder"),
    (r"our own work took \d+ s\b", "our own work took 9 s"),
    (r"\d\d:\d\d UTC", "hh:mm UTC"),
    (r"app-[0-9a-z]+\b", "app-ID"),
]
"""What differs from run to run, and what stands for it. Times of day depend on how long threads waited for each other."""


def told(place: Town, *argv: str, ends: int = 0, table: bool = True) -> str:
    """One command line with its answer and its story. `table=False`: columns are as wide as a path of this run."""
    ran = place.run(*argv, ends=ends)
    text = f"$ certbroker {' '.join(argv)}\n{ran.out}"
    text += "".join(f"stderr: {line}\n" for line in ran.err.splitlines())
    text += f"exit {ran.code}\n"
    text = text.replace(str(place.folder), "/town")
    for pattern, stands in MASKS:
        text = re.sub(pattern, stands, text)
    return text if table else re.sub(" {2,}", "  ", text)


def test_the_first_night_and_a_quiet_hour(place: Town) -> None:
    words = told(place, "plan") + "\n" + told(place, "renew")
    place.later(hours=1)
    words += "\n" + told(place, "renew") + "\n" + told(place, "status") + "\n" + told(place, "plan", "--all")
    golden("words/first-night.txt", words)


def test_a_push_that_failed_and_its_repair(place: Town) -> None:
    place.platform("fastly").faults.append(
        Fault(Response.html(500, "<html><h1>oops</h1></html>"), matches=lambda request: request.write)
    )
    words = told(place, "renew", ends=1) + "\n" + told(place, "status", ends=1) + "\n"
    place.later(minutes=30)
    golden("words/failed-push.txt", words + told(place, "renew"))


def test_a_proof_of_ownership_that_waits_for_a_person(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("fly-blue", "folder")))
    place.edit('ownership = "publish"', 'ownership = "print"')
    words = told(place, "renew", ends=3) + "\n" + told(place, "status", ends=3)
    golden("words/waiting.txt", words)


def test_a_delegation_that_was_left_behind(place: Town) -> None:
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    words = told(place, "check", ends=1, table=False) + "\n" + told(place, "renew", ends=1)
    golden("words/stale-delegation.txt", words)


def test_edges_seen_one_by_one(place: Town) -> None:
    place.run("renew")
    golden("words/probe.txt", told(place, "probe", "main"))


def test_an_edge_that_broke_by_a_push_and_was_put_back(place: Town) -> None:
    place.run("renew")
    place.later(minutes=10)
    with choking(place, "fastly", FASTLY_EDGE, on=later_than(place, 1)):
        words = told(place, "issue", "main", ends=1) + "\n" + told(place, "status", ends=1)
    place.later(hours=2)
    golden("words/put-back.txt", words + "\n" + told(place, "plan") + "\n" + told(place, "renew"))


def test_a_second_issuer_that_steps_in_and_what_the_limits_leave(tmp_path: Path) -> None:
    with town(tmp_path / "town", second_ca=True) as place:
        place.configure(certificates=place.certificate(targets=("folder",)))
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt"')
        words = told(place, "plan")
        place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 7200
        words += "\n" + told(place, "renew") + "\n" + told(place, "status") + "\n" + told(place, "explain", "main")
        place.later(minutes=10)
        more = place.certificate("late", names=("late.example.com",), targets=("folder",))
        place.configure(certificates=place.certificate(targets=("folder",)) + more)
        golden(
            "words/second-issuer.txt",
            words + "\n" + told(place, "plan", "late", "--offline") + "\n" + told(place, "plan", "--offline"),
        )
