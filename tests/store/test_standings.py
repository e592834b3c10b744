"""What is kept of how certificates stand is what the rows say, after any writes in any order; and a page of it is a range."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker.model import KeyType, Phase, RevocationReason, Version, Window
from certbroker.safe import Allowance
from certbroker.serving import Standing, stand
from certbroker.store import DeploymentRow, DriftRow, NewOrderRow, PinRow, SeenRow, Store
from tests.clock import START, TestClock
from tests.fresh import empty_store
from tests.store.fixtures import BOX, draft

CERTIFICATES = ("a", "b")
TARGETS = ("fly", "fastly")
NAMES = ("example.com", "*.example.com")


class Writer:
    """Anything that a run may write, chosen by numbers."""

    def __init__(self, store: Store, clock: TestClock) -> None:
        self.store, self.clock = store, clock
        self.made: list[Version] = []
        self.count = 0

    def take_in(self, a: int, b: int, c: int) -> None:
        every = [[target, list(NAMES[: 1 + (b >> n) % 2])] for n, target in enumerate(TARGETS)]
        standby = [target for n, target in enumerate(TARGETS) if c >> n & 1]
        data = {"keys": ["ecdsa-p256", "rsa-2048"][: 1 + c % 2], "targets": every[: a % 3], "standby": standby}
        named = CERTIFICATES[: 1 + b % 2]
        allowance = Allowance(timedelta(hours=1 + c % 3), timedelta(hours=1))
        self.store.take_in("h", "f", f"{a}{b}{c}", dict.fromkeys(named, data), {}, allowance=allowance)

    def issue(self, a: int, b: int, c: int) -> None:
        certificate = CERTIFICATES[a % 2]
        key_type = (KeyType.P256, KeyType.RSA2048)[b % 2]
        self.count += 1
        new = draft(f"{self.count:04x}", certificate=certificate, key_type=key_type, rehearsal=c % 5 == 0)
        new = replace(new, lifetime=replace(new.lifetime, ends=new.lifetime.ends + timedelta(days=c)))
        order = self.store.start_order(
            NewOrderRow(
                certificate=certificate,
                key_type=key_type,
                issuer="i",
                directory="https://ca.example",
                account_uri="https://ca.example/1",
                names=NAMES,
                profile=None,
                replaces=None,
                rehearsal=new.rehearsal,
                why="w",
            )
        )
        self.clock.sleep(a * 10)
        self.made.append(self.store.add_version(new, lambda _id: BOX, order_id=order.id if c % 2 else None))

    def _version(self, number: int) -> Version | None:
        self.made = [version for version in self.made if self.store.version(version.id)]
        return self.made[number % len(self.made)] if self.made else None

    def put(self, a: int, b: int, c: int) -> None:
        version = self._version(a)
        if version is not None:
            now = self.clock.now()
            row = DeploymentRow(
                version_id=version.id,
                target=TARGETS[b % 2],
                name=NAMES[c % 2],
                certificate=version.certificate,
                key_type=version.key_type,
                phase=list(Phase)[(b + c) % len(Phase)],
                since=now,
                begun=now - timedelta(seconds=17 * c) if c % 3 else None,
                failures=a % 3,
                why=("why", None)[a % 2],
            )
            self.store.put_deployments([row])

    def see(self, a: int, b: int, c: int) -> None:
        version = self._version(a)
        verdict = ("valid", "valid", "invalid", "unreachable", "refused")[c % 5]
        look = SeenRow(
            target=TARGETS[b % 2],
            name=NAMES[c % 2],
            edge=f"192.0.2.{a % 2}",
            certificate=CERTIFICATES[(a + c) % 2],
            at=self.clock.now(),
            verdict=verdict,
            fingerprint=version.fingerprint if version and b % 3 else "ff" * 32,
            ends=version.lifetime.ends if version and verdict == "valid" else None,
        )
        self.store.see([look])

    def pin(self, a: int, b: int, c: int) -> None:
        version = self._version(a)
        if version is not None:
            until = version.lifetime.at(5 / 6)
            pin = PinRow(version.certificate, TARGETS[b % 2], version.id, self.clock.now(), until, "w")
            self.store.put_pins([pin]) if c % 3 else self.store.lift_pins(version.certificate, [TARGETS[b % 2]])

    def fail(self, a: int, b: int, c: int) -> None:
        key_type = (KeyType.P256, KeyType.RSA2048)[b % 2]
        if c % 3:
            self.store.order_failed(CERTIFICATES[a % 2], key_type, error="no", hint=None, try_again=None)
        else:
            self.store.order_cleared(CERTIFICATES[a % 2], key_type)

    def wait(self, a: int, b: int, c: int) -> None:
        state = ("ok", "warn", "fail")[b % 3]
        self.store.put_finding("certificate", CERTIFICATES[a % 2], state, f"what {c % 2}")  # type: ignore[arg-type]

    def ask(self, a: int, b: int, c: int) -> None:
        version = self._version(a)
        if version is not None:
            drawn = version.lifetime.at((1 + b) / 20)
            self.store.put_window(Window(version.id, drawn, drawn + timedelta(hours=1 + c), drawn, START, START))

    def revoke(self, a: int, _b: int, _c: int) -> None:
        version = self._version(a)
        if version is not None:
            self.store.revoked(version.id, self.clock.now(), RevocationReason.SUPERSEDED)

    def forget(self, a: int, b: int, c: int) -> None:
        certificate = CERTIFICATES[a % 2]
        if c % 2:
            self.store.forget_places(TARGETS[b % 2], [(certificate, name) for name in NAMES])
        elif self.store.standing(certificate) is None:
            self.store.forget_certificate(certificate)

    def drift(self, a: int, b: int, c: int) -> None:
        certificate = CERTIFICATES[a % 2]
        now = self.clock.now()
        row = DriftRow(
            target=TARGETS[b % 2],
            name=NAMES[c % 2],
            certificate=certificate,
            cause="replaced",
            state="warn" if c % 3 == 0 else "fail",
            wanted="v1",
            said="",
            served="",
            what="replaced",
            now="",
            hint="hint",
            since=now,
            at=now,
        )
        self.store.put_drift(certificate, [row] if c % 4 else [])

    def hold(self, a: int, b: int, _c: int) -> None:
        self.store.order_held(CERTIFICATES[a % 2], KeyType.P256, self.clock.now() if b % 2 else None, "w")

    def prune(self, a: int, _b: int, c: int) -> None:
        self.clock.sleep(timedelta(days=c * 10).total_seconds())
        self.store.prune(self.clock.now(), keep_versions=1 + a % 2, history=timedelta(days=20))


def kinds() -> Sequence[Callable[[Writer, int, int, int], None]]:
    made: Sequence[Any] = (
        *(Writer.take_in, Writer.issue, Writer.issue, Writer.put, Writer.put, Writer.put, Writer.see, Writer.see),
        *(Writer.pin, Writer.fail, Writer.wait, Writer.ask, Writer.revoke, Writer.prune, Writer.forget),
        *(Writer.drift, Writer.hold),
    )
    return made


_number = st.integers(min_value=0, max_value=5)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(kinds()), _number, _number, _number), min_size=8, max_size=20),
    st.integers(min_value=1, max_value=4),
)
def test_what_is_kept_is_what_the_rows_say(steps: list[tuple[Any, int, int, int]], together: int) -> None:
    """`together`: so many writes a transaction."""
    clock = TestClock()
    with tempfile.TemporaryDirectory() as folder, Store.open(empty_store(Path(folder, "s.db")), clock) as store:
        writer = Writer(store, clock)
        writer.take_in(2, 3, 2)
        writer.issue(0, 0, 1)
        writer.issue(1, 0, 1)
        kept: dict[str, Standing | None] = {}
        for start in range(0, len(steps), together):
            some = steps[start : start + together]
            with nullcontext() if together == 1 else store.together():
                for kind, a, b, c in some:
                    kind(writer, a, b, c)
                    clock.sleep(1)
            kept = {name: store.standing(name) for name in CERTIFICATES}
            assert kept == {name: store.worked_out(name) for name in CERTIFICATES}, [kind.__name__ for kind, *_ in some]
        present = [each for each in kept.values() if each]
        assert [stand(known) for known in store.all_known()] == present
        assert counted(present) == {
            (row.target, row.stand): (row.many, row.edges, row.proven) for row in store.standing_tally()
        }
        for now in (START, clock.now(), START + timedelta(days=400)):
            assert sorted(store.standings(now), key=lambda each: each.certificate) == present
        for each in present:
            assert each.act_by is None or each.ends is None or each.act_by <= each.ends


def counted(standings: Sequence[Standing]) -> dict[tuple[str, str], tuple[int, int, int]]:
    many: Counter[tuple[str, str]] = Counter()
    edges: Counter[tuple[str, str]] = Counter()
    proven: Counter[tuple[str, str]] = Counter()
    for each in standings:
        many["", each.stand] += 1
        for cell in each.cells:
            many[cell.target, cell.stand] += 1
            edges[cell.target, cell.stand] += cell.edges
            proven[cell.target, cell.stand] += cell.proven
    return {key: (many[key], edges[key], proven[key]) for key in many}


def test_every_write_that_bears_on_it_makes_it_stand_anew(store: Store, clock: TestClock) -> None:
    """Each of these changes how `a` stands, and what is kept is right at once."""
    writer = Writer(store, clock)
    writer.take_in(2, 3, 1)
    writer.issue(0, 0, 1)
    writer.issue(0, 0, 1)
    old, new = writer.made
    look = SeenRow(
        target="fly",
        name="example.com",
        edge="192.0.2.1",
        certificate="a",
        at=clock.now(),
        verdict="valid",
        fingerprint=new.fingerprint,
        ends=new.lifetime.ends,
    )
    drift = DriftRow(
        target="fastly",
        name="example.com",
        certificate="a",
        cause="replaced",
        state="fail",
        wanted="v2",
        said="",
        served="",
        what="replaced",
        now="",
        hint="hint",
        since=clock.now(),
        at=clock.now(),
    )
    places = [(target, name) for target in TARGETS for name in NAMES]
    served = [placed(new, target, name, clock) for target, name in places]
    window = Window(new.id, START, START + timedelta(days=9), START, START, START)
    pin = PinRow("a", "fly", old.id, START, START + timedelta(days=9), "w")
    writes: dict[str, Callable[[], object]] = {
        "deployments": lambda: store.put_deployments(served),
        "looks": lambda: store.see([look]),
        "a look taken for another certificate": lambda: store.see([replace(look, certificate="b", verdict="invalid")]),
        "pins": lambda: store.put_pins([pin]),
        "pins lifted": lambda: store.lift_pins("a", ["fly"]),
        "drifts": lambda: store.put_drift("a", [drift]),
        "drifts that are over": lambda: store.put_drift("a", []),
        "a window": lambda: store.put_window(window),
        "an order that fails": lambda: store.order_failed("a", KeyType.P256, error="no", hint=None, try_again=None),
        "one that is cleared": lambda: store.order_cleared("a", KeyType.P256),
        "a finding": lambda: store.put_finding("certificate", "a", "warn", "--yes is asked for"),
        "one that is over": lambda: store.put_finding("certificate", "a", "ok", "fine"),
        "a revocation": lambda: store.revoked(new.id, clock.now(), RevocationReason.SUPERSEDED),
        "a version": lambda: writer.issue(0, 0, 1),
        "places forgotten": lambda: store.forget_places("fly", [("a", name) for name in NAMES]),
        "the file": lambda: writer.take_in(1, 3, 1),
        "the allowance": lambda: writer.take_in(1, 3, 3),
        "the file without it": lambda: store.take_in("h", "f", "x", {}, {}),
    }
    for what, write in writes.items():
        before = store.standing("a")
        write()
        clock.sleep(1)
        after = store.standing("a")
        assert after == store.worked_out("a"), what
        assert after == next((stand(known) for known in store.all_known() if known.certificate == "a"), None), what
        assert after != before, what


def placed(version: Version, target: str, name: str, clock: TestClock) -> DeploymentRow:
    return DeploymentRow(
        version_id=version.id,
        target=target,
        name=name,
        certificate=version.certificate,
        key_type=version.key_type,
        phase=Phase.COMMITTED,
        since=clock.now(),
    )
