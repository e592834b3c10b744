"""Every key is found where it stands, however TOML lets it be written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.config.lines import Lines, Path

TEXT = '''\
# a comment with [a.header]
top = "x # no comment"

[plain]  # and one here
one = 1
"quoted key" = 2
'single.key' = 3
"esc\\u0061ped" = 4
dotted.inner = 5
dotted . "other" = 6

[ deep . "er" ]
text = """
[not.a.header]
key = "no key"
quotes """""
raw = \'\'\'
[nor.this]\'\'\'
when = 1979-05-27 07:32:00
list = [
  "a", # [comment
  [ "b", { c = 1,
    d = 2 } ],
  """
  long""",
  "e",
]
inline = { x = 1, y = { z = "}" } }
last = 7

[[many]]
name = "first"
[[many]]
name = "second"
[many.below]
key = 8
[[many.below.again]]
x = 1
[[many.below.again]]
x = 2
'''

PLACES: list[tuple[Path, int | None]] = [
    (("top",), 2),
    (("plain",), 4),
    (("plain", "one"), 5),
    (("plain", "quoted key"), 6),
    (("plain", "single.key"), 7),
    (("plain", "escaped"), 8),
    (("plain", "dotted"), 9),
    (("plain", "dotted", "inner"), 9),
    (("plain", "dotted", "other"), 10),
    (("deep",), 12),
    (("deep", "er"), 12),
    (("deep", "er", "text"), 13),
    (("deep", "er", "raw"), 17),
    (("deep", "er", "when"), 19),
    (("deep", "er", "list"), 20),
    (("deep", "er", "list", 0), 21),
    (("deep", "er", "list", 1), 22),
    (("deep", "er", "list", 1, 1, "d"), 23),
    (("deep", "er", "list", 2), 24),
    (("deep", "er", "list", 3), 26),
    (("deep", "er", "inline", "y", "z"), 28),
    (("deep", "er", "last"), 29),
    (("many", 0), 31),
    (("many", 0, "name"), 32),
    (("many", 1, "name"), 34),
    (("many", 1, "below", "key"), 36),
    (("many", 1, "below", "again", 1, "x"), 40),
    (("deep", "er", "unknown"), 12),
    (("deep", "er", "list", 9), 20),
    (("plain", "one", "deeper"), 5),
    (("nowhere",), None),
]


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_a_key_is_found_where_it_stands(path: Path, line: int | None) -> None:
    assert Lines(TEXT).at(path) == line


def test_the_lines_below_a_table_are_told_by_dotted_path() -> None:
    assert Lines(TEXT).below(("deep", "er"))["inline.y.z"] == 28
    assert Lines(TEXT).below(("deep", "no")) == {}


def everything(value: Any, path: Path = ()) -> list[Path]:
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [p for key, inner in value.items() for p in everything(inner, (*path, key))]
    if isinstance(value, list):
        return found + [p for number, inner in enumerate(value) for p in everything(inner, (*path, number))]
    return found


PIECES = st.sampled_from(
    ["[a]", "[a.b]", "[[c]]", "[c.d]", "[[a.e]]", 'x = "]"', "y.z = [1,\n [2, 3,\n], {p = 1}]", "'#' = 1979-05-27 07:32:00 # x",
     'm = """\n[q]\n\\""""""', "n = '''a'''''", '"\\u0062" = {}', "i = { j.k = -inf, l = '}' }", "# [z]", "", "o = 0x1F"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=8).map("\n".join))
def test_whatever_tomllib_reads_has_a_line_for_everything_in_it(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    known = Lines(text).known
    assert set(known) == set(everything(document))
    assert all(1 <= line <= text.count("\n") + 1 for line in known.values())
