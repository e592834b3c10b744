"""plan: shown in a pull request without a secret, on the wire only looked, and empty once it was carried out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certbroker.cli.plans import plainly
from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Town

TWO = '\n[certificate.more]\nnames = ["more.example.com"]\ntargets = ["fastly", "folder"]\nkeys = ["rsa-2048"]\n'

READS = ("GET", "HEAD")


def services(place: Town) -> Iterator[tuple[str, Any]]:
    yield "ca", place.ca
    yield "dnsimple", place.house.dnsimple
    yield from place.house.platforms.items()


def spoken(place: Town) -> dict[str, int]:
    return {name: len(service.requests) for name, service in services(place)}


def assert_only_reads(place: Town, before: dict[str, int]) -> None:
    """On the wire: Fly's `/check` looks at DNS again and is a POST all the same (its contract), and is no change."""
    for name, service in services(place):
        since = service.requests[before[name] :]
        writes = [r for r in since if r.method not in READS and not (name == "fly" and r.path.endswith("/check"))]
        assert writes == [], (name, [(r.method, r.path) for r in writes])


def test_a_plan_only_reads_whatever_there_is_to_do(place: Town) -> None:
    before = spoken(place)
    place.run("plan")
    assert_only_reads(place, before)
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    place.platform("fastly").add_foreign(chain, key, name="by hand", activate=["example.com", "*.example.com"])
    place.run("renew", "--yes")
    with (place.folder / "certbroker.toml").open("a") as file:
        file.write(TWO)
    place.later(days=61)
    before = spoken(place)
    state = {name: service.estate.copy() for name, service in services(place) if name == "fastly"}
    for argv in (["--json"], ["--all"], ["--format", "markdown"], ["main"], ["--target", "fastly"], ["--offline"]):
        place.run("plan", *argv)
    assert_only_reads(place, before)
    assert place.platform("fastly").estate == state["fastly"]
    assert place.orders == 1


def test_once_it_was_carried_out_the_plan_is_empty(place: Town) -> None:
    with (place.folder / "certbroker.toml").open("a") as file:
        file.write(TWO)
    place.run("plan", "--exit-code", ends=4)
    place.run("renew")
    for argv in ([], ["--offline"], ["main"], ["--target", "fly-blue"]):
        found = place.run("plan", "--exit-code", "--json", *argv).json
        assert [step for plan in found["plans"] for step in plan["steps"]] == []
        assert (found["change"]["words"], found["asks"], found["command"]) == ([], [], None)


@pytest.fixture
def request_(place: Town) -> Town:
    """A change as a pull request proposes it, where there is neither a token nor a vault key nor a network."""
    place.run("renew")
    chain = place.house.configuration(place.folder)
    text = chain.replace('targets = ["fastly", "fly-blue", "fly-green", "folder"]', 'targets = ["fastly", "fly-blue"]')
    (place.folder / "certbroker.toml").write_text(text + TWO + many())
    place.environ.clear()
    (place.folder / "vault.key").unlink()
    place.network.forbidden = True
    return place


def many() -> str:
    each = ", ".join(f'"v{n}.example.com"' for n in range(5))
    return f'\n[certificate.vanity]\neach = [{each}]\nnames = ["{{each}}"]\ntargets = ["fly-blue"]\n'


def test_a_pull_request_gets_a_table_without_a_secret(request_: Town) -> None:
    contacts = len(request_.network.contacts)
    golden("words/plan.md", told(request_, "plan", "--offline", "--format", "markdown"))
    golden("words/plan-offline.txt", told(request_, "plan", "--offline"))
    assert len(request_.network.contacts) == contacts


def test_as_json_it_has_the_same_answers(request_: Town) -> None:
    found = request_.run("plan", "--offline", "--json", "--exit-code", ends=4).json
    assert found["change"]["names"] == {"touched": 6, "total": 8}
    assert found["asks"] == ["the file changes 6 of 8 names"]
    assert found["command"] == "certbroker renew --yes"
    assert [orphan["kind"] for orphan in found["orphans"]] == ["place", "place"]
    refused = request_.run("plan", "--offline", "--json", "--format", "markdown", ends=2)
    assert "--json and --format are two answers" in refused.err


def test_a_table_that_is_too_long_for_a_comment_is_cut_and_counted(place: Town) -> None:
    each = ", ".join(f'"v{n}.example.com"' for n in range(600))
    place.configure(
        certificates=f'\n[certificate.vanity]\neach = [{each}]\nnames = ["{{each}}"]\ntargets = ["folder"]\n'
    )
    text = place.run("plan", "--offline", "--format", "markdown").out
    assert len(text) < 65_536
    left = re.search(r"(\d+) more steps: `certbroker plan` shows them", text)
    assert left
    assert text.count("\n| ") + int(left[1]) == 2 * 600 + 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*.example.com", r"\*.example.com"),
        ("_acme-challenge.example.com", r"\_acme-challenge.example.com"),
        ("a | b\nc", r"a \| b c"),
        ("<script>&amp;", r"\<script\>\&amp;"),
        ("thanks @everyone, see #1", "thanks @<!-- -->everyone, see #<!-- -->1"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("`ls`", r"\`ls\`"),
    ],
)
def test_what_others_wrote_is_shown_as_it_is(text: str, shown: str) -> None:
    assert plainly(text) == shown


def test_the_first_plan_where_something_is_not_ours(place: Town, tmp_path: Path) -> None:
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    place.platform("fastly").add_foreign(chain, key, name="by hand", activate=["example.com", "*.example.com"])
    ran = place.run("plan")
    assert (
        " ~ push    fastly           the new one  serves a certificate that is not ours, until Sun 21 Feb 2027"
        in ran.out
    )
    assert "1 order, 4 pushes, nothing removed. 1 push replaces (~) a certificate that is not ours." in ran.out
    assert "To do it: certbroker renew --yes" in ran.out
    assert "To do it: certbroker push --target fly-green" in _after_renewal(place)


def _after_renewal(place: Town) -> str:
    place.run("renew", "--yes")
    with place.store() as store:
        store.forget_places("fly-green", [("main", "example.com"), ("main", "*.example.com")])
    return place.run("plan", "--target", "fly-green").out
