"""The clients that are measured, each set up as its own manual says and told not to wait for DNS: the zone's one server has
every record at once. All write the same zone by the same signed updates (RFC 2136), none starts a hook."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.place import ZONE, Place
from tests.bench.stopwatch import Spent, spent
from tests.servers.bind import KEY, KEY_NAME

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".tools"


class Client(Protocol):
    """A client at its desk: its account is made, as that of a client that has been at work for long."""

    def obtain(self, tag: str, certificates: Sequence[Sequence[str]]) -> Spent:
        """One certificate for each list of names. `tag`: new each time."""
        ...


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **more}


# ---- certbroker --------------------------------------------------------------------------------------------------------

FILE: Final = """
[store]
url = "sqlite:///{folder}/store.db"

[vault]
key = "file:vault.key"

[defaults]
issuer = "ca"

[issuer.ca]
directory = "{directory}"
ca_bundle = "{bundle}"
roots = "roots.pem"
agree_to_terms = true

[solver.dns]
type = "rfc2136"
server = "{dns}"
key = "{key}"
secret = {{ env = "TSIG" }}
zones = ["{zone}"]
nameservers = ["{dns}"]

[network]
nameservers = ["{dns}"]

[target.folder]
type = "files"
folder = "served/{{certificate}}"
accept_untrusted = true
"""


def file_head(at: Place, folder: Path) -> str:
    """The file, all but its certificates; `roots.pem` lies beside it."""
    return FILE.format(
        folder=folder, directory=at.directory, bundle=at.ca_bundle, dns=at.zone.address, key=KEY_NAME, zone=ZONE
    )


def certbroker(folder: Path, *argv: str) -> Spent:
    """The program, with the file of that folder."""
    program = Path(sys.executable).parent / "certbroker"
    return spent([str(program), *argv], folder=folder, environ=environment(folder, TSIG=KEY))


@dataclass
class Certbroker:
    """The certificates lie in a folder, as the others' do."""

    place: Place
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "roots.pem").write_text(self.place.roots)
        self.head = file_head(self.place, self.folder)
        self.write("")
        certbroker(self.folder, "init")
        self.obtain("warm", [[f"warm.certbroker.{ZONE}"]])

    def write(self, certificates: str) -> None:
        (self.folder / "certbroker.toml").write_text(self.head + certificates)

    def obtain(self, tag: str, certificates: Sequence[Sequence[str]]) -> Spent:
        tables = []
        for number, names in enumerate(certificates):
            listed = ", ".join(f'"{name}"' for name in names)
            tables.append(f'\n[certificate.{tag}-{number}]\nnames = [{listed}]\ntargets = ["folder"]\n')
        self.write("".join(tables))
        found = certbroker(self.folder, "renew", "--yes")  # the owner means it: all that the file had is another now
        for number in range(len(certificates)):
            assert (self.folder / "served" / f"{tag}-{number}" / "fullchain.pem").exists()
        return found


# ---- certbot -----------------------------------------------------------------------------------------------------------


def certbot_program() -> Path | None:
    """The newest of PyPI, in an environment of its own."""
    found = TOOLS / "certbot" / "bin" / "certbot"
    return found if found.exists() else None


@dataclass
class Certbot:
    """With its own plugin for RFC 2136, told to wait 0 seconds for DNS. One call a certificate."""

    place: Place
    folder: Path
    program: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        options = {
            "server": self.place.zone.host,
            "port": self.place.zone.port,
            "name": f"{KEY_NAME}.",
            "secret": KEY,
            "algorithm": "HMAC-SHA256",
        }
        secret = self.folder / "rfc2136.ini"
        secret.write_text("".join(f"dns_rfc2136_{name} = {value}\n" for name, value in options.items()))
        secret.chmod(0o600)
        self.run(["register", "--agree-tos", "--register-unsafely-without-email"])

    def run(self, *calls: Sequence[str]) -> Spent:
        where = [f"--{kind}-dir={self.folder / kind}" for kind in ("config", "work", "logs")]
        always = [str(self.program), "-n", "-q", f"--server={self.place.directory}", *where]
        environ = environment(self.folder, REQUESTS_CA_BUNDLE=str(self.place.ca_bundle))
        return one_after_the_other([[*always, *call] for call in calls], self.folder, environ)

    def obtain(self, tag: str, certificates: Sequence[Sequence[str]]) -> Spent:
        proof = ["--dns-rfc2136", f"--dns-rfc2136-credentials={self.folder / 'rfc2136.ini'}"]
        proof.append("--dns-rfc2136-propagation-seconds=0")
        calls = [
            ["certonly", *proof, f"--cert-name={tag}-{number}", *(f"--domain={name}" for name in names)]
            for number, names in enumerate(certificates)
        ]
        found = self.run(*calls)
        for number in range(len(certificates)):
            assert (self.folder / "config" / "live" / f"{tag}-{number}" / "fullchain.pem").exists()
        return found


