"""Collecting mistakes: every one at once, each with its line and its path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from certbroker.config.lines import Lines, Path
from certbroker.config.words import explain, looks_secret
from certbroker.errors import Problem

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Problems:
    """The mistakes found so far."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, what: str) -> None:
        self._found[Problem(self._lines.at(path), shown(path), what)] = None

    def all(self) -> list[Problem]:
        """In the file's order; what has no line comes last."""
        return sorted(self._found, key=lambda problem: (problem.line is None, problem.line or 0))

    def add_invalid(
        self, path: Path, error: ValidationError, model: type[BaseModel], *, beside: Collection[str] = ()
    ) -> set[str]:
        """Everything pydantic found in the table at `path`; returns the keys of that table that are at fault.

        `beside` are keys it may have that `model` does not know. A key that is missing because it is misspelt is one
        mistake, not two.
        """
        found = [(_place(one["loc"]), one) for one in error.errors(include_url=False)]
        misspelt: set[Path] = set()
        for inside, one in found:
            if one["type"] == "extra_forbidden":
                meant = difflib.get_close_matches(str(inside[-1]), known_keys(model, inside[:-1]), n=1)
                misspelt |= {(*inside[:-1], key) for key in meant}
        for inside, one in found:
            if one["type"] == "missing" and inside in misspelt:
                continue
            known = known_keys(model, inside[:-1])
            what = explain(one, [*known, *beside] if len(inside) == 1 else known)
            if inside and isinstance(inside[-1], int) and one["type"] not in ("value_error", "assertion_error"):
                what = f"entry {inside[-1] + 1} {what}"
            self.add((*path, *inside), what)
        return {str(inside[0]) for inside, _ in found if inside}


def known_keys(model: type[BaseModel], path: Iterable[str | int] = ()) -> list[str]:
    """The keys of a settings model as the file writes them; of the model nested at `path`, where that is plain to see."""
    fields = _fields(model)
    for key in path:
        fields = _fields(getattr(fields.get(str(key)), "annotation", None))
    return list(fields)


def _fields(model: object) -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in found.items()}


def shown(path: Path) -> str:
    """`target.fly.app`: a path as TOML writes it; list positions are left out, the line has them."""
    return ".".join(_key(key) for key in path if isinstance(key, str))


def _key(key: str) -> str:
    if looks_secret(key):
        return "…"
    if _BARE.fullmatch(key):
        return key
    text = "".join(sign if sign.isprintable() else "…" for sign in key[:60])
    return f'"{text}"'


def _place(loc: tuple[str | int, ...]) -> Path:
    """Pydantic names union members and validators inside its locations; those are no keys of the file."""
    return tuple(part for part in loc if isinstance(part, int) or not re.search(r"[\[\](]", part))
