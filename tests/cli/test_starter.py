"""The file that `init` writes: its words, and that it can be read as it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from certbroker import challenges, registry
from certbroker.cli.blanks import Choice
from certbroker.cli.starter import Start, Written, choice, common_keys, render
from certbroker.config import PRESETS, BindingSettings, Config, load
from certbroker.errors import ConfigError, UsageError
from certbroker.model import KeyType, Traits
from certbroker.secret import SecretRef
from tests.config.files import CarelessSettings, CloudSettings, DnsSettings
from tests.golden import golden


class StrangeSettings(BaseModel):
    """Somebody else's, with a bit of everything."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    note: str | None = Field(default=None, description='Says "anything",\nover two lines.')
    region: Literal["eu", "us"]
    number: int = Field(ge=7, description="Which of them.")
    ratio: float
    flag: bool
    tags: list[str]
    odd_key: str = Field(alias="odd key", examples=["x"])
    api_key: SecretRef = Field(description="Key for NUMBER: https://strange.example/keys")
    second: SecretRef | None = Field(default=None, description="Only sometimes.")


class EitherSettings(BaseModel):
    """Needs one of two, and says so in no schema."""

    user: str | None = None
    place: str | None = Field(default=None, examples=["here"])

    @model_validator(mode="after")
    def _one(self) -> EitherSettings:
        if (self.user is None) == (self.place is None):
            raise ValueError("needs either user or place")
        return self


class PickySettings(BaseModel):
    """No value that we could guess will do."""

    app: str = Field(pattern="^[a-z]+$", description="The app.")
    token: SecretRef = Field(description="For APP.")


KINDS: dict[str, type[BaseModel]] = {
    "cloud": CloudSettings,
    "careless": CarelessSettings,
    "strange": StrangeSettings,
    "either": EitherSettings,
    "picky": PickySettings,
    "dns": DnsSettings,
}


def pick(text: str) -> Choice:
    return choice(text, kind="provider", settings_of=KINDS.get, types=tuple(KINDS))


START = Start(
    names=["Example.com", "*.example.com"],
    targets=[pick("cloud:site-blue"), pick("cloud:site-green"), pick("careless:/srv/tls")],
    solvers=[pick("dns")],
    looked=[
        "DNS is at DNSimple; Fastly serves example.com until 7 Dec",
        "_acme-challenge.example.com is a CNAME held by Fly",
    ],
)


def read(folder: Path, written: Written) -> Config:
    path = folder / "certbroker.toml"
    path.write_text(written.toml, encoding="utf-8")
    return load(
        path,
        shown="certbroker.toml",
        provider_settings=KINDS.get,
        solver_settings=KINDS.get,
        provider_types=tuple(KINDS),
        solver_types=tuple(KINDS),
        solver_puts=lambda kind: "txt",
        traits_of=lambda _: Traits(),
    )


def test_the_words_of_the_file_and_of_the_example() -> None:
    written = render(START)
    golden("starter.toml", written.toml)
    golden("starter.env", written.env)


def test_the_words_for_a_stranger() -> None:
    golden("starter-stranger.toml", render(dataclasses.replace(START, targets=[pick("strange"), pick("picky")])).toml)


def test_it_is_read_without_a_problem(tmp_path: Path) -> None:
    config = read(tmp_path, render(START))
    main = config.certificates["main"]
    assert main.names == ("example.com", "*.example.com")
    assert [assignment.target for assignment in main.assignments] == [
        "cloud-site-blue",
        "cloud-site-green",
        "careless-srv-tls",
    ]
    assert isinstance(config.targets["cloud-site-blue"].options, CloudSettings)
    assert isinstance(config.targets["careless-srv-tls"].options, CarelessSettings)
    assert config.targets["careless-srv-tls"].options.place == "/srv/tls"
    assert not config.issuers["letsencrypt"].agree_to_terms


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_strangers_settings_are_rendered_by_what_they_say(tmp_path: Path, kind: str) -> None:
    written = render(dataclasses.replace(START, targets=[pick(kind), pick(kind)]))
    config = read(tmp_path, written)
    ready = kind not in ("picky", "careless")
    assert list(config.targets) == ([kind, f"{kind}-2"] if ready else [])
    assert [a.target for a in config.certificates["main"].assignments] == list(config.targets)


def test_a_target_that_needs_more_is_a_comment_to_fill_in(tmp_path: Path) -> None:
    written = render(dataclasses.replace(START, targets=[pick("picky")]))
    filled = written.toml.replace("# [target.picky]", "[target.picky]").replace('# app   = "CHANGE-ME"', 'app = "site"')
    filled = filled.replace("# type  = ", "type = ").replace("# token = {", "token = {")
    assert "picky" in read(tmp_path, dataclasses.replace(written, toml=filled)).targets


def test_every_secret_that_is_needed_is_in_the_example_with_the_way_to_make_it() -> None:
    written = render(START)
    assert [secret.variable for secret in written.secrets] == [
        "DNS_TOKEN",
        "CLOUD_SITE_BLUE_TOKEN",
        "CLOUD_SITE_GREEN_TOKEN",
    ]
    assert "cloud tokens create deploy -a site-blue --expiry 8760h" in written.env
    for secret in written.secrets:
        assert f"\n{secret.variable}=\n" in written.env
        assert f'env = "{secret.variable}"' in written.toml


