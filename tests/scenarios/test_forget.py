"""Leaving the file: what stays where and until when is shown, nothing nags, and only what is asked for is forgotten or removed."""

from __future__ import annotations

import re

import pytest
import requests

from certbroker.world import Contact
from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Town
from tests.world import CountingNetwork

OTHER = ("other.example.com",)


def fastly_lets_go(place: Town, *names: str) -> None:
    """Somebody removes the activations of `names` by hand."""
    fastly = place.platform("fastly")
    for activation in list(fastly.estate.activations.values()):
        if activation.domain in names:
            del fastly.estate.activations[activation.id]
    fastly.on_change()


def fly_lets_go(place: Town, app: str) -> None:
    """Somebody removes the hostnames of an app, as `fly certs remove` does."""
    fly = place.platform("fly")
    for name in fly.stored(app):
        url = f"{place.house.urls['fly']}/v1/apps/{app}/certificates/{name}"
        requests.delete(url, headers={"Authorization": fly.deploy_token(app)}, timeout=10).raise_for_status()


def leaves(place: Town, *, targets: tuple[str, ...], stays_at: tuple[str, ...] = ("folder",)) -> None:
    """main is served by `targets`; then it leaves the file, and another certificate takes its place."""
    place.configure(certificates=place.certificate(targets=targets))
    place.run("renew")
    place.configure(certificates=place.certificate("other", names=OTHER, targets=stays_at))
    place.run("renew")


class NoEdge(CountingNetwork):
    """No edge can be reached from here."""

    def contact(self, kind: Contact, address: str) -> None:
        if kind == "tls":
            raise OSError("no route to host")
        super().contact(kind, address)


def asked(place: Town, kind: str) -> int:
    return len(place.platform(kind).requests)


def objects(place: Town) -> tuple[set[str], set[str]]:
    estate = place.platform("fastly").estate
    return {str(c.name) for c in estate.certificates.values()}, {str(k.name) for k in estate.keys.values()}


def test_a_certificate_that_left_is_shown_with_what_stays_and_nobody_is_asked_about_it(place: Town) -> None:
    leaves(place, targets=("fastly", "fly-blue", "folder"))
    out = place.run("status").out
    assert out.count("left the file on Mon 23 Nov 2026") == 1, (
        "its condition tells it, and so its place among the orphans is empty"
    )
    assert "now   fastly keeps v1 until Sun 21 Feb 2027, fly-blue keeps v1" in out
    assert "or: certbroker forget main" in out
    [orphan] = place.run("status", "--json").json["orphans"]
    assert (orphan["kind"], orphan["name"]) == ("certificate", "main")
    why = place.run("explain", "main").out
    assert why.startswith("certificate main left the file on Mon 23 Nov 2026; fastly keeps v1 until")
    assert "\n  fly-blue *.example.com, example.com: main v1 until Sun 21 Feb 2027\n" in why
    assert "\n  hint: put [certificate.main] back into the file, or: certbroker forget main\n" in why
    assert "v1 committed" in why
    assert "fastly keeps v1 until Sun 21 Feb 2027" in place.run("plan", "--offline").out
    before = asked(place, "fastly"), asked(place, "fly")
    for _ in range(3):
        place.later(hours=25)
        assert place.run("renew").err == ""
    spent = asked(place, "fastly") - before[0], asked(place, "fly") - before[1]
    assert spent[1] <= 3 * 4, "the daily look at the token, and no more"


def test_a_target_that_left_is_not_asked_any_more_and_what_it_keeps_is_shown(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("fly-blue", "fly-green")))
    place.run("renew")
    text = (place.folder / "certbroker.toml").read_text()
    begin, end = text.index("[target.fly-green]"), text.index("[certificate.main]")
    (place.folder / "certbroker.toml").write_text((text[:begin] + text[end:]).replace(', "fly-green"', ""))
    place.environ.pop("FLY_TOKEN_SITE_GREEN", None)
    place.later(hours=1)
    place.run("renew")
    out = place.run("status").out
    assert "target fly-green left the file on Mon 23 Nov 2026; it keeps main v1 until Sun 21 Feb 2027" in out
    place.later(hours=25)
    assert place.run("renew").err == ""
    held = place.run("forget", "fly-green", "--remove", ends=2)
    assert "has left the file, and with it the means to remove anything there" in held.err
    assert "put [target.fly-green] back" in held.err
    assert "certbroker forget fly-green --yes" in place.run("forget", "fly-green", ends=2).err
    ran = place.run("forget", "fly-green", "--yes")
    assert "fly-green keeps main v1 until Sun 21 Feb 2027; nobody renews it there" in ran.out
    assert "fly-green" not in place.run("status").out
    place.run("drift")


