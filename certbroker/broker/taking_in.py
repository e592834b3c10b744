"""The file beside what is in force: taken in, or kept waiting for the owner's `--yes`, or left to the host that disagrees.

What waits changes nothing for what stands: until the owner agrees, certificates are renewed as they were agreed to before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from certbroker import events, intent
from certbroker.broker import labels
from certbroker.broker.desk import Desk
from certbroker.broker.report import Trouble, minute, served_now
from certbroker.config import Config, TargetSettings
from certbroker.errors import UsageError
from certbroker.intent import Intent, Wish
from certbroker.model import Assignment, Certificate, JsonObject, KeyPolicy, KeyType, Method
from certbroker.secret import SecretRef
from certbroker.store import DueRow, FindingState, TakenIn, said_digest

SILENT: Final = 3
"""A host that has let so many of its runs pass has no say any more."""

CHECK_EVERY: Final = timedelta(hours=24)

Said = Mapping[str, JsonObject]
"""By name, what a file says of a certificate or target."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another host that runs with another file for a certificate."""

    host: str
    until: datetime
    """Without a run of its own it has no say after this."""
    words: tuple[str, ...]
    """What differs."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What this file would change, and what stands in its way."""

    change: intent.Change
    rivals: Mapping[str, Rival]
    """By certificate: what is in force stays."""
    before: Said
    """What is in force, of certificates."""
    places_before: Said
    """What is in force, of targets."""
    after: Said
    """What would be, of certificates, if the owner agrees."""
    targets: Said
    generation: int


def weigh(desk: Desk, named: Collection[str] = ()) -> Weighed:
    """Compare; writes nothing. `named`: certificates that the owner named himself are no part of the change."""
    certificates, targets = said_of(desk.config)
    known = desk.store.in_force()
    since = desk.world.clock.now() - SILENT * desk.config.every
    others = desk.store.others(desk.world.host, since)
    stands = {("certificate", n): said_digest(data) for n, data in known.certificates.items()}
    stands |= {("target", n): said_digest(data) for n, data in known.targets.items()}
    rivals: dict[str, Rival] = {}
    after, places = dict(certificates), dict(targets)
    for claim in others:
        if stands.get((claim.kind, claim.name)) != claim.digest:
            continue  # it is not what is in force, so that host is waiting too
        mine, theirs = (certificates, known.certificates) if claim.kind == "certificate" else (targets, known.targets)
        (after if claim.kind == "certificate" else places)[claim.name] = theirs[claim.name]
        if claim.kind == "certificate" and claim.name in mine and said_digest(mine[claim.name]) != claim.digest:
            words = intent.differences(Wish.of(mine[claim.name]), Wish.of(theirs[claim.name]))
            until = claim.last + SILENT * desk.config.every
            rivals[claim.name] = Rival(claim.host, until, tuple(words))
    before = {name: data for name, data in known.certificates.items() if name not in named}
    before |= {name: after[name] for name in named if name in after and known.certificates}
    change = intent.change(
        _intent(before, known.targets),
        _intent(after, places),
    )
    return Weighed(change, rivals, known.certificates, known.targets, after, places, known.generation)


def take_in(desk: Desk, named: Sequence[str] = (), *, yes: bool = False) -> None:
    """Read the file into the store if it changed since this host last did: new and changed certificates are due at once.

    What must wait is left out of `desk.config`, as if the file did not say it yet, and told in `desk.told`.

    Args:
        named: certificates that the owner named himself: these are taken in, however much they change.
        yes: he agrees to all of it.

    Raises:
        UsageError: another host runs with another file for one that is named.
    """
    while desk.store.taken_in(desk.world.host) != desk.config.digest:
        weighed = weigh(desk, named)
        for name in named:
            if name in weighed.rivals:
                raise _refused(desk, name, weighed.rivals[name])
        asks = None if yes else weighed.change.asks
        if _write(desk, weighed, named, waits=asks is not None):
            _tell(desk, weighed, asks)
            return


# ---- what a file says ----------------------------------------------------------------------------------------------------


