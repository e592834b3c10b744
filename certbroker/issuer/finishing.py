"""The way from answered challenges to a version in the store: one loop over all orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from acme.messages import CertificateRequest
from cryptography import x509

from certbroker import events
from certbroker.errors import BadMaterial, IssuanceError, IssuerUnavailable
from certbroker.issuer import chains
from certbroker.issuer.certificate import Certified, certified
from certbroker.issuer.conversation import Conversation
from certbroker.issuer.messages import Authorization, Order
from certbroker.issuer.network import Reply
from certbroker.issuer.order import Work, explained, unfinished
from certbroker.keys import signing_request
from certbroker.model import Version
from certbroker.secret import Sealed
from certbroker.store import NewVersion

PATIENCE: Final = 300.0
"""Seconds that a run sits and waits for the CA; after that the order is left to the next run, which goes on with it."""

SHORTEST: Final = 0.001
"""Seconds: a clock that is this near to the moment has reached it; no sleep is shorter."""


def finish(talk: Conversation, works: Sequence[Work]) -> None:
    """Look, finalize what is ready, fetch what is valid, explain what is invalid, until every work has an outcome.

    The orders are looked at, not their authorizations: one request instead of one a name.
    """
    for work in unfinished(works):
        work.until = min(talk.deadline, talk.clock.monotonic() + PATIENCE)
        if not work.stale and work.state.status == "processing":  # left behind by an earlier run after its finalization
            talk.onward([work], "finalize")
            work.look_later(talk.clock.monotonic(), talk.pace())
    while unfinished(works):
        _look(talk, works)
        _finalize(talk, _now(works, "ready"))
        _fetch(talk, _now(works, "valid"))
        _explain(talk, _now(works, "invalid"))
        _sleep(talk, unfinished(works))


def _now(works: Iterable[Work], status: str) -> list[Work]:
    """Unfinished orders of which the CA has just said this."""
    return [work for work in unfinished(works) if not work.stale and work.state.status == status]


def _look(talk: Conversation, works: Sequence[Work]) -> None:
    def hear(work: Work, reply: Reply) -> None:
        order = Order.read(talk.ca, reply.object())
        work.heard(order)
        if order.status in ("pending", "processing"):
            work.look_later(talk.clock.monotonic(), work.pace, reply.retry_after)

    now = talk.clock.monotonic()
    due = [work for work in unfinished(works) if work.stale and work.look_at <= now + SHORTEST]
    talk.asked(due, lambda work: talk.network.ask(work.uri, "the order"), hear)


def _finalize(talk: Conversation, works: Sequence[Work]) -> None:
    def prepare(work: Work) -> None:
        talk.still_ours(work.request.certificate)
        talk.check_interval(work)
        if work.journal.state != "finalizing":
            work.pace = talk.pace()  # once: a CA that calls it ready again and again is asked ever more rarely
        talk.update(
            work, state="finalizing"
        )  # first: killed after the mark alone, this order would wait for the interval
        if not work.request.rehearsal:
            talk.store.mark_finalizing(work.request.certificate, work.request.key_type)

    def ask(work: Work) -> Reply:
        assert work.key is not None
        request = x509.load_pem_x509_csr(signing_request(work.key, work.journal.names))
        return talk.network.ask(work.state.finalize, "the signing request", CertificateRequest(csr=request))

    def hear(work: Work, reply: Reply) -> None:
        order = Order.read(talk.ca, reply.object())
        work.heard(order)
        if order.status in ("pending", "ready", "processing"):
            work.look_later(talk.clock.monotonic(), work.pace, reply.retry_after)

    talk.onward(works, "finalize")
    talk.write(works, prepare)
    talk.asked(unfinished(works), ask, hear)


def _fetch(talk: Conversation, works: Sequence[Work]) -> None:
    got: dict[int, tuple[Certified, list[str]]] = {}

    def hear(work: Work, reply: Reply) -> None:
        try:
            read = _read(talk, work, reply)
        except BadMaterial as error:
            raise IssuanceError(f"{talk.ca} handed out a certificate that cannot be used: {error.what}") from None
        got[work.journal.id] = read, chains.linked(reply.headers.get("Link", ""), work.state.certificate or "")

    talk.onward(works, "finalize")
    talk.asked(works, lambda work: talk.network.ask(work.state.certificate or "", "the certificate"), hear)
    having = [work for work in unfinished(works) if work.row and work.row.id in got]
    chosen = talk.together(having, lambda work: _choose(talk, work, *got[work.journal.id]))
    told: list[events.Event] = []
    with talk.store.together():  # nothing is outside any more: what came in one look is on the disk in one go
        for work, choice in zip(having, chosen, strict=True):
            assert isinstance(choice, chains.Chosen)
            work.outcome = _keep(talk, work, choice, told)
    for event in told:
        talk.emit(event)
    for work in having:
        talk.step_over(work, "done")


def _choose(talk: Conversation, work: Work, default: Certified, alternates: Sequence[str]) -> chains.Chosen:
    def fetch(url: str) -> Certified:
        return _read(talk, work, talk.network.ask(url, "another chain of the certificate"))

    return chains.choose(default, talk.settings.preferred_chain, alternates, fetch)


def _read(talk: Conversation, work: Work, reply: Reply) -> Certified:
    assert work.key is not None
    return certified(reply.text(), work.key, work.journal.names, talk.clock.now())


def _keep(talk: Conversation, work: Work, choice: chains.Chosen, told: list[events.Event]) -> Version:
    """`told`: what is to be told once it is written."""
    row, got = work.journal, choice.chain
    draft = NewVersion(
        certificate=row.certificate,
        key_type=row.key_type,
        issuer=talk.ca,
        profile=row.profile,
        fingerprint=got.leaf.fingerprint,
        serial=got.leaf.serial,
        issued_by=got.leaf.issued_by,
        names=got.names,
        lifetime=got.leaf.lifetime,
        chain_pem=got.chain_pem,
        roots_pem=talk.roots_pem,
        trusted=got.trusted,
        rehearsal=row.rehearsal,
        account_uri=row.account_uri,
        key_id=got.leaf.key_id,
        root=got.root,
        roots_seen=choice.seen,
    )

    def issued(version: Version) -> Sequence[events.Event]:
        mine: list[events.Event] = [
            events.Issued(
                at=talk.clock.now(),
                certificate=version.certificate,
                version=version.label,
                key_type=version.key_type.value,
                issuer=version.issuer,
                fingerprint=version.fingerprint,
                ends=version.lifetime.ends,
                seconds=talk.clock.monotonic() - work.began,
                rehearsal=version.rehearsal,
            )
        ]
        preferred = talk.settings.preferred_chain
        if preferred is not None and version.root != preferred:
            mine.append(
                events.ChainNotOffered(
                    at=talk.clock.now(),
                    certificate=version.certificate,
                    version=version.label,
                    issuer=version.issuer,
                    preferred=preferred,
                    offered=choice.seen,
                    broken=choice.broken,
                )
            )
        told.extend(mine)
        return mine

    def seal(version_id: int) -> Sealed:
        assert work.key is not None
        return talk.vault.seal(talk.store.id, "version", str(version_id), work.key)

    return talk.store.add_version(draft, seal, order_id=row.id, events=issued)


def _explain(talk: Conversation, works: Sequence[Work]) -> None:
    """Say every name that failed. What cannot be asked is left out: the order is over either way."""
    urls = list(dict.fromkeys(url for work in works for url in work.state.authorizations))
    found = dict(zip(urls, talk.together(urls, talk.read_authorization), strict=True))
    for work in works:
        answers = [found[url] for url in work.state.authorizations]
        known = [answer for answer in answers if isinstance(answer, Authorization)]
        talk.fail(work, explained(talk.ca, known, work.state), over=True)


def _sleep(talk: Conversation, works: Sequence[Work]) -> None:
    """Until the next order wants to be looked at. One that wants it too late is left to the next run."""
    for work in works:
        if work.look_at >= work.until:
            late = IssuerUnavailable(
                f"{talk.ca} did not finish the order in time: it is still {work.state.status}",
                retry_after=work.look_at - talk.clock.monotonic(),
                hint="the next run goes on with the same order",
            )
            talk.fail(work, late)
    waiting = [work.look_at for work in unfinished(works)]
    if waiting:
        talk.sleep(max(SHORTEST, min(waiting) - talk.clock.monotonic()))
