"""A night in which nothing is due costs the same for ten certificates as for a thousand."""

from __future__ import annotations

from pathlib import Path

from certbroker import broker
from certbroker.cli import main
from tests.quiet import quiet


def rows_of_a_night(folder: Path, count: int) -> int:
    """Rows that `renew` reads from the store. Any contact with the network fails the run."""
    world, network = quiet(folder, count)
    assert main(["renew"], world) == 0  # the same, by the command line: nothing is left for the second
    desk = broker.open_desk(world, broker.read_config(world, None), lambda event: None)
    with desk.store:
        before = desk.store.rows_read
        report = broker.renew(desk)
        assert report.exit_code == 0
        assert report.entries == ()
        assert report.summary.startswith(f"nothing due · {2 * count} of {2 * count} served as wanted")
        assert network.contacts == []
        return desk.store.rows_read - before


def test_the_rows_read_do_not_grow_with_the_certificates(tmp_path: Path) -> None:
    few = rows_of_a_night(tmp_path / "few", 10)
    many = rows_of_a_night(tmp_path / "many", 1000)
    assert few == many
    assert few < 20