# ---- lego --------------------------------------------------------------------------------------------------------------


def lego_program() -> Path | None:
    """Debian's."""
    found = shutil.which("lego")
    return Path(found) if found else None


@dataclass
class Lego:
    """With its own provider for RFC 2136 and without its own look for the records. One call a certificate."""

    place: Place
    folder: Path
    program: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.obtain("warm", [[f"warm.lego.{ZONE}"]])

    def obtain(self, tag: str, certificates: Sequence[Sequence[str]]) -> Spent:
        dns = self.place.zone.address
        environ = environment(
            self.folder,
            LEGO_CA_CERTIFICATES=str(self.place.ca_bundle),
            RFC2136_NAMESERVER=dns,
            RFC2136_TSIG_ALGORITHM="hmac-sha256.",
            RFC2136_TSIG_KEY=f"{KEY_NAME}.",
            RFC2136_TSIG_SECRET=KEY,
            RFC2136_SEQUENCE_INTERVAL="0",
            RFC2136_POLLING_INTERVAL="0",
        )
        always = [str(self.program), f"--server={self.place.directory}", "--email=bench@example.com", "--accept-tos"]
        always += [f"--path={self.folder / 'lego'}", "--key-type=ec256", "--dns=rfc2136", f"--dns.resolvers={dns}"]
        calls = [
            [*always, "--dns.disable-cp", *(f"--domains={name}" for name in names), "run"] for names in certificates
        ]
        found = one_after_the_other(calls, self.folder, environ)
        for names in certificates:
            assert (self.folder / "lego" / "certificates" / f"{names[0].replace('*', '_')}.crt").exists()
        return found


def one_after_the_other(calls: Sequence[Sequence[str]], folder: Path, environ: dict[str, str]) -> Spent:
    """All calls as one program: a shell that stops at the first that fails."""
    if len(calls) == 1:
        return spent(calls[0], folder=folder, environ=environ)
    script = folder / "calls.sh"
    script.write_text("set -e\n" + "".join(" ".join(f"'{word}'" for word in call) + "\n" for call in calls))
    return spent(["sh", str(script)], folder=folder, environ=environ)


# ---- the lower bound ---------------------------------------------------------------------------------------------------


@dataclass
class Bound:
    """A client of ours that does nothing but the fewest requests."""

    place: Place
    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "out").mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (self.folder / "key.pem").write_bytes(pem)
        self.file = self.folder / "order.json"
        order = {
            "directory": self.place.directory,
            "ca_bundle": str(self.place.ca_bundle),
            "dns": self.place.zone.address,
            "tsig": [KEY_NAME, KEY],
            "zone": ZONE,
            "key": str(self.folder / "key.pem"),
            "account": None,
            "certificates": [],
            "out": str(self.folder / "out"),
        }
        self.file.write_text(json.dumps(order))
        self.run()

    def run(self) -> Spent:
        program = Path(__file__).parent / "lower_bound.py"
        return spent(
            [sys.executable, str(program), str(self.file)], folder=self.folder, environ=environment(self.folder)
        )

    def obtain(self, tag: str, certificates: Sequence[Sequence[str]]) -> Spent:
        order = json.loads(self.file.read_text())
        self.file.write_text(json.dumps({**order, "certificates": certificates}))
        found = self.run()
        assert len(list((self.folder / "out").iterdir())) >= len(certificates)
        return found
