"""What cannot succeed is refused before the CA hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certbroker.challenges import Means
from certbroker.errors import NothingDone
from certbroker.issuer.conversation import Conversation
from certbroker.issuer.order import Work, unfinished
from certbroker.model import Method
from certbroker.names import is_address


def without_account(talk: Conversation, works: Sequence[Work], known: str | None) -> None:
    """What can be told before we have an account; `known`: the URI of one that was made before."""
    talk.each(works, _check_method)
    ready = [work for work in works if not replace(work.request.means, account_uri=known).wants_account]
    _prepare_proofs(talk, ready, known)
    talk.each(works, lambda work: _check_profile(talk))


def with_account(talk: Conversation, works: Sequence[Work], account_uri: str, *, made_now: bool) -> None:
    """What depends on the account: proofs that stand at a place of its own, and CAA records that name it."""
    if made_now:
        _prepare_proofs(talk, [work for work in works if work.request.means.wants_account], account_uri)
    _check_caa(talk, unfinished(works), account_uri)


def _prepare_proofs(talk: Conversation, works: Sequence[Work], account_uri: str | None) -> None:
    """The place of every proof must be ours to write to, or the proof stand there, before the CA hears of an order."""

    def asked(work: Work) -> list[tuple[str, Means]]:
        means = replace(work.request.means, account_uri=account_uri)
        return [(name, means) for name in Means.asked(work.request.names)]

    def prepare(place: tuple[str, Means]) -> None:
        name, means = place
        if means.method is Method.DNS_PERSIST_01:
            means = replace(means, issuers=talk.directories.get().caa_identities)
        talk.challenges.prepare(name, means)

    places = list(dict.fromkeys(place for work in works for place in asked(work)))
    found = dict(zip(places, talk.together(places, prepare), strict=True))

    def sort_out(work: Work) -> None:
        for place in asked(work):
            got = found[place]
            if isinstance(got, Exception):
                raise got

    talk.each(works, sort_out)


def _check_caa(talk: Conversation, works: Sequence[Work], account_uri: str) -> None:
    """CAA that forbids this CA, this account or this method (RFC 8659, RFC 8657) stops the order; one unknown does not."""

    def asked(work: Work) -> list[tuple[str, Method]]:
        return [(name, work.request.means.method) for name in work.request.names]

    questions = list(dict.fromkeys(question for work in works for question in asked(work)))
    answers = talk.together(questions, lambda question: talk.caa(*question, account_uri))
    found = dict(zip(questions, answers, strict=True))

    def sort_out(work: Work) -> None:
        for name, method in asked(work):
            got = found[name, method]
            if isinstance(got, Exception):
                continue  # it is the CA's look-up that counts
            forbidden = next((finding for finding in got if finding.state == "fail"), None)
            if forbidden is not None:
                raise NothingDone(f"{forbidden.what}, and {talk.ca} would refuse {name}", hint=forbidden.hint)

    talk.each(works, sort_out)


def _check_method(work: Work) -> None:
    method = work.request.means.method
    unprovable = [name for name in work.request.names if is_address(name) and not method.proves_addresses]
    if unprovable:
        raise NothingDone(
            f"{', '.join(unprovable)} cannot be proven by {method}: no DNS record proves an IP address (RFC 8738)",
            hint='set challenge = "http-01" for this certificate',
        )


def _check_profile(talk: Conversation) -> None:
    wanted = talk.settings.profile
    if wanted is None or wanted in talk.directories.get().profiles:
        return
    offered = talk.directories.get(fresh=talk.directories.cached).profiles
    if wanted not in offered:
        raise NothingDone(
            f"{talk.ca} has no profile {wanted!r}; it offers {', '.join(offered) or 'none'}",
            hint=f"set profile in [issuer.{talk.ca}] to one that it offers, or leave it out",
        )
