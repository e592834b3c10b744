"""Orders that an earlier run left behind: gone on with where they are still what is wanted, else given up."""

from __future__ import annotations

from collections.abc import Sequence

from certbroker import events
from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.issuer.conversation import Conversation
from certbroker.issuer.moods import Moods
from certbroker.issuer.order import Work, explained
from certbroker.issuer.problem import unknown_account
from certbroker.issuer.request import OrderRequest
from certbroker.keys import key_id, load_key
from certbroker.store import OrderRow


def take_up(talk: Conversation, works: Sequence[Work], account_uri: str, moods: Moods) -> None:
    """One after the other, so that none of these looks meets a newOrder of ours at the CA."""

    def take_up(work: Work) -> None:
        talk.still_ours(work.request.certificate)
        mine = next((row for row in left_behind(talk, work) if ours(talk, row)), None)
        if mine is not None:
            _resume(talk, work, mine, account_uri)

    for work in works:
        refused = moods.against(work.request)
        if refused is not None:
            talk.fail(work, refused)
            continue
        talk.each([work], take_up)
        moods.note(work)


def left_behind(talk: Conversation, work: Work) -> list[OrderRow]:
    """The orders of its certificate and key type that are not over, at whatever issuer, the newest first."""
    request = work.request
    return talk.store.open_orders_of(request.certificate, request.key_type, rehearsal=request.rehearsal)


def ours(talk: Conversation, row: OrderRow) -> bool:
    """Whether it is at this issuer, and at the CA that the file now calls so."""
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
