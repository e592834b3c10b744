"""A label that changes hands is known within a day, long before a renewal needs it."""

from __future__ import annotations

from certbroker import broker, standing
from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Ran, Town

LABEL = "_acme-challenge.example.com"
AT_FLY = "example.com.d6lmmxg.flydns.net."


def within_a_day(place: Town, code: int) -> Ran:
    """Every few hours, until a run ends so; it must come within a day."""
    for _ in range(6):
        place.later(hours=4)
        ran = place.run("renew", ends=None)
        if ran.code == code:
            return ran
    raise AssertionError(f"no run of a day ended {code}:\n{ran.all}")


def test_a_label_that_fly_took_is_told_within_a_day_and_resolved_when_put_right(place: Town) -> None:
    place.run("renew")
    orders = place.orders
    place.later(days=2)
    place.run("renew")
    place.house.dns.set(LABEL, "CNAME", AT_FLY)
    ran = within_a_day(place, 1)
    assert (
        f"label {LABEL}: it changed hands: ours (the zone example.com, by solver dnsimple) when last seen so" in ran.err
    )
    assert f"now a CNAME to {AT_FLY.rstrip('.')}, held by Fly" in ran.err
    assert "edges serve v1, valid until" in ran.err
    assert f"delete the CNAME {LABEL}" in ran.err
    assert "certbroker who-owns main" in ran.err
    assert f"label {LABEL}" in place.run("status", ends=1).out
    place.later(hours=1)
    assert "it changed hands" in place.run("renew", ends=1).err
    place.house.dns.remove(LABEL, "CNAME")
    place.later(hours=1)
    again = place.run("renew")
    assert f"label {LABEL}: ours: the zone example.com, by solver dnsimple" in again.out
    assert "held by Fly" in again.out
    place.run("status")
    assert place.orders == orders
    events = [row for row in place.run("history", "--json").json["history"] if row["kind"] == "checked"]
    told = [e["state"] for e in events if e["subject"] == f"label/{LABEL}"]
    assert told == ["ok", "fail", "ok"]


def test_a_permission_that_was_taken_away_is_told_and_a_first_one_that_is_missing_only_waits(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-persist-01"'))
    err = place.run("renew", ends=3).err
    record = next(line for line in err.splitlines() if "publish " in line).split("publish ", 1)[1]
    name, value = record.split(".  TXT  ")
    place.house.dns.set(name, "TXT", value.strip('"'))
    place.later(hours=1)
    place.run("renew")
    place.house.dns.remove(name, "TXT")
    place.later(days=1)
    ran = place.run("renew", ends=1)
    assert f"label {name}: it changed hands: ours (a record that stands)" in ran.err
    assert f"publish {record}" in ran.err
    place.house.dns.set(name, "TXT", value.strip('"'))
    place.run("check", "main")
    place.run("status")


def test_a_label_that_no_certificate_needs_any_more_is_no_trouble(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.run("renew")
    place.house.dns.set(LABEL, "CNAME", AT_FLY)
    place.later(days=1)
    place.run("renew", ends=1)
    place.configure(certificates=place.certificate("other", names=("www.example.com",), targets=("folder",)))
    place.later(hours=1)
    assert "no certificate of the file is proven there" in place.run("renew").out


def test_a_plan_shows_the_platform_that_holds_the_label_and_orders_nothing(place: Town) -> None:
    place.house.dns.set(LABEL, "CNAME", AT_FLY)
    ran = place.run("plan", ends=1)
    assert "fail hold    order" in ran.out
    assert "held by Fly" in ran.out
    assert "0 orders, 0 pushes" in ran.out


def test_the_words_from_taken_to_put_right(place: Town) -> None:
    place.run("renew")
    place.later(days=1)
    place.run("renew")
    place.house.dns.set(LABEL, "CNAME", AT_FLY)
    place.later(days=1)
    words = told(place, "renew", ends=1) + "\n" + told(place, "status", ends=1)
    place.house.dns.remove(LABEL, "CNAME")
    place.later(hours=1)
    golden("words/label.txt", words + "\n" + told(place, "renew") + "\n" + told(place, "status"))


def test_what_check_found_at_a_label_is_one_cause_and_over_when_a_run_sees_it_put_right(place: Town) -> None:
    certificate = place.certificate(targets=("folder",))
    place.configure(
        certificates=certificate + place.certificate("www", names=("www.example.com",), targets=("folder",))
    )
    place.run("renew")
    place.house.dns.set(LABEL, "CNAME", AT_FLY)
    assert "dns" in place.run("check", "main", ends=1).err
    with place.store() as store:
        config = broker.read_config(place.world(), None)
        (condition,) = standing.conditions(standing.gather(store, config, place.clock.now()))
    assert (condition.kind, condition.subject) == (standing.Kind.LABEL, f"label {LABEL}")
    assert "main needs it first" in condition.now
    place.house.dns.remove(LABEL, "CNAME")
    place.later(hours=1)
    place.run("renew")
    place.run("status")
