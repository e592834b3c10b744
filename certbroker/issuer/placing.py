"""Before the proofs: refuse what cannot succeed, go on with what the journal holds, place what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from certbroker import events, limits
from certbroker.challenges import Means
from certbroker.errors import IssuanceError, IssuerUnavailable, NothingDone, RateLimited
from certbroker.issuer import ari
from certbroker.issuer.conversation import Conversation
from certbroker.issuer.messages import Order, new_order, usable
from certbroker.issuer.network import Reply
from certbroker.issuer.order import Work, explained, unfinished
from certbroker.issuer.problem import PREFIX
from certbroker.issuer.request import OrderRequest
from certbroker.keys import generate, key_id, leaf_facts, load_key, read_chain
from certbroker.model import Method, base_name
from certbroker.secret import Secret
from certbroker.store import NewOrderRow, OrderRow

PATIENCE: Final = 30.0
"""Seconds: a CA that is busy and asks for no more than this is asked again in the same run."""

AGAIN: Final = 3
"""How often it is asked again; and how many orders in a row may find the CA away before the rest is not tried."""

_REFUSED_REPLACES: Final = frozenset(
    {(404, "malformed"), (403, "unauthorized"), (400, "malformed"), (409, "alreadyReplaced")}
)
"""Unknown to the CA, another account's, no name in common, replaced before (RFC 9773 section 5; boulder)."""


def place(talk: Conversation, works: Sequence[Work]) -> None:
    """Every order has an address after this, or its work an outcome. One after the other, before any authorization."""
    known = talk.account.known
    _locate(talk, [work for work in works if not replace(work.request.means, account_uri=known).wants_account], known)
    talk.each(works, lambda work: _check_profile(talk))
    left = unfinished(works)
    if not left:
        return
    try:
        account_uri = talk.account.open()
    except (IssuanceError, NothingDone) as error:
        for work in left:
            talk.fail(work, error)
        return
    if known is None:
        _locate(talk, [work for work in left if work.request.means.wants_account], account_uri)
    _check_caa(talk, unfinished(left), account_uri)
    left = unfinished(left)
    away: list[IssuerUnavailable] = []
    limited: list[RateLimited] = []
    for work in left:
        refused = away[-1] if len(away) >= AGAIN else next((e for e in limited if _concerns(e, work.request)), None)
        if refused is not None:
            talk.fail(work, refused)
            continue
        talk.each([work], lambda work: _place_one(talk, work, account_uri))
        away = [*away, work.outcome] if isinstance(work.outcome, IssuerUnavailable) else []
        if isinstance(work.outcome, RateLimited):
            limited.append(work.outcome)


def _concerns(error: RateLimited, request: OrderRequest) -> bool:
    """Whether what the CA said of another order holds for this one too: it is not knocked at once for each."""
    if error.subject is None or request.exempt == "window":
        return False
    return limits.concerns(error.subject, map(base_name, request.names))


def _locate(talk: Conversation, works: Sequence[Work], account_uri: str | None) -> None:
    """The zone of every name must be ours to write to before the CA hears of it."""

    def asked(work: Work) -> list[tuple[str, Means]]:
        means = replace(work.request.means, account_uri=account_uri)
        return [(base_name(name), means) for name in work.request.names]

    places = list(dict.fromkeys(place for work in works for place in asked(work)))
    found = dict(zip(places, talk.together(places, lambda place: talk.challenges.locate(*place)), strict=True))

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


def _place_one(talk: Conversation, work: Work, account_uri: str) -> None:
    talk.still_ours(work.request.certificate)
    request = work.request
    left = talk.store.open_orders_of(request.certificate, request.key_type, rehearsal=request.rehearsal)
    mine = next((row for row in left if (row.issuer, row.directory) == (talk.ca, talk.settings.directory)), None)
    if mine is not None:
        _resume(talk, work, mine, account_uri)
    talk.check_interval(work)
    if work.row is None:
        _start(talk, work, account_uri)
    if work.order is None:
        _order(talk, work)
    for row in left:  # only now: what stands elsewhere is given up when this one stands
        if row.id not in (work.journal.id, mine.id if mine else None):
            talk.abandon(row, f"{row.issuer} was left for {talk.ca}" if row.issuer != talk.ca else "a newer one stands")


# ---- an order that an earlier run left behind --------------------------------------------------------------------------


def _resume(talk: Conversation, work: Work, row: OrderRow, account_uri: str) -> None:
    unlike = _unlike(talk, row, work.request, account_uri)
    if unlike is None:
        work.key = talk.sealed_key(row)
        work.row = row
        if work.key is None:
            unlike = "its key was never sealed"
        elif talk.store.key_revoked(key_id(load_key(work.key).public_key())):
            unlike = "its key was revoked meanwhile"
        else:
            unlike = _read_again(talk, work)
    if unlike is not None:
        talk.abandon(row, unlike)
        work.row = work.order = work.key = None
        return
    talk.tell(
        events.OrderResumed(
            at=talk.clock.now(),
            certificate=row.certificate,
            key_type=row.key_type.value,
            issuer=talk.ca,
            state=row.state,
        )
    )