def test_forgetting_says_what_is_lost_and_asks(place: Town) -> None:
    leaves(place, targets=("fastly",))
    ran = place.run("forget", "main", ends=2)
    assert (
        "main may still be needed: fastly keeps main v1 until Sun 21 Feb 2027; its private key would be lost" in ran.err
    )
    assert "5 of 5 edges serve v1" in ran.err or "edges serve v1" in ran.err
    assert "certbroker forget main --yes" in ran.err
    with place.store() as store:
        assert len(store.versions("main")) == 1
    writes = place.pushes()
    place.run("forget", "main", "--yes", "-m", "sold")
    assert place.pushes() == writes, "what is served stays"
    with place.store() as store:
        assert store.versions("main") == []
        assert [box for box in store.boxes() if box[0] == "version"] != []
        assert len([box for box in store.boxes() if box[0] == "version"]) == 1
        assert store.seen("main") == []
    assert "main" not in place.run("status").out
    assert "forgotten, because it had left the file" in place.run("history", "main").out
    place.run("renew")


def test_what_has_ended_and_is_nowhere_is_forgotten_without_a_question(place: Town) -> None:
    leaves(place, targets=("folder",))
    place.later(days=100)
    place.run("renew")
    assert "folder keeps v1 which ended Sun 21 Feb 2027" in place.run("status").out
    place.run("forget", "main")


def test_removing_is_refused_while_an_edge_serves_it_and_takes_away_only_what_is_ours(place: Town) -> None:
    """Scenario 31, and 20: a foreign key in the account."""
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    fastly = place.platform("fastly")
    leaves(place, targets=("fastly",), stays_at=("fastly",))
    fastly.add_foreign(chain, key, name="somebody's own")
    before = objects(place)
    held = place.run("forget", "main", "--remove", "--yes", ends=2)
    assert "main v1 is served by fastly at" in held.err
    assert "valid until Sun 21 Feb 2027" in held.err
    assert "nothing was removed" in held.err
    assert objects(place) == before
    fastly_lets_go(place, "example.com", "*.example.com")
    assert "private key would be lost" in place.run("forget", "main", "--remove", ends=2).err
    ran = place.run("forget", "main", "--remove", "--yes")
    assert "removed  fastly: certificate certbroker/" in ran.out
    certificates, keys = objects(place)
    assert {name for name in certificates if "/main/" in name} == {name for name in keys if "/main/" in name} == set()
    assert "somebody's own" in certificates & keys
    assert [name for name in certificates if "/other/" in name]
    place.run("drift")
    assert "main" not in place.run("status").out


def test_where_nobody_can_look_what_is_bound_stays_and_is_not_forgotten(place: Town) -> None:
    leaves(place, targets=("folder",), stays_at=("fly-blue",))
    ran = place.run("forget", "main", "--remove", "--yes", ends=3)
    assert "folder still has it for *.example.com, example.com" in ran.err
    assert (place.folder / "served" / "main" / "privkey.pem").exists()
    assert "folder keeps v1" in place.run("status").out


@pytest.mark.parametrize("first", ["fly-blue", "fly-green"])
def test_the_records_that_proved_its_names_to_the_platform_go_too(place: Town, first: str) -> None:
    """Both apps are proven by one record, and whichever came second found it there."""
    leaves(place, targets=("fly-blue", "fly-green"))
    assert place.house.dns.txt("_fly-ownership.example.com")
    for app in place.platform("fly").apps:
        fly_lets_go(place, app)
    place.run("forget", "main", "--target", first, "--remove", "--yes")
    assert place.house.dns.txt("_fly-ownership.example.com"), "the other's proof is the same record"
    ran = place.run("forget", "main", "--remove", "--yes")
    assert "removed  TXT _fly-ownership.example.com" in ran.out
    assert place.house.dns.txt("_fly-ownership.example.com") == []