def said_of(config: Config) -> tuple[dict[str, JsonObject], dict[str, JsonObject]]:
    """Certificates and targets, as they are kept."""
    certificates = {c.name: _certificate_data(c, config) for c in config.certificates.values()}
    return certificates, {t.name: _target_data(t) for t in config.targets.values()}


def _certificate_data(certificate: Certificate, config: Config) -> JsonObject:
    return {
        "names": list(certificate.names),
        "keys": [key.value for key in certificate.keys],
        "issuers": [[name, config.issuers[name].directory] for name in certificate.issuers],
        "targets": [[a.target, list(a.names)] for a in certificate.assignments],
        "standby": [a.target for a in certificate.assignments if config.targets[a.target].standby],
        "challenge": certificate.challenge.value,
        "alias": certificate.alias,
        "key_policy": certificate.key_policy.versions,
    }


def _target_data(target: TargetSettings) -> JsonObject:
    """Where it leads: what the file sets. A secret that is kept elsewhere leads to no other place."""
    said = {name: value for name, value in target.options if name in target.options.model_fields_set}
    options = {name: _plainly(value) for name, value in said.items() if not isinstance(value, SecretRef)}
    edges = [str(edge) for edge in target.edges]
    return {"type": target.type, "edges": edges, "accept_untrusted": target.accept_untrusted, "options": options}


