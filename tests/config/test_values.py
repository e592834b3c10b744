"""What a good file says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.config import BindingSettings, binding_source, rehearsal
from certbroker.errors import UsageError
from certbroker.limits import (
    LETSENCRYPT,
    LETSENCRYPT_RATES,
    LETSENCRYPT_STAGING,
    LETSENCRYPT_STAGING_RATES,
    Published,
    Rates,
)
from certbroker.model import Edge, KeyPolicy, KeyType
from certbroker.secret import SecretRef
from tests.config.files import HEAD, MAIN, CloudSettings, read, read_file

FULL = """\
[store]
url = { file = "store.url" }

[vault]
key = "file:keys/vault.key"

[defaults]
issuer = ["letsencrypt", "house"]
keys = ["ecdsa-p256", "rsa-2048"]

[issuer.house]
directory = "https://ca.example.com/directory"
roots = "roots.pem"
ca_bundle = "~/ca.pem"
profile = "short"
agree_to_terms = true

[solver.dns]
type = "dns"
token = { command = ["./token", "dns"] }
zones = ["Example.com."]
nameservers = ["127.0.0.1:5353", "ns.example.com", "[::1]:53"]

[target.cloud]
type = "cloud"
app = "site"
token = { file = "cloud.token" }
login = { user = "me", password = { file = "~/pass" } }
spare = [{ file = "one" }, { env = "TWO" }]
edges = ["192.0.2.10", "host.example:8443", "[2001:DB8::1]:443", "2001:db8::1"]
standby = true
deadline = "1h30m"
ownership = "publish"
accept_untrusted = true

[network]
connect_to = { "137.66.0.10:443" = "127.0.0.1:18443", "site.example" = "[::1]:8443" }
nameservers = ["9.9.9.9"]

[schedule]
every = "2h"
keep = 5

[certificate.main]
names = ["Example.COM.", "*.example.com", "bücher.example"]
targets = [{ target = "cloud", names = ["bücher.example", "example.com"] }]
key_policy = "every 4"

[certificate.vanity]
key_policy = "reuse"
each = ["podcast.example",
        "Radio.example"]
