"""Before the proofs: every order has its address at the CA, the one that an earlier run left behind or a new one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Final

from certbroker import events
from certbroker.errors import IssuanceError, IssuerUnavailable, NothingDone, RateLimited
from certbroker.issuer import ari, preflight, resuming
from certbroker.issuer.conversation import IN_FLIGHT, Conversation
from certbroker.issuer.messages import Order, new_order, usable
from certbroker.issuer.moods import Moods
from certbroker.issuer.network import Reply
from certbroker.issuer.order import Work, unfinished
from certbroker.issuer.problem import PREFIX
from certbroker.issuer.request import OrderRequest
from certbroker.issuer.waiting import AGAIN, soon
from certbroker.keys import generate, leaf_facts, read_chain
from certbroker.secret import Secret
from certbroker.steps import Exemption
from certbroker.store import NewOrderRow, OrderRow

_REFUSED_REPLACES: Final = frozenset(
    {(404, "malformed"), (403, "unauthorized"), (400, "malformed"), (409, "alreadyReplaced")}
)
"""Unknown to the CA, another account's, no name in common, replaced before (RFC 9773 section 5; boulder)."""


def place(talk: Conversation, works: Sequence[Work]) -> None:
    """Every order has an address after this, or its work an outcome. All of them before any authorization is read."""
    known = talk.account.known
    if known is not None and talk.directories.at_hand:
        talk.stock(works)  # while DNS is asked
    preflight.without_account(talk, works, known)
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
    preflight.with_account(talk, left, account_uri, made_now=known is None)
    moods = Moods()
    resuming.take_up(talk, unfinished(left), account_uri, moods)
    _order(talk, unfinished(left), account_uri, moods)


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
        pause = soon(error.retry_after, talk.left)
        work.knocks += 1
        if pause is None or work.knocks > AGAIN:
            raise
        work.pause = pause
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
    for row in resuming.left_behind(talk, work):
        if row.id != work.journal.id:
            talk.abandon(
                row, "a newer one stands" if resuming.ours(talk, row) else f"{row.issuer} was left for {talk.ca}"
            )


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
