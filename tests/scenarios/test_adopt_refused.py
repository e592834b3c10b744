"""What cannot be adopted is refused with its reason and exit 2, and the store is as it was."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker import keys
from certbroker.adopt import KINDS, Place, read
from certbroker.errors import CertbrokerError
from certbroker.model import RevocationReason
from certbroker.secret import Secret
from tests.golden import golden
from tests.scenarios import layouts
from tests.scenarios.layouts import split, write
from tests.scenarios.town import Town, town

NAMES = ("example.com", "*.example.com")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for all of them: nothing ever changes in it."""
    with town(tmp_path_factory.mktemp("refused") / "town") as made:
        yield made


@pytest.fixture
def place(shared: Town, tmp_path: Path) -> Iterator[Town]:
    before = contents(shared)
    yield shared
    assert contents(shared) == before, "the store was touched"


def contents(place: Town) -> str:
    """Every row of every table but leases, which come and go."""
    with closing(sqlite3.connect(place.folder / "state" / "store.db")) as db:
        rows = [line for line in db.iterdump() if 'INTO "lease"' not in line]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def pem_of(key: PrivateKeyTypes) -> str:
    encode = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*encode).decode()


Make = Callable[[Town, Path, str, Secret], list[str]]


def files(**named: str | bytes) -> Callable[[Path], list[str]]:
    def put(home: Path) -> list[str]:
        return [str(write(home / name.replace("_", "."), text)) for name, text in named.items()]

    return put


