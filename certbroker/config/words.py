"""How mistakes are told: the nearest valid word, and values quoted only where they cannot be a pasted secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from certbroker.errors import UsageError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/=]{16,}")
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_SWITCH: Final = re.compile(r"[A-Za-z](?=[_-]?[0-9])|[0-9](?=[_-]?[A-Za-z])")
_LONGEST_QUOTED: Final = 80
_NEAR: Final = 0.65
"""How alike two words must be (0..1) before one is offered for the other."""

_WORDS: Final = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "string_too_short": "is empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


class Refusal(UsageError, ValueError):
    """A message of our own, which quotes only through `quoted`. Any other message is searched for what was written.

    A ValueError, so that pydantic collects it; a UsageError where the same is asked of the command line.
    """


def quoted(value: str) -> str:
    """`value` in quotes, without control characters; or no more than a remark where it may be a secret."""
    if looks_secret(value):
        return "this value (not shown: it may be a secret)"
    text = value if len(value) <= _LONGEST_QUOTED else value[: _LONGEST_QUOTED // 2] + "…"
    return '"' + "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text) + '"'


def looks_secret(value: str) -> bool:
    """Like a token or a key: a long word of letters mixed with digits or capitals, or a long run that keeps switching."""
    return any(_mixed(word) for word in _LONG_WORD.findall(value)) or any(
        len(_SWITCH.findall(run)) >= 6 for run in _LONG_RUN.findall(value)
    )


def _mixed(word: str) -> bool:
    return re.search("[A-Za-z]", word) is not None and (
        re.search("[0-9]", word) is not None or word not in (word.lower(), word.upper())
    )


def closest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant."""
    alike = difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)
    return next(iter(alike), None) or next((name for name in known if name.lower() == word.lower()), None)


def nearest(word: str, known: Collection[str]) -> str:
    """`; did you mean X?`, or nothing."""
    found = closest(word, known)
    return f"; did you mean {found}?" if found else ""


def listed(words: Collection[str]) -> str:
    """`a, b or c`."""
    *first, last = words or ("nothing",)
    return f"{', '.join(first)} or {last}" if first else last


def unknown(kind: str, word: str, known: Collection[str]) -> str:
    """That `word` names no `kind`, and what is near or what there is."""
    near = nearest(word, known)
    if not near and 0 < len(known) <= 12:
        near = f"; there is {listed(sorted(known))}"
    return f"{quoted(word)} is no {kind}{near}" if known else f"{quoted(word)} is no {kind}; there is none"


def unknown_key(key: str, known: Collection[str]) -> str:
    """That a key has no meaning here. The key itself is in the path."""
    near = nearest(key, known)
    return f"is not a setting here{near or ('; there is ' + listed(sorted(known)) if 0 < len(known) <= 12 else '')}"


def explain(error: ErrorDetails, known: Collection[str] = ()) -> str:
    """One of pydantic's errors in our words.

    Args:
        error: with its input, which is used only to take it out of messages: a pasted token must not be echoed.
        known: the keys that the table has, for "did you mean".
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), known)
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", "one of the known words")).replace("'", '"')
        value = error["input"]
        near = nearest(value, re.findall('"([^"]*)"', expected)) if isinstance(value, str) else ""
        return f"must be {expected}{near}"
    if kind in ("too_short", "string_too_short") and context.get("min_length") == 1:
        return "is empty"
    cause = context.get("error")
    if isinstance(cause, Refusal):
        return str(cause)
    message = str(cause or "is not valid") if kind in ("value_error", "assertion_error") else error["msg"]
    for text in sorted(set(_texts(error["input"])), key=len, reverse=True):
        message = message.replace(text, "…")
    return message[:1].lower() + message[1:]


def _texts(value: object) -> Iterator[str]:
    """Every text inside an input that is long enough to be a secret."""
    if isinstance(value, str):
        if len(value) >= 6:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
