"""History in sentences: what `history`, `explain` and the dashboard say of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from certbroker.standing.words import minute


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


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
            return f"{data.get('version')} issued by {data.get('issuer')}, ends {data.get('ends')}"
        case "imported":
            return f"{data.get('version')} imported from {data.get('source')}, ends {data.get('ends')}"
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