def test_without_a_solver_it_says_what_is_missing(tmp_path: Path) -> None:
    written = render(dataclasses.replace(START, solvers=[], solver_types=["dnsimple", "rfc2136"]))
    assert "# There is dnsimple, rfc2136." in written.toml
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, written)
    assert [problem.path for problem in caught.value.problems] == ["solver"]


def test_what_was_looked_up_stays_a_comment(tmp_path: Path) -> None:
    written = render(dataclasses.replace(START, looked=['x"\n[target.evil]\ntype = "cloud"\r\x00' + "long " * 50]))
    assert list(read(tmp_path, written).targets) == ["cloud-site-blue", "cloud-site-green", "careless-srv-tls"]


def test_a_value_from_the_command_line_stays_a_value(tmp_path: Path) -> None:
    value = 'a"\\\n]#\x7f☃'
    written = render(dataclasses.replace(START, targets=[pick(f"cloud:{value}")]))
    (target,) = read(tmp_path, written).targets.values()
    assert isinstance(target.options, CloudSettings)
    assert target.options.app == value


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r'"cluod" is no provider; did you mean cloud\?'):
        pick("cluod:x")


def test_a_bad_name_is_told() -> None:
    with pytest.raises(UsageError, match="is a URL; give the host name alone"):
        render(dataclasses.replace(START, names=["https://example.com"]))


def test_the_fewest_keys_that_serve_every_target() -> None:
    rsa, both = (KeyType.RSA2048, KeyType.RSA4096), (KeyType.RSA2048, KeyType.P256)
    assert common_keys([]) == (KeyType.P256,)
    assert common_keys([both, tuple(KeyType)]) == (KeyType.P256,)
    assert common_keys([rsa, both]) == (KeyType.RSA2048,)
    assert common_keys([rsa, (KeyType.P256,)]) == (KeyType.P256, KeyType.RSA2048)
    assert common_keys([()]) == (KeyType.P256,)


@pytest.mark.parametrize("solver", challenges.IN_DNS)
def test_our_solvers_are_ready_as_written(tmp_path: Path, solver: str) -> None:
    chosen = choice(solver, kind="solver", settings_of=challenges.solver_settings, types=challenges.solver_types())
    written = render(dataclasses.replace(START, targets=[], solvers=[chosen]))
    assert list(load_installed(tmp_path, written).solvers) == [solver]
    assert all(secret.how for secret in written.secrets)


@pytest.mark.parametrize("target", ["fastly", "fly:site-blue", "files:/srv/tls"])
def test_our_providers_are_ready_as_written(tmp_path: Path, target: str) -> None:
    chosen = choice(target, kind="target", settings_of=registry.provider_settings, types=registry.provider_types())
    written = render(dataclasses.replace(START, targets=[chosen], solvers=[pick_solver()]))
    assert [part.type for part in load_installed(tmp_path, written).targets.values()] == [target.split(":")[0]]
    assert all(secret.how for secret in written.secrets)


def pick_solver() -> Choice:
    return choice("dnsimple", kind="solver", settings_of=challenges.solver_settings, types=challenges.solver_types())


def load_installed(folder: Path, written: Written) -> Config:
    path = folder / "certbroker.toml"
    path.write_text(written.toml, encoding="utf-8")
    return load(
        path,
        shown="certbroker.toml",
        provider_settings=registry.provider_settings,
        solver_settings=challenges.solver_settings,
        provider_types=registry.provider_types(),
        solver_types=challenges.solver_types(),
        solver_puts=challenges.solver_puts,
        traits_of=lambda kind: registry.provider(kind).traits,
    )


def test_a_ca_that_binds_its_accounts_gets_the_lines_and_the_way_to_make_its_credentials(tmp_path: Path) -> None:
    written = render(dataclasses.replace(START, targets=[], issuers=("google", "letsencrypt"), agree_to_terms=True))
    config = read(tmp_path, written)
    assert config.certificates["main"].issuers == ("google", "letsencrypt")
    eab = config.issuers["google"].eab
    assert eab == BindingSettings(SecretRef(env="GOOGLE_EAB_KID"), SecretRef(env="GOOGLE_EAB_HMAC"))
    assert config.issuers["letsencrypt"].eab is None
    assert "gcloud publicca external-account-keys create" in written.env.replace("\n# ", " ")
    assert "\nGOOGLE_EAB_KID=\n" in written.env
    assert "\nGOOGLE_EAB_HMAC=\n" in written.env
    golden("starter-google.toml", written.toml)


@pytest.mark.parametrize("issuer", PRESETS)
def test_every_ca_known_by_name_is_ready_as_written(tmp_path: Path, issuer: str) -> None:
    written = render(dataclasses.replace(START, issuers=(issuer,)))
    assert read(tmp_path, written).certificates["main"].issuers == (issuer,)
    assert all(secret.how for secret in written.secrets if secret.owner.startswith("issuer"))


def test_the_rehearsal_of_a_ca_that_binds_is_a_comment_to_fill_in(tmp_path: Path) -> None:
    written = render(dataclasses.replace(START, issuers=("google",)))
    lines = written.toml.splitlines()
    at = lines.index("# [issuer.google-test]")
    filled = "\n".join([*lines[:at], *(line.removeprefix("# ") for line in lines[at : at + 3]), *lines[at + 3 :]])
    config = read(tmp_path, dataclasses.replace(written, toml=filled))
    assert config.issuers["google-test"].eab is not None
    assert config.issuers["google-test"].staging
