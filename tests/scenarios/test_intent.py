"""Limits of intent: a file that changes much is asked about once; what stands is renewed whatever waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.testkit.simulator import Fault, Response
from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Town, town


@pytest.fixture
def nine(tmp_path: Path) -> Iterator[Town]:
    """Nine certificates of one day in a folder; their names resolve nowhere, and nobody needs them to."""
    with town(tmp_path / "town") as made:
        several(made, 9)
        made.run("renew")
        yield made


def several(place: Town, count: int, *, start: int = 0, **more: str) -> None:
    place.configure(
        certificates="".join(
            place.certificate(f"c{n}", names=(f"n{n}.example.com",), targets=("folder",), **more)
            for n in range(start, start + count)
        )
    )


def issued(place: Town) -> int:
    return len(place.ca.issued)


def test_nine_certificates_of_one_day_are_renewed_without_a_terminal_though_a_large_change_waits(nine: Town) -> None:
    """Bar 6: a safety limit never delays a renewal."""
    nine.later(days=61)
    several(nine, 9, start=4)  # c0 to c3 leave, c9 to c12 come
    ran = nine.run("renew", ends=3)
    assert "9 ordered" in ran.out
    assert issued(nine) == 18
    assert "changes 8 of 13 names" in ran.err
    with nine.store() as store:
        assert sorted(v.certificate for n in range(13) for v in store.versions(f"c{n}")) == sorted(
            [f"c{n}" for n in range(9)] * 2
        )


def test_nine_certificates_of_one_day_all_due_are_renewed(nine: Town) -> None:
    nine.later(days=61)
    assert "9 ordered" in nine.run("renew").out
    assert issued(nine) == 18


def test_a_revocation_and_a_retry_are_never_held_back(nine: Town) -> None:
    several(nine, 9, start=5)
    nine.run("renew", ends=3)
    nine.run("revoke", "c1", "--reason", "superseded", "--yes", ends=3)
    nine.later(minutes=6)
    nine.house.dns.set("_acme-challenge.n1.example.com", "CNAME", "n1.example.com.d6lmmxg.flydns.net.")
    nine.run("renew", ends=1)
    nine.house.dns.set("_acme-challenge.n1.example.com", "CNAME")
    nine.later(days=1)
    nine.run("renew", ends=3)
    with nine.store() as store:
        assert [v.label for v in store.versions("c1")] == ["v2", "v1"]


def test_a_large_change_waits_whole_is_agreed_to_once_and_never_asked_for_again(nine: Town) -> None:
    several(nine, 5)
    for _ in range(2):
        nine.later(hours=1)
        ran = nine.run("renew", ends=3)
        assert "changes 4 of 9 names" in ran.err
        assert "certbroker renew --yes" in ran.err
    assert "left the file" not in nine.run("status").out
    assert "changes 4 of 9 names" in nine.run("status").out
    nine.run("renew", "--yes")
    assert "left the file" in nine.run("status").out
    assert "changes" not in nine.run("status").out
    nine.later(hours=1)
    nine.run("renew")
    assert issued(nine) == 9


def test_a_change_that_is_taken_back_is_not_asked_about_any_more(nine: Town) -> None:
    several(nine, 5)
    nine.run("renew", ends=3)
    several(nine, 9)
    nine.run("renew")
    assert "changes" not in nine.run("status").out
    assert issued(nine) == 9


def test_a_certificate_that_is_named_by_hand_is_meant_and_the_rest_still_waits(nine: Town) -> None:
    several(nine, 9, start=8)  # c9 to c16 come, c0 to c7 leave
    nine.run("issue", "c9", ends=3)
    assert issued(nine) == 10
    nine.later(days=61)
    ran = nine.run("renew", ends=3)
    assert "10 ordered" in ran.out, "what was named is renewed from now on, and what stood too"


def test_key_types_and_issuers_that_change_for_many_wait_and_what_stands_is_renewed_as_before(nine: Town) -> None:
    several(nine, 9, keys='["rsa-2048"]')
    assert "keys rsa-2048, not ecdsa-p256" in nine.run("renew", ends=3).err
    assert issued(nine) == 9
    nine.later(days=61)
    nine.run("renew", ends=3)
    with nine.store() as store:
        assert {v.key_type.value for v in store.versions("c0")} == {"ecdsa-p256"}
    assert "9 ordered" in nine.run("renew", "--yes").out


def test_a_yes_for_what_is_not_ours_is_remembered_while_its_push_is_tried_again(place: Town) -> None:
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    fastly = place.platform("fastly")
    fastly.add_foreign(chain, key, name="by hand", activate=("example.com", "*.example.com"))
    place.configure(certificates=place.certificate(targets=("fastly",)))
    place.run("renew", ends=3)
    fastly.faults.append(Fault(Response.html(500, "<html>"), times=10**6, matches=lambda request: request.write))
    place.run("renew", "--yes", ends=1)
    fastly.faults.clear()
    place.later(hours=1)
    place.run("renew")
    assert place.orders == 1
    other, secret = place.ca.issue_directly("example.com", "*.example.com")
    with place.store() as store:
        assert store.agreed("main") == {}, "it was agreed to once, not for ever"
    fastly.add_foreign(other, secret, name="by hand again", activate=("example.com", "*.example.com"))


def test_a_yes_is_remembered_too_where_the_order_failed_first(place: Town) -> None:
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    place.platform("fastly").add_foreign(chain, key, name="by hand", activate=("example.com", "*.example.com"))
    place.configure(certificates=place.certificate(targets=("fastly",)))
    place.ca.bad.rate_limited, place.ca.bad.rate_limit_seconds = 1, 7200
    place.run("renew", "--yes", ends=1)
    place.later(hours=3)
    place.run("renew")
    assert place.orders == 1


def test_a_target_that_leads_to_another_place_is_pushed_to_without_an_order(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("fly-blue",)))
    place.run("renew")
    place.later(hours=1)
    place.edit("[target.fly-blue]", "[target.moving]")
    place.edit("[target.fly-green]", "[target.fly-blue]")
    assert "~ target fly-blue leads to another place" in place.run("plan").out
    assert not place.platform("fly").stored("site-green")
    ran = place.run("renew")
    assert "2 of 2 edges serve v1" in ran.out
    assert set(place.platform("fly").stored("site-green")) == {"example.com", "*.example.com"}
    assert place.orders == 1
    writes = place.pushes()
    place.later(hours=1)
    place.run("renew")
    assert place.pushes() == writes


def test_what_a_person_reads(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        chain, key = place.ca.issue_directly("n0.example.com")
        several(place, 9)
        place.edit(
            'names = ["n0.example.com"]\ntargets = ["folder"]', 'names = ["n0.example.com"]\ntargets = ["fastly"]'
        )
        place.platform("fastly").add_foreign(chain, key, name="by hand", activate=["n0.example.com"])
        place.platform("fastly").on_change()
        words = told(place, "plan") + "\n"
        place.run("renew", "--yes")
        place.later(hours=1)
        several(place, 5)
        words += (
            told(place, "plan") + "\n" + told(place, "renew", ends=3) + "\n" + by_name(told(place, "status")) + "\n"
        )
        words += told(place, "renew", "--yes") + "\n" + by_name(told(place, "status"))
        golden("words/intent.txt", re.sub(r"(Next renewal|next): c\d", r"\1: cN", words))


def by_name(status: str) -> str:
    """They were issued side by side, and whose moment comes first by a second is chance."""
    lines = status.splitlines()
    rows = [number for number, line in enumerate(lines) if re.match(r"\S+ +c\d ", line)]
    for number, line in zip(rows, sorted(lines[number] for number in rows), strict=True):
        lines[number] = line
    return "\n".join(lines) + "\n"
