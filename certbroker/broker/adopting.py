"""`import`: a certificate that exists already, with its key, becomes a version; nothing is ordered until it is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.x509.oid import NameOID

from certbroker import events, keys, policy
from certbroker.adopt import KEEPING_ACCOUNTS, FoundAccount, Pair, Place, find_account, read
from certbroker.broker.accounts import import_account
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.done import Done
from certbroker.broker.meanwhile import meanwhile
from certbroker.broker.opening import home_path
from certbroker.broker.report import Line, Report, State, day
from certbroker.broker.running import running
from certbroker.broker.taking_in import take_in
from certbroker.broker.telling import tell
from certbroker.config import organization
from certbroker.errors import BadMaterial, UsageError
from certbroker.issuer.certificate import Certified, certified
from certbroker.model import Certificate, Version
from certbroker.probe import Roots, judge
from certbroker.secret import Sealed, SecretRef
from certbroker.store import DueRow, NewVersion


@dataclass(frozen=True, slots=True)
class _Signed:
    """Whom the version is recorded for. `guessed`: nothing shows that he signed it."""

    issuer: str
    roots_pem: str | None
    guessed: bool = False


def adopt(
    desk: Desk,
    name: str,
    sources: Sequence[str],
    *,
    kind: str | None = None,
    passphrase_env: str | None = None,
    issuer: str | None = None,
    account: bool = False,
    yes: bool = False,
    why: str | None = None,
) -> Report:
    """Make what `sources` hold the wanted version of certificate `name`; the next renewal pushes it.

    Args:
        sources: paths as they were typed: PEM files of one pair, or one folder, manifest or PKCS#12.
        kind: what they are (`certbroker.adopt.KINDS`); None: what they look like.
        passphrase_env: the variable that holds the passphrase.
        issuer: whom in the file it is from; None: the first of the certificate's list whose CA signed it.
        account: the account that the folder's program has at that issuer comes along; without it nothing is imported.
        yes: also where there is a version already that ends earlier.

    Raises:
        BadMaterial: it cannot be used. UsageError: it must not be. LeaseHeld: a run works on this certificate.
        IssuanceError: the CA does not take the account, or is away.
    """
    certificate = desk.certificate(name)
    with meanwhile(desk.store, name, hint="nothing was changed; certbroker import --help tells what can be imported"):
        if issuer is not None and issuer not in desk.config.issuers:
            raise UsageError(f"no issuer is called {issuer}", hint=nearest(issuer, desk.config.issuers))
        phrase = SecretRef(env=passphrase_env) if passphrase_env else None
        places = [Place(source, home_path(desk.world, source)) for source in sources]
        now = desk.world.clock.now()
        pair = read(places, kind, phrase.resolve(desk.world.environ, where="--passphrase-env") if phrase else None)
        found = _usable(certificate, pair, now)
        desk.check_vault()
        signed = _signed(desk, certificate, found, issuer, now)
        brought = _account(desk, pair, places[0], signed) if account else None
        with desk.store.lease(f"certificate/{name}", f"{desk.world.host}, import"):
            held = _held(desk, certificate, found, yes=yes)
            uri = None
            if brought is not None:
                uri = import_account(desk, signed.issuer, brought.key, brought.shown, uri=brought.uri, why=why)
            with running(desk, "import", why) as run:
                take_in(desk, [name])
                done = Done(name)
                if held is not None:
                    text = f"{held.label} {held.fingerprint[:6]} is held already; nothing changed"
                    done.said.append(Line(State.OK, "import", text))
                else:
                    done.imported.append(_keep(desk, certificate, pair, found, signed, uri))
                    done.said += _said(desk, certificate, pair, done.imported[0], signed)
                if uri is not None:
                    done.said.append(Line(State.OK, "account", f"the account at {signed.issuer} came along: {uri}"))
                return tell(run, [done], [])


# ---- may it be used ------------------------------------------------------------------------------------------------------


def _usable(certificate: Certificate, pair: Pair, now: datetime) -> Certified:
    """By the same rules as what a CA hands out. Raises BadMaterial, UsageError."""
    found = certified(pair.chain_pem, pair.key, certificate.names, now)
    if found.leaf.lifetime.starts > now:
        raise BadMaterial(f"the certificate is not valid before {found.leaf.lifetime.starts:%Y-%m-%d %H:%M} UTC")
    if found.leaf.key_type not in certificate.keys:
        wanted = ", ".join(f'"{key}"' for key in (*certificate.keys, found.leaf.key_type))
        raise UsageError(
            f"the key is {found.leaf.key_type}, and {certificate.name} has {', '.join(certificate.keys)}",
            hint=f"keys = [{wanted}] in [certificate.{certificate.name}] has both",
        )
    return found


def _signed(desk: Desk, certificate: Certificate, found: Certified, asked: str | None, now: datetime) -> _Signed:
    """The issuer, with the roots it is judged by. Raises BadMaterial if neither these nor the system's accept the chain."""
    signers = [asked] if asked else [n for n in certificate.issuers if _plausible(desk, n, certificate, found, now)]
    issuer = signers[0] if signers else certificate.issuers[0]
    refused = _refused(desk, issuer, certificate, found, now)
    if refused is not None and not found.trusted and not desk.config.issuers[issuer].staging:
        raise BadMaterial(
            f"the certificate by {found.leaf.issued_by} would be accepted by nobody: {refused}",
            hint=f"give its whole chain; a CA of your own: its roots in [issuer.{issuer}]",
        )
    return _Signed(issuer, None if refused else desk.issuer(issuer).roots_pem, guessed=not signers)


