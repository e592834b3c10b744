"""Looking ahead: credentials, delegation, CAA, edges. `check` asks all of it now; `renew` asks what is due (daily).

What is found is state in the store (a finding, since when), so `status` and the exit code know it without the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from certbroker.broker import labels
from certbroker.broker.desk import Desk
from certbroker.broker.findings import Finding, remember, unopened
from certbroker.broker.report import Line, State, day, minute, served_now
from certbroker.challenges import Means
from certbroker.deploy.inspecting import inspect
from certbroker.errors import (
    CertbrokerError,
    IssuanceError,
    IssuerUnavailable,
    NothingDone,
    ProviderError,
    StoreError,
    Unavailable,
    UsageError,
    VaultError,
)
from certbroker.model import Certificate, Method, Standing
from certbroker.provider import ChecksCredentials

DAILY: Final = timedelta(hours=24)


def check(desk: Desk, names: Sequence[str] = (), *, write: bool = False) -> list[Finding]:
    """Ask everything now, changing nothing (unless `write`: solvers and targets then try that they may write).

    `names`: certificates, targets, solvers or issuers to narrow it to. Worst first.
    """
    config = desk.config
    known = {*config.certificates, *config.targets, *config.solvers, *config.issuers}
    for name in names:
        if name not in known:
            raise UsageError(f"nothing in the file is called {name}")
    certificates = [c for c in config.certificates.values() if not names or c.name in names]
    targets = {a.target for c in certificates for a in c.assignments} | ({*names} & {*config.targets})
    issuers = {i for c in certificates for i in c.issuers} | ({*names} & {*config.issuers})
    solvers = {*config.solvers} if certificates else ({*names} & {*config.solvers})
    found = [
        *(_dns(desk, c) for c in certificates),
        *(_credentials(desk, f"target/{name}", write=write) for name in sorted(targets)),
        *(_credentials(desk, f"solver/{name}", write=write) for name in sorted(solvers)),
        *(_credentials(desk, f"issuer/{name}", write=write) for name in sorted(issuers)),
        *(finding for c in certificates for finding in _caa(desk, c)),
        *(finding for c in certificates for finding in _stores(desk, c)),
        *_edges(desk, certificates),
    ]
    if not names:
        found += [vault(desk, whole=True), _store(desk)]
    labels.look_again(desk, asked=True)
    for finding in found:
        if not _told_by_label(desk, finding):
            remember(desk, finding)
    order = (State.FAIL, State.WARN, State.OK)
    return sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.state))


def _told_by_label(desk: Desk, finding: Finding) -> bool:
    """One cause is one finding: what is wrong with a label is kept under the label's name, whose every run looks again."""
    if finding.kind != labels.OF_CHECK or finding.state is not State.FAIL:
        return False
    return labels.fails(desk, desk.config.certificates[finding.name])


def due_checks(desk: Desk) -> list[Line]:
    """The daily looks at credentials and labels whose time has come, and what failed before. One that changed its state is a line."""
    now = desk.world.clock.now()
    lines = []
    watched = []
    for row in desk.store.due(now, kind="check"):
        kind, _, name = row.subject.partition("/")
        if name not in _declared(desk, kind):
            if not desk.elsewhere(kind, name):
                desk.store.clear_due("check", row.subject)
        elif kind == "vault":
            desk.store.set_due([replace(row, at=now + DAILY)])
            lines += _changed(desk, vault(desk))
        elif kind == "label":
            watched.append(desk.config.certificates[name])
        else:
            desk.store.set_due([replace(row, at=now + DAILY)])
            lines += _changed(desk, _credentials(desk, row.subject, write=False))
    return [*lines, *labels.look(desk, watched), *ask_failing(desk)]


def ask_failing(desk: Desk) -> list[Line]:
    """Ask again what failed when it was last asked: a token that was put right is fine at the next run, not the next day."""
    now = desk.world.clock.now()
    lines = []
    for finding in desk.store.findings(state="fail"):
        if finding.kind == "vault" and finding.at < now:
            lines += _changed(desk, vault(desk))
        elif (
            finding.kind in ("target", "solver", "issuer")
            and finding.at < now
            and finding.name in _declared(desk, finding.kind)
        ):
            lines += _changed(desk, _credentials(desk, f"{finding.kind}/{finding.name}", write=False))
    return lines + labels.look_again(desk)


