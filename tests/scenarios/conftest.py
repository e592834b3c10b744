from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.town import Town, town
from tests.scenarios.victim import Victims


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """A town with one zone, example.com, and one certificate on Fastly, two Fly apps and a folder."""
    with town(tmp_path / "town") as made:
        yield made


@pytest.fixture(scope="session")
def victims() -> Iterator[Victims]:
    """Whoever is killed is forked from one process: to start it takes a second."""
    with Victims() as made:
        yield made
