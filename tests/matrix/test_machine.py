"""Any order of renewals, runs, faults, kills, revocations, changes of the file and jumps of the clock.

What must hold at every moment: an edge that served something valid does so, unless it is the broken one; nothing that is revoked or
expired is put anywhere; nothing that an edge still shows is pruned; nothing of other people is touched; a key that is served is
kept. And when the faults stop, two runs bring about what is wanted.

CERTBROKER_FUZZ=n tries n times as many, other ones each time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from certbroker.model import RevocationReason, Version
from certbroker.testkit.bundles import make_bundle
from certbroker.testkit.line import Killed
from certbroker.testkit.simulator import Fault, Request, Response
from tests.matrix.faults import HTML, LATE, SLOW_DOWN
from tests.matrix.stage import NAMES, Stage, certificate, stage

FUZZ: Final = int(os.environ.get("CERTBROKER_FUZZ", "1"))
ALL: Final = (*NAMES, "www.example.com")
PLACES: Final = {"fastly": "fastly", "fly-blue": "fly", "fly-green": "fly"}
"""Target to platform."""
DAY: Final = timedelta(days=1, hours=1)
MORE_RUNS: Final = 2
MOST_VERSIONS: Final = 6
PHASES: Final = (Phase.explicit, Phase.generate, *([Phase.shrink] if "CERTBROKER_SHRINK" in os.environ else []))
"""Making a failure short takes minutes; whoever looks for its cause asks for it."""

FAULTS: Final[Mapping[str, Callable[[], Fault]]] = {
    "timeout": lambda: Fault("silence"),
    "timeout, done": lambda: Fault("silence", when="after"),
    "500": lambda: Fault(HTML),
    "500, done": lambda: Fault(HTML, when="after"),
    "429": lambda: Fault(Response.of(429, SLOW_DOWN)),
    "429, wait": lambda: Fault(Response.of(429, SLOW_DOWN, **{"Retry-After": "7200"})),
    "401": lambda: Fault(Response.of(401, {"msg": "no", "error": "no"})),
    "reset, done": lambda: Fault("reset", when="after"),
    "lie": lambda: Fault("lie", matches=lambda request: request.write),
}

platforms = st.sampled_from(["fastly", "fly"])


class Engine(RuleBasedStateMachine):
    """One store, one file, three targets; the stage is the same for all examples and is turned back for each."""

    place: ClassVar[Stage]
    begin: ClassVar[list[Callable[[], None]]]

    @initialize()
    def _turn_back(self) -> None:
        self.begin[0]()
        self.issued: list[Version] = []
        self.names: dict[str, tuple[str, ...]] = {"fastly": ALL, "fly-blue": ALL}
        self.wrong: list[str] = []
        self.theirs = self._put_foreign()
        self.place.on_call = self._on_call
        self._write_file()
        self._issue(45)

    # ---- what people do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.issued) < MOST_VERSIONS)
    @rule(days=st.sampled_from([2, 45]))
    def renewal(self, days: int) -> None:
        self.place.later(timedelta(minutes=1))
        self._issue(days)

    @rule(number=st.integers(0, 4))
    def revoke_an_old_one(self, number: int) -> None:
        wanted = self.wanted.id
        old = [version for version in self.issued if version.id != wanted]
        if old:
            version = old[number % len(old)]
            self.place.store.revoked(version.id, self.place.clock.now(), RevocationReason.SUPERSEDED)

    @rule(names=st.fixed_dictionaries({t: st.sets(st.sampled_from(ALL)).map(sorted).map(tuple) for t in PLACES}))
    def change_the_file(self, names: dict[str, tuple[str, ...]]) -> None:
        self.names = {target: each for target, each in names.items() if each} or {"fastly": ALL}
        self._write_file()

    # ---- what goes wrong ---------------------------------------------------------------------------------------------

    @rule(platform=platforms, kind=st.sampled_from(sorted(FAULTS)), skip=st.integers(0, 12), times=st.integers(1, 3))
    def fault(self, platform: str, kind: str, skip: int, times: int) -> None:
        fault = FAULTS[kind]()
        fault.skip, fault.times = skip, times
        self.place.platforms[platform].simulator.faults.append(fault)

    @rule(platform=platforms, kind=st.sampled_from(["late", "stuck", "chokes"]), number=st.integers(0, 3))
    def edge(self, platform: str, kind: str, number: int) -> None:
        edges = self.place.platforms[platform].edges
        address = list(edges.addresses)[number % len(edges.addresses)]
        if kind == "late":
            edges.delay = LATE
        elif kind == "stuck":
            edges.stick(address)
        elif not edges.addresses[address].stuck:
            edges.choke(address)

    @precondition(lambda self: len(self.issued) < MOST_VERSIONS)
    @rule(platform=platforms, later=st.sampled_from([0, 3, 50]), revoked=st.booleans())
    def renewal_breaks_an_edge(self, platform: str, later: int, *, revoked: bool) -> None:
        """Some days later, when what it replaces may have ended or been revoked."""
        self.place.later(timedelta(days=later, minutes=1))
        self._issue(45)
        for number in range(len(self.issued) - 1 if revoked else 0):
            self.revoke_an_old_one(number)
        self.edge(platform, "chokes", 0)
        self.run()

    @rule(platform=platforms)
    def edges_are_well_again(self, platform: str) -> None:
        edges = self.place.platforms[platform].edges
        edges.delay = timedelta()
        edges.well(*edges.addresses)

    # ---- time and runs -----------------------------------------------------------------------------------------------

    @rule(minutes=st.one_of(st.integers(1, 90), st.integers(60, 60 * 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.place.later(timedelta(minutes=minutes))

    @rule(hours=st.integers(-12, 12))
    def clock_is_set(self, hours: int) -> None:
        """Wrongly, by a person or a machine; everybody else's goes right."""
        self.place.clock.skew = timedelta(hours=hours)

    @rule()
    def run(self) -> None:
        self._as_a_ca_would()
        self.place.renew()
        self._judge()

    @rule(platform=platforms, number=st.integers(0, 15), when=st.sampled_from(["before", "after"]))
    def run_that_is_killed(self, platform: str, number: int, when: Literal["before", "after"]) -> None:
        """As by SIGKILL at that call: what the store held at that moment is all that is left of the run."""
        self._as_a_ca_would()
        simulator = self.place.platforms[platform].simulator
        left: list[sqlite3.Connection] = []

        def die() -> None:
            left.append(self.place.copy_of_the_store())
            raise Killed

        simulator.faults.insert(0, Fault(die, when=when, skip=number))
        with contextlib.suppress(Killed):
            self.place.renew()
        simulator.faults.pop(0)
        if left:
            with closing(left[0]) as copy:
                self.place.put_store(copy)
        self._judge()

    # ---- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "issued"):
            return
        self.place.clock.skew = timedelta()
        for platform in self.place.platforms.values():
            platform.simulator.faults.clear()
            platform.edges.delay = timedelta()
            platform.edges.well(*platform.edges.addresses)
        for _ in range(MORE_RUNS):
            self.place.later(DAY)
            self._as_a_ca_would()
            self.place.renew()
            self._judge()
        self._settled()

    def _settled(self) -> None:
        wanted = self.wanted
        for target, names in self.names.items():
            phases = self.place.phases(target, wanted)
            why = self.place.reports[-1].troubles
            assert {name: phases.get(name) for name in names} == dict.fromkeys(names, "committed"), why
            edges = self.place.platforms[PLACES[target]].edges
            for name in names:
                shown = {edges.fingerprint(address, name) for address in self.place.addresses(target)}
                assert shown == {wanted.fingerprint}, f"{target} {name}"

    # ---- what must hold ----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        assert self.wrong == []
        for kind, platform in self.place.platforms.items():
            assert platform.edges.wrong == [], kind
            for fingerprint in platform.edges.everything() & {version.fingerprint for version in self.issued}:
                version = self.place.store.by_fingerprint(fingerprint)
                assert version is not None, f"{fingerprint[:6]} is served and forgotten"
                assert self.place.store.box("version", str(version.id)) is not None
        assert self._foreign() == self.theirs
        assert self.place.store.history(kind="order-started") == []

    def _on_call(self, request: Request) -> None:
        """Nothing is deleted that an edge shows, or will show."""
        fastly = self.place.platforms["fastly"]
        if request.method == "DELETE" and request.path.startswith("/tls/certificates/"):
            certificate = fastly.simulator.estate.certificates.get(request.path.split("/")[-1])
            if certificate is not None and certificate.blob in fastly.edges.chains():
                self.wrong.append(f"{request.path} is deleted and shown")

    def _put_foreign(self) -> Mapping[str, Any]:
        fastly, fly = (self.place.platforms[kind].simulator for kind in ("fastly", "fly"))
        theirs = make_bundle(("shop.example.com",), now=self.place.clock.true(), lifetime=timedelta(days=900))
        pair = (theirs.version.chain_pem, theirs.key_pem)
        fastly.add_foreign(*pair, name="the shop's", activate=["shop.example.com"])
        unused = make_bundle(ALL, now=self.place.clock.true())
        other = (unused.version.chain_pem, unused.key_pem)
        fastly.add_foreign(*other, name=f"certbroker/0ddba11a/main/{unused.fingerprint[:12]}")
        fly.manage("site-blue", "shop.example.com")
        return self._foreign()

    def _foreign(self) -> Mapping[str, Any]:
        fastly, fly = (self.place.platforms[kind].simulator for kind in ("fastly", "fly"))
        ours = f"certbroker/{self.place.store.id}/"
        tables = fastly.estate.keys, fastly.estate.certificates
        found = {key: row for table in tables for key, row in table.items() if not (row.name or "").startswith(ours)}
        found |= {key: row for key, row in fastly.estate.activations.items() if row.domain == "shop.example.com"}
        return {**found, "fly": fly.stored("site-blue").get("shop.example.com")}

    # ---- inside ------------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> Version:
        return self.place.store.versions("main")[0]

    def _issue(self, days: int) -> None:
        self.issued.append(self.place.issue(names=ALL, days=days))

    def _as_a_ca_would(self) -> None:
        """No run of this test orders: what is due is there before it."""
        wanted = self.wanted
        if self.place.clock.now() >= wanted.lifetime.at(0.7):
            self._issue(45)

    def _write_file(self) -> None:
        listed = ", ".join(
            f'{{ target = "{target}", names = [{", ".join(f"{name!r}" for name in names)}] }}'
            for target, names in self.names.items()
        )
        wanted = ", ".join(f'"{name}"' for name in ALL)
        table = f"[certificate.main]\nnames = [{wanted}]\ntargets = [{listed}]\n".replace("'", '"')
        self.place.configure(table)


def test_whatever_happens_two_quiet_runs_bring_about_what_is_wanted() -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        made = stack.enter_context(stage(Path(folder) / "stage", apps=("site-blue", "site-green")))
        made.configure(certificate("fastly", "fly-blue", names=ALL))
        made.prove(*ALL)
        Engine.place, Engine.begin = made, [made.remember()]
        run_state_machine_as_test(
            Engine,
            settings=settings(
                max_examples=10 * FUZZ,
                stateful_step_count=20,
                deadline=None,
                derandomize=FUZZ == 1,
                phases=PHASES,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