def _declared(desk: Desk, kind: str) -> Collection[str]:
    config = desk.config
    declared: dict[str, Collection[str]] = {
        "target": config.targets,
        "solver": config.solvers,
        "issuer": config.issuers,
        "label": config.certificates,
        "vault": ("key",),
    }
    return declared[kind]


def _changed(desk: Desk, finding: Finding) -> list[Line]:
    if not remember(desk, finding):
        return []
    return [Line(finding.state, f"{finding.kind} {finding.name}", finding.what)]


# ---- one question each -------------------------------------------------------------------------------------------------


def _credentials(desk: Desk, subject: str, *, write: bool) -> Finding:
    """Name, account, reach and end of one credential."""
    kind, _, name = subject.partition("/")
    ask: Callable[[], Standing | None] = {
        "target": lambda: _target_standing(desk, name, write=write),
        "solver": lambda: desk.challenges().solver(name).check(write=write),
        "issuer": lambda: desk.issuer(name).check(),
    }[kind]
    try:
        standing = ask()
    except (Unavailable, IssuerUnavailable) as error:
        return Finding(State.WARN, kind, name, error.what, error.hint or "the next check asks again")
    except StoreError:
        raise
    except VaultError as error:  # no question of this credential
        return unopened(desk, error)
    except CertbrokerError as error:
        config = desk.config
        place = config.targets.get(name) if kind == "target" else config.solvers.get(name) if kind == "solver" else None
        where = f" ({config.file}:{place.line})" if place is not None and place.line else ""
        hint = error.hint or f"put it right, then: certbroker check {name}"
        if kind == "issuer" and _only_steps_in(desk, name):
            return Finding(State.WARN, kind, name, f"it could not step in: {error.what}", hint)
        return Finding(State.FAIL, kind, name, f"{error.what}{where}", hint)
    if standing is None:
        return Finding(State.OK, kind, name, "needs no credentials")
    said = ", ".join(part for part in (standing.name, standing.account, standing.reach) if part) or "accepted"
    remarks = list(standing.remarks)
    if (
        kind == "issuer"
        and desk.config.issuers[name].eab
        and _only_steps_in(desk, name)
        and not _has_account(desk, name)
    ):
        remarks.append(
            f"credentials of a binding may lapse before they are needed; certbroker account make {name} uses them now"
        )
    if standing.ends is not None:
        left = standing.ends - desk.world.clock.now()
        said += f", ends {day(standing.ends)}"
        if left < timedelta(0):
            return Finding(State.FAIL, kind, name, f"{said}: it is over", "make a new one")
        if left < timedelta(days=30):
            remarks.append(f"the token ends {day(standing.ends)}")
    if remarks:
        return Finding(State.WARN, kind, name, f"{said}: {'; '.join(remarks)}")
    return Finding(State.OK, kind, name, said)


def _only_steps_in(desk: Desk, issuer: str) -> bool:
    """No certificate prefers it: nothing fails while the first of their lists delivers."""
    users = [c for c in desk.config.certificates.values() if issuer in c.issuers]
    return bool(users) and all(c.issuers[0] != issuer for c in users)


def _has_account(desk: Desk, issuer: str) -> bool:
    return desk.store.account(issuer, desk.config.issuers[issuer].directory) is not None


def _target_standing(desk: Desk, name: str, *, write: bool) -> Standing | None:
    provider = desk.target(name).provider
    return provider.check(write=write) if isinstance(provider, ChecksCredentials) else None


def _dns(desk: Desk, certificate: Certificate) -> Finding:
    """Where the proof of each name lands, and that it is ours to write there."""
    now = served_now(desk.store, certificate.name)
    landings = set()
    try:
        means = dict.fromkeys(desk.means(certificate, issuer) for issuer in certificate.issuers)
    except IssuanceError as error:
        return Finding(State.WARN, "dns", certificate.name, f"where its proofs stand is not known: {error.what}")
    places = [(name, each) for name in Means.asked(certificate.names) for each in means if not each.wants_account]
    if not places:
        return Finding(State.WARN, "dns", certificate.name, "where its proofs stand is known once there is an account")
    for name, each in dict.fromkeys(places):
        try:
            landings.add(_place(desk, name, each))
        except NothingDone as error:
            return Finding(State.FAIL, "dns", certificate.name, error.what, error.hint or "", now)
        except ProviderError as error:
            state = State.WARN if isinstance(error, Unavailable) else State.FAIL
            return Finding(state, "dns", certificate.name, error.what, error.hint or "", now)
    return Finding(State.OK, "dns", certificate.name, f"proven {', '.join(sorted(landings))}")


