"""The first page out of a store: its line of truth, its order, and that ten thousand certificates read what ten do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from certbroker.config import Config
from certbroker.model import KeyType, Phase
from certbroker.standing import Kind, Stand, as_of, overview
from certbroker.store import SeenRow, Store
from tests.clock import START, TestClock
from tests.config.files import HEAD, read
from tests.fresh import empty_store
from tests.store.fixtures import add, draft
from tests.store.test_deployments import row

DAY = timedelta(days=1)
TARGETS = ("fastly", "fly")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def store(tmp_path: Path, clock: TestClock) -> Iterator[Store]:
    with Store.open(empty_store(tmp_path / "store.db"), clock) as opened:
        yield opened


def file(folder: Path, *names: str) -> Config:
    """Certificates at two targets, the second a standby one."""
    targets = '[target.fastly]\ntype = "cloud"\ntoken = { env = "A" }\n[target.fly]\ntype = "cloud"\ntoken = { env = "A" }\nstandby = true\n'
    mine = "".join(
        f'[certificate.{name}]\nnames = ["{name}.example.com"]\ntargets = ["fastly", "fly"]\n' for name in names
    )
    head = HEAD.partition("[target.")[0]
    return read(folder, head + targets + mine)


def take_in(store: Store, config: Config) -> None:
    store.take_in(
        "h",
        config.file,
        config.digest,
        {
            c.name: {
                "keys": list(c.keys),
                "targets": [[a.target, list(a.names)] for a in c.assignments],
                "standby": [a.target for a in c.assignments if config.targets[a.target].standby],
            }
            for c in config.certificates.values()
        },
        {},
    )


def serve(
    store: Store, name: str, *, ends: timedelta = 45 * DAY, phase: Phase = Phase.COMMITTED, **more: object
) -> None:
    """Issued, and at both targets in that phase."""
    number = len(store.findings()) + sum(
        len(store.versions(each.certificate)) for each in store.standings(START, limit=999)
    )
    new = draft(f"{number + 1:08x}", certificate=name, key_type=KeyType.P256)
    version = add(store, replace(new, lifetime=replace(new.lifetime, ends=START + ends)))
    at = f"{name}.example.com"
    store.put_deployments([row(version, target, at, phase=phase, since=store.now(), **more) for target in TARGETS])
    looks = [
        SeenRow(
            target=target,
            name=at,
            edge="192.0.2.1",
            certificate=name,
            at=store.now(),
            verdict="valid",
            fingerprint=version.fingerprint,
            ends=version.lifetime.ends,
        )
        for target in TARGETS
    ]
    if phase is Phase.COMMITTED:
        store.see(looks)


def test_a_fresh_file_says_what_to_do_first(store: Store, tmp_path: Path) -> None:
    found = overview(store, file(tmp_path, "main", "shop"), START)
    assert found.line == "2 certificates in the file, nothing is issued yet."
    assert [(each.certificate, each.stand) for each in found.rows] == [
        ("main", Stand.UNISSUED),
        ("shop", Stand.UNISSUED),
    ]
    assert [cell.target for cell in found.rows[0].cells] == ["fastly", "fly"]
    assert found.steps[0] == "certbroker check"
    assert found.total == 2
    assert (found.targets, found.standby) == (("fastly", "fly"), frozenset({"fly"}))


def test_where_all_is_well_the_line_says_so_and_what_comes_next(store: Store, tmp_path: Path) -> None:
    config = file(tmp_path, "main", "shop")
    take_in(store, config)
    serve(store, "main")
    serve(store, "shop", ends=40 * DAY)
    found = overview(store, config, START)
    assert found.line == "All 2 certificates are served by all 2 targets. Next renewal: shop, Sun 20 Dec 01:00 UTC."
    assert (found.conditions, found.steps) == ((), ())
    assert [each.certificate for each in found.rows] == ["shop", "main"]
    assert (found.edges, found.proven) == (2, 2)
    coming = found.rows[0].renews
    assert coming is not None
    assert overview(store, config, coming - timedelta(hours=1)).line.endswith("Next renewal: shop, today 01:00 UTC.")
    assert overview(store, config, coming - DAY).line.endswith("Next renewal: shop, tomorrow 01:00 UTC.")


def test_a_token_that_is_refused_leaves_what_is_served_as_it_is(store: Store, tmp_path: Path) -> None:
    config = file(tmp_path, "main", "shop")
    take_in(store, config)
    serve(store, "main")
    serve(store, "shop")
    store.put_finding("target", "fly", "fail", "token refused", "make a new one")
    store.put_finding("target", "gone", "fail", "token refused", "nobody asks any more")
    found = overview(store, config, START)
    assert found.line == (
        "All 2 certificates are served by all 2 targets. 1 thing needs somebody by Tue 5 Jan 08:45 UTC."
    )
    assert [each.key for each in found.conditions] == ["check/target/fly"]


def test_one_certificate_that_only_was_delivered(store: Store, tmp_path: Path) -> None:
    config = file(tmp_path, "main")
    take_in(store, config)
    serve(store, "main", phase=Phase.DELIVERED)
    assert overview(store, config, START).line.startswith(
        "The certificate is delivered to all 2 targets; nobody can look."
    )


def test_what_is_not_fine_leads_and_the_line_counts_what_users_get(store: Store, tmp_path: Path) -> None:
    config = file(tmp_path, "a", "b", "c")
    take_in(store, config)
    for name, days in (("a", 30), ("b", 40), ("c", 50)):
        serve(store, name, ends=days * DAY)
    serve(store, "c", ends=60 * DAY, phase=Phase.FAILED, why="no such service", failures=2)
    found = overview(store, config, START)
    assert [each.certificate for each in found.rows] == ["c", "a", "b"]
    assert found.line == (
        "Users get a valid certificate at 3 of 3 edges (looked at Mon 23 Nov 09:00 UTC). "
        "2 things need somebody by Sun 10 Jan 08:45 UTC."
    )
    assert [each.target for each in found.conditions] == ["fastly", "fly"]
    late = overview(store, config, START + 28 * DAY)
    assert [each.certificate for each in late.rows] == ["a", "c", "b"]
    assert (late.rows[0].stand, late.rows[0].words) == (Stand.FAILING, "its last safe moment was Mon 21 Dec 08:45 UTC")
    assert {each.kind for each in late.conditions} == {Kind.LATE, Kind.PUSH}
    assert "now: the last safe moment was Mon 21 Dec 08:45 UTC." in late.line
    ended = overview(store, config, START + 31 * DAY)
    assert ended.line.startswith("Users get a valid certificate at 2 of 3 edges")
    over = as_of(late.rows[0], START + 31 * DAY)
    assert (over.stand, over.words) == (Stand.BROKEN, "what is served ended Wed 23 Dec 09:00 UTC")
    assert {cell.stand for cell in over.cells} == {Stand.BROKEN}


def test_what_is_new_in_the_file_is_there_before_any_run(store: Store, tmp_path: Path) -> None:
    config = file(tmp_path, "a")
    take_in(store, config)
    serve(store, "a")
    both = file(tmp_path, "a", "z")
    found = overview(store, both, START)
    assert [(each.certificate, each.stand) for each in found.rows] == [("a", Stand.SERVED), ("z", Stand.UNISSUED)]
    assert found.total == 2
    assert [each.certificate for each in overview(store, both, START, offset=1, size=1).rows] == ["z"]
    assert [each.certificate for each in overview(store, both, START, needle="z").rows] == ["z"]


def test_pages_hold_everything_once_in_one_order(store: Store, tmp_path: Path) -> None:
    names = [f"c{number:02d}" for number in range(23)]
    config = file(tmp_path, *names)
    take_in(store, config)
    for number, name in enumerate(names[:20]):
        serve(store, name, ends=(20 + number) * DAY, phase=Phase.FAILED if number % 5 == 0 else Phase.COMMITTED)
    now = START + 24 * DAY
    whole = [each.certificate for each in overview(store, config, now, size=99).rows]
    assert sorted(whole) == names
    for size in (1, 4, 7):
        pages = [overview(store, config, now, offset=at, size=size).rows for at in range(0, 25, size)]
        assert [each.certificate for page in pages for each in page] == whole
    assert [each.certificate for each in overview(store, config, now, needle="c1").rows] == names[10:20]
    assert overview(store, config, now, needle="c1", size=3).total == 10


def test_the_first_page_reads_as_much_of_many_as_of_few(store: Store, tmp_path: Path) -> None:
    read_rows = []
    for names in (30, 120):
        config = file(tmp_path, *(f"c{number:03d}" for number in range(names)))
        take_in(store, config)
        for certificate in config.certificates:
            if not store.versions(certificate):
                serve(store, certificate)
        before = store.rows_read
        assert overview(store, config, START).total == names
        read_rows.append(store.rows_read - before)
    assert read_rows[0] == read_rows[1]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM standing WHERE act_by <= '2027' ORDER BY act_by, certificate LIMIT 25",
        "SELECT * FROM standing WHERE act_by > '2027' AND rank < 8 ORDER BY rank, act_by, certificate LIMIT 25",
        "SELECT * FROM standing WHERE act_by > '2027' AND rank >= 8 ORDER BY act_by, certificate LIMIT 25",
        "SELECT * FROM standing WHERE renews IS NOT NULL ORDER BY renews, certificate LIMIT 1",
        "SELECT * FROM standing WHERE rank <= 4",
        "SELECT * FROM standing WHERE act_by <= '2027'",
        "SELECT * FROM standing_cell WHERE target = 'fly' ORDER BY rank, act_by, certificate LIMIT 25",
    ],
)
def test_each_part_of_a_page_is_a_range_of_an_index(store: Store, statement: str) -> None:
    plan = " ".join(row.detail for row in store.rows(text(f"EXPLAIN QUERY PLAN {statement}")))
    assert "INDEX" in plan
    if "ORDER BY" in statement:
        assert "TEMP B-TREE" not in plan