def _plainly(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plainly(inner) for key, inner in value.items() if not isinstance(inner, SecretRef)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plainly(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _intent(certificates: Said, targets: Said) -> Intent:
    places = {name: {"type": data.get("type"), "options": data.get("options")} for name, data in targets.items()}
    return Intent({name: Wish.of(data) for name, data in certificates.items()}, places)


# ---- writing it down -----------------------------------------------------------------------------------------------------


def _write(desk: Desk, weighed: Weighed, named: Sequence[str], *, waits: bool) -> bool:
    """False if another host changed what is in force meanwhile: to be weighed again."""
    config, store, now = desk.config, desk.store, desk.world.clock.now()
    certificates, targets = said_of(config)
    declared, places = weighed.after, weighed.targets
    if waits:
        meant = {name: declared[name] for name in named if name in declared}
        declared = {name: data for name, data in weighed.before.items() if name not in named} | meant
        used = {target for data in meant.values() for target in Wish.of(data).targets}
        meant_to_go = {*named} - places.keys()
        places = {**{t: places[t] for t in used}, **weighed.places_before}
        places = {name: data for name, data in places.items() if name not in meant_to_go}
    checked = {row.subject for row in store.due_of("check")}
    to_check = {f"target/{name}" for name in config.targets} | {f"solver/{name}" for name in config.solvers}
    to_check |= {f"issuer/{issuer}" for c in config.certificates.values() for issuer in c.issuers} | {"vault/key"}
    later = [DueRow("check", subject, now + CHECK_EVERY) for subject in sorted(to_check - checked)]
    by_label = {f"{labels.KIND}/{c.name}": c.name for c in config.certificates.values() if labels.proves_in_dns(c)}
    later += [DueRow("check", s, labels.next_look(name, now)) for s, name in by_label.items() if s not in checked]
    to_check |= by_label.keys()
    if all(row.subject != "store" for row in store.due_of("prune")):
        later.append(DueRow("prune", "store", now + CHECK_EVERY))

    def due(taken: TakenIn) -> Sequence[DueRow]:
        touched = {*taken.added["target"], *taken.changed["target"]}
        names = {*taken.added["certificate"], *taken.changed["certificate"]}
        names |= {c.name for c in config.certificates.values() if any(a.target in touched for a in c.assignments)}
        return [*(DueRow("certificate", name, now) for name in sorted(names)), *later]

    taken = store.take_in(
        desk.world.host,
        config.file,
        config.digest,
        declared,
        places,
        due=due,
        says={"certificate": certificates, "target": targets},
        whole=not waits and not weighed.rivals,
        after=weighed.generation,
        allowance=config.alerts.allowance,
    )
    if taken is None:
        return False
    for subject in checked - to_check:
        kind, _, name = subject.partition("/")
        if not desk.elsewhere(kind, name):
            store.clear_due("check", subject)
    desk.config = replace(config, certificates=in_effect(config, declared, weighed.rivals))
    return True


def in_effect(config: Config, declared: Said, rivals: Collection[str]) -> dict[str, Certificate]:
    """The certificates as they are in force; those that another host sees to are left out."""
    said, _ = said_of(config)
    found = {}
    for name in [*config.certificates, *sorted(declared.keys() - config.certificates.keys())]:
        mine = config.certificates.get(name)
        if name in rivals or name not in declared:
            continue
        if mine is not None and said[name] == declared[name]:
            found[name] = mine
        elif (kept := _kept(config, name, declared[name], mine)) is not None:
            found[name] = kept
    return found


def _kept(config: Config, name: str, data: JsonObject, mine: Certificate | None) -> Certificate | None:
    """As it was agreed to, by means of what the file still has; None if too little is left to renew it."""
    wish = Wish.of(data)
    issuers = tuple(
        n for n, directory in wish.issuers if n in config.issuers and config.issuers[n].directory == directory
    )
    issuers = issuers or (mine.issuers if mine else ())
    if not issuers or not wish.names:
        return None
    return Certificate(
        name,
        wish.names,
        tuple(map(KeyType, wish.keys)),
        issuers,
        tuple(Assignment(name, target, names) for target, names in wish.targets.items() if target in config.targets),
        mine.line if mine else None,
        mine.challenge if mine else Method(data.get("challenge", Method.DNS_01)),
        mine.alias if mine else data.get("alias"),
        mine.key_policy if mine else KeyPolicy(data.get("key_policy", 1)),
    )


# ---- telling it ----------------------------------------------------------------------------------------------------------


def _tell(desk: Desk, weighed: Weighed, asks: str | None) -> None:
    """For this run, and as a finding for whoever asks later."""
    troubles = [left_alone(desk, name, rival) for name, rival in weighed.rivals.items()]
    if asks is not None:
        troubles.insert(0, waits(desk, weighed.change, asks))
    desk.told += troubles
    known = next((f for f in desk.store.findings() if (f.kind, f.name) == ("file", desk.world.host)), None)
    if not troubles and (known is None or known.state == "ok"):
        return
    state: FindingState = "ok" if not troubles else "warn" if asks else "fail"
    what, hint = (troubles[0].what, troubles[0].hint) if troubles else ("all of it is in force", "")
    event = events.Checked(at=desk.world.clock.now(), subject=f"file/{desk.world.host}", state=state, what=what)
    if desk.store.put_finding("file", desk.world.host, state, what, hint or None, events=[event]):
        desk.emit(event)


def waits(desk: Desk, change: intent.Change, asks: str) -> Trouble:
    """The owner is asked once."""
    told = "; ".join(change.words[:6]) + ("; and more" if len(change.words) > 6 else "")
    return Trouble(
        f"{desk.config.file} changes {asks}, which is more than is done unasked: {told}",
        "all is served and renewed as agreed before; nothing of the change is done",
        "certbroker plan shows it; if it is meant, once: certbroker renew --yes",
        wait=True,
    )


def left_alone(desk: Desk, name: str, rival: Rival) -> Trouble:
    """Two hosts that act on different files would undo each other's work."""
    return Trouble(
        f"{name} is left to {rival.host}, which runs with another file for it: {'; '.join(rival.words)}",
        served_now(desk.store, name),
        _same_file(rival),
    )


def _refused(desk: Desk, name: str, rival: Rival) -> UsageError:
    what = f"{rival.host} runs with another file for {name}: {'; '.join(rival.words)}"
    return UsageError(what, now=served_now(desk.store, name), hint=_same_file(rival))


def _same_file(rival: Rival) -> str:
    return (
        f"give both hosts the same file; if {rival.host} is no more: certbroker forget --host {rival.host} "
        f"(without a run it has no say after {minute(rival.until)})"
    )