def _place(desk: Desk, name: str, means: Means) -> str:
    """Where a proof of `name` stands and who puts it there, in words."""
    if means.method is Method.HTTP_01:
        return f"http-01 by {desk.challenges().answering(name)}"  # its own line says whether it can
    if means.method is Method.DNS_PERSIST_01 or means.alias:
        desk.challenges().require(name, means)
    if means.method is Method.DNS_PERSIST_01:
        return "by a record that stands"
    landing = desk.challenges().locate(name, means)
    return f"in {landing.zone} by {landing.solver}"


def _caa(desk: Desk, certificate: Certificate) -> Iterator[Finding]:
    for issuer_name in certificate.issuers:
        try:
            problems = desk.issuer(issuer_name).caa_problems(certificate.names, certificate.challenge)
        except (IssuanceError, NothingDone, ProviderError):
            continue  # the issuer's own line says it
        first = issuer_name == certificate.issuers[0]
        for problem in problems:
            what = problem.what if first else f"{issuer_name} could not step in: {problem.what}"
            state = State.FAIL if problem.forbids and first else State.WARN
            yield Finding(state, "caa", certificate.name, what, problem.hint)


def _stores(desk: Desk, certificate: Certificate) -> Iterator[Finding]:
    """Whether another store writes to the same targets."""
    for assignment in certificate.assignments:
        try:
            live = inspect(desk.store, desk.target(assignment.target), assignment)
        except ProviderError:
            continue  # the target's own line says it
        others = sorted({each.store for each in live.values() if each.store and each.store != desk.store.id})
        if others:
            what = f"{certificate.name} on {assignment.target} was written by the store {', '.join(others)}"
            yield Finding(
                State.FAIL, "store", assignment.target, what, "use that store ([store] url), or restore its backup"
            )


def _edges(desk: Desk, certificates: Sequence[Certificate]) -> Iterator[Finding]:
    """How many edges of each target answer at all."""
    from certbroker.probe import Roots, Verdict

    for target in sorted({a.target for c in certificates for a in c.assignments}):
        assignment = next(a for c in certificates for a in c.assignments if a.target == target)
        try:
            edges = desk.target(target).edges(assignment)
            looks = desk.looking.look(edges, assignment, assignment.names[0], Roots.system())
        except ProviderError:
            continue
        if not edges:
            yield Finding(State.OK, "edge", target, "nobody can look at it from outside")
            continue
        answer = [look for look in looks if look.verdict is not Verdict.UNREACHABLE]
        state = State.OK if len(answer) == len(looks) else State.WARN
        silent = ", ".join(f"{look.edge} ({look.detail})" for look in looks if look.verdict is Verdict.UNREACHABLE)
        what = f"{len(answer)} of {len(looks)} edges answer" + (f"; not {silent}" if silent else "")
        yield Finding(state, "edge", target, what)


def vault(desk: Desk, *, whole: bool = False) -> Finding:
    """Whether the vault key opens what it sealed: the first of it, or the `whole` of it."""
    name = desk.vault_url
    try:
        if not whole:
            desk.check_vault()
            return Finding(State.OK, "vault", name, f"key {desk.vault.kid} opens what it sealed")
        count = 0
        for kind, owner, box in desk.store.boxes():
            desk.vault.unseal(desk.store.id, kind, owner, box)
            count += 1
        return Finding(State.OK, "vault", name, f"key {desk.vault.kid} opens {count} of {count} sealed keys")
    except VaultError as error:
        return unopened(desk, error)


def _store(desk: Desk) -> Finding:
    busy = desk.store.leases()
    free = "no run is under way" if not busy else f"{busy[0].holder} works on {busy[0].name}"
    return Finding(
        State.OK,
        "store",
        desk.store.id,
        f"{desk.store.url}, schema current, {free}, looked at {minute(desk.world.clock.now())}",
    )
