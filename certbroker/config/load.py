"""TOML -> the frozen values, or every mistake at once. Offline: no secret is resolved, no file but this one is read."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from certbroker import __version__
from certbroker.config import tables
from certbroker.config.certificates import Certificates
from certbroker.config.issuers import PRESETS, issuer_settings
from certbroker.config.lines import Lines
from certbroker.config.problems import Problems
from certbroker.config.proofs import Proofs
from certbroker.config.settings import (
    AlertSettings,
    Config,
    DashboardSettings,
    IssuerSettings,
    NetworkSettings,
    Puts,
    ReadyCheck,
    SolverSettings,
    TargetSettings,
    anchored,
    anchored_reference,
    named_targets,
    placing,
)
from certbroker.config.words import closest, listed, unknown, unknown_key
from certbroker.errors import ConfigError, Problem, UsageError
from certbroker.model import LABEL, Method, Traits
from certbroker.notices import Route
from certbroker.safe import Allowance
from certbroker.secret import SecretRef

SettingsOf = Callable[[str], type[BaseModel] | None]

_SINGLE: Final[Mapping[str, type[tables.Table]]] = {
    "defaults": tables.DefaultsTable,
    "store": tables.StoreTable,
    "vault": tables.VaultTable,
    "network": tables.NetworkTable,
    "schedule": tables.ScheduleTable,
    "alerts": tables.AlertsTable,
    "caa": tables.CaaTable,
    "dashboard": tables.DashboardTable,
    "metrics": tables.MetricsTable,
    "watch": tables.WatchTable,
}
_NAMED: Final = ("issuer", "solver", "target", "certificate")
_MOST_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T", bound=BaseModel)


def load(
    path: Path,
    *,
    shown: str,
    provider_settings: SettingsOf,
    solver_settings: SettingsOf,
    provider_types: Collection[str],
    solver_types: Collection[str],
    solver_puts: Callable[[str], Puts],
    traits_of: Callable[[str], Traits],
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the file.

    Args:
        path: where it is.
        shown: how the user named it, for messages.
        provider_settings: the settings model of a provider type; None if there is no such type.
        solver_settings: the same for solvers.
        provider_types: all installed, for "did you mean".
        solver_types: all there are.
        solver_puts: what a solver of that type puts.
        traits_of: what a provider type declares about itself.
        environ: if given, `~` in the file's paths is its HOME; else `~` stays for `Config.place` and `SecretRef.resolve`.

    Raises:
        ConfigError: with every problem.
        UsageError: the file cannot be read.
    """
    folder = Path(path).absolute().parent
    raw = _read(path, shown)
    document, lines = _parse(raw, shown)
    reader = _Reader(document, lines, folder, environ)
    config = reader.config(
        Path(path).absolute(),
        shown,
        hashlib.sha256(raw + b"\0" + __version__.encode()).hexdigest(),
        _Kinds(provider_settings, provider_types, solver_settings, solver_types, solver_puts, traits_of),
    )
    if reader.problems:
        raise ConfigError(shown, reader.problems.all(), hint="certbroker config check tells whether all are mended")
    return config


def _read(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"{shown} is larger than 64 MiB; is it the right file?")
    return raw


