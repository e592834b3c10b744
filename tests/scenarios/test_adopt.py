"""Adoption: a certificate and key that exist already become the first version; no order until it is due."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certbroker import keys
from certbroker.model import KeyType, Version
from certbroker.sandbox.ca.authority import to_pem
from certbroker.secret import Secret
from tests.golden import golden
from tests.scenarios import layouts
from tests.scenarios.layouts import LAYOUTS, SEALING
from tests.scenarios.test_words import told
from tests.scenarios.town import Town, town

NAMES = ("example.com", "*.example.com")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "town") as made:
        made.configure(certificates=made.certificate(targets=("folder", "fastly")))
        yield made


def versions(place: Town) -> list[Version]:
    with place.store() as store:
        return store.versions("main")


def served(place: Town) -> str:
    return (place.folder / "served" / "main" / "fullchain.pem").read_text()


def lose_the_store(place: Town) -> None:
    for file in (place.folder / "state").glob("store.db*"):
        file.unlink()
    place.run("init")


def adopted(place: Town, *names: str) -> tuple[str, Secret]:
    """A pair that exists already, imported out of one PEM file."""
    pair: tuple[str, Secret] = place.ca.issue_directly(*(names or NAMES))
    place.run("import", "main", *layouts.one_file(place.folder, *pair))
    return pair


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whatever_kept_it_before_it_is_pushed_by_the_next_renew_without_an_order(place: Town, layout: str) -> None:
    kind, writer = LAYOUTS[layout]
    chain, key = place.ca.issue_directly(*NAMES)
    told = place.run("import", "main", *writer(place.folder, chain, key)).out
    assert f"read as {kind}" in told
    [version] = versions(place)
    assert version.label == "v1"
    assert version.chain_pem == chain
    assert version.names == NAMES
    assert version.issuer == "sandbox"
    assert place.pushes()["fastly"] == 0
    ran = place.run("renew")
    assert "2 of 2 served as wanted" in ran.out
    assert served(place) == chain
    assert (
        keys.load_key(Secret(place.run("export", "main").out)).private_numbers() == keys.load_key(key).private_numbers()
    )
    assert place.orders == 0
    place.later(hours=1)
    assert "nothing due" in place.run("renew").out
    assert place.orders == 0


def test_it_can_be_said_what_the_source_is(place: Town) -> None:
    chain, key = place.ca.issue_directly(*NAMES)
    where = layouts.certbot_root(place.folder, chain, key)
    assert (
        "holds no certificate with its key as lego" in place.run("import", "main", *where, "--from", "lego", ends=2).err
    )
    place.run("import", "main", *where, "--from", "certbot")


def test_what_the_owner_exported_can_be_imported(place: Town) -> None:
    """The store was lost with its backup, and only an export is left."""
    place.run("renew")
    for kind in ("pem", "kubernetes", "pkcs12"):
        place.run("export", "main", "--format", kind, "-o", f"main.{kind}")
    held = served(place)
    for kind in ("pem", "kubernetes", "pkcs12"):
        lose_the_store(place)
        place.run("import", "main", f"main.{kind}")
        assert [v.chain_pem for v in versions(place)] == [held]
    assert place.orders == 1


def test_the_ca_is_asked_when_to_renew_it_and_it_is_renewed_then(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.run("renew")
    place.run("export", "main", "-o", "main.pem")
    lose_the_store(place)
    shutil.rmtree(place.folder / "served")
    place.run("import", "main", "main.pem")
    asked = len(place.ca.requests)
    place.run("renew")
    assert [r.path for r in place.ca.requests[asked:] if r.path.startswith("/ari/")]
    with place.store() as store:
        window = store.window(versions(place)[0].id)
    assert window is not None
    assert place.orders == 1
    place.clock.advance(window.drawn - place.clock.now())
    place.later(minutes=1)
    place.run("renew")
    assert place.orders == 2
    assert [v.label for v in versions(place)] == ["v2", "v1"]


def test_what_the_targets_serve_already_is_no_replacement_and_asks_for_no_yes(place: Town) -> None:
    chain, key = place.ca.issue_directly(*NAMES)
    fastly = place.platform("fastly")
    fastly.add_foreign(chain, key, name="by certbot's hook", activate=NAMES)
    layouts.write(place.folder / "served/main/fullchain.pem", chain)
    layouts.write(place.folder / "served/main/privkey.pem", key.reveal())
    place.run("import", "main", *layouts.one_file(place.folder, chain, key))
    assert "serves v1 already, put there by somebody else" in place.run("plan").out
    ran = place.run("renew")
    assert "not ours" not in ran.all
    assert "2 of 2 served as wanted" in ran.out
    assert {served for served, _ in fastly.serving().values()} == {chain}
    assert place.orders == 0


def test_the_same_pair_again_is_told_and_changes_nothing(place: Town) -> None:
    adopted(place)
    place.run("renew")
    before = place.pushes()
    ran = place.run("import", "main", "all.pem")
    assert "is held already; nothing changed" in ran.out
    assert "0 imported" in ran.out
    assert [v.label for v in versions(place)] == ["v1"]
    place.later(minutes=1)
    place.run("renew")
    assert place.pushes() == before


def test_a_version_that_is_there_is_replaced_by_one_that_ends_later_and_by_a_yes_only(place: Town) -> None:
    older = place.ca.issue_directly(*NAMES)
    place.later(minutes=1)
    place.run("renew")
    place.later(days=1)
    place.run("renew")  # so that nothing is due
    newer = place.ca.issue_directly(*NAMES)
    where = layouts.one_file(place.folder, *older)
    assert "which is no later" in place.run("import", "main", *where, "--yes", ends=2).err
    where = layouts.one_file(place.folder, *newer)
    refused = place.run("import", "main", *where, ends=2)
    assert "main has v1 already" in refused.err
    assert "--yes" in refused.err
    assert len(versions(place)) == 1
    place.run("import", "main", *where, "--yes")
    place.run("renew")
    assert served(place) == newer[0]
    assert place.orders == 1


def test_an_order_that_failed_before_is_forgiven(place: Town) -> None:
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    place.run("renew", ends=1)
    adopted(place)
    assert "cannot be ordered" not in place.run("renew").out
    assert place.orders == 0


def test_names_that_only_a_star_covers_and_names_too_many_are_told(place: Town) -> None:
    place.configure(certificates=place.certificate(names=("example.com", "www.example.com"), targets=("folder",)))
    chain, key = place.ca.issue_directly(*NAMES)
    ran = place.run("import", "main", *layouts.one_file(place.folder, chain, key))
    assert "the next renew orders a new one at once: not covered: www.example.com" in ran.out
    assert "still covers *.example.com" in ran.out
    assert versions(place)[0].names == NAMES


def test_the_issuer_is_the_one_of_the_list_that_signed_it(tmp_path: Path) -> None:
    with town(tmp_path / "town", second_ca=True) as place:
        chain, key = place.ca2.issue_directly(*NAMES)
        ran = place.run("import", "main", *layouts.one_file(place.folder, chain, key))
        assert versions(place)[0].issuer == "second"
        assert "nothing shows" not in ran.out


def test_an_issuer_that_is_not_in_the_list_is_told_to_be_due_at_once(tmp_path: Path) -> None:
    with town(tmp_path / "town", second_ca=True) as place:
        place.edit('issuer = ["sandbox", "second"]', 'issuer = "sandbox"')
        where = layouts.one_file(place.folder, *place.ca2.issue_directly(*NAMES))
        refused = place.run("import", "main", *where, ends=2)
        assert "accepted by nobody" in refused.err
        assert "did you mean second?" in place.run("import", "main", *where, "--issuer", "secnd", ends=2).err
        ran = place.run("import", "main", *where, "--issuer", "second")
        assert "the next renew orders a new one at once: issued by second, the file says sandbox" in ran.out


def test_a_ca_that_is_known_by_name_is_known_by_what_its_certificates_say(place: Town) -> None:
    place.edit('issuer = "sandbox"', 'issuer = ["sandbox", "letsencrypt-staging"]')
    place.edit("[issuer.sandbox]", "[issuer.letsencrypt-staging]\nagree_to_terms = true\n\n[issuer.sandbox]")
    ran = place.run("import", "main", *layouts.one_file(place.folder, *signed_by("(STAGING) Let's Encrypt", place)))
    assert versions(place)[0].issuer == "letsencrypt-staging"
    assert "nothing shows" not in ran.out
    where = layouts.one_file(place.folder, *signed_by("Let's Encrypt of Somewhere", place))
    assert "accepted by nobody" in place.run("import", "main", *where, "--yes", ends=2).err


def signed_by(organization: str, place: Town) -> tuple[str, Secret]:
    """A pair whose CA says that it is of this organization."""
    key, authority = keys.generate(KeyType.P256), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, "Fake X1"),
        ]
    )
    now = place.clock.now()
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(name)
        .public_key(keys.load_key(key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in NAMES]), critical=True)
        .sign(authority, hashes.SHA256())
    )
    return to_pem([leaf]), key


def test_a_test_ca_without_roots_is_recorded_as_nobody_can_show(place: Town) -> None:
    place.edit('roots = "roots.pem"', "staging = true")
    ran = place.run("import", "main", *layouts.one_file(place.folder, *place.ca.issue_directly(*NAMES)))
    assert "nothing shows that sandbox signed it" in ran.out
    assert "only where accept_untrusted = true" in ran.out
    assert versions(place)[0].roots_pem is None


def test_a_chain_in_disorder_with_its_root_and_a_stranger_is_put_in_order(tmp_path: Path) -> None:
    with town(tmp_path / "town", chain_length=4, alternates=1) as place:
        chain, key = place.ca.issue_directly(*NAMES)
        blocks = layouts.split(chain)
        assert len(blocks) == 4
        stranger, _ = place.ca.issue_directly("example.com")
        mixed = [*layouts.split(place.ca.roots_pem), *reversed(blocks), blocks[1], layouts.split(stranger)[0]]
        layouts.write(place.folder / "mixed.pem", "".join(mixed) + key.reveal())
        ran = place.run("import", "main", "mixed.pem")
        assert versions(place)[0].chain_pem == chain
        assert "do not belong to its chain" in ran.out


def test_a_pair_of_another_key_type_waits_for_the_file_to_want_it(place: Town) -> None:
    place.edit("[certificate.main]", '[certificate.main]\nkeys = ["rsa-2048"]')
    where = layouts.one_file(place.folder, *place.ca.issue_directly(*NAMES))
    refused = place.run("import", "main", *where, ends=2)
    assert 'keys = ["rsa-2048", "ecdsa-p256"]' in refused.err
    place.edit('keys = ["rsa-2048"]', 'keys = ["rsa-2048", "ecdsa-p256"]')
    assert "rsa-2048 has no version yet" in place.run("import", "main", *where).out


def test_a_key_that_was_revoked_does_not_come_back(place: Town) -> None:
    place.run("renew")
    place.run("export", "main", "-o", "main.pem")
    place.later(minutes=10)
    place.run("revoke", "main", "--reason", "keyCompromise", "--yes")
    key = Secret((place.folder / "main.pem").read_text())
    public = keys.load_key(key).public_key()
    place.later(days=1)
    leaf = place.ca.books.authority.issue(public, NAMES, next(iter(place.ca.books.profiles.values())))
    chain = to_pem(place.ca.books.authority.chains(leaf)[0])
    layouts.write(place.folder / "again.pem", chain + keys.pkcs8(keys.load_key(key)).reveal())
    assert "was revoked" in place.run("import", "main", "again.pem", "--yes", ends=2).err


@pytest.mark.parametrize("writer", SEALING)
def test_a_passphrase_comes_from_a_variable_and_opens_it(place: Town, writer: Callable[..., list[str]]) -> None:
    place.environ |= {"PHRASE": "correct horse battery staple", "WRONG": "incorrect horse"}
    pair = place.ca.issue_directly(*NAMES)
    where = writer(place.folder, *pair, passphrase=b"correct horse battery staple")
    assert "--passphrase-env NAME" in place.run("import", "main", *where, ends=2).err
    wrong = place.run("import", "main", *where, "--passphrase-env", "WRONG", ends=2)
    assert "this passphrase" in wrong.err
    assert "incorrect horse" not in wrong.all
    assert (
        "$NOTHING, which is not set" in place.run("import", "main", *where, "--passphrase-env", "NOTHING", ends=2).err
    )
    assert versions(place) == []
    place.run("import", "main", *where, "--passphrase-env", "PHRASE")
    assert versions(place)[0].chain_pem == pair[0]


def test_what_a_person_reads_from_import_to_the_first_push(place: Town) -> None:
    layouts.certbot_root(place.folder, *place.ca.issue_directly(*NAMES))
    words = [
        told(place, "import", "mian", "etc/letsencrypt", ends=2),
        told(place, "import", "main", "etc/nginx", ends=2),
        told(place, "import", "main", "etc/letsencrypt", "-m", "leaving certbot"),
        told(place, "plan"),
        told(place, "renew"),
        told(place, "import", "main", "etc/letsencrypt"),
    ]
    golden("words/import.txt", "\n".join(words))
    assert "v1 imported from certbot, until Sun 21 Feb 2027" in place.run("history", "main").out
