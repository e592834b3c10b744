"""Before the proofs: refuse what cannot succeed, go on with what the journal holds, place what is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Final

from certbroker import events, limits
from certbroker.challenges import Means
from certbroker.errors import IssuanceError, IssuerUnavailable, NothingDone, RateLimited
from certbroker.issuer import ari
from certbroker.issuer.conversation import IN_FLIGHT, Conversation
from certbroker.issuer.messages import Order, new_order, usable
from certbroker.issuer.network import Reply
from certbroker.issuer.order import Work, explained, unfinished
from certbroker.issuer.problem import PREFIX, unknown_account
from certbroker.issuer.request import OrderRequest
from certbroker.keys import generate, key_id, leaf_facts, load_key, read_chain
from certbroker.model import Method
from certbroker.names import base_name, is_address
from certbroker.secret import Secret
from certbroker.steps import Exemption
from certbroker.store import NewOrderRow, OrderRow

PATIENCE: Final = 30.0
"""Seconds: a CA that is busy and asks for no more than this is asked again in the same run."""

SHORTEST: Final = 0.25
"""Seconds that it is left alone at least, whatever it says."""

AGAIN: Final = 3
"""How often it is asked again; and how many orders in a row may find the CA away before the rest is not tried."""

_REFUSED_REPLACES: Final = frozenset(
    {(404, "malformed"), (403, "unauthorized"), (400, "malformed"), (409, "alreadyReplaced")}
)
"""Unknown to the CA, another account's, no name in common, replaced before (RFC 9773 section 5; boulder)."""


def place(talk: Conversation, works: Sequence[Work]) -> None:
    """Every order has an address after this, or its work an outcome. All of them before any authorization is read."""
    known = talk.account.known
    talk.each(works, _check_method)
    _prepare_proofs(
        talk, [work for work in works if not replace(work.request.means, account_uri=known).wants_account], known
    )
    talk.each(works, lambda work: _check_profile(talk))
    left = unfinished(works)
    if not left:
        return
    try:
        account_uri = talk.account.open()
        talk.stock(left)
    except (IssuanceError, NothingDone) as error:
        for work in left:
            talk.fail(work, error)
        return
    if known is None:
        _prepare_proofs(talk, [work for work in left if work.request.means.wants_account], account_uri)
    _check_caa(talk, unfinished(left), account_uri)
    moods = Moods()
    _take_up(talk, unfinished(left), account_uri, moods)
    _order(talk, unfinished(left), account_uri, moods)


@dataclass
class Moods:
    """What the CA said of some orders that holds for the others too: it is not knocked at once for each."""

    away: list[IssuerUnavailable] = field(default_factory=list)
    limited: list[RateLimited] = field(default_factory=list)

    def against(self, request: OrderRequest) -> IssuanceError | None:
        """Why this one is not worth a try in this run."""
        if len(self.away) >= AGAIN:
            return self.away[-1]
        return next((error for error in self.limited if _concerns(error, request)), None)

    def note(self, work: Work) -> None:
        outcome = work.outcome
        self.away = [*self.away, outcome] if isinstance(outcome, IssuerUnavailable) else []
        if isinstance(outcome, RateLimited):
            self.limited.append(outcome)


def _concerns(error: RateLimited, request: OrderRequest) -> bool:
    if error.subject is None or request.exempt == "window":
        return False
    return limits.concerns(error.subject, map(base_name, request.names))


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


# ---- an order that an earlier run left behind --------------------------------------------------------------------------


def _take_up(talk: Conversation, works: Sequence[Work], account_uri: str, moods: Moods) -> None:
    """One after the other, so that none of these looks meets a newOrder of ours at the CA."""

    def take_up(work: Work) -> None:
        talk.still_ours(work.request.certificate)
        mine = next((row for row in _open(talk, work) if _of(talk, row)), None)
        if mine is not None:
            _resume(talk, work, mine, account_uri)

    for work in works:
        refused = moods.against(work.request)
        if refused is not None:
            talk.fail(work, refused)
            continue
        talk.each([work], take_up)
        moods.note(work)


def _open(talk: Conversation, work: Work) -> list[OrderRow]:
    request = work.request
    return talk.store.open_orders_of(request.certificate, request.key_type, rehearsal=request.rehearsal)


def _of(talk: Conversation, row: OrderRow) -> bool:
    return (row.issuer, row.directory) == (talk.ca, talk.settings.directory)


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
    """What the CA says of it now; why it is of no use any more. Raises IssuanceError: it is away, or does not know our account."""
    uri = work.journal.uri
    if uri is None:
        return None  # it was never answered: place it (again)
    try:
        order = talk.read_order(uri)
    except (RateLimited, IssuerUnavailable):
        raise
    except IssuanceError as error:
        if unknown_account(error):
            raise
        return error.what
    work.heard(order)
    return explained(talk.ca, (), order).what if order.status == "invalid" else None


