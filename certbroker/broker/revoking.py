"""Revoking a version: ask the CA, remember it, and after a compromise have a certificate with a new key served at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from certbroker import events
from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.exports import pick
from certbroker.broker.report import Report, served_now
from certbroker.broker.running import running
from certbroker.broker.runs import reconcile
from certbroker.broker.taking_in import take_in
from certbroker.broker.telling import tell
from certbroker.config import IssuerSettings, preset
from certbroker.errors import NothingDone, UsageError
from certbroker.model import Phase, RevocationReason, Version
from certbroker.plan import Selection

_SERVED: Final = (Phase.COMMITTED, Phase.DELIVERED, Phase.VERIFYING, Phase.PUSHED)


def revoke(
    desk: Desk,
    name: str,
    reason: RevocationReason,
    *,
    number: int | None = None,
    key_type: str | None = None,
    with_certificate_key: bool = False,
    yes: bool = False,
    why: str | None = None,
) -> Report:
    """Revoke the wanted version of certificate `name`, or version `number`.

    After a compromise every version with the same key is revoked too, and the ordinary path orders one with a new key and
    pushes it. For any other reason the next renewal replaces it.

    Raises:
        UsageError: there is no such version, it has ended, or it is served and `yes` is not given.
        NothingDone: no CA or key is known that could revoke it. IssuanceError: the CA refused or is away.
    """
    chosen = pick(desk, name, number, key_type)
    _check(desk, chosen, reason, with_certificate_key=with_certificate_key, yes=yes)
    desk.check_vault()
    versions = [chosen, *(_with_the_same_key(desk, chosen) if reason is RevocationReason.KEY_COMPROMISE else ())]
    with running(desk, "revoke", why) as run:
        take_in(desk)
        done = Done(chosen.certificate)
        for version in versions:
            done.revoked.append(_revoke(desk, version, reason, with_certificate_key=with_certificate_key, why=why))
        certificate = desk.config.certificates.get(chosen.certificate)
        wanted = {v.wanted.id for v in desk.store.variants(chosen.certificate).values() if v.wanted}
        if certificate is None or not wanted & {version.id for version in versions}:
            return tell(run, [done], [])
        if reason is not RevocationReason.KEY_COMPROMISE:
            done.revoked.append(f"{served_now(desk.store, certificate.name)}; the next renew replaces it")
            return tell(run, [done], [])
        after = reconcile(desk, [certificate], Selection(ignore_backoff=True))
        return tell(run, [replace(each, revoked=done.revoked) for each in after], [])


def _check(desk: Desk, version: Version, reason: RevocationReason, *, with_certificate_key: bool, yes: bool) -> None:
    """Refuse what makes no sense before anybody is asked."""
    what = f"{version.certificate} {version.label}"
    if with_certificate_key and reason is not RevocationReason.KEY_COMPROMISE:
        raise UsageError(
            "a revocation that is signed by the certificate's own key counts as a compromise of it, whatever the reason",
            hint="--reason keyCompromise, or leave out --with-certificate-key",
        )
    if version.lifetime.ends <= desk.world.clock.now():
        raise UsageError(f"{what} has ended on {version.lifetime.ends:%Y-%m-%d}: there is nothing to revoke any more")
    places = _served_by(desk, version)
    if places and not yes and version.revoked_at is None:
        raise UsageError(
            f"{what} is served by {', '.join(places)}; once it is revoked, clients may refuse it",
            hint=f"if it shall be so: certbroker revoke {version.certificate} --reason {reason.value} --yes",
        )


def _served_by(desk: Desk, version: Version) -> list[str]:
    """The targets that were given it last, or whose edges were last seen to serve it."""
    store = desk.store
    given = {
        row.target
        for row in store.deployments(version.certificate)
        if row.version_id == version.id
        and row.phase in _SERVED
        and (last := store.last_pushed(row.target, row.name)) is not None
        and last.id == version.id
    }
    seen = {look.target for look in store.seen(version.certificate) if look.fingerprint == version.fingerprint}
    return sorted(given | seen)


def _with_the_same_key(desk: Desk, chosen: Version) -> list[Version]:
    """What else is compromised: other versions, still valid, whose key is the same."""
    now = desk.world.clock.now()
    return [
        version
        for version in desk.store.versions(chosen.certificate)
        if version.id != chosen.id and version.lifetime.ends > now and version.key_id == chosen.key_id
    ]


def _revoke(
    desk: Desk, version: Version, reason: RevocationReason, *, with_certificate_key: bool, why: str | None
) -> str:
    """Ask and remember; what was done, in words."""
    settings, ours = _who_signed(desk, version)
    issuer = desk.issuer_by(settings)
    by_account = ours and not with_certificate_key
    if not by_account and reason is not RevocationReason.KEY_COMPROMISE:
        raise NothingDone(
            f"the account that ordered {version.certificate} {version.label} is not held here, and only it may give this reason",
            hint="--reason keyCompromise is signed by the certificate's own key",
        )
    now_revoked = issuer.revoke(version, reason, key_pem=None if by_account else desk.open_key(version))
    signed = "the account" if by_account else "the certificate's key"
    event = events.Revoked(
        at=desk.world.clock.now(),
        certificate=version.certificate,
        key_type=version.key_type.value,
        version=version.label,
        issuer=settings.name,
        reason=reason.value,
        signed=signed,
        why=why,
    )
    desk.store.revoked(version.id, event.at, reason, events=[event])
    desk.emit(event)
    said = f"signed by {signed}" if now_revoked else "the CA had done so before"
    return f"{version.label} {version.fingerprint[:6]} is revoked ({reason.value}), {said}"


def _who_signed(desk: Desk, version: Version) -> tuple[IssuerSettings, bool]:
    """The CA, perhaps one that has left the file, and whether we hold the account that ordered. Raises NothingDone."""
    account = desk.store.account_at(version.account_uri) if version.account_uri else None
    directory = account.directory if account else desk.store.directory_of(version.id)
    declared = desk.config.issuers.get(version.issuer) or preset(version.issuer)
    if directory is None and declared is not None:
        directory = declared.directory
    if directory is None:
        raise NothingDone(
            f"nobody knows any more which CA {version.issuer} was that signed {version.certificate} {version.label}",
            hint=f"put [issuer.{version.issuer}] with its directory back into the file",
        )
    name = account.issuer if account else version.issuer
    same = [each for each in desk.config.issuers.values() if each.directory == directory]
    kept = next((each for each in same if each.name == name), None)
    if kept is not None:
        return kept, account is not None
    bundle = same[0].ca_bundle if same else None
    return IssuerSettings(name, directory, ca_bundle=bundle, agree_to_terms=True), account is not None