names = ["{each}", "www.{each}"]
keys = ["rsa-2048"]
issuer = "house"
targets = ["cloud"]
"""


def test_a_full_file_becomes_values(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert config.path == tmp_path / "certbroker.toml"
    assert config.file == "certbroker.toml"
    assert config.store == SecretRef(file=str(tmp_path / "store.url"))
    assert config.vault == f"file:{tmp_path}/keys/vault.key"
    assert (config.every, config.keep_versions) == (timedelta(hours=2), 5)
    assert config.network.connect_to == {"137.66.0.10:443": "127.0.0.1:18443", "site.example:443": "[::1]:8443"}
    assert config.network.nameservers == ("9.9.9.9:53",)
    house = config.issuers["house"]
    assert (house.directory, house.profile, house.staging) == ("https://ca.example.com/directory", "short", False)
    assert (house.roots, str(house.ca_bundle)) == (tmp_path / "roots.pem", "~/ca.pem")
    assert config.solvers["dns"].zones == ("example.com",)
    assert config.solvers["dns"].nameservers == ("127.0.0.1:5353", "ns.example.com:53", "[::1]:53")
    cloud = config.targets["cloud"]
    assert cloud.edges == (Edge("192.0.2.10"), Edge("host.example", 8443), Edge("2001:db8::1"))
    assert (cloud.standby, cloud.deadline, cloud.ownership) == (True, timedelta(minutes=90), "publish")
    assert cloud.accept_untrusted
    assert cloud.line == 24


def test_names_are_kept_in_lower_case_and_ascii_and_a_target_may_serve_fewer(tmp_path: Path) -> None:
    main = read(tmp_path, FULL).certificates["main"]
    assert main.names == ("example.com", "*.example.com", "xn--bcher-kva.example")
    assert main.names_on("cloud") == ("example.com", "xn--bcher-kva.example")
    assert main.keys == (KeyType.P256, KeyType.RSA2048)
    assert main.issuers == ("letsencrypt", "house")
    assert main.key_policy == KeyPolicy(4)


def test_each_makes_one_certificate_per_entry_with_its_own_line(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert list(config.certificates) == ["main", "podcast.example", "radio.example"]
    radio = config.certificates["radio.example"]
    assert radio.names == ("radio.example", "www.radio.example")
    assert radio.names_on("cloud") == radio.names
    assert (radio.keys, radio.issuers) == ((KeyType.RSA2048,), ("house",))
    assert radio.key_policy == KeyPolicy(None)
    lines = FULL.splitlines()
    assert radio.line is not None
    assert "Radio.example" in lines[radio.line - 1]


def test_a_ca_known_by_name_needs_no_table_and_has_not_been_agreed_to(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert config.issuers["letsencrypt"].directory == "https://acme-v02.api.letsencrypt.org/directory"
    assert not config.issuers["letsencrypt"].agree_to_terms


def test_a_rehearsal_uses_the_test_environment_of_the_same_ca(tmp_path: Path) -> None:
    issuers = read(tmp_path, HEAD + MAIN).issuers
    staging = rehearsal(issuers["letsencrypt"])
    assert staging is not None
    assert (staging.name, staging.staging, staging.agree_to_terms) == ("letsencrypt-staging", True, True)
    assert staging.directory == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert rehearsal(staging) == staging
    assert rehearsal(read(tmp_path, FULL).issuers["house"]) is None


def test_a_staging_issuer_may_stand_in_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD.replace('"letsencrypt"', '"letsencrypt-staging"') + MAIN)
    assert config.issuers["letsencrypt-staging"].staging


def test_secrets_are_listed_with_their_place_and_none_is_opened(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    found = {use.where: use.reference for use in config.secrets()}
    assert found == {
        "store.url (certbroker.toml:2)": SecretRef(file=str(tmp_path / "store.url")),
        "solver.dns.token (certbroker.toml:20)": SecretRef(command=(str(tmp_path / "token"), "dns")),
        "target.cloud.token (certbroker.toml:27)": SecretRef(file=str(tmp_path / "cloud.token")),
        "target.cloud.login.password (certbroker.toml:28)": SecretRef(file="~/pass"),
        "target.cloud.spare.0 (certbroker.toml:29)": SecretRef(file=str(tmp_path / "one")),
        "target.cloud.spare.1 (certbroker.toml:29)": SecretRef(env="TWO"),
    }
    assert [use.name for use in config.secrets(targets=(), store=False)] == ["dns"]
    assert config.secrets(targets=(), solvers=(), store=False) == []
    assert config.where(SecretRef(env="TWO")) == "target.cloud.spare.1 (certbroker.toml:29)"
    assert config.where(SecretRef(env="OTHER")) == ""


def test_paths_begin_at_the_file_and_at_the_home_of_the_given_environment(tmp_path: Path) -> None:
    config = read(tmp_path, FULL, {"HOME": "/home/me"})
    assert config.issuers["house"].ca_bundle == Path("/home/me/ca.pem")
    assert isinstance(config.targets["cloud"].options, CloudSettings)
    login = config.targets["cloud"].options.login
    assert login is not None
    assert login.password == SecretRef(file="/home/me/pass")
    assert config.place("x/y", {"HOME": "/home/me"}) == tmp_path / "x/y"
    assert config.place("~/y", {"HOME": "/home/me"}) == Path("/home/me/y")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:////var/lib/certbroker.db", "sqlite:////var/lib/certbroker.db"),
        ("sqlite:///here.db", "sqlite:///{folder}/here.db"),
        ("postgres://host/base", "postgresql://host/base"),
        ("postgresql://me@host/base?sslmode=require", "postgresql://me@host/base?sslmode=require"),
    ],
)
def test_a_store_without_a_password_may_be_written_plainly(tmp_path: Path, url: str, kept: str) -> None:
    config = read(tmp_path, f'[store]\nurl = "{url}"\n')
    assert config.store == kept.format(folder=tmp_path)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert (config.certificates, config.store, config.vault) == ({}, None, None)
    assert config.every == timedelta(hours=1)


def test_a_certificate_needs_no_target(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + '[certificate.x]\nnames = ["x.example"]\n').certificates["x"].assignments == ()


def test_the_digest_changes_with_any_byte(tmp_path: Path) -> None:
    one = read(tmp_path, HEAD + MAIN).digest
    assert one == read(tmp_path, HEAD + MAIN).digest
    assert one != read(tmp_path, HEAD + MAIN + "#").digest


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + (HEAD + MAIN).replace("\n", "\r\n").encode()
    assert read(tmp_path, text).certificates["main"].line == 19


def test_a_file_that_cannot_be_read_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "certbroker.toml").mkdir()
    with pytest.raises(UsageError, match=r"certbroker\.toml cannot be read: Is a directory"):
        read_file(tmp_path)


@pytest.mark.timeout(60)
def test_ten_thousand_certificates_are_read_in_seconds(tmp_path: Path) -> None:
    plain = "".join(
        f'[certificate.c{n}]\nnames = ["a{n}.example.com", "*.a{n}.example.com"]\ntargets = ["cloud"]\n'
        for n in range(5_000)
    )
    each = ", ".join(f'"b{n}.example"' for n in range(5_000))
    text = (
        f'{HEAD}{plain}[certificate.many]\neach = [{each}]\nnames = ["{{each}}", "www.{{each}}"]\ntargets = ["cloud"]\n'
    )
    assert len(read(tmp_path, text).certificates) == 10_000


@pytest.mark.parametrize(
    ("table", "known", "rates"),
    [
        ("[issuer.letsencrypt]\n", LETSENCRYPT, LETSENCRYPT_RATES),
        ("[issuer.letsencrypt-staging]\n", LETSENCRYPT_STAGING, LETSENCRYPT_STAGING_RATES),
        ('[issuer.letsencrypt]\nlimits = "none"\n', None, LETSENCRYPT_RATES),  # no account has other rates
        ('[issuer.house]\ndirectory = "https://ca.example/dir"\n', None, None),
        (
            '[issuer.house]\ndirectory = "https://ca.example/dir"\nlimits = "letsencrypt"\n',
            LETSENCRYPT,
            LETSENCRYPT_RATES,
        ),
    ],
)
def test_the_limits_of_a_ca_are_known_by_its_directory_or_as_the_file_says(
    tmp_path: Path, table: str, known: Published | None, rates: Rates | None
) -> None:
    config = read(tmp_path, HEAD.replace("[issuer.letsencrypt]\nagree_to_terms = true\n", table) + MAIN)
    name = table[8 : table.index("]")]
    assert config.issuers[name].limits == known
    assert config.issuers[name].rates == rates


BOUND = """
[issuer.google]
agree_to_terms = true
eab = { kid = { file = "kid" }, hmac = { env = "GOOGLE_HMAC" }, alg = "HS512" }

