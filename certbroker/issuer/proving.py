"""The proofs: read what the CA wants, publish all, wait once, tell the CA to look at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from certbroker.challenges import HttpAnswer, Means, Placed, Txt
from certbroker.errors import CertbrokerError, IssuanceError, IssuerUnavailable, LeaseHeld, NothingDone, ProviderError
from certbroker.issuer.conversation import Conversation
from certbroker.issuer.messages import Authorization, EmptyAnswer
from certbroker.issuer.order import Proof, Work, explained, proof, unfinished
from certbroker.issuer.request import Refusal
from certbroker.model import Method
from certbroker.names import base_name

SPREAD_SECONDS: Final = 300.0
"""How long our records may take until every nameserver of the zone has them."""


def prove(talk: Conversation, works: Sequence[Work]) -> None:
    """For every order that is still pending. All its challenges are answered after this, or it has an outcome."""
    pending = [work for work in unfinished(works) if work.state.status == "pending"]
    talk.onward(pending, "authorizations")
    _read(talk, pending)
    talk.onward(unfinished(pending), "challenge")
    _publish(talk, [work for work in unfinished(pending) if work.proofs])
    _answer(talk, unfinished(pending))
    for work in unfinished(pending):
        work.look_later(talk.clock.monotonic(), talk.pace())


def clean_up(talk: Conversation, works: Sequence[Work]) -> None:
    """Whatever became of the orders, our proofs go; what cannot be removed now stays in the journal."""
    certificates = {work.request.certificate for work in works if not isinstance(work.outcome, LeaseHeld)}
    rows = [row for row in talk.store.unremoved("challenge") if row.certificate in certificates]
    if rows:
        talk.challenges.remove(rows, talk.store, talk.emit)


def _read(talk: Conversation, works: Sequence[Work]) -> None:
    """Each authorization once, however many orders share it (a CA hands pending ones out again)."""
    urls = list(dict.fromkeys(url for work in works for url in work.state.authorizations))
    found = dict(zip(urls, talk.together(urls, talk.read_authorization), strict=True))

    def sort_out(work: Work) -> None:
        mine: list[Authorization] = []
        for url in work.state.authorizations:
            got = found[url]
            if not isinstance(got, Authorization):
                raise got
            mine.append(got)
        work.proofs = _wanted(talk, work, mine)

    talk.each(works, sort_out)


def _wanted(talk: Conversation, work: Work, authorizations: Sequence[Authorization]) -> list[Proof]:
    if any(a.status not in ("pending", "valid") for a in authorizations):
        raise explained(talk.ca, authorizations, work.state)
    strangers = {a.name for a in authorizations} - {base_name(name) for name in work.journal.names}
    if strangers:
        raise IssuanceError(f"{talk.ca} wants proofs for {', '.join(sorted(strangers))}, which nobody ordered")
    means = replace(work.request.means, account_uri=work.journal.account_uri)
    proofs = [proof(talk.ca, a, talk.account.key, means) for a in authorizations if a.status == "pending"]
    if means.method is Method.DNS_PERSIST_01:
        _judge_again(talk, means, proofs)
    return proofs


def _judge_again(talk: Conversation, means: Means, proofs: Sequence[Proof]) -> None:
    """What the record is judged by is said by the challenge; the directory, by which it was judged before, may say another.

    Raises RecordWanted, NothingDone or ProviderError.
    """
    known = talk.directories.get().caa_identities
    for each in proofs:
        if not known or known[0] not in each.challenge.issuers:
            talk.challenges.prepare(each.authorization.pattern, replace(means, issuers=each.challenge.issuers))


def _publish(talk: Conversation, works: Sequence[Work]) -> None:
    """All values of all orders at once, and one wait for all of them."""
    owners = [(work, each) for work in works for each in work.proofs if each.challenge.status != "valid" and each.value]
    records = [_record(work, each) for work, each in owners]
    outcomes = talk.challenges.publish_each(records, talk.store, talk.emit)
    placed: list[tuple[Work, Placed]] = []
    for (work, _), outcome in zip(owners, outcomes, strict=True):
        if isinstance(outcome, Placed):
            placed.append((work, outcome))
        elif work.outcome is None:
            talk.fail(work, _as_refusal(outcome), over=False)
    standing = [(work, row) for work, row in placed if work.outcome is None]
    talk.write(works, lambda work: talk.update(work, state="presented"))
    missing = talk.challenges.wait_each([row for _, row in standing], seconds=SPREAD_SECONDS) if standing else {}
    for work, row in standing:
        if row.id in missing and work.outcome is None:
            talk.fail(work, _as_refusal(missing[row.id]), over=False)


def _record(work: Work, each: Proof) -> Txt | HttpAnswer:
    order = work.journal
    if each.challenge.type == Method.HTTP_01:
        return HttpAnswer(order.certificate, order.id, each.name, each.value)
    return Txt("challenge", order.certificate, None, order.id, each.name, each.value)


def _as_refusal(error: CertbrokerError) -> Refusal:
    """What concerns one certificate is its outcome; a store or vault that refuses concerns them all."""
    if isinstance(error, IssuanceError | ProviderError | NothingDone):
        return error
    raise error


def _answer(talk: Conversation, works: Sequence[Work]) -> None:
    """Each challenge once, several at a time."""
    waiting = {p.challenge.url: p for work in works for p in work.proofs if p.challenge.status == "pending"}
    answered = dict(zip(waiting, talk.together(waiting.values(), lambda p: _say(talk, p)), strict=True))

    def note(work: Work) -> None:
        for each in work.proofs:
            got = answered.get(each.challenge.url)
            if got is not None:
                raise got
        talk.update(work, state="answered")

    talk.write(works, note)


def _say(talk: Conversation, each: Proof) -> None:
    doing = f"the challenge of {each.authorization.pattern}"
    try:
        talk.network.ask(each.challenge.url, doing, EmptyAnswer())
    except (
        IssuanceError
    ) as error:  # it may have been taken all the same, or was not needed: look before it is said again
        now = talk.read_authorization(each.authorization.url)
        if now.status != "pending" or now.challenge(talk.ca, each.challenge.type).status != "pending":
            return
        if not isinstance(error, IssuerUnavailable):
            raise
        talk.network.ask(each.challenge.url, doing, EmptyAnswer())
