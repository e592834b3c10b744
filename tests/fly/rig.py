"""A Fly in memory, the adapter in front of it, and certificates to push."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certbroker import keys
from certbroker.model import Assignment, Bundle, KeyType, Traits, Version
from certbroker.pacing import Pacer, Rate
from certbroker.provider import Context
from certbroker.secret import Secret, SecretRef
from certbroker.session import Session
from certbroker.testkit.simulator import Request, SimulatorTransport
from certbroker_fly import FlyProvider, FlySettings
from certbroker_fly.simulator import FlyApp, FlySimulator, Quirks
from tests.clock import START, TestClock

NAMES = ("example.com", "*.example.com", "www.example.org")

_CA_KEY = ec.generate_private_key(ec.SECP256R1())
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA E1")])


def certify(
    names: tuple[str, ...],
    key: Secret,
    *,
    starts: datetime = START - timedelta(days=1),
    ends: datetime = START + timedelta(days=60),
) -> str:
    """A leaf for `names` and `key`, and the CA's certificate below it, as PEM."""
    public = keys.load_key(key).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(_CA_NAME)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    )
    leaf = builder.sign(_CA_KEY, hashes.SHA256())
    ca = (
        x509.CertificateBuilder()
        .subject_name(_CA_NAME)
        .issuer_name(_CA_NAME)
        .public_key(_CA_KEY.public_key())
        .serial_number(1)
        .not_valid_before(START - timedelta(days=365))
        .not_valid_after(START + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(_CA_KEY, hashes.SHA256())
    )
    return pem(leaf) + pem(ca)


def pem(certificate: x509.Certificate) -> str:
    """The PEM of one certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_bundle(
    names: tuple[str, ...] = NAMES,
    *,
    number: int = 1,
    ends: datetime = START + timedelta(days=60),
    key_type: KeyType = KeyType.P256,
) -> Bundle:
    """A fresh key and certificate for `names`, on the target `fly`."""
    key = keys.generate(key_type)
    chain = certify(names, key, ends=ends)
    leaf = keys.leaf_facts(keys.read_chain(chain)[0])
    version = Version(
        id=number,
        certificate="main",
        key_type=key_type,
        number=number,
        issuer="test",
        profile=None,
        fingerprint=leaf.fingerprint,
        serial=leaf.serial,
        issued_by=leaf.issued_by,
        names=leaf.names,
        lifetime=leaf.lifetime,
        chain_pem=chain,
        roots_pem=None,
        trusted=True,
    )
    return Bundle(Assignment("main", "fly", names), version, key)


def self_managed(hostname: str) -> tuple[str, Secret]:
    """What Fly would issue for itself."""
    key = keys.generate(KeyType.P256)
    return certify((hostname,), key, ends=START + timedelta(days=90)), key


@dataclass
class Dns:
    """Records as Fly sees them."""

    values: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def lookup(self, name: str, kind: str) -> list[str]:
        return list(self.values.get((name, kind), ()))


@dataclass
class Fly:
    """One simulator and ways to look at it."""

    simulator: FlySimulator
    dns: Dns
    clock: TestClock

    def prove(self, *names: str, app: str = "site-blue", by: str = "org") -> None:
        """Publish the ownership TXT of `names`."""
        proof = self.simulator.apps[app].proofs[1 if by == "org" else 0]
        for name in names:
            self.dns.values[f"_fly-ownership.{name.removeprefix('*.')}", "TXT"] = [f'"{proof}"']

    def provider(self, app: str = "site-blue", *, token: str | None = None, seconds: float = 600.0) -> FlyProvider:
        """A new instance, as each run has one."""
        settings = FlySettings.model_validate({"app": app, "token": {"env": "FLY_TOKEN"}})
        return FlyProvider.open(settings, self.context(token or self.simulator.deploy_token(app), seconds=seconds))

    def context(self, token: str, *, seconds: float = 600.0) -> Context:
        def session(
            *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits
        ) -> Session:
            return Session(
                service=service,
                base=base,
                transport=SimulatorTransport(self.simulator),
                clock=self.clock,
                deadline=self.clock.monotonic() + seconds,
                pacer=Pacer(self.clock, Rate(traits.calls_per_second, traits.burst)),
                authorize=authorize,
            )

        def resolve(reference: SecretRef) -> Secret:
            return reference.resolve({"FLY_TOKEN": token})

        return Context("fly", "4c1f0a2b", session, resolve, self.clock.now, {}, Path("/"))

    @property
    def calls(self) -> list[str]:
        """Method and last part of the path of every request since the last look, then forgotten."""
        said = [_short(request) for request in self.simulator.requests]
        self.simulator.requests.clear()
        return said

    def served(self, app: str = "site-blue", address: str = "") -> dict[str, str]:
        """The fingerprint that the edge at `address` presents, per hostname."""
        return {
            name: keys.fingerprint(keys.read_chain(chain)[0])
            for name, (chain, _) in self.simulator.serving(app, address).items()
        }


def label(quirks: Quirks) -> str:
    """The quirks that are not the usual ones, for a test's id."""
    usual = asdict(Quirks())
    return ",".join(f"{name}={value}" for name, value in asdict(quirks).items() if value != usual[name]) or "usual"


def _short(request: Request) -> str:
    return f"{request.method} {request.path.removeprefix('/v1/')}"


def make_fly(quirks: Quirks | None = None, *, apps: tuple[str | FlyApp, ...] = ("site-blue", "site-green")) -> Fly:
    """A Fly with two apps of one organisation, a DNS without records, and a CA of its own."""
    clock, dns = TestClock(), Dns()
    simulator = FlySimulator(
        clock=clock.now, apps=apps, lookup=dns.lookup, managed_issuer=self_managed, quirks=quirks or Quirks()
    )
    return Fly(simulator, dns, clock)
