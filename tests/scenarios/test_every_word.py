"""Every message of drift, restore, rollback, ready and import is in a golden file, and each has its three lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import certbroker
from tests.golden import FOLDER

FLOWS = ("drift", "observed", "put-back", "rollback", "ready", "import", "import-refused", "import-not-now")
PLACES = ("adopt", "broker/adopting.py", "broker/rolling_back.py", "broker/readiness.py", "cli/rollback.py")
"""Where the messages of these flows are made."""

ELSEWHERE = {
    "cannot be read: permission denied": "root, who runs tests in containers, may read everything",
    " is YAML, which needs the extra yaml": "a process of its own, in which there is no yaml",
    " is protected in a way that cannot be read here": "no library here writes such a file",
    " accepts none of ": "the file is refused before, with its line",
    " accounts at ": "test_adopt_account has a folder with several",
    "no target is called ": "told by every command that takes targets",
}
"""Messages that other tests look at, and why no golden file has them."""


def words() -> str:
    return "\n".join((FOLDER / "words" / f"{name}.txt").read_text() for name in FLOWS)


def sources() -> Iterator[Path]:
    home = Path(certbroker.__file__).parent
    for place in PLACES:
        path = home / place
        yield from sorted(path.glob("*.py")) if path.is_dir() else [path]


def messages() -> Iterator[tuple[str, str]]:
    """Where, and the longest piece of text that does not depend on anything, of everything raised on purpose."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                what = node.exc.args[0]
                parts = what.values if isinstance(what, ast.JoinedStr) else [what]
                texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                if longest := max(texts, key=len, default=""):
                    yield f"{path.name}:{node.lineno}", longest


def test_there_are_messages_to_look_for() -> None:
    assert len(list(messages())) > 30


@pytest.mark.parametrize(("where", "text"), list(messages()))
def test_it_is_in_a_golden_file(where: str, text: str) -> None:
    assert text in words() or any(known in text for known in ELSEWHERE), (
        f"{where} says something nobody has read: {text}"
    )


@pytest.mark.parametrize("name", FLOWS)
def test_each_trouble_tells_what_happened_what_is_served_and_what_to_type(name: str) -> None:
    lines = (FOLDER / "words" / f"{name}.txt").read_text().splitlines()
    spoken = [line.removeprefix("stderr: ") for line in lines]
    for at, line in enumerate(spoken):
        if re.match(r"(error|wait): ", line):
            now, hint = (*spoken[at + 1 : at + 3], "", "")[:2]
            assert now.startswith(" now   "), f"{line}: what is served is not told"
            assert hint.startswith(" hint: "), f"{line}: what to type is not told"
