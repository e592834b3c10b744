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
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

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
    values, said = _values(choice, fields, shapes)
    table = {
        key: _value(name, key, field, values) for key, field in fields.items() if field.is_required() or key in values
    }
    ready = _accepts(choice.settings, table)
    if not ready:  # one more setting may do, where the model asks for "either this or that"
        for key, field in fields.items():
            if key not in table and field.examples and _accepts(choice.settings, {**table, key: field.examples[0]}):
                table[key], ready = field.examples[0], True
                break
    known = {key.upper(): str(value) for key, value in table.items() if type(value) in (str, int)}
    blanks: list[Blank] = []
    secrets: list[SecretBlank] = []
    for key, field in sorted(fields.items(), key=lambda item: item[0] not in table):
        told = _filled(_one_line(field.description or ""), known)
        guessed = key in table and not holds_secret(field) and key != said
        if holds_secret(field):
            variable = variable_name(name, key)
            blanks.append(Blank(toml_key(key), f'{{ env = "{variable}" }}', told, key in table))
            if key in table:
                secrets.append(SecretBlank(variable, f"{kind} {name}", told))
        else:
            value = table[key] if key in table else _example(field, _shape(shapes, key))
            comment = f"put yours: {told}".removesuffix(": ") if guessed else told
            blanks.append(Blank(toml_key(key), toml(value), comment, key in table))
    return Section(name, choice.kind, tuple(blanks), tuple(secrets), ready)


def _value(owner: str, key: str, field: FieldInfo, values: Mapping[str, object]) -> object:
    return {"env": variable_name(owner, key)} if holds_secret(field) else values[key]


def holds_secret(field: FieldInfo) -> bool:
    """Whether its value is one reference to a secret: `SecretRef`, or that among other things."""
    wide = get_origin(field.annotation) in (Union, UnionType)
    return field.annotation is SecretRef or (wide and SecretRef in get_args(field.annotation))


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
        inner = ", ".join(f"{toml_key(str(key))} = {toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: str) -> str:
    """Bare where TOML allows it."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else toml(key)


def _values(
    choice: Choice, fields: Mapping[str, FieldInfo], shapes: Mapping[str, Any]
) -> tuple[dict[str, object], str | None]:
    """What settings get that are no secrets: what was said, else an example; and which one was said."""
    plain = [key for key, field in fields.items() if not holds_secret(field)]
    needed = [key for key in plain if fields[key].is_required()]
    values = {key: _example(fields[key], _shape(shapes, key)) for key in needed}
    said = next(iter(needed or plain), None) if choice.value else None
    if said is not None:
        values[said] = _typed(choice.value, _shape(shapes, said))
    return values, said


def _typed(text: str, shape: Mapping[str, Any]) -> object:
    """What was said on the command line, as the type the setting has."""
    if shape.get("type") == "integer" and text.isascii() and text.isdigit():
        return int(text)
    return [text] if shape.get("type") == "array" else text


def _shape(shapes: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The JSON Schema of one setting, with what it refers to in its place."""
    return _resolved(shapes.get("properties", {}).get(key, {}), shapes)


def _resolved(shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in shape:
        shape = {**shapes["$defs"][shape["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in shape.items() if k != "$ref"}}
    options = [option for option in shape.get("anyOf", []) if option.get("type") != "null"]
    shape = {**_resolved(options[0], shapes), **shape} if options else shape
    if "properties" in shape:
        inner = {key: _resolved(value, shapes) for key, value in shape["properties"].items()}
        return {**shape, "properties": inner}
    return shape


def _example(field: FieldInfo, shape: Mapping[str, Any]) -> object:
    """Something to write there: its own example, its default, else the plainest value of its type."""
    return field.examples[0] if field.examples else _plain(shape)


def _plain(shape: Mapping[str, Any]) -> object:
    for found in (shape.get("default"), shape.get("const"), next(iter(shape.get("enum", ())), None)):
        if found is not None:
            return found
    match shape.get("type"):
        case "integer" | "number":
            return shape.get("minimum", 1)
        case "boolean":
            return False
        case "array":
            return []
        case "object":
            inner = shape.get("properties", {})
            return {key: _plain(inner[key]) for key in shape.get("required", ()) if key in inner}
    return {"env": "CHANGE_ME"} if "oneOf" in shape else "CHANGE-ME"


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
