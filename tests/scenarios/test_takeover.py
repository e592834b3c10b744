"""From certificates that Fly and Fastly manage to ours and back, while users shake hands with every edge all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.scenarios.town import Town, town
from tests.scenarios.users import Users, users

NAMES = ("example.com", "*.example.com")
TARGETS = ("fastly", "fly-blue")
LABEL = "_acme-challenge.example.com"


def managed(place: Town, *, moves: bool) -> Town:
    """Fly and Fastly each manage both names; Fly holds the label. `moves`: Fastly allows what nobody has documented."""
    place.configure(certificates=place.certificate(names=NAMES, targets=TARGETS))
    fly, fastly = place.platform("fly"), place.platform("fastly")
    fastly.quirks = replace(
        fastly.quirks, managed_activation_moves=moves, managed_activation_returns=moves, subscription_beside=moves
    )
    for name in NAMES:
        fly.manage("site-blue", name)
        fastly.manage(name)
    fly.on_change()
    fastly.on_change()
    label(place, flydns(place))
    return place


def flydns(place: Town) -> str:
    return f"example.com.{place.platform('fly').apps['site-blue'].id}.flydns.net"


def label(place: Town, target: str) -> None:
    place.house.dnsimple.add_record("example.com", "_acme-challenge", "CNAME", target)


def edges(place: Town) -> list[str]:
    return [
        *place.platform("fastly").addresses,
        *place.platform("fly").apps["site-blue"].v4,
        *place.platform("fly").apps["site-blue"].v6,
    ]


@contextmanager
def watched(folder: Path, *, moves: bool) -> Iterator[tuple[Town, Users]]:
    """A town where no handshake may fail; in the end none has."""
    with town(folder) as place:
        managed(place, moves=moves)
        with users(place, edges(place), NAMES) as made:
            yield place, made
        assert made.bad == []
        assert min(made.shaken.values()) > 2 * len(NAMES), "somebody came also between the first and the last"
        assert made.shaken.keys() >= set(place.platform("fly").apps["site-blue"].v4)


def served(place: Town, target: str) -> set[str]:
    """By whom: v1, or the platform."""
    ran = place.run("probe", "main", "--json", ends=None)
    looks: list[dict[str, Any]] = [each for each in ran.json["looks"] if each["target"] == target]
    return {each["what"].partition(",")[0].partition(":")[0] for each in looks}


def phases(place: Town, *argv: str) -> dict[str, str]:
    ran = place.run(*(argv or ("takeover", "main")), "--json", ends=None)
    return {step["step"]: step["phase"] for step in ran.json["steps"]}


def test_from_theirs_to_ours_and_back_without_one_failed_handshake(tmp_path: Path) -> None:
    with watched(tmp_path / "town", moves=True) as (place, _):
        place.run("takeover", "main", "--all")
        assert served(place, "fastly") == served(place, "fly-blue") == {"v1"}
        place.run("takeover", "main", "--all", "--retire")
        assert place.platform("fastly").estate.subscriptions == {}
        assert place.house.dns.values(LABEL, "CNAME") == []
        place.later(days=70)
        place.run("renew", "main")  # by dns-01, as the file says
        assert served(place, "fastly") == served(place, "fly-blue") == {"v2"}
        for target in TARGETS:
            waits = place.run("handback", "main", "--target", target, "--all", ends=3)
            assert "has not issued its own yet" in waits.err
            prove(place)
            place.run("handback", "main", "--target", target, "--all")
        assert place.platform("fly").stored("site-blue")["example.com"].keys() == {"fly"}
        assert place.platform("fastly").certificate_names() == []
        held = place.run("renew", ends=1)  # the label is Fly's now, which is said too
        assert "was given back to the platform's own certificate" in held.err
        assert "take fastly out of targets" in held.err
        drift = place.run("drift", "main", ends=1).err
        assert drift.count("take fastly out of targets") == 1
        assert "--heal" not in drift, "a person wants it so"


def prove(place: Town) -> None:
    """As the hint says: what Fly, or Fastly, wants to see at the label; for this one look."""
    fastly = next(iter(place.platform("fastly").estate.subscriptions.values()), None)
    records = place.house.dnsimple.zones["example.com"].records
    for identity in [i for i, each in records.items() if each["name"] == "_acme-challenge"]:
        del records[identity]
    place.house.dns.remove(LABEL, "CNAME")
    label(place, flydns(place) if fastly is None or fastly.certificate else fastly.validation)


def test_a_fastly_that_refuses_is_not_touched_and_all_is_taken_back(tmp_path: Path) -> None:
    with watched(tmp_path / "town", moves=False) as (place, _):
        fastly = place.platform("fastly")
        before = dict(fastly.estate.activations)
        ran = place.run("takeover", "main", "--all", ends=1)
        assert served(place, "fly-blue") == {"v1"}
        assert served(place, "fastly") == {"not ours"}
        assert "does not let ours take the place of its own certificate" in ran.err
        assert "nothing was touched" in ran.err
        assert fastly.estate.activations == before
        place.run("takeover", "main", "--undo")
        assert served(place, "fly-blue") == {"not ours"}
        assert fastly.estate.activations == before
        assert place.house.dns.values(LABEL, "CNAME") == [f"{flydns(place)}."]
        assert set(phases(place).values()) <= {"open", "undone"}


SECOND = "198.51.100.99"


def test_a_second_configuration_is_the_way_round(tmp_path: Path) -> None:
    """Ours is served there beside Fastly's own; then a person points DNS to it, and nobody is in the dark for a moment."""
    with watched(tmp_path / "town", moves=False) as (place, made):
        fastly, dns = place.platform("fastly"), place.house.dns
        fastly.quirks = replace(fastly.quirks, subscription_blocks="configuration")
        fastly.add_configuration("second", edges=(SECOND,))
        fastly.on_change()
        for name in NAMES:
            dns.add(name, "A", fastly.addresses[0])
        ran = place.run("takeover", "main", "--all", ends=1)
        assert 'the way round is a second TLS configuration: "second" (' in ran.err
        place.configure(certificates=place.certificate(names=NAMES, targets=TARGETS))
        place.edit('type = "fastly"', 'type = "fastly"\nconfiguration = "second"')
        waits = place.run("takeover", "main", "--all", ends=3)
        assert served(place, "fastly") == {"v1"}, "at the edges of the second configuration"
        assert f"point example.com, *.example.com at {SECOND}" in waits.err
        assert phases(place)["serve fastly"] == "done"
        for name in NAMES:
            dns.set(name, "A", SECOND)
        made.addresses = [*made.addresses, SECOND]
        place.run("takeover", "main", "--all")
        kept = place.run("takeover", "main", "--all", "--retire", ends=1)
        assert "disable TLS for it there at Fastly" in kept.err
        back = place.run("takeover", "main", "--undo", ends=3)
        assert "DNS still leads to fastly" in back.err
        for name in NAMES:
            dns.set(name, "A", fastly.addresses[0])
        place.run("takeover", "main", "--undo")


