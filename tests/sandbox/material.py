"""Certificates for tests, from the sandbox's own authority."""

from __future__ import annotations

import random
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from certbroker import keys
from certbroker.sandbox.ca.authority import Authority, Profile, profiles, to_pem
from certbroker.secret import Secret
from certbroker.world import Clock


def authority(clock: Clock, *, chain_length: int = 2, alternates: int = 0) -> Authority:
    return Authority(clock, random.Random(1), chain_length=chain_length, alternates=alternates)


def pair(ca: Authority, *names: str, lifetime: timedelta | None = None) -> tuple[str, Secret]:
    """(chain, key) for these names."""
    private = ec.generate_private_key(ec.SECP256R1())
    profile = profiles()["tlsserver"]
    if lifetime:
        profile = Profile("tlsserver", "short", lifetime, 25, common_name=False)
    leaf = ca.issue(private.public_key(), names, profile)
    return to_pem(ca.chains(leaf)[0]), keys.pkcs8(private)
