"""The tree, the wheel's list and the entry points say the same: a build skips a listed folder that does not exist, silently."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from certbroker import registry

ROOT = Path(__file__).parents[1]
ADAPTERS = sorted(path for path in (ROOT / "providers").iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def named(points: dict[str, str]) -> dict[str, str]:
    """Type to package."""
    return {name: place.partition(":")[0].partition(".")[0] for name, place in points.items()}


def test_every_adapter_is_in_the_wheel_and_nothing_else(project: dict[str, Any]) -> None:
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(listed) == ["certbroker", *(f"providers/{path.name}" for path in ADAPTERS)]


def test_every_adapter_has_an_entry_point_called_like_it(project: dict[str, Any]) -> None:
    points = named(project["project"]["entry-points"]["certbroker.providers"])
    assert points == {path.name.removeprefix("certbroker_"): path.name for path in ADAPTERS}


def test_every_simulator_has_an_entry_point_called_like_its_adapter(project: dict[str, Any]) -> None:
    points = project["project"]["entry-points"]["certbroker.simulators"]
    with_one = [path.name for path in ADAPTERS if (path / "simulator.py").is_file()]
    assert named(points) == {name.removeprefix("certbroker_"): name for name in with_one}


def test_the_layer_rules_know_every_adapter(project: dict[str, Any]) -> None:
    rules = project["tool"]["importlinter"]
    names = {path.name for path in ADAPTERS}
    assert names <= set(rules["root_packages"])
    assert names <= set(rules["contracts"][1]["source_modules"])
    assert names <= set(rules["contracts"][2]["forbidden_modules"])


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda path: path.name)
def test_an_adapter_has_its_files(folder: Path) -> None:
    needed = {"__init__.py", "README.md", "py.typed"}
    if "certbroker.session" in "".join(path.read_text() for path in folder.glob("*.py")):
        needed |= {"api.py", "simulator.py"}
    assert needed <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda path: path.name)
def test_every_setting_of_an_adapter_is_in_its_readme(folder: Path) -> None:
    settings = registry.provider_settings(folder.name.removeprefix("certbroker_"))
    assert settings is not None
    text = (folder / "README.md").read_text()
    told = {name for name in settings.model_fields if re.search(rf"`{name}`|^[\s#]*{name}\s*=", text, re.MULTILINE)}
    assert told == set(settings.model_fields)
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_what_is_installed_is_what_the_tree_says() -> None:
    """If not: the editable install is older than the tree."""
    ours = {offer.type for offer in registry.offers() if offer.place.startswith("certbroker_")}
    assert {path.name.removeprefix("certbroker_") for path in ADAPTERS} <= ours
