"""The embedded world put together: a CA, a DNS, the platforms' simulators, a DNS provider, and edges that terminate TLS.

Everything listens on loopback. The platforms pretend to have edges at documentation addresses (RFC 5737, RFC 3849);
`[network] connect_to` in the configuration it writes leads there. Nothing else in certbroker knows that a sandbox exists.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from certbroker import registry
from certbroker.challenges.dnsimple_simulator import DnsimpleSimulator
from certbroker.sandbox.ca.books import CAA_IDENTITY
from certbroker.sandbox.ca.server import SandboxCA
from certbroker.sandbox.dns import DnsServer
from certbroker.sandbox.edge import TlsEdge
from certbroker.sandbox.web import Web
from certbroker.testkit.embedded import Embedded, House, Pair
from certbroker.testkit.simulator import serve
from certbroker.world import Clock

ZONE: Final = "example.com"
SECOND_CAA: Final = "second.certbroker.test"


class Sandbox:
    """One embedded world. `with Sandbox(...) as house:` starts it; `house.write(folder)` makes a folder to work in.

    Args:
        second_ca: another CA, of other roots and accounts, that steps in for the first: `issuer = ["sandbox", "second"]`.
        chain_length, alternates: of the CA's chains, as `SandboxCA` has them.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        zones: tuple[str, ...] = (ZONE,),
        second_ca: bool = False,
        chain_length: int = 2,
        alternates: int = 0,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self.zones = zones
        self.dns = DnsServer(recursive=True, clock=clock)
        self.web = Web(self.dns.lookup_addresses)
        """Where the CAs look for http-01."""
        self.ca = self._authority(CAA_IDENTITY, chain_length=chain_length, alternates=alternates)
        self.ca2 = self._authority(SECOND_CAA) if second_ca else None
        self.dnsimple = DnsimpleSimulator(zones=zones, on_change=self._publish, now=clock.now)
        self.platforms: dict[str, Embedded] = {}
        self.edges: dict[str, TlsEdge] = {}
        """The edges by the address they pretend to have."""
        self.urls: dict[str, str] = {}
        self._served: dict[str, dict[str, str]] = {}
        """By edge: what each name was last given, as the chain's text."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.dns)
            for zone in self.zones:
                self.dns.add_zone(zone, ns=(f"ns1.{zone}",))
                self.dns.add(f"ns1.{zone}", "A", "127.0.0.1")
            self.urls["ca"] = stack.enter_context(serve(self.ca)).url
            if self.ca2 is not None:
                self.urls["ca2"] = stack.enter_context(serve(self.ca2)).url
            self.urls["dnsimple"] = stack.enter_context(serve(self.dnsimple)).url
            house = House(self._clock.now, self._rng, self._lookup, self._managed)
            for kind in registry.simulator_types():
                found = registry.simulator(kind)
                if hasattr(found, "embed"):
                    self._move_in(kind, found.embed(house), stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _authority(self, identity: str, *, chain_length: int = 2, alternates: int = 0) -> SandboxCA:
        return SandboxCA(
            clock=self._clock,
            rng=self._rng,
            lookup_txt=self.dns.lookup_txt,
            fetch=self.web.fetch,
            caa_identity=identity,
            chain_length=chain_length,
            alternates=alternates,
        )

    def _move_in(self, kind: str, platform: Embedded, stack: ExitStack) -> None:
        self.platforms[kind] = platform
        self.urls[kind] = stack.enter_context(serve(platform)).url
        for address in platform.addresses:
            self.edges[address] = stack.enter_context(TlsEdge(self._clock))
        platform.on_change = lambda: self._roll_out(platform)
        self._roll_out(platform)

    def _roll_out(self, platform: Embedded) -> None:
        """Bring each edge of a platform to what the platform says it serves."""
        for address in platform.addresses:
            if address not in self.edges:  # one that the platform has got since the world began
                self.edges[address] = self._stack.enter_context(TlsEdge(self._clock))
            edge = self.edges[address]
            serving = platform.serving_at(address)
            served = self._served.setdefault(address, {})
            for name in set(served) - set(serving):
                edge.withdraw(name)
                del served[name]
            for name, (chain, key) in serving.items():
                if served.get(name) != chain:
                    edge.serve(name, chain, key)
                    served[name] = chain

    def _publish(self, zone: str, name: str, kind: str, values: tuple[str, ...]) -> None:
        """What is written at the DNS provider is what the world's DNS says."""
        self.dns.set(name, kind, *values)

    def _lookup(self, name: str, rdtype: str) -> list[str]:
        if rdtype == "TXT":
            return self.dns.lookup_txt(name)
        return self.dns.values(name, rdtype)

    def _managed(self, name: str) -> Pair:
        return self.ca.issue_directly(name)

    # ---- a folder to work in ---------------------------------------------------------------------------------------

    @property
    def connect_to(self) -> Mapping[str, str]:
        return {f"[{a}]:443" if ":" in a else f"{a}:443": edge.address for a, edge in self.edges.items()}

    @property
    def secrets(self) -> dict[str, str]:
        """The environment that the configuration names."""
        found = {"DNSIMPLE_TOKEN": self.dnsimple.token}
        for platform in self.platforms.values():
            found.update(platform.secrets)
        return found

    def configuration(self, folder: Path, *, extra: str = "", certificates: str | None = None) -> str:
        """A complete certbroker.toml for this world. `folder` holds roots.pem and takes the store and the vault key."""
        lines = [
            "# certbroker.toml of the embedded world: loopback only, trusted by nobody",
            "",
            "[store]",
            f'url = "sqlite:///{folder / "state" / "store.db"}"',
            "",
            "[vault]",
            'key = "file:vault.key"',
            "",
            "[defaults]",
            'issuer = "sandbox"' if self.ca2 is None else 'issuer = ["sandbox", "second"]',
            "",
            "[issuer.sandbox]",
            f'directory = "{self.urls["ca"]}/dir"',
            'roots = "roots.pem"',
            "agree_to_terms = true",
            "",
            *self._second_issuer(),
            "[solver.dnsimple]",
            'type = "dnsimple"',
            f'api = "{self.urls["dnsimple"]}/v2"',
            'token = { env = "DNSIMPLE_TOKEN" }',
            f'nameservers = ["{self.dns.address}"]',
            "",
            "[network]",
            f'nameservers = ["{self.dns.address}"]',
            "connect_to = { " + ", ".join(f'"{a}" = "{b}"' for a, b in self.connect_to.items()) + " }",
            "",
            "[target.folder]",
            'type = "files"',
            f'folder = "{folder / "served" / "{certificate}"}"',
            "accept_untrusted = true",
            "",
        ]
        for kind, platform in self.platforms.items():
            lines += [platform.tables(self.urls[kind]).rstrip("\n"), ""]
        return "\n".join(lines) + (certificates or self._certificate()) + extra

    def _second_issuer(self) -> list[str]:
        if self.ca2 is None:
            return []
        directory = f'directory = "{self.urls["ca2"]}/dir"'
        return ["[issuer.second]", directory, 'roots = "roots2.pem"', "agree_to_terms = true", ""]

    def _certificate(self) -> str:
        targets = [
            line[8:-1]
            for p, k in self.platforms.items()
            for line in k.tables(self.urls[p]).splitlines()
            if line.startswith("[target.")
        ]
        names = ", ".join(f'"{name}"' for name in (ZONE, f"*.{ZONE}"))
        listed = ", ".join(f'"{target}"' for target in [*targets, "folder"])
        return f"\n[certificate.main]\nnames = [{names}]\ntargets = [{listed}]\n"

    def write(self, folder: Path, *, extra: str = "", certificates: str | None = None) -> Path:
        """roots.pem and certbroker.toml into `folder`; returns the path of the file."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "roots.pem").write_text(self.ca.roots_pem)
        if self.ca2 is not None:
            (folder / "roots2.pem").write_text(self.ca2.roots_pem)
        path = folder / "certbroker.toml"
        path.write_text(self.configuration(folder, extra=extra, certificates=certificates))
        return path
