"""A cloud that exists for the suite's own tests: certificates are uploaded as objects, then bound to names."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.secret import Secret
from certbroker.testkit.simulator import Request, Response, Simulator

TOKEN = Secret("toy-token-4f0c9a7e21")
PAGE = 3


class ToyCloud(Simulator):
    """Listings come in pages of three. An object that is bound cannot be deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.bindings: dict[str, str] = {}
        self.own: dict[str, str | None] = {}
        """The cloud's own certificates by name; None: requested and not proven."""
        self.refused: set[str] = set()
        self.held: set[str] = set()
        self._last = 0

    def state(self) -> Mapping[str, Any]:
        bound = {f"binding {name}": target for name, target in self.bindings.items()}
        own = {f"own {name}": fingerprint for name, fingerprint in self.own.items()}
        return copy.deepcopy({**self.objects, **bound, **own})

    def served(self, name: str) -> str | None:
        bound = self.bindings.get(name)
        return self.objects[bound]["fingerprint"] if bound and name not in self.held else self.own.get(name)

    def put(self, name: str, fingerprint: str = "f0" * 32) -> str:
        """An object that somebody made by hand."""
        self._last += 1
        identity = f"o{self._last}"
        self.objects[identity] = {"id": identity, "name": name, "fingerprint": fingerprint}
        return identity

    def answer(self, request: Request) -> Response:
        if request.headers.get("Toy-Token") != TOKEN.reveal():
            return Response.of(401, {"message": "who are you"})
        for method, pattern, act in self._routes():
            found = re.fullmatch(pattern, request.path)
            if found and request.method == method:
                return act(request, *found.groups())
        return Response.of(404, {"message": "no such place"})

    def _routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        return [
            ("GET", "/objects", lambda request: self._page(request, list(self.objects.values()))),
            ("POST", "/objects", self._upload),
            ("DELETE", "/objects/(o[0-9]+)", self._delete),
            ("GET", "/bindings", lambda request: self._page(request, self._bound())),
            ("PUT", "/bindings/([^/]+)", self._bind),
            ("DELETE", "/bindings/([^/]+)", self._unbind),
            ("GET", "/own", lambda request: self._page(request, self._owned())),
            ("POST", "/own/([^/]+)", self._request),
            ("DELETE", "/own/([^/]+)", self._retire),
        ]

    def _bound(self) -> list[dict[str, Any]]:
        return [self._binding(name) for name in self.bindings]

    def _binding(self, name: str) -> dict[str, Any]:
        return {"name": name, "object": self.bindings[name], "proof": "prove-it" if name in self.held else None}

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Response:
        number = int(request.one("page", "1"))
        more = len(items) > number * PAGE
        return Response.of(
            200, {"items": items[(number - 1) * PAGE : number * PAGE], "next": number + 1 if more else None}
        )

    def _upload(self, request: Request) -> Response:
        body = request.json() or {}
        try:
            leaf = keys.leaf_facts(keys.read_chain(body["chain"])[0])
            keys.load_key(Secret(body["key"]))
        except (BadMaterial, KeyError):
            return Response.of(422, {"message": "cannot use that"})
        identity = self.put(body["name"], leaf.fingerprint)
        return Response.of(201, self.objects[identity])

    def _delete(self, request: Request, identity: str) -> Response:
        if identity in self.bindings.values():
            return Response.of(409, {"message": "it is bound"})
        if self.objects.pop(identity, None) is None:
            return Response.of(404, {"message": "no such object"})
        return Response(204)

    def _bind(self, request: Request, name: str) -> Response:
        target = (request.json() or {}).get("object")
        if target not in self.objects or name in self.refused:
            return Response.of(422, {"message": f"{name} cannot be bound to that"})
        self.bindings[name] = target
        return Response.of(200, self._binding(name))

    def _unbind(self, request: Request, name: str) -> Response:
        self.bindings.pop(name, None)
        return Response(204)

    def _owned(self) -> list[dict[str, Any]]:
        return [{"name": name, "issued": fingerprint is not None} for name, fingerprint in self.own.items()]

    def _request(self, request: Request, name: str) -> Response:
        self.own.setdefault(name, None)
        return Response.of(200, {"name": name, "issued": self.own[name] is not None})

    def _retire(self, request: Request, name: str) -> Response:
        self.own.pop(name, None)
        return Response(204)
