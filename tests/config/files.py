"""Files for these tests, and two kinds of places that are not ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from certbroker.config import Config, Puts, TargetName, load
from certbroker.errors import ConfigError
from certbroker.model import KeyType, Traits
from certbroker.secret import SecretRef

FAKE_TOKEN = "dnsimple_a_Zt9Qm2Xk7Lw4Rv8Ns1Bc6Yd3Hf5Jg0P"


class Login(BaseModel):
    """A table inside a table."""

    model_config = ConfigDict(extra="forbid")

    user: str
    password: SecretRef


class CloudSettings(BaseModel):
    """An adapter's settings, as a careful author writes them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: SecretRef = Field(description="Deploy token of that app: cloud tokens create deploy -a APP --expiry 8760h")
    app: str = Field(default="", description="The app.")
    size: int = Field(default=1, ge=1, description="How big.")
    login: Login | None = None
    spare: list[SecretRef] = []


class CarelessSettings(BaseModel):
    """As a careless one does: unknown keys are not forbidden, and a message quotes what was written."""

    place: str

    @field_validator("place")
    @classmethod
    def _place(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"{value} is not a path")
        return value


class DnsSettings(BaseModel):
    """A solver's settings."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: SecretRef = Field(description="Account token: https://dns.example/account/tokens")


TARGETS: Mapping[str, type[BaseModel]] = {
    "cloud": CloudSettings,
    "careless": CarelessSettings,
    "rsa-only": CloudSettings,
    "small": CloudSettings,
}
TRAITS: Mapping[str, Traits] = {
    "rsa-only": Traits(key_types=(KeyType.RSA2048,)),
    "small": Traits(most_names=3),
    "careless": Traits(addresses=True),
}


class WebSettings(BaseModel):
    """A solver that hands its answer to a target."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    target: TargetName | None = None


SOLVERS: Mapping[str, type[BaseModel]] = {"dns": DnsSettings, "web": WebSettings}
PUTS: Mapping[str, Puts] = {"dns": "txt", "web": "http"}

HEAD = """\
[defaults]
issuer = "letsencrypt"

[issuer.letsencrypt]
agree_to_terms = true

[solver.dns]
type = "dns"
token = { env = "DNS_TOKEN" }

[target.cloud]
type = "cloud"
token = { env = "CLOUD_TOKEN" }

[target.folder]
type = "careless"
place = "/srv/tls"
"""

MAIN = """
[certificate.main]
names = ["example.com", "*.example.com"]
targets = ["cloud", "folder"]
"""


def read(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> Config:
    """Load `text` as `certbroker.toml` in `folder`."""
    (folder / "certbroker.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_file(folder, environ)


def read_file(folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Load the `certbroker.toml` in `folder`."""
    return load(
        folder / "certbroker.toml",
        shown="certbroker.toml",
        provider_settings=TARGETS.get,
        solver_settings=SOLVERS.get,
        provider_types=tuple(TARGETS),
        solver_types=tuple(SOLVERS),
        solver_puts=PUTS.__getitem__,
        traits_of=lambda kind: TRAITS.get(kind, Traits()),
        environ=environ,
    )


def refusal(folder: Path, text: str | bytes) -> ConfigError | None:
    """Why it was refused; None if it was not. Anything else that is raised is a bug."""
    try:
        read(folder, text)
    except ConfigError as error:
        return error
    return None


def problems(folder: Path, text: str | bytes) -> list[str]:
    """The lines that a person sees."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).splitlines()


def only(folder: Path, text: str | bytes) -> str:
    """The one line that a person sees, without the file's name."""
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0].removeprefix("certbroker.toml:")
