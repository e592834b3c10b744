"""An honest adapter for the toy cloud, in small methods so that a test can break one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from certbroker.errors import Misunderstood, ProviderError, Rejected, Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Edge,
    Failed,
    Keep,
    Live,
    Outcome,
    Owner,
    Record,
    Restorable,
    Standing,
    Traits,
    Waiting,
)
from certbroker.provider import Context, ManagedFacts
from certbroker.secret import SecretRef
from certbroker.testkit.line import Line
from certbroker.testkit.rig import Rig, context
from tests.conformance.toy_cloud import TOKEN, ToyCloud

FOREIGN = "ab" * 32
OWN = "0c" * 32


class ToySettings(BaseModel):
    """What the toy cloud needs."""

    model_config = ConfigDict(extra="forbid")
    token: SecretRef


class ToyProvider:
    """One account at the toy cloud."""

    settings: ClassVar[type[BaseModel]] = ToySettings
    traits: ClassVar[Traits] = Traits(reads_back=frozenset({"fingerprint"}))

    def __init__(self, settings: ToySettings, context: Context) -> None:
        self.context = context
        self.token = settings.token
        self.session = context.session(
            service="the toy cloud",
            base="https://toy.example",
            authorize=lambda: {"Toy-Token": context.resolve(settings.token)},
            traits=self.traits,
        )

    @classmethod
    def open(cls, settings: Any, context: Context) -> Self:
        return cls(settings, context)

    # ---- the cloud's calls -------------------------------------------------------------------------------------------

    def listing(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page: int | None = 1
        while page is not None:
            answer = self.session.call("GET", path, query=[("page", str(page))]).object()
            if not isinstance(answer.get("items"), list) or "next" not in answer:
                raise Misunderstood("the toy cloud's listing has no items")
            found += answer["items"]
            page = answer["next"]
        return found

    def upload(self, bundle: Bundle) -> str:
        body = {"name": self.label(bundle), "chain": bundle.version.chain_pem, "key": bundle.key_pem.reveal()}
        identity = self.session.call("POST", "/objects", json=body).object().get("id")
        if not isinstance(identity, str):
            raise Misunderstood("the toy cloud gave no id")
        return identity

    def bind(self, name: str, identity: str) -> Outcome:
        answer = self.session.call("PUT", f"/bindings/{name}", json={"object": identity}).object()
        if answer.get("object") != identity:
            raise Misunderstood("the toy cloud did not say what it bound")
        return self.outcome(answer)

    def outcome(self, binding: Mapping[str, Any]) -> Outcome:
        if binding.get("proof"):
            return Waiting((Record(f"_proof.{binding['name']}", "TXT", (str(binding["proof"]),)),))
        return Done()

    # ---- the contract ------------------------------------------------------------------------------------------------

    def label(self, bundle: Bundle) -> str:
        return f"certbroker/{self.context.store_id}/{bundle.assignment.certificate}/{bundle.fingerprint[:12]}"

    def ours(self, label: str, certificate: str) -> bool:
        return label.startswith(f"certbroker/{self.context.store_id}/{certificate}/")

    def inspect_many(self, assignments: Sequence[Assignment]) -> Sequence[Mapping[str, Live]]:
        return [self.inspect(each) for each in assignments]

    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        objects = {item["id"]: item for item in self.listing("/objects")}
        bound = {item["name"]: item["object"] for item in self.listing("/bindings")}
        own = [name for name in assignment.names if name not in bound and self.issued().get(name)]
        return {
            **{name: self.live(objects[bound[name]]) for name in assignment.names if name in bound},
            **{name: Live(Owner.MANAGED, Restorable.MANAGED, "own") for name in own},
        }

    def live(self, item: Mapping[str, Any]) -> Live:
        words = item["name"].split("/")
        store = words[1] if words[0] == "certbroker" and len(words) == 4 else None
        owner = Owner.FOREIGN if store is None else Owner.OTHER_STORE
        owner = Owner.OURS if store == self.context.store_id else owner
        return Live(owner, Restorable.KEPT, item["id"], item["fingerprint"], store=store)

    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        uploaded = [item["id"] for item in self.listing("/objects") if item["name"] == self.label(bundle)]
        identity = uploaded[0] if uploaded else self.upload(bundle)
        bound = {item["name"]: item for item in self.listing("/bindings")}
        return {name: self.switch(name, identity, bound.get(name, {})) for name in bundle.assignment.names}

    def switch(self, name: str, identity: str, binding: Mapping[str, Any]) -> Outcome:
        try:
            return self.outcome(binding) if binding.get("object") == identity else self.bind(name, identity)
        except Unavailable:
            raise
        except ProviderError as error:
            return Failed(error)

    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        if previous is not None:
            self.push(previous, before)
            return
        for name in assignment.names:
            if name in before:
                self.bind(name, before[name].reference)

    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        bound = {item["object"] for item in self.listing("/bindings")}
        kept = {fingerprint[:12] for fingerprint in keep.fingerprints}
        removed = []
        for item in self.listing("/objects"):
            if self.ours(item["name"], assignment.certificate) and item["id"] not in bound:
                if item["name"].rpartition("/")[2] in kept:
                    continue
                self.session.call("DELETE", f"/objects/{item['id']}")
                removed.append(f"object {item['name']}")
        return tuple(removed)

    # ---- the cloud's own -----------------------------------------------------------------------------------------------

    def issued(self) -> dict[str, bool]:
        return {item["name"]: item["issued"] for item in self.listing("/own")}

    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        there = self.issued()
        return {name: ManagedFacts("issued" if there[name] else "pending") for name in names if name in there}

    def take_over(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        return self.push(bundle, before)

    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        return {name: self.unbind(name, self.issued().get(name, False)) for name in assignment.names}

    def unbind(self, name: str, issued: bool) -> Outcome:
        if not issued:
            return Failed(Rejected(f"the toy cloud has none of its own for {name}"))
        self.session.call("DELETE", f"/bindings/{name}")
        return Done()

    def request_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        return {name: self.request(name) for name in assignment.names}

    def request(self, name: str) -> Outcome:
        answer = self.session.call("POST", f"/own/{name}").object()
        return Done() if answer["issued"] else Waiting((Record(f"_own.{name}", "CNAME", ("toy.example.",)),))

    def retire_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        bound = {item["name"] for item in self.listing("/bindings")}
        return {name: self.retire(name, ours=name in bound) for name in assignment.names}

    def retire(self, name: str, *, ours: bool) -> Outcome:
        if not ours and name in self.issued():
            return Failed(Rejected(f"the toy cloud serves {name} with its own"))
        self.session.call("DELETE", f"/own/{name}")
        return Done()

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        return (Edge("192.0.2.1"),)

    def check(self, *, write: bool = False) -> Standing:
        self.listing("/objects")
        return Standing(name="the toy token")


def toy_rig(adapter: type[ToyProvider] = ToyProvider) -> Rig:
    """A new toy cloud and the way to it."""
    cloud = ToyCloud()
    line = Line(cloud)

    def make(store_id: str) -> ToyProvider:
        settings = ToySettings(token=SecretRef(env="TOY_TOKEN"))
        return adapter.open(settings, context(line=line, secrets={"TOY_TOKEN": TOKEN}, store_id=store_id))

    def put_foreign() -> Any:
        made = {cloud.put("made by hand"), cloud.put("certbroker/5ca1ab1e"), cloud.put("certbroker/5ca1ab1e/mainly/0")}
        return lambda: {identity: cloud.objects.get(identity) for identity in made}

    def occupy() -> str:
        identity = cloud.put("made by hand", FOREIGN)
        cloud.bindings.update(dict.fromkeys(rig.names, identity))
        return FOREIGN

    def crowd() -> None:
        for number in range(7):
            cloud.bindings[f"n{number}.example"] = cloud.put(f"made by hand {number}")

    def manage() -> None:
        cloud.own.update(dict.fromkeys(rig.names, OWN))

    def grant() -> None:
        cloud.own.update(dict.fromkeys(cloud.own, OWN))

    rig = Rig(
        make=make,
        served=cloud.served,
        state=cloud.state,
        gate=line.gate,
        line=line,
        secrets=(TOKEN,),
        put_foreign=put_foreign,
        occupy=occupy,
        crowd=crowd,
        refuse=cloud.refused.add,
        hold=cloud.held.add,
        manage=manage,
        grant=grant,
    )
    return rig
