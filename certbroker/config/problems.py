"""Collecting mistakes: every one at once, each with its line and its path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from certbroker.config.lines import Lines, Path
from certbroker.config.words import closest, explain, looks_secret
from certbroker.errors import Problem

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

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
        self,
        path: Path,
        error: ValidationError,
        model: type[BaseModel],
        table: object,
        *,
        beside: Collection[str] = (),
    ) -> set[str]:
        """Everything pydantic found in the `table` at `path`; returns the keys of that table that are at fault.

        `beside` are keys it may have that `model` does not know. A key that is missing because it is misspelt is one
        mistake, not two.
        """
        found = [(_place(one, table), one) for one in error.errors(include_url=False)]
        misspelt: set[Path] = set()
        for inside, one in found:
            if one["type"] == "extra_forbidden" and inside:
                meant = closest(str(inside[-1]), known_keys(model, inside[:-1]))
                misspelt |= {(*inside[:-1], meant)} if meant else set()
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
        if isinstance(key, str):
            field = fields.get(key)
            fields = _fields(_model_in(field.annotation)) if field is not None else {}
    return list(fields)


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in found.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings model inside `X | None`, `list[X]` and the like; the first if there are several."""
    if hasattr(annotation, "model_fields"):
        return cast("type[BaseModel]", annotation)
    return next(filter(None, map(_model_in, get_args(annotation))), None)


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


def _place(error: ErrorDetails, table: object) -> Path:
    """Where in the table. Pydantic also names union members and validators in its locations; those are no keys of it."""
    place: Path = ()
    for number, part in enumerate(error["loc"], start=1):
        missing = number == len(error["loc"]) and error["type"] == "missing"
        if isinstance(table, dict) and part in table:
            table = table[part]
        elif isinstance(table, list) and isinstance(part, int) and part < len(table):
            table = table[part]  # not one condition with the above: the type of `part` differs
        elif not missing:
            continue
        place = (*place, part)
    return place