def _parse(raw: bytes, shown: str) -> tuple[dict[str, Any], Lines]:
    """Raises ConfigError for what is not TOML. Messages of tomllib name signs and keys, never values."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(shown, [Problem(line, "file", "is not UTF-8 text")]) from None
    try:
        return tomllib.loads(text), Lines(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = int(found.group(1)) if found else max(1, text.rstrip("\n").count("\n") + 1)
        message = f"is not TOML: {what[:1].lower() + what[1:]}"
    except RecursionError:
        line, message = 1, "is nested too deeply"
    except ValueError:  # an integer of more digits than Python reads
        line, message = 1, "holds a number that is too long"
    raise ConfigError(shown, [Problem(line, "file", message)])


@dataclass(frozen=True, slots=True)
class _Kinds:
    """What is installed."""

    provider_settings: SettingsOf
    provider_types: Collection[str]
    solver_settings: SettingsOf
    solver_types: Collection[str]
    solver_puts: Callable[[str], Puts]
    traits_of: Callable[[str], Traits]


class _Reader:
    """One document on its way to a `Config`."""

    def __init__(self, document: dict[str, Any], lines: Lines, folder: Path, environ: Mapping[str, str] | None) -> None:
        self.document = document
        self.lines = lines
        self.place = placing(folder, environ)
        self.problems = Problems(lines)

    def config(self, path: Path, shown: str, digest: str, kinds: _Kinds) -> Config:
        """The values. Only good if `problems` is empty afterwards."""
        for key in self.document:
            if key not in _SINGLE and key not in _NAMED:
                self.problems.add((key,), unknown_key(key, [*_SINGLE, *_NAMED]))
        defaults, broken = self._single("defaults", tables.DefaultsTable)
        store, _ = self._single("store", tables.StoreTable)
        vault, _ = self._single("vault", tables.VaultTable)
        network, _ = self._single("network", tables.NetworkTable)
        schedule, _ = self._single("schedule", tables.ScheduleTable)
        alerts, _ = self._single("alerts", tables.AlertsTable)
        caa, _ = self._single("caa", tables.CaaTable)
        dashboard, _ = self._single("dashboard", tables.DashboardTable)
        metrics, _ = self._single("metrics", tables.MetricsTable)
        watch, _ = self._single("watch", tables.WatchTable)
        issuers = self._issuers()
        solvers = self._solvers(kinds)
        targets = self._targets(kinds)
        certificates = Certificates(
            self.problems,
            self.lines,
            issuers=issuers,
            targets=targets,
            named_issuers=set(self._tables("issuer", quiet=True)) | set(PRESETS),
            named_targets=set(self._tables("target", quiet=True)),
            traits_of=kinds.traits_of,
            defaults=defaults,
            broken_defaults=broken,
            proofs=Proofs(
                self.problems,
                solvers,
                whole=set(solvers) == set(self.document.get("solver", {})),
                over_http=[kind for kind in kinds.solver_types if kinds.solver_puts(kind) == "http"],
            ),
        )
        for name, table in self._tables("certificate").items():
            parsed, broken = self._table(("certificate", name), table, tables.CertificateTable)
            if parsed is not None:
                certificates.add(name, parsed, broken)
        stand = [c.challenge is Method.DNS_PERSIST_01 for c in certificates.found.values()]
        if self._tables("certificate", quiet=True) and not self.document.get("solver") and not (stand and all(stand)):
            self.problems.add(
                ("solver",),
                f"is missing: no certificate can be proven without one; add [solver.NAME] with a type, one of {', '.join(sorted(kinds.solver_types))}",
            )
        return Config(
            path=path,
            file=shown,
            digest=digest,
            certificates=certificates.found,
            issuers={**issuers, **certificates.presets_used()},
            solvers=solvers,
            targets=targets,
            store=self._store(store.url),
            vault=self._vault(vault.key),
            network=NetworkSettings(dict(network.connect_to), tuple(network.nameservers)),
            every=schedule.every,
            keep_versions=schedule.keep,
            iodef=caa.iodef,
            store_line=self.lines.at(("store", "url")),
            alerts=self._alerts(alerts),
            dashboard=DashboardSettings(
                token=None if dashboard.token is None else anchored_reference(dashboard.token, self.place),
                trusted_header=dashboard.trusted_header,
                hosts=tuple(host.lower() for host in dashboard.hosts),
                line=self.lines.at(("dashboard", "token")),
            ),
            textfile=None if metrics.textfile is None else Path(self.place(metrics.textfile)),
            inventory=None if watch.inventory is None else Path(self.place(watch.inventory)),
        )

    def _alerts(self, table: tables.AlertsTable) -> AlertSettings:
        def routes(found: Sequence[tables.RouteTable]) -> tuple[Route, ...]:
            return tuple(
                Route(way, anchored_reference(url, self.place), each.sender, tuple(each.to))
                for each in found
                for way in tables.WAYS
                if (url := getattr(each, way)) is not None
            )

        return AlertSettings(
            page=routes(table.page),
            tell=routes(table.tell),
            heartbeat=None if table.heartbeat is None else anchored_reference(table.heartbeat, self.place),
            allowance=Allowance(table.allowance.people, table.allowance.ca),
            link=None if table.link is None else table.link.rstrip("/"),
            lines={key: line for key in tables.AlertsTable.model_fields if (line := self.lines.at(("alerts", key)))},
        )

    def _tables(self, kind: str, *, quiet: bool = False) -> dict[str, dict[str, Any]]:
        """The tables `[kind.NAME]` that are tables and well named."""
        found = self.document.get(kind, {})
        if not isinstance(found, dict):
            if not quiet:
                self.problems.add((kind,), f"must be tables: [{kind}.NAME]")
            return {}
        good: dict[str, dict[str, Any]] = {}
        for name, table in found.items():
            if not isinstance(table, dict):
                what = f"is not a table; {kind}s are written [{kind}.NAME]"
            elif not LABEL.fullmatch(name):
                what = "is no name: 1 to 63 letters, digits, dots, hyphens or underscores, the first a letter or digit"
            else:
                good[name] = table
                continue
            if not quiet:
                self.problems.add((kind, name), what)
        return good

    def _single(self, name: str, model: type[T]) -> tuple[T, set[str]]:
        if name not in self.document:
            return model.model_construct(), set()
        parsed, broken = self._table((name,), self.document[name], model)
        return parsed if parsed is not None else model(), broken

    def _table(self, path: tuple[str, ...], table: object, model: type[T]) -> tuple[T | None, set[str]]:
        """The table without the keys that are at fault, so that the rest of it is checked too; and those keys."""
        if not isinstance(table, dict):
            self.problems.add(path, f"must be a table: [{path[0]}]")
            return None, set()
        try:
            return model.model_validate(table), set()
        except ValidationError as error:
            broken = self.problems.add_invalid(path, error, model, table)
        try:
            return model.model_validate({key: value for key, value in table.items() if key not in broken}), broken
        except ValidationError:  # a key that must be there is at fault, or missing
            return None, broken

    def _issuers(self) -> dict[str, IssuerSettings]:
        found: dict[str, IssuerSettings] = {}
        for name, table in self._tables("issuer").items():
            parsed, broken = self._table(("issuer", name), table, tables.IssuerTable)
            if parsed is None or broken:
                continue
            if parsed.directory is None and name not in PRESETS:
                self.problems.add(
                    ("issuer", name),
                    f"needs directory = URL; only {listed(list(PRESETS))} is known by name",
                )
                continue
            path = ("issuer", name)
            found[name] = issuer_settings(name, parsed, self.place, self.lines.at(path), self.lines.below(path))
        return found

    def _solvers(self, kinds: _Kinds) -> dict[str, SolverSettings]:
        found: dict[str, SolverSettings] = {}
        zones: dict[tuple[Puts, str], str] = {}
        for name, table in self._tables("solver").items():
            path = ("solver", name)
            parsed, options = self._kind(
                path, table, tables.SolverTable, kinds.solver_settings, kinds.solver_types, "solver type"
            )
            if parsed is None or options is None:
                continue
            puts = kinds.solver_puts(parsed.type)
            for zone in parsed.zones:
                if zone.startswith("*."):
                    self.problems.add((*path, "zones"), f"{zone} is a wildcard, not a zone")
                if (other := zones.setdefault((puts, zone), name)) != name:
                    self.problems.add((*path, "zones"), f"{zone} is also a zone of solver {other}")
            for key, target in named_targets(options):
                if target not in self._tables("target", quiet=True):
                    known = self._tables("target", quiet=True)
                    self.problems.add((*path, *key.split(".")), unknown("target", target, known))
            found[name] = SolverSettings(
                name=name,
                type=parsed.type,
                options=options,
                zones=tuple(parsed.zones),
                nameservers=tuple(parsed.nameservers),
                puts=puts,
                line=self.lines.at(path),
                lines=self.lines.below(path),
            )
        return found

    def _targets(self, kinds: _Kinds) -> dict[str, TargetSettings]:
        found: dict[str, TargetSettings] = {}
        for name, table in self._tables("target").items():
            path = ("target", name)
            parsed, options = self._kind(
                path, table, tables.TargetTable, kinds.provider_settings, kinds.provider_types, "provider"
            )
            if parsed is None or options is None:
                continue
            found[name] = TargetSettings(
                name=name,
                type=parsed.type,
                options=options,
                edges=tuple(dict.fromkeys(parsed.edges)),
                standby=parsed.standby,
                deadline=parsed.deadline,
                ownership=parsed.ownership,
                accept_untrusted=parsed.accept_untrusted,
                on_failure=parsed.on_failure,
                ready_check=ReadyCheck(check.path, check.status) if (check := parsed.ready_check) else None,
                heal=parsed.heal,
                line=self.lines.at(path),
                lines=self.lines.below(path),
            )
        return found

    def _kind(
        self,
        path: tuple[str, str],
        table: dict[str, Any],
        model: type[T],
        settings_of: SettingsOf,
        types: Collection[str],
        word: str,
    ) -> tuple[T | None, BaseModel | None]:
        """A table whose `type` says which keys it may have besides the common ones."""
        misspelt = next((key for key in table if closest(key, ["type"])), None) if "type" not in table else None
        if misspelt is not None:
            self.problems.add((*path, misspelt), unknown_key(misspelt, ["type"]))
            table = {"type" if key == misspelt else key: value for key, value in table.items()}
        ours = {key: value for key, value in table.items() if key in model.model_fields}
        parsed, broken = self._table(path, ours, model)
        kind = table.get("type")
        if not isinstance(kind, str) or not kind:
            return None, None
        try:
            settings = settings_of(kind)
        except UsageError as error:  # that one package is broken
            self.problems.add((*path, "type"), str(error))
            return None, None
        if settings is None:
            self.problems.add((*path, "type"), unknown(word, kind, types))
            return None, None
        theirs = {key: value for key, value in table.items() if key not in ours}
        # A model that does not say what happens to unknown keys gets our rule: a typo is told.
        extra = None if settings.model_config.get("extra") else "forbid"
        try:
            options = settings.model_validate(theirs, extra=extra)  # type: ignore[arg-type]  # a literal
        except ValidationError as error:
            self.problems.add_invalid(path, error, settings, theirs, beside=model.model_fields)
            return None, None
        return (None, None) if broken else (parsed, cast("BaseModel", anchored(options, self.place)))

    def _store(self, url: str | SecretRef | None) -> str | SecretRef | None:
        if isinstance(url, SecretRef):
            return anchored_reference(url, self.place)
        if url is not None and url.startswith("sqlite:///"):
            return f"sqlite:///{self.place(url.removeprefix('sqlite:///'))}"
        return url

    def _vault(self, url: str | None) -> str | None:
        if url is not None and url.startswith("file:"):
            return f"file:{self.place(url.removeprefix('file:'))}"
        return url
