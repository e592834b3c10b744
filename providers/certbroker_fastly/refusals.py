"""What Fastly's refusals mean, and what to do about them.

Fastly's TLS errors have no codes. Four texts are attested by several users and may be matched; the rest goes by status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from certbroker.errors import CredentialsRejected, Rejected
from certbroker_fastly.api import SERVICE

_KEY_EXISTS: Final = re.compile(r"Key already exists(?:: '([A-Za-z0-9]+)')?")
_TAKEN: Final = "domain_id has already been taken"
_NOT_ON_A_SERVICE: Final = "not found on one of your services"
_NO_NAME: Final = "need at least one DNS name"

_MAY_NOT_WRITE: Final = (
    "the token may not do this: Fastly wants an automation token with role engineer and TLS management "
    "(https://manage.fastly.com/account/tokens)"
)


class Hinted:
    """`with Hinted():` says what a token lacks that reads and may not write."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CredentialsRejected) and error.status == 403 and error.hint is None:
            error.hint = _MAY_NOT_WRITE


def existing_key(error: Rejected) -> str | None:
    """The id of the key that is there already ("" if Fastly does not say), or None if that is not the matter."""
    found = _KEY_EXISTS.search(error.what)
    return None if found is None else found[1] or ""


def is_taken(error: Rejected) -> bool:
    """The name has an activation already."""
    return _TAKEN in error.what


def taken(name: str, configurations: Sequence[str], error: Rejected) -> Rejected:
    """`name` is enabled, but not on our configuration: on these, or by something that Fastly does not list."""
    if configurations:
        where = f"on the TLS configuration {', '.join(configurations)}"
        hint = f'set configuration = "{configurations[0]}", or disable TLS for {name} there'
    else:
        where = "by something that it does not list"
        hint = f"look for a Fastly-managed certificate (TLS subscription) of {name} and remove it, or leave {name} out here"
    return Rejected(f'{SERVICE} has {name} enabled already, {where} ("{_TAKEN}")', hint=hint, status=error.status)


def managed(name: str) -> Rejected:
    """A name that Fastly serves with a certificate of its own."""
    return Rejected(
        f"{SERVICE} manages the certificate of {name} itself (TLS subscription)",
        hint=f"nothing was touched; certbroker takeover plans how ours takes its place, step by step; or leave {name} out of "
        "this target",
    )


def does_not_move(name: str, others: Sequence[str], error: Rejected) -> Rejected:
    """Fastly does not let the activation of its own certificate point to ours. `others`: TLS configurations besides ours."""
    around = (
        f"{', '.join(others)}: set configuration to it in this target; ours is then served there beside Fastly's own, and "
        "takeover goes on with a step in which you point DNS to it"
        if others
        else "ask Fastly's support for one, then set configuration to it in this target"
    )
    return Rejected(
        f"{SERVICE} does not let ours take the place of its own certificate for {name} ({error.what})",
        hint=f"nothing was touched: Fastly's own is served as before; the way round is a second TLS configuration: {around}",
        status=error.status,
    )


def does_not_return(name: str, error: Rejected) -> Rejected:
    """The way back, which nobody has documented either."""
    return Rejected(
        f"{SERVICE} does not let its own certificate take the place of ours for {name} ({error.what})",
        hint="nothing was touched: ours is served as before and renewed; ask Fastly's support to enable the subscription for "
        "this name",
        status=error.status,
    )


def still_needed(name: str, error: Rejected) -> Rejected:
    """A subscription that Fastly keeps."""
    return Rejected(
        f"{SERVICE} keeps its subscription for {name}, which it calls in use ({error.what})",
        hint="nothing was touched, and it does no harm beside ours; Fastly's support can remove it",
        status=error.status,
    )


def explained(error: Rejected, name: str = "") -> Rejected:
    """The other refusals whose words are known, with advice."""
    if _NOT_ON_A_SERVICE in error.what:
        error.hint = f"put {name} on an active Fastly service; the next run goes on"
    elif _NO_NAME in error.what:
        error.hint = "Fastly takes no certificate without DNS names in its SAN"
    return error