def test_a_label_that_nobody_else_of_ours_needs_is_published_and_caa_that_pins_us_is_told(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.configure(certificates=place.certificate(names=NAMES, targets=("fly-blue",)))
        place.run("renew")
        place.house.dns.add("example.com", "CAA", '0 issue "letsencrypt.org; accounturi=https://ca.example/acct/1"')
        plan = place.run("handback", "main", "--target", "fly-blue")
        assert "CAA lets only certain accounts order" in plan.out
        with users(place, place.platform("fly").apps["site-blue"].v4, NAMES) as made:
            place.run("handback", "main", "--target", "fly-blue", "--all")
        assert made.bad == []
        assert served(place, "fly-blue") == {"not ours"}
        assert place.house.dns.values(LABEL, "CNAME") == [f"{flydns(place)}."]
        with users(place, place.platform("fly").apps["site-blue"].v4, NAMES) as made:
            place.run("handback", "main", "--target", "fly-blue", "--undo")
        assert made.bad == []
        assert served(place, "fly-blue") == {"v1"}
        assert place.house.dns.values(LABEL, "CNAME") == []
        assert place.platform("fly").stored("site-blue")["example.com"].keys() == {"custom"}
        place.house.dns.remove("example.com", "CAA")
        place.later(days=70)
        place.run("renew", "main")
        assert served(place, "fly-blue") == {"v2"}