[issuer.zerossl.eab]
kid = "GD-VvWydSVFuss_GhBwYQQ"
hmac = { command = ["./hmac"] }
"""


def test_an_external_account_binding_names_its_secrets_with_their_lines(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + BOUND + MAIN)
    assert config.issuers["google"].eab == BindingSettings(
        SecretRef(file=str(tmp_path / "kid")), SecretRef(env="GOOGLE_HMAC"), "HS512"
    )
    zerossl = config.issuers["zerossl"].eab
    assert zerossl == BindingSettings("GD-VvWydSVFuss_GhBwYQQ", SecretRef(command=(str(tmp_path / "hmac"),)), "HS256")
    first = (HEAD + BOUND).splitlines().index("[issuer.google]") + 1
    found = {use.where: use.kind for use in config.secrets(targets=(), solvers=(), store=False)}
    assert found == {
        f"issuer.google.eab.kid (certbroker.toml:{first + 2})": "issuer",
        f"issuer.google.eab.hmac (certbroker.toml:{first + 2})": "issuer",
        f"issuer.zerossl.eab.hmac (certbroker.toml:{first + 6})": "issuer",
    }
    assert config.secrets(targets=(), solvers=(), issuers=(), store=False) == []


def test_each_ca_known_by_name_has_its_directory_and_its_test_environment(tmp_path: Path) -> None:
    issuers = read(
        tmp_path, HEAD.replace('"letsencrypt"\n', '["zerossl", "google", "google-test"]\n', 1) + MAIN
    ).issuers
    assert issuers["zerossl"].directory == "https://acme.zerossl.com/v2/DV90"
    assert rehearsal(issuers["zerossl"]) is None
    assert rehearsal(issuers["google"]) == issuers["google-test"]
    assert issuers["google-test"].staging
    assert not issuers["google"].staging
    assert "gcloud" in binding_source(issuers["google"].directory)
    assert binding_source(issuers["letsencrypt"].directory) == ""