def without_key(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return files(chain_pem=chain)(home)


def without_certificate(_: Town, home: Path, __: str, key: Secret) -> list[str]:
    return files(key_pem=key.reveal())(home)


def another_key(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return files(chain_pem=chain, key_pem=pem_of(ec.generate_private_key(ec.SECP256R1())))(home)


def two_keys(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return files(all_pem=chain + key.reveal(), key_pem=pem_of(ec.generate_private_key(ec.SECP256R1())))(home)


def weak_key(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return files(chain_pem=chain, key_pem=pem_of(rsa.generate_private_key(65537, 1024)))(home)


def strange_curve(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return files(chain_pem=chain, key_pem=pem_of(ec.generate_private_key(ec.SECP521R1())))(home)


def edwards(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return files(chain_pem=chain, key_pem=pem_of(ed25519.Ed25519PrivateKey.generate()))(home)


def cut_off_key(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return files(chain_pem=chain, key_pem=key.reveal()[:120])(home)


def scrambled_key(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    text = key.reveal()
    return files(chain_pem=chain, key_pem=text[:60] + text[60:100][::-1] + text[100:])(home)


def cut_off_certificate(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return files(all_pem=key.reveal() + chain[: len(chain) - 200])(home)


def other_names(place: Town, home: Path, _: str, __: Secret) -> list[str]:
    chain, key = place.ca.issue_directly("example.com", "www.example.org")
    return files(all_pem=chain + key.reveal())(home)


def leaf_alone(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return files(all_pem=split(chain)[0] + key.reveal())(home)


def two_leaves(place: Town, home: Path, chain: str, key: Secret) -> list[str]:
    public = keys.load_key(key).public_key()
    books = place.ca.books
    again = books.authority.issue(public, NAMES, next(iter(books.profiles.values())))
    return files(all_pem=chain + again.public_bytes(serialization.Encoding.PEM).decode() + key.reveal())(home)


def nothing_there(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return [str(home / "nowhere.pem")]


def broken_link(_: Town, home: Path, chain: str, ___: Secret) -> list[str]:
    (home / "link.pem").symlink_to(home / "gone.pem")
    return [str(home / "link.pem")]


def empty(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return files(empty_pem="")(home)


def garbage(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return files(garbage_pem=bytes(range(255, 0, -1)) * 40)(home)


def endless(_: Town, __: Path, ___: str, ____: Secret) -> list[str]:
    return ["/dev/zero"]


def der_certificate(_: Town, home: Path, chain: str, ___: Secret) -> list[str]:
    return files(cert_der=keys.read_chain(chain)[0].public_bytes(serialization.Encoding.DER))(home)


def public_key(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return files(key_pub="-----BEGIN PUBLIC KEY-----\nMFkwEwYH\n-----END PUBLIC KEY-----\n")(home)


def empty_folder(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return [str(home)]


def several_lineages(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    for name in ("a.example.com", "b.example.com"):
        write(home / "live" / name / "fullchain.pem", chain)
        write(home / "live" / name / "privkey.pem", key.reveal())
    return [str(home)]


def both_of_acme_sh(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    for name in ("example.com", "example.com_ecc"):
        write(home / name / "fullchain.cer", chain)
        write(home / name / "example.com.key", key.reveal())
    return [str(home)]


def folder_and_file(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return [str(home), *files(all_pem=chain + key.reveal())(home)]


def secret(home: Path, **changes: object) -> list[str]:
    made = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "tls"}, "data": {}}
    return [str(write(home / "secret.json", json.dumps({**made, **changes})))]


def opaque_secret(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return secret(home, type="Opaque")


def secret_without_key(_: Town, home: Path, chain: str, __: Secret) -> list[str]:
    return secret(home, data={"tls.crt": base64.b64encode(chain.encode()).decode()})


def secret_not_base64(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    return secret(home, data={"tls.crt": base64.b64encode(chain.encode()).decode(), "tls.key": key.reveal()})


def several_secrets(_: Town, home: Path, chain: str, key: Secret) -> list[str]:
    made = [
        json.loads((home / layouts.manifest(home, chain, key, name=name)[0]).read_text()) for name in ("one", "two")
    ]
    return [str(write(home / "list.json", json.dumps({"kind": "List", "items": made})))]


def no_json(_: Town, home: Path, __: str, key: Secret) -> list[str]:
    return [str(write(home / "secret.json", '{"kind": "Secret", "data": {"tls.key": "' + key.reveal() + '"'))]


def deep_json(_: Town, home: Path, __: str, ___: Secret) -> list[str]:
    return [str(write(home / "deep.json", '{"a":' * 100_000))]


def no_yaml(_: Town, home: Path, __: str, key: Secret) -> list[str]:
    return [str(write(home / "secret.yaml", f"kind: Secret\ndata: [\n{key.reveal()}"))]


BAD: dict[Make, str] = {
    without_key: "there is no private key in",
    without_certificate: "there is no certificate in",
    another_key: "the private key does not belong to the certificate",
    two_keys: "there are 2 private keys",
    weak_key: "RSA with 1024 bits",
    strange_curve: "uses the curve secp521r1",
    edwards: "is neither ECDSA nor RSA",
    cut_off_key: "holds a private key that is cut off",
    scrambled_key: "is not a readable PEM private key",
    cut_off_certificate: "is not a PEM certificate chain",
    other_names: "does not cover *.example.com",
    leaf_alone: "would be accepted by nobody",
    two_leaves: "2 certificates in",
    nothing_there: "nowhere.pem cannot be read: no such file",
    broken_link: "link.pem cannot be read: no such file",
    empty: "holds neither a PEM certificate nor a PEM private key",
    garbage: "is not text",
    endless: "/dev/zero is far too large",
    der_certificate: "is no PKCS#12",
    public_key: "holds neither a PEM certificate nor a PEM private key",
    empty_folder: "holds no certificate with its key as certbot or lego or acme.sh",
    several_lineages: "holds 2 certificates",
    both_of_acme_sh: "holds 2 certificates",
    folder_and_file: "anything else is given alone",
    opaque_secret: "there is no Secret of the type kubernetes.io/tls",
    secret_without_key: "has no tls.key",
    secret_not_base64: "is not base64",
    several_secrets: "there are 2 Secrets of the type kubernetes.io/tls in",
    no_json: "is not JSON",
    deep_json: "is not JSON",
    no_yaml: "is not YAML",
}


def refused(place: Town, home: Path, key: Secret, *argv: str) -> str:
    """Three lines: what happened, what is served meanwhile, what to type; and no line of the key."""
    ran = place.run("import", *argv, ends=2)
    assert ran.out == ""
    for line in key.reveal().splitlines()[1:-1]:
        assert line not in ran.err
    what, now, hint = ran.err.splitlines()
    assert (what[:7], now[:6], hint[:6]) == ("error: ", " now  ", " hint:")
    words = re.sub(r"\d\d:\d\d UTC", "hh:mm UTC", ran.err.replace(str(home), "/home"))
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", words) + "\n"


def test_what_cannot_be_used_is_refused_with_its_reason(place: Town, tmp_path: Path) -> None:
    words = ""
    for make, says in BAD.items():
        home = tmp_path / make.__name__
        home.mkdir()
        chain, key = place.ca.issue_directly(*NAMES)
        told = refused(place, home, key, "main", *make(place, home, chain, key))
        assert says in told
        words += f"# {make.__name__.replace('_', ' ')}\n{told}"
    golden("words/import-refused.txt", words)


def test_what_must_not_be_used_is_refused_with_what_is_served(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        chain, key = place.ca.issue_directly(*NAMES)
        earlier, other = place.ca.issue_directly(*NAMES)
        where = files(all_pem=chain + key.reveal())(tmp_path)
        early = files(early_pem=earlier + other.reveal())(tmp_path)
        locked = layouts.encrypted_pem(place.folder, chain, key, passphrase=b"correct horse")
        bag = layouts.pkcs12(place.folder, chain, key, passphrase=b"correct horse")
        place.environ["WRONG"] = "battery staple"
        words = refused(place, tmp_path, key, "mian", *where)
        words += refused(place, tmp_path, key, "main", *where, "--issuer", "letsencrpyt")
        words += refused(place, tmp_path, key, "main", *where, "--from", "caddy")
        words += refused(place, tmp_path, key, "main", str(tmp_path), "--from", "pem")
        words += refused(place, tmp_path, key, "main", *where, "--from", "certbot")
        for sealed in (locked, bag):
            words += refused(place, tmp_path, key, "main", *sealed)
            words += refused(place, tmp_path, key, "main", *sealed, "--passphrase-env", "WRONG")
        words += refused(place, tmp_path, key, "main", *locked, "--passphrase-env", "NOTHING")
        words += refused(place, tmp_path, key, "main", *where, "--account")
        root = layouts.certbot_root(place.folder, chain, key)
        words += refused(place, tmp_path, key, "main", *root, "--account")
        place.later(days=-2)
        words += refused(place, tmp_path, key, "main", *where)
        place.later(days=2)
        place.configure(certificates=place.certificate(targets=("folder",), keys='["rsa-2048"]'))
        words += refused(place, tmp_path, key, "main", *where)
        place.configure()
        place.run("renew")
        words += refused(place, tmp_path, key, "main", *where)
        place.later(minutes=10)
        later, new = place.ca.issue_directly(*NAMES)
        after = files(after_pem=later + new.reveal())(tmp_path)
        words += refused(place, tmp_path, new, "main", *after)
        place.run("import", "main", *after, "--yes")
        place.configure(certificates=place.certificate(targets=("folder",)) + place.certificate("copy", targets=()))
        words += refused(place, tmp_path, new, "copy", *after)
        with place.store() as store:
            store.revoked(store.versions("main")[0].id, place.clock.now(), RevocationReason.KEY_COMPROMISE)
        again = place.ca.books.authority.issue(
            keys.load_key(new).public_key(), NAMES, next(iter(place.ca.books.profiles.values()))
        )
        chained = again.public_bytes(serialization.Encoding.PEM).decode() + "".join(split(later)[1:])
        words += refused(place, tmp_path, new, "copy", *files(again_pem=chained + new.reveal())(tmp_path))
        place.later(days=100)
        words += refused(place, tmp_path, other, "main", *early)
        golden("words/import-not-now.txt", words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_only_root_may_read_is_told_with_what_to_do(place: Town, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir(mode=0)
    ran = place.run("import", "main", str(tmp_path), ends=2)
    assert "permission denied" in ran.err
    assert "run it as a user who may read it" in ran.err


def test_yaml_without_its_extra_is_told_with_the_way_round(tmp_path: Path) -> None:
    """In a process of its own, in which there is no yaml."""
    (tmp_path / "secret.yaml").write_text("apiVersion: v1\nkind: Secret\n")
    program = (
        "import sys; sys.modules['yaml'] = None\n"
        "from pathlib import Path; from certbroker.adopt import Place, read\n"
        "try: read([Place('secret.yaml', Path('secret.yaml'))])\n"
        "except Exception as error: print(type(error).__name__, error, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "UsageError secret.yaml is YAML" in done.stdout
    assert "kubectl get secret NAME -o json" in done.stdout


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from([None, *KINDS]), st.sampled_from([b"", b"\x30\x82", b"kind: ", b"{"]))
def test_whatever_bytes_a_file_holds_the_answer_is_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str | None, before: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any", before + content)
    with pytest.raises(CertbrokerError):
        read([Place("any", path)], kind)
