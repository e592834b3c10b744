"""The command line at a desk with nothing of ours around it: real CAs, real name servers, the machine's own clock and network."""

from __future__ import annotations

import io
import json
import os
import random
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from certbroker.cli import main
from certbroker.world import Clock, SystemClock, SystemNetwork, World
from tests.servers.caddy import caddy, caddy_program
from tests.servers.knot import KEY, KEY_NAME, knot
from tests.servers.pebble import Pebble, debian_pebble, new_pebble, pebble
from tests.servers.powerdns import API_KEY, powerdns

ZONE = "example.com"
CHALLENGE = f"_acme-challenge.{ZONE}"

FILE = """
[store]
url = {{ env = "STORE" }}

[vault]
key = "file:vault.key"

[defaults]
issuer = "ca"

[issuer.ca]
directory      = "{directory}"
ca_bundle      = "ca.pem"
roots          = "roots.pem"
agree_to_terms = true

[solver.dns]
{solver}
nameservers = ["{dns}"]

[network]
nameservers = ["{dns}"]

[target.folder]
type             = "files"
folder           = "served/{{certificate}}"
accept_untrusted = true

[certificate.main]
names   = ["{zone}", "*.{zone}"]
targets = ["folder"]
"""


# ---- the servers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proof:
    """A name server that holds the zone: where it is asked, how the file says who writes it, and what it serves now."""

    address: str
    solver: str
    secrets: Mapping[str, str]
    txt: Callable[[str], list[str]]


@contextmanager
def by_rfc2136(folder: Path) -> Iterator[Proof]:
    """Knot, written by signed updates."""
    with knot(folder, {ZONE: ""}) as server:
        solver = f"""type = "rfc2136"\nserver = "{server.address}"\nkey = "{KEY_NAME}"\nsecret = {{ env = "TSIG" }}"""
        yield Proof(server.address, solver, {"TSIG": KEY}, server.txt)


@contextmanager
def by_lexicon(folder: Path) -> Iterator[Proof]:
    """PowerDNS, written through Lexicon and its HTTP API."""
    if find_spec("lexicon") is None:
        if os.environ.get("CI"):
            pytest.fail("needs the extra lexicon")
        pytest.skip("needs the extra lexicon")
    with powerdns(folder) as server:
        server.add_zone(ZONE)
        options = f"""{{ pdns_server = "{server.api}", auth_token = {{ env = "PDNS_KEY" }} }}"""
        solver = f"""type = "lexicon"\nprovider = "powerdns"\noptions = {options}"""
        yield Proof(server.address, solver, {"PDNS_KEY": API_KEY}, server.txt)


@dataclass(frozen=True)
class Ca:
    """A CA at work."""

    directory: str
    ca_bundle: str
    """What its HTTPS is judged by, as PEM."""
    roots: str
    """What its certificates are judged by, as PEM."""
    log: Path
    pebble: Pebble | None = None

    @property
    def orders(self) -> int:
        """How many orders it has taken. Only Pebble says."""
        return self._logged(" orders in the db")

    @property
    def replaced(self) -> int:
        """How many of them it knows as replacements of an earlier one that are done. Only the newest Pebble says."""
        return self._logged("has been marked as replaced")

    def _logged(self, words: str) -> int:
        return self.log.read_text(errors="replace").count(words)


@contextmanager
def _pebble(program: str, folder: Path, dns: str, **more: Any) -> Iterator[Ca]:
    with pebble(program, folder, dns, **more) as server:
        yield Ca(server.directory, server.ca_bundle.read_text(), server.root(), folder / "pebble.log", server)


def newest_pebble(
    folder: Path, dns: str, *, environ: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
) -> AbstractContextManager[Ca]:
    """2.10.1, strict, with its own default of refused nonces and reused authorizations, unless `environ` or `config` say more."""
    return _pebble(new_pebble(), folder, dns, environ=environ, config=config)


