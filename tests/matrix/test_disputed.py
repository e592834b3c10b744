"""Points on which the contracts are silent or at odds with themselves, each switched both ways, with the right end under both.

| switch                            | what nobody knows                                                               |
| `Fastly: new_key_on_patch`        | whether a certificate may be replaced in place by one with another key          |
| `Fastly: one_activation_per`      | whether a name is activated once at all, or once on each TLS configuration      |
| `Fastly: managed_activation_moves`| whether a name that Fastly manages can be moved to an uploaded certificate      |
| `Fly: one_app_per_name`           | whether two apps may have an uploaded certificate for one hostname              |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from certbroker.model import Assignment, Bundle, Done, Failed, Version
from certbroker.testkit.bundles import make_bundle
from tests.matrix.stage import NAMES, Stage, certificate, stage

BOTH = pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "refused"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path / "stage", apps=("site-blue", "site-green")) as made:
        yield made
        for platform in made.platforms.values():
            assert platform.edges.wrong == []
        assert made.store.history(kind="order-started") == []


def switch(place: Stage, platform: str, **changes: Any) -> None:
    simulator = place.platforms[platform].simulator
    simulator.quirks = replace(simulator.quirks, **changes)


def phases(place: Stage, target: str, version: Version) -> set[str]:
    return set(place.phases(target, version).values())


def shown(place: Stage, platform: str, *addresses: str) -> set[str]:
    """The fingerprints that these addresses (all by default) show for our names."""
    edges = place.platforms[platform].edges
    return {edges.fingerprint(address, name) for address in addresses or edges.addresses for name in NAMES}


# ---- PATCH with a new key ----------------------------------------------------------------------------------------------


@BOTH
def test_a_version_with_a_new_key_is_served_whether_or_not_a_certificate_takes_one_in_its_place(
    place: Stage, *, allowed: bool
) -> None:
    switch(place, "fastly", new_key_on_patch=allowed)
    place.configure(certificate("fastly"))
    place.issue()
    place.renew()
    place.later()
    new = place.issue()
    place.renew()
    assert phases(place, "fastly", new) == {"committed"}
    assert shown(place, "fastly") == {new.fingerprint}
    written = {(call.method, call.path.split("/")[2]) for call in place.platforms["fastly"].simulator.writes}
    assert ("PATCH", "certificates") not in written, "nobody knows whether Fastly takes it"


# ---- activation uniqueness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["configuration", "domain"])
def test_a_name_that_is_active_on_another_tls_configuration(
    place: Stage, per: Literal["configuration", "domain"]
) -> None:
    switch(place, "fastly", one_activation_per=per)
    fastly = place.platforms["fastly"].simulator
    elsewhere = fastly.add_configuration("the shop's", edges=())
    theirs = make_bundle((NAMES[0],), now=place.clock.now())
    made = fastly.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="the shop's")
    there = fastly.activate(NAMES[0], made, configuration=elsewhere)
    place.configure(certificate("fastly"))
    version = place.issue()
    report = place.renew()
    if per == "configuration":
        assert phases(place, "fastly", version) == {"committed"}
    else:
        assert place.phases("fastly", version) == {NAMES[0]: "failed", NAMES[1]: "committed"}
        assert f"{elsewhere}" in report.troubles[0].what
        assert "disable TLS" in report.troubles[0].hint
        assert fastly.estate.activations[there].certificate == made, "theirs is touched"
        del fastly.estate.activations[there]  # the owner does as he is told
        place.later()
        place.renew()
        assert phases(place, "fastly", version) == {"committed"}
    assert shown(place, "fastly") == {version.fingerprint}


# ---- subscription activation -------------------------------------------------------------------------------------------


@BOTH
def test_a_name_that_fastly_manages_is_left_alone_by_a_run_and_taken_over_where_fastly_lets(
    place: Stage, *, allowed: bool
) -> None:
    switch(place, "fastly", managed_activation_moves=allowed)
    place.configure(certificate("fastly"))
    for name in NAMES:
        place.platforms["fastly"].simulator.manage(name)
    before = shown(place, "fastly")
    version = place.issue()
    report = place.renew()
    assert phases(place, "fastly", version) == {"failed"}
    assert "manages the certificate" in report.troubles[0].what
    assert shown(place, "fastly") == before
    outcomes = _take_over(place, version)
    place.later()
    place.renew()
    if allowed:
        assert set(map(type, outcomes.values())) == {Done}
        assert phases(place, "fastly", version) == {"committed"}
        assert shown(place, "fastly") == {version.fingerprint}
    else:
        assert set(map(type, outcomes.values())) == {Failed}
        assert phases(place, "fastly", version) == {"failed"}
        assert shown(place, "fastly") == before


def _take_over(place: Stage, version: Version) -> Any:
    """As a person's takeover asks the adapter to."""
    desk = place.desk()
    provider: Any = desk.target("fastly").provider
    assignment = Assignment("main", "fastly", NAMES)
    return provider.take_over(Bundle(assignment, version, desk.open_key(version)), provider.inspect(assignment))


# ---- one hostname on two Fly apps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [409, 422])
@BOTH
def test_one_hostname_on_two_fly_apps(place: Stage, status: Literal[409, 422], *, allowed: bool) -> None:
    switch(place, "fly", one_app_per_name=not allowed, refusal_status=status)
    fly = place.platforms["fly"].simulator
    blue, green = (fly.apps[app] for app in ("site-blue", "site-green"))
    place.prove(*NAMES)
    place.configure(certificate("fly-blue"))
    version = place.issue()
    place.renew()
    place.later()
    place.configure(certificate("fly-blue", "fly-green"))
    report = place.renew()
    assert phases(place, "fly-blue", version) == {"committed"}
    assert shown(place, "fly", *blue.v4, *blue.v6) == {version.fingerprint}
    if not allowed:
        assert phases(place, "fly-green", version) == {"failed"}
        assert "if another Fly app holds" in report.troubles[0].hint
        assert shown(place, "fly", *green.v4, *green.v6) == {""}
        fly.remove("site-blue", *NAMES)  # DNS points to green by now: the owner does as he is told
        place.configure(certificate("fly-green"))
        place.platforms["fly"].edges.wrong.clear()
        place.later()
        place.renew()
    assert phases(place, "fly-green", version) == {"committed"}
    assert shown(place, "fly", *green.v4, *green.v6) == {version.fingerprint}