# ---- a new order -------------------------------------------------------------------------------------------------------


def _order(talk: Conversation, works: Sequence[Work], account_uri: str, moods: Moods) -> None:
    """newOrder for those that have none. The journal is written here, ahead of each.

    The first goes alone; once the CA took one, several are under way at once, until it refuses one. A CA that says it is
    busy and when to come back is left alone until then, if that is soon, and asked again.
    """
    waiting = deque(works)
    under_way: deque[tuple[Work, Future[Reply]]] = deque()
    width, pause = 1, 0.0
    while waiting or under_way:
        if waiting and not pause and len(under_way) < width:
            for work in _prepared(talk, waiting, width - len(under_way), account_uri, moods):
                under_way.append((work, talk.pool.submit(_ask, talk, work.journal)))
        elif under_way:
            work, asked = under_way.popleft()
            wait([asked])
            talk.write([work], lambda work, asked=asked: _hear(talk, work, asked))  # type: ignore[misc]
            width = IN_FLIGHT if work.order is not None else 1
            if work.outcome is None and work.order is None:
                waiting.appendleft(work)
                pause = max(pause, work.pause)
            else:
                moods.note(work)
        else:
            talk.sleep(pause)
            pause = 0.0


def _prepared(talk: Conversation, waiting: deque[Work], count: int, account_uri: str, moods: Moods) -> list[Work]:
    """The next `count` that are to be asked for, written down in one go."""
    found: list[Work] = []
    with talk.store.together():
        while waiting and len(found) < count:
            work = waiting.popleft()
            refused = moods.against(work.request)
            if refused is not None:
                talk.fail(work, refused)
                continue
            talk.each([work], lambda work: _prepare(talk, work, account_uri))
            if work.outcome is None and work.order is None:
                found.append(work)
    return found


def _prepare(talk: Conversation, work: Work, account_uri: str) -> None:
    talk.still_ours(work.request.certificate)
    talk.check_interval(work)
    if work.row is None:
        _start(talk, work, account_uri)
    if work.order is not None:
        _give_up_others(talk, work)


def _ask(talk: Conversation, row: OrderRow) -> Reply:
    payload = new_order(row.names, profile=row.profile, replaces=row.replaces)
    return talk.directories.use(lambda directory: talk.network.ask(directory.new_order, "the order", payload))


def _hear(talk: Conversation, work: Work, asked: Future[Reply]) -> None:
    """The order; or nothing yet: it is to be asked for again, later or without the `replaces` that the CA does not like."""
    try:
        reply = asked.result()
    except (RateLimited, IssuerUnavailable) as error:
        wait = error.retry_after
        work.knocks += 1
        if wait is None or work.knocks > AGAIN or wait > min(PATIENCE, talk.deadline - talk.clock.monotonic()):
            raise
        work.pause = max(wait, SHORTEST)
        return
    except IssuanceError as error:
        code = (error.problem_type or "").removeprefix(PREFIX)
        if work.journal.replaces is None or (error.status, code) not in _REFUSED_REPLACES:
            raise
        refused = events.ReplacesRefused(
            at=talk.clock.now(), certificate=work.journal.certificate, issuer=talk.ca, detail=error.what
        )
        talk.update(work, replaces=None, exempt=_without_window(work.request))
        talk.tell(refused)
        work.pause = 0.0
        return
    content = reply.object()
    order = Order.read(talk.ca, content)
    uri = reply.headers.get("Location", "")
    if not usable(uri):
        raise IssuanceError(f"{talk.ca} took the order without saying where it is")
    talk.update(work, state="placed", uri=uri, body=content, expires=order.expires, error=None)
    work.heard(order)
    _give_up_others(talk, work)


def _give_up_others(talk: Conversation, work: Work) -> None:
    """Only now: what stands elsewhere is given up when this one stands."""
    for row in _open(talk, work):
        if row.id != work.journal.id:
            talk.abandon(row, "a newer one stands" if _of(talk, row) else f"{row.issuer} was left for {talk.ca}")


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
    replaces = _replaces(talk, request, account_uri)
    row = talk.store.start_order(
        NewOrderRow(
            certificate=request.certificate,
            key_type=request.key_type,
            issuer=talk.ca,
            directory=talk.settings.directory,
            account_uri=account_uri,
            names=request.names,
            profile=talk.settings.profile,
            replaces=replaces,
            rehearsal=request.rehearsal,
            why=request.why,
            exempt=request.exempt if replaces else _without_window(request),
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


def _without_window(request: OrderRequest) -> Exemption | None:
    """What is left of the exemption if the CA is not told what the order replaces."""
    version = request.replaces
    same = version is not None and set(version.names) == set(request.names)
    return "names" if same else request.exempt if request.exempt != "window" else None
