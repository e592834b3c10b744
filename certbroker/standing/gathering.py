"""What `conditions` is handed, out of the store and the file: only what is not fine is read, so a quiet day costs nothing."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final, Literal

from certbroker.config import Config
from certbroker.failover import PassedOver
from certbroker.names import base_name
from certbroker.serving import Stand, Standing
from certbroker.standing.facts import Facts, Failing, Found, Held, Passed, PinEnd
from certbroker.standing.orphans import gone_with_what_stays
from certbroker.store import Store, Variant

_TROUBLE: Final = Stand.WAITING.rank


def gather(store: Store, config: Config, now: datetime) -> Facts:
    """Everything that may need somebody at `now`. Reads the store alone."""
    troubled = {each.certificate: each for each in store.troubled(now)}
    found = [_found(store, config, each, now) for each in _declared_findings(store, config)] + _drifts(store, config)
    pins = _pins(store)
    held = [
        waits
        for each in store.held_variants(now)
        if each.certificate in config.certificates and (waits := put_off(each, now))
    ]
    more = {name for each in found if (name := each.needed_by or each.name)} | {pin.certificate for pin in pins}
    more |= {each.certificate for each in held}
    more |= {each.name.partition(" → ")[0] for each in found if each.kind == "edge"}
    wanted = sorted(name for name in more if name in config.certificates and name not in troubled)
    standings = troubled | {each.certificate: each for each in store.standings_of(wanted)}
    return Facts(
        now=now,
        every=config.every,
        cells=[cell for each in troubled.values() for cell in each.cells if cell.stand.rank <= _TROUBLE],
        overdue=[each.certificate for each in troubled.values() if each.act_by and each.act_by <= now],
        failing=_failing(store, troubled),
        found=found,
        pins=pins,
        orphans=gone_with_what_stays(store, now),
        passed=_passed(store, config, now),
        held=held,
        last_run=store.last_run("renew"),
        standings=standings,
    )


def put_off(variant: Variant, now: datetime) -> Held | None:
    """That its order is due, and waits."""
    if variant.held_until is None or variant.held_until <= now:
        return None
    return Held(variant.certificate, variant.held_until, variant.held_why or "")


def _declared_findings(store: Store, config: Config) -> list[Found]:
    """What is not ok, of what the file still names: nobody asks again after the rest."""
    known = {
        "target": config.targets,
        "solver": config.solvers,
        "issuer": config.issuers,
        "certificate": config.certificates,
        "dns": config.certificates,
        "caa": config.certificates,
    }
    return [
        Found(row.kind, row.name, "fail" if row.state == "fail" else "warn", row.what, row.hint or "", row.since)
        for row in store.findings()
        if row.state != "ok" and (row.kind not in known or row.name in known[row.kind])
    ]


def _drifts(store: Store, config: Config) -> list[Found]:
    """Where what stands was observed not to be as wanted: one a certificate and target, the first cause leading."""
    found: dict[tuple[str, str], Found] = {}
    for row in store.drifts():
        declared = config.certificates.get(row.certificate)
        if declared is not None and row.name in declared.names_on(row.target):
            name = f"{row.certificate} → {row.target}"
            state: Literal["warn", "fail"] = "fail" if row.state == "fail" else "warn"
            made = Found("edge", name, state, f"{row.name}: {row.what}", row.hint, row.since)
            before = found.setdefault((row.certificate, row.target), made)
            if (before.state, state) == ("warn", "fail"):
                found[row.certificate, row.target] = made
    return list(found.values())


def _found(store: Store, config: Config, found: Found, now: datetime) -> Found:
    """With the certificate that needs it first."""
    first: Standing | None = None
    if found.kind == "target":
        first = store.next_to_renew(target=found.name)
    elif found.kind in ("solver", "issuer") and len(config.solvers if found.kind == "solver" else config.issuers) == 1:
        first = store.next_to_renew()
    elif found.kind == "label":
        proven = [c.name for c in config.certificates.values() if any(_proves(found.name, name) for name in c.names)]
        renewing = [each for each in store.standings_of(proven) if each.renews]
        first = min(renewing, key=lambda each: each.renews or now, default=None)
    return Found(
        found.kind,
        found.name,
        found.state,
        found.what,
        found.hint,
        found.since,
        first.certificate if first else None,
    )


def _proves(label: str, name: str) -> bool:
    """Whether a CA looks at `label` for a proof of `name`: at a name below it that begins with an underscore."""
    above, _, base = label.partition(f".{base_name(name)}")
    return base == "" and above != label and all(part.startswith("_") for part in above.split("."))


def _failing(store: Store, troubled: dict[str, Standing]) -> list[Failing]:
    return [
        Failing(
            certificate,
            variant.error,
            variant.hint or "",
            variant.failing_since,
            variant.failures,
            variant.try_again,
        )
        for certificate, _, variant in store.failing_variants()
        if certificate in troubled and variant.error and variant.failing_since
    ]


def _pins(store: Store) -> list[PinEnd]:
    found = []
    for pin in store.pins():
        version = store.version(pin.version_id)
        if version is not None and version.revoked_at is None:
            found.append(PinEnd(pin.certificate, pin.target, version.label, pin.until, pin.since, pin.why))
    return found


def _passed(store: Store, config: Config, now: datetime) -> list[Passed]:
    by_issuer: dict[str, list[tuple[str, PassedOver]]] = defaultdict(list)
    for certificate, passed in store.passed_now(now):
        declared = config.certificates.get(certificate)
        if declared is not None and passed.issuer in declared.issuers:
            by_issuer[passed.issuer].append((certificate, passed))
    found = []
    for issuer, some in sorted(by_issuer.items()):
        worst = max((passed for _, passed in some), key=lambda passed: (passed.until, passed.why))
        names = tuple(sorted({certificate for certificate, _ in some}))
        found.append(Passed(issuer, worst.words(), worst.why, min(passed.since for _, passed in some), names))
    return found
