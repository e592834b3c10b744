"""JSON Schema of the file, for completion in an editor. It knows what is installed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from certbroker.config import tables

_REF: Final = "#/$defs/{model}"
_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Json = dict[str, Any]


def json_schema(providers: Mapping[str, type[BaseModel]], solvers: Mapping[str, type[BaseModel]]) -> Json:
    """Draft 2020-12. `providers` and `solvers`: the settings model of each type that is installed."""
    models: list[type[BaseModel]] = [
        *(tables.DefaultsTable, tables.StoreTable, tables.VaultTable, tables.NetworkTable, tables.ScheduleTable),
        tables.AlertsTable,
        tables.CaaTable,
        tables.DashboardTable,
        tables.MetricsTable,
        tables.WatchTable,
        *(tables.IssuerTable, tables.CertificateTable, tables.SolverTable, tables.TargetTable),
        *dict.fromkeys([*providers.values(), *solvers.values()]),
    ]
    references, whole = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    definitions: Json = whole.get("$defs", {})

    def table(model: type[BaseModel]) -> Json:
        return references[(model, "validation")]

    def typed(common: type[BaseModel], kinds: Mapping[str, type[BaseModel]]) -> Json:
        """Tables whose `type` says which other keys there are."""
        return _named(
            {"oneOf": [_joined(kind, common, model, definitions, table) for kind, model in sorted(kinds.items())]}
            if kinds
            else table(common)
        )

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "certbroker.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": table(tables.DefaultsTable),
            "store": table(tables.StoreTable),
            "vault": table(tables.VaultTable),
            "network": table(tables.NetworkTable),
            "schedule": table(tables.ScheduleTable),
            "alerts": table(tables.AlertsTable),
            "caa": table(tables.CaaTable),
            "dashboard": table(tables.DashboardTable),
            "metrics": table(tables.MetricsTable),
            "watch": table(tables.WatchTable),
            "issuer": _named(table(tables.IssuerTable)),
            "solver": typed(tables.SolverTable, solvers),
            "target": typed(tables.TargetTable, providers),
            "certificate": _named(table(tables.CertificateTable)),
        },
        "$defs": definitions,
    }


def _named(of: Json) -> Json:
    """`[kind.NAME]` tables."""
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": of}


def _joined(kind: str, common: type[BaseModel], model: type[BaseModel], definitions: Json, table: Any) -> Json:
    """The keys of both models in one table: `additionalProperties` cannot be shared between schemas."""
    ours, theirs = (_resolved(table(part), definitions) for part in (common, model))
    properties = {**theirs.get("properties", {}), **ours["properties"]}
    properties["type"] = {"const": kind, "description": "which one"}
    return {
        "type": "object",
        "title": kind,
        "description": theirs.get("description", ""),
        "properties": properties,
        "required": ["type", *theirs.get("required", [])],
        "additionalProperties": model.model_config.get("extra") == "allow",
    }


def _resolved(reference: Json, definitions: Json) -> Json:
    found: Json = definitions[reference["$ref"].removeprefix("#/$defs/")]
    return found
