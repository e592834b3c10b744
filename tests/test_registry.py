"""Packages as a stranger would install them, found and loaded late; a broken one spoils its own name alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from certbroker import registry
from certbroker.errors import UsageError
from certbroker.registry import PROVIDERS, SIMULATORS, Registry
from certbroker.testkit.simulator import Simulator

GOOD = """
from certbroker.model import Traits
class Acme:
    settings = traits = None
    def open(self): ...
    inspect = push = restore = prune = edges = open
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder that packages are installed into."""
    sys.path.insert(0, str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - known:
        if name.startswith("stranger"):
            del sys.modules[name]


def install(site: Path, package: str, module: str, code: str, *, name: str, group: str = PROVIDERS) -> None:
    """As pip leaves it: a module, and a dist-info that names its entry point."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:Acme\n")


def look(site: Path) -> Registry:
    return Registry(point for found in distributions(path=[str(site)]) for point in found.entry_points)


def test_a_strangers_package_is_found_and_loaded_when_asked_for(site: Path) -> None:
    install(site, "certbroker-acme", "stranger_good", GOOD, name="acme")
    found = look(site)
    assert found.types(PROVIDERS) == ("acme",)
    assert [(offer.packages, offer.place) for offer in found.offers(PROVIDERS)] == [
        (("certbroker-acme 1.2",), "stranger_good:Acme")
    ]
    assert "stranger_good" not in sys.modules
    assert found.load(PROVIDERS, "acme").__name__ == "Acme"
    assert found.load(PROVIDERS, "acme") is found.load(PROVIDERS, "acme")


def test_an_unknown_name_is_answered_with_the_nearest(site: Path) -> None:
    install(site, "certbroker-acme", "stranger_good", GOOD, name="acme")
    with pytest.raises(UsageError, match="there is no provider 'acm'; did you mean acme") as caught:
        look(site).load(PROVIDERS, "acm")
    assert caught.value.hint == "installed: acme"


def test_a_package_that_cannot_be_imported_is_named_with_its_error_and_spoils_nothing_else(site: Path) -> None:
    install(site, "certbroker-good", "stranger_good", GOOD, name="good")
    install(site, "certbroker-old", "stranger_old", "import no_such_library", name="old")
    install(site, "certbroker-odd", "stranger_odd", "1 / 0", name="odd")
    install(site, "certbroker-bad", "stranger_bad", "def (", name="bad")
    found = look(site)
    assert found.types(PROVIDERS) == ("bad", "good", "odd", "old")
    for name, says in {"old": "no_such_library", "odd": "ZeroDivisionError", "bad": "SyntaxError"}.items():
        with pytest.raises(UsageError, match=says) as caught:
            found.load(PROVIDERS, name)
        assert f"certbroker-{name} 1.2" in str(caught.value)
    assert found.load(PROVIDERS, "good")


def test_something_that_is_no_provider_is_told_what_it_lacks(site: Path) -> None:
    install(site, "certbroker-half", "stranger_half", "class Acme:\n    settings = open = push = None\n", name="half")
    install(site, "certbroker-none", "stranger_none", "", name="none")
    with pytest.raises(UsageError, match="it has no traits, inspect, restore, prune, edges"):
        look(site).load(PROVIDERS, "half")
    with pytest.raises(UsageError, match="AttributeError"):
        look(site).load(PROVIDERS, "none")


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    install(site, "certbroker-acme", "stranger_good", GOOD, name="acme")
    install(site, "another-acme", "stranger_other", GOOD, name="acme")
    install(site, "certbroker-lone", "stranger_lone", GOOD, name="lone")
    found = look(site)
    with pytest.raises(UsageError, match=r"offered by another-acme 1\.2 and by certbroker-acme 1\.2"):
        found.load(PROVIDERS, "acme")
    assert found.load(PROVIDERS, "lone")


def test_a_provider_and_its_simulator_are_two_entries(site: Path) -> None:
    install(site, "certbroker-acme", "stranger_sim", "class Acme: ...", name="acme", group=SIMULATORS)
    found = look(site)
    assert found.types(PROVIDERS) == ()
    assert found.load(SIMULATORS, "acme").__name__ == "Acme"
    with pytest.raises(UsageError, match="there is no provider 'acme'"):
        found.load(PROVIDERS, "acme")


# ---- what comes with certbroker --------------------------------------------------------------------------------------


def test_ours_are_found_the_same_way() -> None:
    assert {"fastly", "files", "fly"} <= set(registry.provider_types())
    assert {"fastly", "fly"} <= set(registry.simulator_types())
    for name in ("fastly", "files", "fly"):
        settings = registry.provider_settings(name)
        assert settings is registry.provider(name).settings
        assert registry.provider_key_types(name)
    for name in ("fastly", "fly"):
        assert issubclass(registry.simulator(name), Simulator)  # type: ignore[arg-type]


def test_settings_of_a_type_that_nobody_offers_are_none() -> None:
    assert registry.provider_settings("nobody-offers-this") is None
