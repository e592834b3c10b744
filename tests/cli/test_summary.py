"""The last line of a run: its id and the truth in one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

from certbroker.cli import main
from tests.scenarios.town import town
from tests.world import make_world


def test_a_run_never_takes_the_id_of_an_earlier_one(tmp_path: Path) -> None:
    """Ids are short: among a year of hourly runs the same one is drawn again, which must not end a run."""
    (tmp_path / "certbroker.toml").write_text(
        f'store.url = "sqlite:///{tmp_path / "store.db"}"\nvault.key = "file:key"\n'
    )
    assert main(["init"], make_world(tmp_path)) == 0
    ids = []
    for _ in range(3):
        world = make_world(tmp_path, seed=7)
        assert main(["renew", "--json"], world) == 0
        assert isinstance(world.stdout, io.StringIO)
        ids.append(json.loads(world.stdout.getvalue())["run"])
    assert len(set(ids)) == 3


def test_what_nobody_can_look_at_is_not_called_unpushed(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.configure(certificates=place.certificate(targets=("folder",)))
        first = place.run("renew").out.splitlines()[-1]
        again = place.run("renew").out.splitlines()[-1]
    assert first.startswith("1 ordered · 2 delivered, nobody can look")
    assert again.startswith("nothing due · 2 delivered, nobody can look")
