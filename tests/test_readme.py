"""What the pages say is so: commands, exit codes, the file, links, make targets."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from certbroker import broker, cli
from certbroker.cli.app import app
from tests.world import make_world

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md"), *ROOT.glob("providers/*/README.md"),
                 *ROOT.glob("certbroker/**/*.md"))
)  # fmt: skip


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, f"README has no section {title}"
    return found[1]


def test_the_table_of_commands_is_what_help_says() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("The commands"), re.MULTILINE)
    told = {_command(words) for row in rows for words in re.findall(r"`([^`]+)`", row)}
    assert told == _commands(app)


def _command(words: str) -> str:
    """`config check`, `push [NAME]` without its arguments."""
    return " ".join(word for word in words.split() if re.fullmatch("[a-z]+(-[a-z]+)*", word))


def _commands(group: click.Group, before: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        found |= _commands(command, f"{before}{name} ") if isinstance(command, click.Group) else {before + name}
    return found


def test_the_file_it_shows_is_read_without_a_problem(tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(.*?)```", section("The file"), re.DOTALL)
    assert shown
    (tmp_path / "certbroker.toml").write_text(shown[1])
    config = broker.read_config(make_world(tmp_path), None)
    assert {target.type for target in config.targets.values()} == {"fastly", "fly"}
    assert list(config.certificates) == ["main"]


def test_the_commands_of_the_five_minutes_have_these_options() -> None:
    lines = re.findall(r"^ {4}certbroker (.+?)(?: {2,}#.*)?$", section("Five minutes to your own"), re.MULTILINE)
    assert lines
    for line in lines:
        words = line.replace("'", "").split()
        command = app.commands[words[0]]
        known = {flag for option in command.params for flag in option.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_the_exit_codes_are_those_of_the_program() -> None:
    told = set(re.findall(r"(?:Exit codes:|·) (\d) ", section("The commands")))
    assert cli.__doc__
    assert told == set(re.findall(r"\b(\d) (?=[a-z])", cli.__doc__))


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {name for page in PAGES for name in re.findall(r"`make ([a-z]+)`|^ {4}make ([a-z]+)", page.read_text(), re.MULTILINE) for name in name if name}  # fmt: skip
    assert {"demo", "test", "interop", "bench"} <= told <= targets


def test_every_adapter_says_what_it_is() -> None:
    for package in (ROOT / "providers").iterdir():
        if (package / "__init__.py").exists():
            assert (package / "README.md").exists(), package.name
            assert f"](providers/{package.name}/README.md)" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        assert Path(os.path.normpath(there)).exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in _anchors(there), f"{page.name}: {link}"


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