def test_a_record_that_somebody_else_wrote_stays(place: Town) -> None:
    leaves(place, targets=("fly-blue",))
    with place.store() as store:
        [row] = store.unremoved("ownership")
        store.record_present(row.id, f"adopted {row.handle}")
    for app in place.platform("fly").apps:
        fly_lets_go(place, app)
    assert "removed" not in place.run("forget", "main", "--remove", "--yes").out
    assert place.house.dns.txt("_fly-ownership.example.com")


def test_an_edge_that_cannot_be_reached_proves_nothing(place: Town) -> None:
    leaves(place, targets=("fly-blue",))
    place.network = NoEdge()
    assert "no edge of fly-blue can be reached" in place.run("forget", "main", "--remove", "--yes", ends=2).err


def test_a_target_that_a_certificate_no_longer_goes_to(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("fastly", "folder")))
    place.run("renew")
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.later(hours=1)
    place.run("renew")
    assert "main is no longer for fastly, which keeps v1 until Sun 21 Feb 2027" in place.run("status").out
    assert "is in the file" in place.run("forget", "main", ends=2).err
    assert "is served by fastly" in place.run("forget", "main", "--target", "fastly", "--remove", ends=2).err
    fastly_lets_go(place, "example.com", "*.example.com")
    place.run("forget", "main", "--target", "fastly", "--remove")
    assert objects(place) == (set(), set())
    assert "no longer for" not in place.run("status").out
    assert "2 delivered" in place.run("renew").out
    assert place.orders == 1


def test_names_that_a_certificate_no_longer_has(place: Town) -> None:
    place.configure(certificates=place.certificate(names=("example.com", "a.example.com"), targets=("fastly",)))
    place.run("renew")
    place.later(hours=1)
    place.configure(certificates=place.certificate(names=("example.com",), targets=("fastly",)))
    place.run("renew")
    assert "a.example.com of main is no longer for fastly" in place.run("status").out
    fastly_lets_go(place, "a.example.com")
    place.run("forget", "main", "--target", "fastly", "--remove")
    assert "no longer for" not in place.run("status").out
    place.run("drift")


def test_what_comes_back_is_no_orphan_and_needs_no_order(place: Town) -> None:
    leaves(place, targets=("fastly",))
    place.later(hours=1)
    place.configure(certificates=place.certificate(targets=("fastly",)))
    place.run("renew")
    assert "main" not in "".join(line for line in place.run("status").out.splitlines() if "left the file" in line)
    assert place.orders == 2


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["main"], "main is in the file"),
        (["fastly"], "target fastly serves main, as the file says"),
        (["nothing"], "nothing that left the file is called nothing"),
        (["main", "--target", "fastly"], "main has left nothing behind at fastly"),
        ([], "one thing is forgotten at a time"),
        (["main", "--host", "broker-1"], "one thing is forgotten at a time"),
        (["--host", "broker-1", "--remove"], "do not go with --host"),
    ],
)
def test_what_cannot_be_forgotten_is_told(place: Town, argv: list[str], says: str) -> None:
    ran = place.run("forget", *argv, ends=2)
    assert says in ran.err
    assert "hint:" in ran.err


def test_it_need_not_be_taken_in_first(place: Town) -> None:
    """The file is edited, and `forget` is the first to see it."""
    place.run("renew")
    place.configure(certificates=place.certificate("other", names=OTHER, targets=("folder",)))
    place.run("forget", "main", "--yes")
    place.run("renew")
    assert "main" not in place.run("status").out


def test_an_order_under_way_is_forgotten_with_it(place: Town) -> None:
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    place.run("renew", ends=1)
    place.configure(certificates=place.certificate("other", names=OTHER, targets=("folder",)))
    place.run("forget", "main")
    assert place.run("renew").err == ""
    with place.store() as store:
        assert store.failing_variants() == []


def test_the_words(place: Town) -> None:
    leaves(place, targets=("fastly", "folder"))

    def say(*argv: str, ends: int = 0) -> str:
        text = told(place, *argv, ends=ends) + "\n"
        return re.sub(r"certbroker/[0-9a-f]{8}/main/[0-9a-f]{12}", "certbroker/01234567/main/0123456789ab", text)

    words = say("status") + say("plan", "--offline") + say("forget", "main", ends=2)
    words += say("forget", "main", "--remove", "--yes", ends=2)
    fastly_lets_go(place, "example.com", "*.example.com")
    words += say("forget", "main", "--remove", "--yes", ends=3) + say("forget", "main", "--yes") + say("status")
    golden("words/forget.txt", words)