def _unlike(talk: Conversation, row: OrderRow, request: OrderRequest, account_uri: str) -> str | None:
    """Why the journal's order is not the one that is wanted now."""
    if row.account_uri != account_uri:
        return "it belongs to another account"
    if set(row.names) != set(request.names):
        return "other names are wanted now"
    if row.profile != talk.settings.profile:
        return "another profile is wanted now"
    if row.expires is not None and row.expires <= talk.clock.now():
        return "it has expired"
    return None


def _read_again(talk: Conversation, work: Work) -> str | None:
    """What the CA says of it now; why it is of no use any more. Raises RateLimited or IssuerUnavailable."""
    uri = work.journal.uri
    if uri is None:
        return None  # it was never answered: place it (again)
    try:
        order = talk.read_order(uri)
    except (RateLimited, IssuerUnavailable):
        raise
    except IssuanceError as error:
        return error.what
    work.heard(order)
    return explained(talk.ca, (), order).what if order.status == "invalid" else None


# ---- a new order -------------------------------------------------------------------------------------------------------


def _start(talk: Conversation, work: Work, account_uri: str) -> None:
    """The journal's row, then the key: both are there before the CA hears of the order."""
    request = work.request
    started = events.OrderStarted(
        at=talk.clock.now(),
        certificate=request.certificate,
        key_type=request.key_type.value,
        issuer=talk.ca,
        why=request.why,
    )
    row = talk.store.start_order(
        NewOrderRow(
            certificate=request.certificate,
            key_type=request.key_type,
            issuer=talk.ca,
            directory=talk.settings.directory,
            account_uri=account_uri,
            names=request.names,
            profile=talk.settings.profile,
            replaces=_replaces(talk, request, account_uri),
            rehearsal=request.rehearsal,
            why=request.why,
            exempt=request.exempt,
        ),
        events=[started],
    )
    talk.emit(started)
    work.row, work.key = row, _kept_key(talk, request) or generate(request.key_type)
    talk.seal_key(row, work.key)


def _kept_key(talk: Conversation, request: OrderRequest) -> Secret | None:
    """The private key of the version that it is to be kept of; None if there is none to keep."""
    version = request.key_of
    if version is None or version.key_type is not request.key_type or talk.store.key_revoked(version.key_id):
        return None
    owner = str(version.id)
    box = talk.store.box("version", owner)
    return None if box is None else talk.vault.unseal(talk.store.id, "version", owner, box)


def _replaces(talk: Conversation, request: OrderRequest, account_uri: str) -> str | None:
    """The certID of the version to be replaced: only the account that got it may say so (RFC 9773 section 5).

    Said outside the suggested window too: only inside it are limits lifted, but the RFC wants it wherever there is a clear
    predecessor, it costs nothing, and the CA then knows that nobody is left to be warned about the old one.
    """
    version = request.replaces
    if version is None or (version.issuer, version.account_uri) != (talk.ca, account_uri):
        return None
    if talk.directories.get().renewal_info is None:
        return None
    return ari.certificate_id(leaf_facts(read_chain(version.chain_pem)[0]))


def _order(talk: Conversation, work: Work) -> None:
    """newOrder; once more without `replaces` if the CA does not like it."""
    replaces = work.journal.replaces
    try:
        reply = _ask(talk, work.journal)
    except IssuanceError as error:
        code = (error.problem_type or "").removeprefix(PREFIX)
        if replaces is None or (error.status, code) not in _REFUSED_REPLACES:
            raise
        refused = events.ReplacesRefused(
            at=talk.clock.now(), certificate=work.journal.certificate, issuer=talk.ca, detail=error.what
        )
        talk.update(work, replaces=None, exempt="names" if work.journal.exempt else None)
        talk.tell(refused)
        reply = _ask(talk, work.journal)
    content = reply.object()
    order = Order.read(talk.ca, content)
    uri = reply.headers.get("Location", "")
    if not usable(uri):
        raise IssuanceError(f"{talk.ca} took the order without saying where it is")
    talk.update(work, state="placed", uri=uri, body=content, expires=order.expires, error=None)
    work.heard(order)


def _ask(talk: Conversation, row: OrderRow) -> Reply:
    """Asked again if the CA answered that it is busy and when to come back, and that is soon."""
    payload = new_order(row.names, profile=row.profile, replaces=row.replaces)
    for _ in range(AGAIN):
        try:
            return talk.directories.use(lambda directory: talk.network.ask(directory.new_order, "the order", payload))
        except (RateLimited, IssuerUnavailable) as error:
            wait = error.retry_after
            if wait is None or wait > min(PATIENCE, talk.deadline - talk.clock.monotonic()):
                raise
            talk.clock.sleep(max(wait, 0.25))
    return talk.directories.use(lambda directory: talk.network.ask(directory.new_order, "the order", payload))
