"""The file: TOML into frozen values, every mistake at once, each with its line. Pure parsing; no secret is resolved here."""

from __future__ import annotations

from certbroker.config.issuers import PRESETS, Preset, binding_source, organization, preset, rehearsal
from certbroker.config.load import load
from certbroker.config.places import candidates_exist, config_folder, default_store, default_vault, find, state_folder
from certbroker.config.schema import json_schema
from certbroker.config.settings import (
    AlertSettings,
    BindingSettings,
    Config,
    DashboardSettings,
    IssuerSettings,
    NetworkSettings,
    Puts,
    ReadyCheck,
    SecretUse,
    SolverSettings,
    TargetName,
    TargetSettings,
)
from certbroker.config.solvers import answering

__all__ = [
    "PRESETS",
    "AlertSettings",
    "BindingSettings",
    "Config",
    "DashboardSettings",
    "IssuerSettings",
    "NetworkSettings",
    "Preset",
    "Puts",
    "ReadyCheck",
    "SecretUse",
    "SolverSettings",
    "TargetName",
    "TargetSettings",
    "answering",
    "binding_source",
    "candidates_exist",
    "config_folder",
    "default_store",
    "default_vault",
    "find",
    "json_schema",
    "load",
    "organization",
    "preset",
    "rehearsal",
    "state_folder",
]
