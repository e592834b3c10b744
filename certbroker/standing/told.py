"""Events in sentences, and as the one flat object that they are in the log and in the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from certbroker.events import Event
from certbroker.jsonable import jsonable
from certbroker.standing.words import day, minute
from certbroker.store import HistoryRow

STEPS: Final = ("order", "authorizations", "challenge", "finalize", "push", "verify", "restore")


def of_event(event: Event, run: str | None) -> dict[str, Any]:
    """A line of the log, and (each field an attribute) the root of a trace. `run` is the run's id."""
    return _flat(event.at, run, event.kind, (event.certificate, event.target, event.name), event.data())


def of_row(row: HistoryRow) -> dict[str, Any]:
    """The same of an event that the history kept, with its number there."""
    return {"id": row.id, **_flat(row.at, row.run, row.kind, (row.certificate, row.target, row.name), row.data)}


def _flat(
    at: datetime, run: str | None, kind: str, about: tuple[str | None, str | None, str | None], data: Mapping[str, Any]
) -> dict[str, Any]:
    certificate, target, name = about
    return {
        "at": at.isoformat(),
        "level": level(kind, data),
        "message": told(kind, target, name, data),
        "run": run,
        "kind": kind,
        "certificate": certificate,
        "target": target,
        "name": name,
        **jsonable(data),
    }


def level(kind: str, data: Mapping[str, object]) -> str:
    """`info`, `warning` (look soon, or it waits) or `error` (it failed)."""
    match kind:
        case "bug" | "order-failed" | "regressed":
            return "error"
        case "deployment":
            found = data.get("phase")
        case "step" | "attempt":
            found = data.get("outcome")
        case "checked":
            found = {"fail": "failed", "warn": "waiting"}.get(str(data.get("state")))
        case "drifted":
            found = None if data.get("cause") == "well" else "waiting"
        case "run-ended":
            found = {1: "failed", 2: "failed", 3: "waiting"}.get(int(str(data.get("exit_code"))))
        case "issuer-passed-over" | "replaces-refused" | "window-unknown" | "chain-not-offered":
            found = "waiting"
        case _:
            found = None
    return "error" if found in ("failed", "restoring", "restored") else "warning" if found == "waiting" else "info"


def _attempt(data: Mapping[str, object]) -> str:
    took = f"{data.get('outcome')} after {_seconds(data.get('seconds'))}"
    said = f": {data['error']}" if data.get("error") else ""
    steps = [f"{step} {_seconds(data[key])}" for step in STEPS if data.get(key := f"{step}_seconds") is not None]
    if data.get("slowest"):
        steps.append(f"slowest target {data['slowest']} {_seconds(data.get('slowest_seconds'))}")
    return f"{took}{said}" + (f" ({', '.join(steps)})" if steps else "")


def _seconds(value: object) -> str:
    return f"{value:.1f} s" if isinstance(value, int | float) else "? s"


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _until(data: Mapping[str, object]) -> str:
    return f", until {day(datetime.fromisoformat(str(data['ends'])))}" if data.get("ends") else ""


def told(kind: str, target: str | None, name: str | None, data: Mapping[str, object]) -> str:
    """One history row as a sentence."""
    place = " ".join(part for part in (target, name) if part)
    match kind:
        case "deployment":
            return f"{place}: {data.get('version')} {data.get('phase')}: {data.get('why')}"
        case "drifted":
            return f"{place}: {data.get('what')}"
        case "order-started":
            return f"order at {data.get('issuer')} ({data.get('key_type')}): {data.get('why')}"
        case "issued":
            return f"{data.get('version')} issued by {data.get('issuer')}{_until(data)}"
        case "imported":
            return f"{data.get('version')} imported from {data.get('source')}{_until(data)}"
        case "chain-not-offered":
            offered = ", ".join(map(str, _listed(data.get("offered"))))
            broken = f"; {data['broken']} more could not be read" if data.get("broken") else ""
            return (
                f"{data.get('version')}: {data.get('issuer')} offers no chain to {data.get('preferred')}; "
                f"it has {offered}{broken}"
            )
        case "issuer-passed-over":
            until = minute(datetime.fromisoformat(str(data.get("until"))))
            return f"{data.get('issuer')} passed over until {until}: {data.get('error')}"
        case "revoked":
            said = f": {data['why']}" if data.get("why") else ""
            return f"{data.get('version')} revoked by {data.get('issuer')} ({data.get('reason')}), signed by {data.get('signed')}{said}"
        case "forgotten":
            removed = f"; removed {', '.join(map(str, _listed(data['removed'])))}" if data.get("removed") else ""
            return f"{f'at {target} ' if target else ''}forgotten, because it had left the file{removed}"
        case "account":
            return f"account at {data.get('issuer')} {data.get('what')}: {data.get('uri')}"
        case "order-failed":
            return f"order at {data.get('issuer')} failed: {data.get('error')}"
        case "window-moved":
            moments = [minute(datetime.fromisoformat(str(data.get(key)))) for key in ("start", "end", "drawn")]
            return f"the CA asks for renewal ({data.get('key_type')}) from {moments[0]} to {moments[1]}; planned for {moments[2]}"
        case "proof-published" | "proof-removed":
            done = "written" if kind == "proof-published" else "taken away again"
            return f"{data.get('record')} {done} by solver {data.get('solver')}"
        case "pruned":
            return f"{place}: removed what nothing uses any more: {data.get('what')}"
        case "step":
            error = f": {data['error']}" if data.get("error") else ""
            where = f"{target}: " if target else ""
            return f"{where}{data.get('step')} {data.get('outcome')} after {_seconds(data.get('seconds'))}{error}"
        case "attempt":
            return f"attempt {_attempt(data)}"
        case "checked":
            return f"{data.get('subject')} {data.get('state')}: {data.get('what')}"
        case "run-started":
            return f"run {data.get('command')} by {data.get('actor')} on {data.get('host')}" + (
                f": {data['reason']}" if data.get("reason") else ""
            )
        case "run-ended":
            return f"run ended {data.get('exit_code')}: {data.get('summary')}"
    rest = ", ".join(f"{key} {value}" for key, value in data.items() if value not in (None, ""))
    return f"{kind}{' ' + place if place else ''}: {rest}"
