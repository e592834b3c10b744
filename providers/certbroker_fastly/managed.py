"""What Fastly manages by itself: TLS subscriptions, and the records by which it proves their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from certbroker.model import Record
from certbroker.provider import ManagedFacts
from certbroker_fastly.api import FastlyApi, Subscription


def facts(api: FastlyApi, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
    """Per name that has a subscription; the one that has a certificate comes before one that waits."""
    found = {name: sorted(api.subscriptions(name), key=lambda each: not each.issued) for name in names}
    return {name: _facts(subscriptions[0]) for name, subscriptions in found.items() if subscriptions}


def _facts(subscription: Subscription) -> ManagedFacts:
    records = [
        (proof.kind, record)
        for proof in subscription.proofs
        for record in _records(proof.name, proof.type, proof.values)
    ]
    return ManagedFacts(
        state="issued" if subscription.issued else "pending",
        reference=f"subscription:{subscription.id}",
        ends=subscription.ends,
        challenge=next((record for kind, record in records if kind == "managed-dns"), None),
        routing=tuple(record for kind, record in records if kind.startswith("managed-http")),
    )


def _records(name: str, kind: str, values: Sequence[str]) -> Iterator[Record]:
    for value in values:
        yield Record(name, kind, (f"{value}." if kind == "CNAME" else value,))
