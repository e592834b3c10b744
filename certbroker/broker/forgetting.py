"""`forget`: what has left the file, or a host that is no more, is forgotten when asked, and never by itself.

With `remove`, what we created at the platforms goes too, once a handshake has shown that nothing of it is served. What is not
ours is never touched: the provider's `prune` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from certbroker import events
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.report import day, served_now
from certbroker.broker.running import running
from certbroker.broker.taking_in import take_in
from certbroker.challenges.solver import ADOPTED
from certbroker.config import Config
from certbroker.deploy.inspecting import inspect
from certbroker.deploy.verify import address
from certbroker.errors import ProviderError, UsageError
from certbroker.model import Assignment, Owner
from certbroker.names import base_name
from certbroker.standing.orphans import Stays, left, stays
from certbroker.store import Placed, PublishedRow

LEASE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of it. `exit_code`: 3 where something is left that a person removes; then it is not forgotten yet."""

    what: str
    removed: tuple[str, ...] = ()
    """At the platforms and in DNS, in words."""
    stays: tuple[str, ...] = ()
    """What is still there."""
    now: str = ""
    hint: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the person means: a certificate, a target, or a certificate at a target."""

    certificate: str | None
    target: str | None
    places: tuple[Placed, ...]

    @property
    def words(self) -> str:
        if self.certificate is None or self.target is None:
            return self.certificate or f"target {self.target}"
        return f"{self.certificate} at {self.target}"

    @property
    def command(self) -> str:
        if self.certificate is None or self.target is None:
            return f"certbroker forget {self.certificate or self.target}"
        return f"certbroker forget {self.certificate} --target {self.target}"


def forget(
    desk: Desk,
    name: str | None = None,
    *,
    target: str | None = None,
    remove: bool = False,
    yes: bool = False,
    why: str | None = None,
) -> Forgotten:
    """Forget the certificate or target `name`; with `target` too: what that certificate left behind there.

    Args:
        remove: what we created at the platforms is removed first.
        yes: although it is served somewhere, or keys are lost.

    Raises:
        UsageError: it is in the file, is not known, is served still, or `yes` is asked for. ProviderError. LeaseHeld.
    """
    file = desk.config
    with running(desk, "forget", why) as run, ExitStack() as stack:
        take_in(desk, [each for each in (name, target) if each])
        chosen = _chosen(desk, file, name, target)
        there = stays(desk.store, chosen.places)
        for certificate in sorted({each.certificate for each in there} | {chosen.certificate or ""} - {""}):
            holder = f"{desk.world.host}, run {run.id}"
            stack.enter_context(desk.store.lease(f"certificate/{certificate}", holder, seconds=LEASE_SECONDS))
        removed: list[str] = []
        bound: list[str] = []
        if remove:
            _check_removable(desk, file, chosen, there)
            for each in there:
                _check_unserved(desk, chosen, each)
        if not yes:
            _ask(desk, chosen, () if remove else there)
        if remove:
            for each in there:
                removed += _remove(desk, file, each)
                still = list(_bound(desk, each))
                bound += still
                if not still:
                    desk.store.forget_places(each.target, [(each.certificate, name) for name in each.names])
            proofs, standing = _remove_proofs(desk, there)
            removed, bound = removed + proofs, bound + standing
        kept = [each for each in there if not remove or any(line.startswith(f"{each.target} ") for line in bound)]
        told = _forget(desk, chosen, kept, removed, bound)
        run.end(told.exit_code, told.what)
        return told


def forget_host(desk: Desk, host: str, why: str | None = None) -> Forgotten:
    """The file of `host` has no say any more, until it runs again. Raises UsageError."""
    known = desk.store.hosts()
    if host not in known:
        hint = f"known are {', '.join(known)}" if known else "no host has run yet"
        raise UsageError(f"nothing is known of a host {host}", hint=hint)
    with running(desk, "forget", why) as run:
        desk.store.forget_host(host)
        said = f"{host} is forgotten: its file has no say any more, until it runs again"
        run.end(0, said)
    return Forgotten(said)


# ---- what is meant -------------------------------------------------------------------------------------------------------


def _chosen(desk: Desk, file: Config, name: str | None, target: str | None) -> _Chosen:
    """Raises UsageError: it is in the file, or nothing is known of it."""
    gone = left(desk.store)
    if name is not None and target is not None:
        return _chosen_place(desk, file, name, target)
    if name is not None and ("certificate", name) in gone:
        if ("target", name) in gone:
            hint = f"the target is meant by: certbroker forget --target {name}"
            raise UsageError(f"both a certificate and a target called {name} have left the file", hint=hint)
        return _Chosen(name, None, tuple(desk.store.placed(certificate=name)))
    asked = target or name or ""
    if name is not None and name in file.certificates:
        line = file.certificates[name].line
        place = f"{file.file}:{line}" if line else file.file
        hint = f"take it out of the file first; what it left at a target: certbroker forget {name} --target TARGET"
        raise UsageError(f"{name} is in the file ({place})", hint=hint, now=served_now(desk.store, name))
    users = [c.name for c in file.certificates.values() if c.names_on(asked)]
    if users:
        hint = "take it out of their targets first"
        raise UsageError(f"target {asked} serves {', '.join(users)}, as the file says", hint=hint)
    placed = tuple(desk.store.placed(target=asked))
    if ("target", asked) not in gone and not placed:
        known = {each: each for _, each in gone}
        hint = nearest(asked, known) if known else "nothing has left the file"
        raise UsageError(f"nothing that left the file is called {asked}", hint=hint)
    return _Chosen(None, asked, placed)


def _chosen_place(desk: Desk, file: Config, name: str, target: str) -> _Chosen:
    mine = file.certificates[name].names_on(target) if name in file.certificates else ()
    placed = tuple(p for p in desk.store.placed(certificate=name, target=target) if p.name not in mine)
    if not placed:
        hint = "certbroker status lists what left the file"
        raise UsageError(f"{name} has left nothing behind at {target}", hint=hint)
    return _Chosen(name, target, placed)


# ---- may it be -----------------------------------------------------------------------------------------------------------


def _check_removable(desk: Desk, file: Config, chosen: _Chosen, there: Sequence[Stays]) -> None:
    """Before anything is touched: every target can be asked. Raises UsageError."""
    for each in there:
        if each.target not in file.targets:
            raise UsageError(
                f"target {each.target} has left the file, and with it the means to remove anything there",
                now=f"it keeps {each.certificate} {each.words(desk.world.clock.now())}",
                hint=f"put [target.{each.target}] back, named by no certificate, and say it again; "
                f"or remove it there by hand, then: {chosen.command}",
            )


def _check_unserved(desk: Desk, chosen: _Chosen, each: Stays) -> None:
    """A handshake with every edge. Raises UsageError if one serves it, or none can be reached; ProviderError."""
    assignment = Assignment(each.certificate, each.target, each.names)
    edges = desk.target(each.target).edges(assignment)
    if not edges:
        return  # nobody can look; what is bound there stays, whatever is asked
    ours = {v.fingerprint: v for v in desk.store.versions(each.certificate)}
    version = ours.get(each.fingerprint)
    looks = desk.looking.look_all(edges, assignment, version) if version else {}
    seen = [look for name in each.names for look in looks.get(name, ())]
    hint = f"to leave it there, and forget it here: {chosen.command} --yes"
    serving = [look for look in seen if look.fingerprint in ours]
    if serving:
        where = ", ".join(dict.fromkeys(address(look) for look in serving))
        label = ours[serving[0].fingerprint or ""].label
        raise UsageError(
            f"{each.certificate} {label} is served by {each.target} at {where}: nothing was removed",
            now=served_now(desk.store, each.certificate, each.target),
            hint=f"serve something else there first; {hint}",
        )
    if all(look.verdict.value == "unreachable" for look in seen):
        raise UsageError(
            f"no edge of {each.target} can be reached, so nobody knows whether {each.certificate} is served",
            now=f"last put there: {each.words(desk.world.clock.now())}",
            hint=f"certbroker check {each.target}; {hint}",
        )


def _ask(desk: Desk, chosen: _Chosen, there: Sequence[Stays]) -> None:
    """Raises UsageError if somebody may still need what would be forgotten."""
    now = desk.world.clock.now()
    kept = [each for each in there if each.ends > now]
    whole = chosen.certificate is not None and chosen.target is None
    versions = desk.store.versions(chosen.certificate) if whole and chosen.certificate else []
    held = [v for v in versions if v.lifetime.ends > now and not v.rehearsal and desk.store.box("version", str(v.id))]
    if not kept and not held:
        return
    reasons = [f"{each.target} keeps {each.certificate} {each.words(now)}" for each in kept]
    if held:
        keys = "its private key" if len(held) == 1 else f"{len(held)} versions with their private keys"
        reasons.append(f"{keys} would be lost, good until {day(max(v.lifetime.ends for v in held))}")
    raise UsageError(
        f"{chosen.words} may still be needed: {'; '.join(reasons)}",
        now=served_now(desk.store, chosen.certificate or kept[0].certificate, chosen.target),
        hint=f"if it shall be forgotten, stay there, and be renewed by nobody: {chosen.command} --yes",
    )


# ---- doing it ------------------------------------------------------------------------------------------------------------


def _remove(desk: Desk, file: Config, each: Stays) -> Iterator[str]:
    """What we created there and nothing is bound to, in words."""
    certificate = file.certificates.get(each.certificate)
    remaining = certificate.names_on(each.target) if certificate else ()
    keep = desk.store.kept_fingerprints(each.certificate, each.target) if remaining else frozenset()
    assignment = Assignment(each.certificate, each.target, (*remaining, *each.names))
    for what in desk.saga.prune(desk.target(each.target), assignment, keep):
        yield f"{each.target}: {what}"


def _remove_proofs(desk: Desk, there: Sequence[Stays]) -> tuple[list[str], list[str]]:
    """The records that proved these names to the platform, unless somebody else of ours needs them: gone, and left."""
    places = {(each.certificate, each.target, f".{base_name(name)}") for each in there for name in each.names}
    published = desk.store.unremoved("ownership")

    def forgotten(row: PublishedRow) -> bool:
        return any((row.certificate, row.target) == (c, t) and row.name.endswith(name) for c, t, name in places)

    needed = {(row.name, row.value): row for row in published if not forgotten(row)}
    rows = []
    for row in filter(forgotten, published):
        other = needed.get((row.name, row.value))
        if other is None:
            rows.append(row)
            continue
        if _found(other) and not _found(row):
            desk.store.record_present(other.id, row.handle)  # whoever needs it last takes it away
        desk.store.record_removed(row.id)
    failed = {row.id: error for row, error in desk.challenges().remove(rows, desk.store, desk.emit)} if rows else {}
    gone = dict.fromkeys(f"TXT {row.name}" for row in rows if row.id not in failed and not _found(row))
    kept = dict.fromkeys(f"TXT {row.name} stands: {failed[row.id].what}" for row in rows if row.id in failed)
    return list(gone), list(kept)


def _found(row: PublishedRow) -> bool:
    """The value stood there when we came to publish it."""
    return row.handle is not None and row.handle.startswith(ADOPTED)


def _bound(desk: Desk, each: Stays) -> Iterator[str]:
    """What the platform still says is ours: `prune` leaves what is bound."""
    try:
        live = inspect(desk.store, desk.target(each.target), Assignment(each.certificate, each.target, each.names))
    except ProviderError as error:
        yield f"{each.target}: what is left there is not known: {error.what}"
        return
    names = [name for name, said in live.items() if said.owner is Owner.OURS and name in each.names]
    if names:
        yield f"{each.target} still has it for {', '.join(names)}"


def _forget(
    desk: Desk, chosen: _Chosen, there: Sequence[Stays], removed: Sequence[str], bound: Sequence[str]
) -> Forgotten:
    """`there`: what stays, whatever is forgotten here."""
    now = desk.world.clock.now()
    if bound:
        what = f"{chosen.words} is not forgotten yet: {'; '.join(bound)}"
        hint = f"take it away there, where only you can know that nobody needs it; then: {chosen.command}"
        kept = [f"{each.target} keeps {each.certificate} {each.words(now)}" for each in there]
        return Forgotten(what, tuple(removed), tuple(bound), "; ".join(kept), hint, 3)
    event = events.Forgotten(at=now, certificate=chosen.certificate, target=chosen.target, removed=tuple(removed))
    what = f"{chosen.words} is forgotten"
    if chosen.certificate is not None and chosen.target is None:
        count = len(desk.store.versions(chosen.certificate))
        desk.store.forget_certificate(chosen.certificate, events=[event])
        what += (
            f", and its {count} versions with their private keys"
            if count != 1
            else ", and its version with the private key"
        )
    else:
        for target in {place.target for place in chosen.places}:
            spots = [(place.certificate, place.name) for place in chosen.places if place.target == target]
            desk.store.forget_places(target, spots, events=[event])
        if chosen.certificate is None and chosen.target is not None:
            desk.store.forget_target(chosen.target, events=[] if chosen.places else [event])
    desk.emit(event)
    left_there = tuple(f"{each.target} keeps {each.certificate} {each.words(now)}" for each in there)
    return Forgotten(what, tuple(removed), left_there)
