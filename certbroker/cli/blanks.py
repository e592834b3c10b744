"""The lines of a new file for one target or solver, read from its settings model: what must be filled in, what may be.

Each adapter describes its own settings (`Field(description=…, examples=[…])`), so a stranger's is rendered as ours are. The
description of a secret names the page or command that makes it with least rights; in it, the name of another setting in
capitals stands for that setting's value: `fly tokens create deploy -a APP`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from certbroker.model import LABEL
from certbroker.secret import SecretRef

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for by `--target fly:site-blue` or `--solver dnsimple`. `value` is what follows the colon."""

    kind: str
    settings: type[BaseModel]
    value: str = ""


@dataclass(frozen=True, slots=True)
class Blank:
    """One line. `live` ones are needed; the others are shown as comments."""

    key: str
    text: str
    comment: str
    live: bool


@dataclass(frozen=True, slots=True)
class SecretBlank:
    """A secret to be filled in, by the variable that holds it. `how` names the page or command that makes it."""

    variable: str
    owner: str
    how: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table. If `ready` is false, no value that its required settings take is known, and all of it is a comment."""

    name: str
    kind: str
    blanks: tuple[Blank, ...]
    secrets: tuple[SecretBlank, ...]
    ready: bool


def section(kind: str, name: str, choice: Choice) -> Section:
    """The table `[kind.NAME]` for a choice. The first required setting that is no secret takes the choice's value."""
    fields = {field.alias or key: field for key, field in choice.settings.model_fields.items()}
    shapes: Mapping[str, Any] = choice.settings.model_json_schema()
    values = _values(choice, fields, shapes)
    known = {key.upper(): str(value) for key, value in values.items() if isinstance(value, str)}
    blanks: list[Blank] = []
    secrets: list[SecretBlank] = []
    table: dict[str, object] = {}
    for key, field in sorted(fields.items(), key=lambda item: not item[1].is_required()):
        told = _filled(_one_line(field.description or ""), known)
        if holds_secret(field):
            variable = variable_name(name, key)
            table[key] = {"env": variable}
            if field.is_required():
                secrets.append(SecretBlank(variable, f"{kind} {name}", told))
            blanks.append(Blank(key, f'{{ env = "{variable}" }}', told, field.is_required()))
        elif field.is_required() or key in values:
            table[key] = values.get(key, "")
            blanks.append(Blank(key, toml(table[key]), told, True))
        else:
            blanks.append(Blank(key, toml(_example(field, _shape(shapes, key), shapes)), told, False))
    table = {key: value for key, value in table.items() if fields[key].is_required() or key in values}
    return Section(name, choice.kind, tuple(blanks), tuple(secrets), _accepts(choice.settings, table))


def holds_secret(field: FieldInfo) -> bool:
    """Whether its value is a reference to a secret, or may be."""
    return field.annotation is SecretRef or SecretRef in get_args(field.annotation)


def variable_name(owner: str, key: str) -> str:
    """`fly-blue`, `token` -> FLY_BLUE_TOKEN."""
    name = re.sub(r"[^A-Z0-9]+", "_", f"{owner}_{key}".upper()).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def section_name(choice: Choice, taken: Mapping[str, object]) -> str:
    """`fastly`, `fly-site-blue`; with a number where that is taken."""
    value = re.sub(r"[^A-Za-z0-9._-]+", "-", choice.value).strip("-.")
    name = f"{choice.kind}-{value}"[:60] if value else choice.kind
    name = name if LABEL.fullmatch(name) else "place"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique


def toml(value: object) -> str:
    """A value as TOML. JSON's strings, numbers, booleans and flat lists are TOML too."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(str(key))} = {toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _values(choice: Choice, fields: Mapping[str, FieldInfo], shapes: Mapping[str, Any]) -> dict[str, object]:
    """What required settings get: what was said, else an example."""
    values: dict[str, object] = {}
    said: object = choice.value
    plain = [key for key, field in fields.items() if not holds_secret(field)]
    needed = [key for key in plain if fields[key].is_required()]
    for key in needed:
        shape = _shape(shapes, key)
        if said:
            values[key] = _typed(said, shape)
            said = ""
        else:
            values[key] = _example(fields[key], shape, shapes)
    if said and plain:
        values[plain[0]] = _typed(said, _shape(shapes, plain[0]))
    return values


def _typed(said: object, shape: Mapping[str, Any]) -> object:
    """What was said on the command line, as the type the setting has."""
    text = str(said)
    if shape.get("type") == "integer" and text.isascii() and text.isdigit():
        return int(text)
    return [text] if shape.get("type") == "array" else text


def _shape(shapes: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    shape = shapes.get("properties", {}).get(key, {})
    while "$ref" in shape:
        shape = shapes["$defs"][shape["$ref"].rsplit("/", 1)[1]]
    options = [option for option in shape.get("anyOf", []) if option.get("type") != "null"]
    return {**options[0], **shape} if options else shape


def _example(field: FieldInfo, shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> object:
    """Something to write there: its own example, its default, else the plainest value of its type."""
    if field.examples:
        example: object = field.examples[0]
        return example
    for found in (shape.get("default"), shape.get("const"), next(iter(shape.get("enum", ())), None)):
        if found is not None:
            return found
    kind = shape.get("type")
    if kind == "object":
        inner = shape.get("properties", {})
        return {key: _plain(inner[key].get("type")) for key in shape.get("required", ()) if key in inner}
    return _plain(kind, minimum=shape.get("minimum"))


def _plain(kind: object, *, minimum: object = None) -> object:
    match kind:
        case "integer" | "number":
            return minimum if isinstance(minimum, int | float) else 1
        case "boolean":
            return False
        case "array":
            return []
    return "CHANGE-ME"


def _accepts(settings: type[BaseModel], table: Mapping[str, object]) -> bool:
    from pydantic import ValidationError

    try:
        settings.model_validate(dict(table))
    except ValidationError:
        return False
    return True


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\b[A-Z][A-Z0-9_]+\b", lambda found: known.get(found.group(), found.group()), text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
