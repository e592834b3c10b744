"""What the CA handed out, checked before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives import serialization

from certbroker.errors import BadMaterial
from certbroker.keys import UNREADABLE, Leaf, check_pair, common_name, leaf_facts, read_chain
from certbroker.probe import Roots, judge
from certbroker.secret import Secret


@dataclass(frozen=True, slots=True)
class Certified:
    """A usable certificate. `names` are the ordered ones first, in their order; `trusted`: by the system's roots."""

    chain_pem: str
    leaf: Leaf
    names: tuple[str, ...]
    trusted: bool
    root: str
    """The common name that the topmost certificate of the chain was issued by."""


def certified(text: str, key: Secret, names: Sequence[str], now: datetime) -> Certified:
    """Read the CA's answer: leaf first, any number of intermediates, a root at the end left out.

    A clock that is behind the CA's is no reason to throw the certificate away: it is judged at its own start then.

    Raises:
        BadMaterial: it is not the one we asked for.
    """
    chain = list(read_chain(text, what="the CA's answer"))
    starts = leaf_facts(chain[0]).lifetime.starts
    try:
        while len(chain) > 1 and chain[-1].subject == chain[-1].issuer:
            chain.pop()
    except UNREADABLE:
        raise BadMaterial("the last certificate of the chain cannot be read") from None
    pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain).decode()
    moment = max(now, starts)
    leaf = check_pair(pem, key, names, moment)
    ordered = tuple(names) + tuple(name for name in leaf.names if name not in names)
    trusted = judge(pem, names[0], Roots.system(), moment) is None
    return Certified(pem, leaf, ordered, trusted, common_name(chain[-1].issuer))
