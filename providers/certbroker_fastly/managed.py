"""Fastly's own certificates (TLS subscriptions) and how one takes the place of the other.

Nobody has documented whether the activation of a managed certificate may be pointed to an uploaded one, or back; whether a
subscription can be had for a name that is enabled with an uploaded one; or when it can be deleted. Each is one call that Fastly
takes or refuses as a whole: it is asked, and a refusal has changed nothing. `force` is never sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from certbroker.errors import Missing, ProviderError, Rejected
from certbroker.model import Assignment, Done, Failed, Outcome, Record, Waiting
from certbroker.provider import ManagedFacts
from certbroker_fastly.account import Account
from certbroker_fastly.api import SERVICE, Activation, FastlyApi, Subscription
from certbroker_fastly.refusals import does_not_return, explained, still_needed

AUTHORITIES: Final = {"certainly": "certainly.com", "lets-encrypt": "letsencrypt.org", "globalsign": "globalsign.com"}
"""By which domain CAA names the CA that a subscription names by Fastly's own word (`certificate_authority`)."""


class FastlysOwn:
    """The subscriptions of one account, as far as names of ours are concerned. Asked anew each time."""

    def __init__(self, api: FastlyApi, account: Account) -> None:
        self._api = api
        self._account = account

    def facts(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        """Per name that has a subscription; the one that has a certificate comes before one that waits."""
        return {name: self._facts(name, each) for name, each in self._of(names).items()}

    def request(self, assignment: Assignment) -> Mapping[str, Outcome]:
        there = self._of(assignment.names)

        def ask(name: str) -> Outcome:
            found = there.get(name)
            if found is None:
                try:
                    found = self._api.create_subscription(name, self._account.configuration().id)
                except Rejected as error:
                    raise explained(error, name) from None
            return Done() if _issued(found) else Waiting(tuple(filter(None, [_challenge(found)])))

        return _each(assignment.names, ask)

    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        there = self._of(assignment.names)
        return _each(assignment.names, lambda name: self._give_way(name, there.get(name)))

    def _give_way(self, name: str, own: Subscription | None) -> Outcome:
        if own is None or not _issued(own):
            return Failed(
                Rejected(
                    f"{SERVICE} has no certificate of its own for {name} that it could serve",
                    hint="nothing was touched; ours stays until Fastly's own is issued",
                )
            )
        activation = self._here(name)
        if activation is None or activation.certificate in own.certificates:
            return Done()
        try:
            self._api.move_activation(activation.id, own.certificates[-1])
        except (Rejected, Missing) as error:
            raise does_not_return(name, Rejected(error.what, status=error.status)) from None
        return Done()

    def retire(self, assignment: Assignment) -> Mapping[str, Outcome]:
        """One subscription may be for several names: it goes when none of them is served by it, and all are ours."""
        there = self._of(assignment.names)
        gone: set[str] = set()

        def end(name: str) -> Outcome:
            own = there.get(name)
            if own is None or own.id in gone:
                return Done()
            if others := [each for each in own.domains if each not in assignment.names]:
                what = f"{SERVICE}'s subscription for {name} is also for {', '.join(others)}"
                return Failed(Rejected(what, hint="nothing was touched; add the names here, or leave the subscription"))
            served = [each for each in own.domains if self._serves(each, own)]
            if served:
                what = f"{SERVICE} serves {', '.join(served)} with its own certificate"
                return Failed(Rejected(what, hint=self._why_not(served, own)))
            try:
                self._api.delete_subscription(own.id)
            except Missing:
                pass
            except Rejected as error:
                raise still_needed(name, error) from None
            gone.add(own.id)
            return Done()

        return _each(assignment.names, end)

    def _why_not(self, names: Sequence[str], own: Subscription) -> str:
        if all(self._elsewhere(name, own) for name in names):
            return (
                f"nothing was touched: it is served at {self._elsewhere(names[0], own)}, beside ours; once nobody is sent there "
                "any more, disable TLS for it there at Fastly"
            )
        return "nothing was touched; ours has to take its place first"

    def _of(self, names: Sequence[str]) -> dict[str, Subscription]:
        """The one of each name; an issued one before others."""
        found = {name: sorted(self._api.subscriptions(name), key=lambda each: not each.issued) for name in names}
        return {name: subscriptions[0] for name, subscriptions in found.items() if subscriptions}

    def _facts(self, name: str, own: Subscription) -> ManagedFacts:
        return ManagedFacts(
            state="issued" if own.issued else "pending",
            reference=f"subscription:{own.id}",
            ends=own.ends,
            challenge=_challenge(own),
            routing=tuple(record for kind, record in _proofs(own) if kind.startswith("managed-http")),
            elsewhere=self._elsewhere(name, own),
            authority=AUTHORITIES.get(own.authority, ""),
        )

    def _elsewhere(self, name: str, own: Subscription) -> str:
        """On which configuration an activation serves it, if not on ours."""
        if not own.certificates:
            return ""
        ours = self._account.configuration().id
        served = {each.configuration for each in self._api.activations(domain=name) if _by(each, own)}
        return f"the TLS configuration {', '.join(sorted(served))}" if served and ours not in served else ""

    def _here(self, name: str) -> Activation | None:
        ours = self._account.configuration().id
        return next((each for each in self._api.activations(domain=name) if each.configuration == ours), None)

    def _serves(self, name: str, own: Subscription) -> bool:
        """Whether an activation of the name, on any configuration, points to it."""
        return any(_by(each, own) for each in self._api.activations(domain=name))


def _issued(subscription: Subscription) -> bool:
    """It is there, and there is an id by which an activation can be pointed to it."""
    return subscription.issued and bool(subscription.certificates)


def _by(activation: Activation, own: Subscription) -> bool:
    return activation.certificate in own.certificates


def _challenge(own: Subscription) -> Record | None:
    return next((record for kind, record in _proofs(own) if kind == "managed-dns"), None)


def _proofs(own: Subscription) -> Iterator[tuple[str, Record]]:
    """The ways in which Fastly proves it, each value a record of its own."""
    for proof in own.proofs:
        for value in proof.values:
            yield proof.kind, Record(proof.name, proof.type, (f"{value}." if proof.type == "CNAME" else value,))


def _each(names: tuple[str, ...], act: Callable[[str], Outcome]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for name in names:
        try:
            outcomes[name] = act(name)
        except ProviderError as error:
            outcomes[name] = Failed(error)
    return outcomes