def _plausible(desk: Desk, issuer: str, certificate: Certificate, found: Certified, now: datetime) -> bool:
    """Its own roots accept it, or the CA that signed it says that it is of the organization that we know for that address."""
    settings = desk.config.issuers[issuer]
    if settings.roots is not None:
        return _refused(desk, issuer, certificate, found, now) is None
    known = organization(settings.directory)
    said = keys.read_chain(found.chain_pem)[0].issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return bool(known) and known in [str(each.value) for each in said]


def _refused(desk: Desk, issuer: str, certificate: Certificate, found: Certified, now: datetime) -> str | None:
    """Why a user who trusts this issuer's roots would not accept it."""
    pem = desk.issuer(issuer).roots_pem
    return judge(found.chain_pem, certificate.names[0], Roots.of(pem) if pem else Roots.system(), now)


def _account(desk: Desk, pair: Pair, source: Place, signed: _Signed) -> FoundAccount:
    """Raises UsageError, BadMaterial: there is none to bring."""
    if pair.kind not in KEEPING_ACCOUNTS:
        raise UsageError(
            f"--account reads what {', '.join(KEEPING_ACCOUNTS)} keep, and this is {pair.kind}",
            hint=f"leave it out; an account by its key: certbroker account import {signed.issuer} FILE",
        )
    return find_account(source, pair.kind, desk.config.issuers[signed.issuer].directory)


def _held(desk: Desk, certificate: Certificate, found: Certified, *, yes: bool) -> Version | None:
    """This very version, if the store has it. Raises UsageError, BadMaterial if it must not become the wanted one."""
    store, leaf = desk.store, found.leaf
    held = store.by_fingerprint(leaf.fingerprint)
    if held is not None:
        if held.certificate == certificate.name and not held.rehearsal:
            return held
        what = "a rehearsal" if held.rehearsal else "a version"
        raise UsageError(f"the store has this certificate already, as {what} of {held.certificate} ({held.label})")
    if store.key_revoked(leaf.key_id):
        raise BadMaterial("a certificate with this private key was revoked: nobody knows who else has it")
    have = store.variant(certificate.name, leaf.key_type).wanted
    if have is None:
        return None
    what = f"{certificate.name} has {have.label} already, which ends {day(have.lifetime.ends)}"
    if leaf.lifetime.ends <= have.lifetime.ends and have.revoked_at is None:
        raise UsageError(f"{what}; this one ends {day(leaf.lifetime.ends)}, which is no later")
    if not yes:
        hint = f"if it shall be replaced by this one, which ends {day(leaf.lifetime.ends)}: --yes"
        raise UsageError(what, hint=hint)
    return None


# ---- keep it -------------------------------------------------------------------------------------------------------------


def _keep(
    desk: Desk, certificate: Certificate, pair: Pair, found: Certified, signed: _Signed, account: str | None
) -> Version:
    leaf, store = found.leaf, desk.store
    names = [name for name in found.names if name in leaf.names]  # a star is not the name itself (policy.names_added)
    draft = NewVersion(
        certificate=certificate.name,
        key_type=leaf.key_type,
        issuer=signed.issuer,
        profile=None,
        fingerprint=leaf.fingerprint,
        serial=leaf.serial,
        issued_by=leaf.issued_by,
        names=tuple(names),
        lifetime=leaf.lifetime,
        chain_pem=found.chain_pem,
        roots_pem=signed.roots_pem,
        trusted=found.trusted,
        key_id=leaf.key_id,
        root=found.root,
        account_uri=None if signed.guessed else account,
    )
    told: list[events.Event] = []

    def imported(version: Version) -> Sequence[events.Event]:
        told.append(
            events.Imported(
                at=desk.world.clock.now(),
                certificate=certificate.name,
                version=version.label,
                key_type=version.key_type.value,
                issuer=version.issuer,
                fingerprint=version.fingerprint,
                ends=version.lifetime.ends,
                source=pair.kind,
            )
        )
        return told

    def seal(version_id: int) -> Sealed:
        return desk.vault.seal(store.id, "version", str(version_id), pair.key)

    version = store.add_version(draft, seal, events=imported)
    store.set_due([DueRow("certificate", certificate.name, desk.world.clock.now())])
    for event in told:
        desk.emit(event)
    return version


def _said(desk: Desk, certificate: Certificate, pair: Pair, version: Version, signed: _Signed) -> list[Line]:
    """What the owner should know of it, in the words that `plan` will use."""
    s = policy.Situation(
        now=desk.world.clock.now(),
        every=desk.config.every,
        key_type=version.key_type,
        names=certificate.names,
        issuers=certificate.issuers,
        have=version,
    )
    lines = [Line(State.OK, "import", f"read as {pair.kind}: {pair.where}")]
    if reason := policy.reason_to_order(s):
        lines.append(Line(State.WARN, "import", f"the next renew orders a new one at once: {reason}"))
    else:
        text = f"nothing is ordered before {day(policy.renewal_moment(s))}, unless the CA asks for it"
        lines.append(Line(State.OK, "import", text))
    warnings = [text for text in policy.remarks(s, policy.Wishes()) if text]
    if signed.guessed:
        warnings.append(
            f"nothing shows that {signed.issuer} signed it (it is by {version.issued_by}); "
            f"recorded so as the first of its issuers, --issuer NAME says better"
        )
    if not version.trusted:
        warnings.append("the system's roots do not trust it: it goes only where accept_untrusted = true")
    if pair.left_out:
        warnings.append(f"{pair.left_out} more certificates there do not belong to its chain: left out")
    without = [k for k in certificate.keys if desk.store.variant(certificate.name, k).wanted is None]
    if without:
        warnings.append(f"{', '.join(without)} has no version yet: import one too, or the next renew orders it")
    return lines + [Line(State.WARN, "import", text) for text in warnings]
