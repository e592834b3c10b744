"""Stock `acme` as a client of the sandbox's CA: a reading of the RFC that is not ours."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from acme import challenges, client, crypto_util, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock

URL = "http://ca.sandbox.test"


@dataclass
class Dns:
    """The least that a CA needs to look into."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def lookup_txt(self, name: str) -> list[str]:
        return self.values.get(name, [])


def make_ca(dns: Dns, *, clock: TestClock | None = None, **more: object) -> SandboxCA:
    return SandboxCA(
        clock=clock or TestClock(),
        rng=random.Random(1),
        lookup_txt=dns.lookup_txt,
        base_url=URL,
        **more,  # type: ignore[arg-type]
    )


def new_key() -> JWKEC:
    return JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


def connect(ca: SandboxCA, key: JWKEC | None = None) -> client.ClientV2:
    """A client without an account."""
    net = client.ClientNetwork(key or new_key(), alg=ES256, user_agent="stock acme")
    net.session.mount("http://", SimulatorTransport(ca))
    return client.ClientV2(client.ClientV2.get_directory(f"{URL}/dir", net), net)


def register(acme: client.ClientV2, **more: object) -> messages.RegistrationResource:
    return acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True, **more))  # type: ignore[arg-type]


def member(ca: SandboxCA, key: JWKEC | None = None) -> client.ClientV2:
    """A client with an account."""
    acme = connect(ca, key)
    register(acme)
    return acme


def certificate_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def order(
    acme: client.ClientV2, names: Sequence[str], *, key: bytes | None = None, profile: str | None = None
) -> messages.OrderResource:
    return acme.new_order(crypto_util.make_csr(key or certificate_key(), list(names)), profile=profile)


def prove(acme: client.ClientV2, orderr: messages.OrderResource, dns: Dns) -> None:
    """Publish every dns-01 proof, then answer."""
    found = []
    for authzr in orderr.authorizations:
        for challb in authzr.body.challenges:
            if isinstance(challb.chall, challenges.DNS01):
                response, value = challb.response_and_validation(acme.net.key)
                name = challb.chall.validation_domain_name(authzr.body.identifier.value)
                dns.values.setdefault(name, []).append(value)
                found.append((challb, response))
    for challb, response in found:
        acme.answer_challenge(challb, response)


def soon() -> datetime.datetime:
    """`acme` wants naive local time."""
    return datetime.datetime.now() + datetime.timedelta(seconds=20)  # noqa: DTZ005


def obtain(
    acme: client.ClientV2, dns: Dns, names: Sequence[str], *, key: bytes | None = None, profile: str | None = None
) -> str:
    """The chain, from a CA that answers at once. Not by `poll_finalization`: that sleeps a whole second before its first look."""
    orderr = order(acme, names, key=key, profile=profile)
    prove(acme, orderr, dns)
    orderr = acme.begin_finalization(acme.poll_authorizations(orderr, soon()))
    return str(acme._post_as_get(orderr.body.certificate).text)