def debians_pebble(folder: Path, dns: str) -> AbstractContextManager[Ca]:
    """2.4.0, the same way."""
    return _pebble(debian_pebble(), folder, dns)


@contextmanager
def caddys_ca(folder: Path, dns: str) -> Iterator[Ca]:
    """Caddy 2.11, whose ACME code is smallstep's."""
    with caddy(caddy_program(), folder, dns) as server:
        yield Ca(server.directory, server.ca_bundle.read_text(), server.roots.read_text(), folder / "caddy.log")


# ---- the desk -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """A folder with a file in it, and the command line."""

    folder: Path
    ca: Ca
    proof: Proof
    clock: Clock = field(default_factory=SystemClock)
    store: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "ca.pem").write_text(self.ca.ca_bundle)
        (self.folder / "roots.pem").write_text(self.ca.roots)
        text = FILE.format(directory=self.ca.directory, solver=self.proof.solver, dns=self.proof.address, zone=ZONE)
        (self.folder / "certbroker.toml").write_text(text)
        self.store = self.store or f"sqlite:///{self.folder / 'store.db'}"

    @property
    def environ(self) -> dict[str, str]:
        programs = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return {**programs, **self.proof.secrets, "STORE": self.store}

    def run(self, *argv: str, ends: int = 0, host: str = "broker-1", network: SystemNetwork | None = None) -> Ran:
        """Run it here, on the machine's clock and network. It must end with exit code `ends`."""
        out, err = io.StringIO(), io.StringIO()
        world = World(
            clock=self.clock,
            random=random.SystemRandom(),
            environ=self.environ,
            network=network or SystemNetwork(),
            stdin=io.StringIO(),
            stdout=out,
            stderr=err,
            cwd=self.folder,
            host=host,
            actor="tester",
        )
        code = main(argv, world)
        return self._ended(argv, Ran(code, out.getvalue(), err.getvalue()), ends)

    def write(self, old: str, new: str) -> None:
        """Something else stands in the file."""
        path = self.folder / "certbroker.toml"
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))

    def start(self, *argv: str, ends: int = 0, **environ: str) -> Ran:
        """Run it as a program of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "certbroker", *argv],
            cwd=self.folder,
            env={**self.environ, **environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return self._ended(argv, Ran(done.returncode, done.stdout, done.stderr), ends)

    def _ended(self, argv: tuple[str, ...], ran: Ran, ends: int) -> Ran:
        assert ran.code == ends, f"certbroker {' '.join(argv)} ended {ran.code}:\n{ran.out}\n{ran.err}"
        for secret in self.proof.secrets.values():
            assert secret not in ran.out + ran.err
        return ran

    @property
    def leaf(self) -> str:
        """The certificate in the target's folder, as PEM."""
        return (self.folder / "served" / "main" / "cert.pem").read_text()

    def history(self) -> list[str]:
        """The kinds of what happened, oldest first."""
        return [row["kind"] for row in self.run("history", "--limit", "1000", "--json").json["history"]]

    def serves(self, name: str) -> bytes:
        """A TLS handshake about `name` with a server that has read the target's folder, judged by the CA's root alone. The leaf, as DER."""
        files = self.folder / "served" / "main"
        there = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        there.load_cert_chain(files / "fullchain.pem", files / "privkey.pem")
        here = ssl.create_default_context(cadata=self.ca.roots)
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = there.wrap_bio(up, down, server_side=True)
        client = here.wrap_bio(down, up, server_hostname=name)
        while not all([_shaken(client), _shaken(server)]):
            continue
        leaf = client.getpeercert(binary_form=True)
        assert leaf is not None
        return leaf

    def is_proven(self) -> None:
        """The folder serves the name and the wildcard, and DNS holds nothing of ours any more."""
        assert self.serves(ZONE) == self.serves(f"www.{ZONE}") == ssl.PEM_cert_to_DER_cert(self.leaf)
        assert self.proof.txt(CHALLENGE) == []


def _shaken(side: ssl.SSLObject) -> bool:
    """One step of a handshake; True when this side is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
