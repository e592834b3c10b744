"""What the newest Pebble can, by command line: bound accounts, profiles, chains, proofs, waits, windows, revocation. Whatever is
sent to it meanwhile is searched for private keys."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.query
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest
from cryptography import x509

from certbroker.keys import common_name, read_chain
from certbroker.sandbox.ca import leaks
from tests.interop.desk import CHALLENGE, ZONE, Desk, by_rfc2136, newest_pebble
from tests.interop.test_main_job import Ahead
from tests.servers.knot import KEY, KEY_NAME
from tests.servers.pebble import Pebble
from tests.servers.process import free_port

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def searched(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every request that this process sent to a CA."""
    line = "certbroker.issuer.network"
    with caplog.at_level(logging.DEBUG, line):
        yield
        sent = [record.args for record in caplog.get_records("call") if record.name == line and record.args]
    bodies = [str(args[2]).encode() for args in sent if isinstance(args, tuple) and args[0] == "POST"]
    for body in bodies:
        assert json.loads(body)["signature"]
        assert list(leaks.find(body)) == []


@contextmanager
def at_desk(folder: Path, *, environ: dict[str, str] | None = None, **config: Any) -> Iterator[Desk]:
    """A desk with a file, a Knot and a Pebble with this environment and configuration."""
    with (
        by_rfc2136(folder / "dns") as proof,
        newest_pebble(folder / "ca", proof.address, environ=environ, config=config) as ca,
    ):
        desk = Desk(folder / "desk", ca, proof)
        desk.run("init")
        yield desk


def pebble_of(desk: Desk) -> Pebble:
    assert desk.ca.pebble is not None
    return desk.ca.pebble


def chain_of(desk: Desk) -> tuple[x509.Certificate, ...]:
    return read_chain((desk.folder / "served" / "main" / "fullchain.pem").read_text())


def in_issuer(desk: Desk, line: str) -> None:
    desk.write("agree_to_terms = true", f"agree_to_terms = true\n{line}")


# ---- accounts --------------------------------------------------------------------------------------------------------------

MAC = {
    algorithm: base64.urlsafe_b64encode(bytes(range(start, start + size))).rstrip(b"=").decode()
    for algorithm, start, size in (("HS256", 7, 32), ("HS384", 80, 48), ("HS512", 160, 64))
}
"""At least as long as the hash (RFC 7518 section 3.2), which Pebble insists on."""


@contextmanager
def bound(folder: Path, algorithm: str, key: str) -> Iterator[Desk]:
    """A desk at a Pebble that takes only bound accounts; the file names this key of them."""
    with (
        by_rfc2136(folder / "dns") as proof,
        newest_pebble(
            folder / "ca",
            proof.address,
            config={"externalAccountBindingRequired": True, "externalAccountMACKeys": MAC},
        ) as ca,
    ):
        desk = Desk(folder / "desk", ca, replace(proof, secrets={**proof.secrets, "MAC": key}))
        in_issuer(desk, f'eab = {{ kid = "{algorithm}", hmac = {{ env = "MAC" }}, alg = "{algorithm}" }}')
        desk.run("init")
        yield desk


@pytest.mark.parametrize("algorithm", list(MAC))
def test_a_bound_account_is_made_with_every_algorithm(algorithm: str, tmp_path: Path) -> None:
    """RFC 8555 section 7.3.4; the key as Pebble has it, and with the padding that other CAs show."""
    key = MAC[algorithm] + "=" * (-len(MAC[algorithm]) % 4)
    with bound(tmp_path, algorithm, key) as desk:
        assert "1 ordered" in desk.run("renew").out
        desk.is_proven()


def test_a_wrong_key_binds_no_account(tmp_path: Path) -> None:
    with bound(tmp_path, "HS256", MAC["HS256"].swapcase()) as desk:
        assert "refused a new account (403)" in desk.run("renew", ends=1).err
        assert desk.ca.orders == 0


# ---- orders ----------------------------------------------------------------------------------------------------------------


def test_a_profile_is_asked_for_again_at_the_renewal_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    profiles = {
        "classic": {"description": "ninety days", "validityPeriod": 7776000},
        "shortlived": {"description": "six days", "validityPeriod": 518400},
    }
    with at_desk(tmp_path, profiles=profiles) as desk:
        in_issuer(desk, 'profile = "shortlivd"')
        ran = desk.run("renew", ends=1)
        assert "shortlived" in ran.out + ran.err
        assert desk.ca.orders == 0
        desk.write("shortlivd", "shortlived")
        for _ in range(2):
            assert "1 ordered" in desk.run("issue", "main").out
            leaf = chain_of(desk)[0]
            assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=7)
            desk.clock = Ahead()


@pytest.mark.parametrize("intermediates", [1, 2, 3])
def test_the_preferred_chain_is_taken_at_every_length(intermediates: int, tmp_path: Path) -> None:
    """With the root, two to four certificates. Without a wish, and with one for a root that there is not, it is the default."""
    environ = {"PEBBLE_CHAIN_LENGTH": str(intermediates), "PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_WFE_NONCEREJECT": "20"}
    with at_desk(tmp_path, environ=environ) as desk:
        roots = [read_chain(pebble_of(desk).root(number))[0] for number in range(3)]
        names = [common_name(root.subject) for root in roots]
        assert len(set(names)) == 3
        desk.run("renew")
        assert common_name(chain_of(desk)[-1].issuer) == names[0]
        assert len(chain_of(desk)) == 1 + intermediates
        desk.is_proven()

        in_issuer(desk, f'preferred_chain = "{names[2]}"')
        (desk.folder / "roots.pem").write_text(pebble_of(desk).root(2))
        desk.clock = Ahead()
        desk.run("issue", "main")
        assert common_name(chain_of(desk)[-1].issuer) == names[2]
        assert len(chain_of(desk)) == 1 + intermediates
        chain_of(desk)[-1].verify_directly_issued_by(roots[2])


# ---- proofs ----------------------------------------------------------------------------------------------------------------


def test_the_name_and_the_wildcard_are_proven_at_the_accounts_own_label(tmp_path: Path) -> None:
    with at_desk(tmp_path) as desk:
        desk.write('targets = ["folder"]', 'targets = ["folder"]\nchallenge = "dns-account-01"')
        assert "1 ordered" in desk.run("renew").out
        desk.is_proven()
        told = [
            row
            for row in desk.run("history", "--limit", "1000", "--json").json["history"]
            if row["kind"] == "proof-published"
        ]
        assert told
        assert all("._acme-challenge.example.com" in json.dumps(row) for row in told)


def test_a_name_is_proven_over_http_on_a_high_port(tmp_path: Path) -> None:
    port = free_port()
    with at_desk(tmp_path, httpPort=port) as desk:
        desk.write(f'"*.{ZONE}"', f'"ns1.{ZONE}"')  # the zone file gives ns1 an address on loopback
        desk.write(f'"{ZONE}", ', "")
        desk.write('targets = ["folder"]', 'targets = ["folder"]\nchallenge = "http-01"')
        desk.write("[network]", f'[solver.web]\ntype = "http-server"\nlisten = "127.0.0.1:{port}"\n\n[network]')
        assert "1 ordered" in desk.run("renew").out
        assert desk.serves(f"ns1.{ZONE}")
        assert desk.proof.txt(CHALLENGE) == []


def test_addresses_are_proven_over_http_and_signed_as_addresses(tmp_path: Path) -> None:
    """RFC 8738."""
    port = free_port()
    with at_desk(tmp_path, httpPort=port) as desk:
        desk.write(f'names   = ["{ZONE}", "*.{ZONE}"]', f'names = ["ns1.{ZONE}", "127.0.0.1"]')
        desk.write('targets = ["folder"]', 'targets = ["folder"]\nchallenge = "http-01"')
        desk.write("[network]", f'[solver.web]\ntype = "http-server"\nlisten = "127.0.0.1:{port}"\n\n[network]')
        assert "1 ordered" in desk.run("renew").out
        assert desk.serves("127.0.0.1") == desk.serves(f"ns1.{ZONE}")


def test_a_record_published_once_proves_the_wildcard_at_every_renewal(tmp_path: Path) -> None:
    """dns-persist-01, without a solver in the file: what is asked for is published by hand, and nothing is written after that."""
    with at_desk(tmp_path, caaIdentities=["pebble.example"]) as desk:
        path = desk.folder / "certbroker.toml"
        text = path.read_text()
        path.write_text(text[: text.index("[solver.dns]")] + text[text.index("[network]") :])
        desk.write('targets = ["folder"]', 'targets = ["folder"]\nchallenge = "dns-persist-01"')
        asked = desk.run("renew", ends=3).err
        assert desk.ca.orders == 0
        record = re.search(
            r'publish (_validation-persist\.example\.com\.)  TXT  "(pebble\.example; [^"]*policy=wildcard)"', asked
        )
        assert record is not None, asked

        publish(desk.proof.address, record[1], record[2])
        for number in (1, 2):
            desk.clock = Ahead(number * timedelta(hours=1))
            assert "1 ordered" in desk.run("issue", "main").out
            desk.is_proven()
        assert desk.ca.orders == 2
        assert not {"proof-published", "proof-removed"} & set(desk.history())
        assert desk.proof.txt(record[1]) == [record[2]]


def publish(address: str, name: str, text: str) -> None:
    """A person writes a TXT."""
    host, _, port = address.rpartition(":")
    ring = dns.tsigkeyring.from_text({KEY_NAME: KEY})
    update = dns.update.UpdateMessage(ZONE, keyring=ring, keyalgorithm=dns.tsig.HMAC_SHA256)
    update.add(name, 60, "TXT", f'"{text}"')
    assert dns.query.tcp(update, host, port=int(port), timeout=5).rcode() == 0


# ---- waits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_waits_in_seconds_and_as_dates_mean_the_same_in_every_time_zone(zone: str, tmp_path: Path) -> None:
    """Pebble says either, at random, with each order that is not done; and it refuses every fifth nonce."""
    more = "".join(f'\n[certificate.c{n}]\nnames = ["c{n}.{ZONE}"]\ntargets = ["folder"]\n' for n in range(8))
    environ = {"PEBBLE_WFE_NONCEREJECT": "20"}
    with at_desk(tmp_path, environ=environ, retryAfter={"authz": 1, "order": 1}) as desk:
        desk.write("[certificate.main]", f"{more}\n[certificate.main]")
        ran = desk.start("-vv", "renew", TZ=zone)
        assert "9 ordered" in ran.out
        waits = [line for line in ran.err.splitlines() if "'Retry-After'" in line]
        assert any(" GMT'" in line for line in waits)
        assert any("'Retry-After': '1'" in line for line in waits)
        desk.is_proven()


# ---- windows ---------------------------------------------------------------------------------------------------------------


def test_a_window_in_the_future_waits_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    with at_desk(tmp_path) as desk:
        desk.run("renew")
        first = desk.leaf
        desk.clock = Ahead()
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
        window = {"start": start.isoformat(), "end": (start + timedelta(days=2)).isoformat()}
        pebble_of(desk).set_renewal_info(first, json.dumps({"suggestedWindow": window}))
        assert "ordered" not in desk.run("renew", "--refresh-ari").out
        told = json.loads(json.dumps(desk.run("status", "--json").json["rows"][0]))
        assert f"{start:%Y-%m-%d}" <= told["renews"] <= f"{start + timedelta(days=2):%Y-%m-%dT%H:%M:%S}"
        for broken in (
            "<html>",
            "[]",
            '{"suggestedWindow": {"start": "soon", "end": "later"}}',
            json.dumps({"suggestedWindow": {"start": window["end"], "end": window["start"]}}),
        ):
            pebble_of(desk).set_renewal_info(first, broken)
            assert "ordered" not in desk.run("renew", "--refresh-ari").out
            assert desk.history()[-2:].count("window-unknown") >= 1
            assert desk.run("status", "--json").json["rows"][0]["renews"] == told["renews"]
        assert desk.leaf == first
        assert desk.ca.orders == 1


# ---- revocation ------------------------------------------------------------------------------------------------------------


def test_a_certificate_is_revoked_by_the_account(tmp_path: Path) -> None:
    with at_desk(tmp_path) as desk:
        desk.run("renew")
        serial = chain_of(desk)[0].serial_number
        assert pebble_of(desk).status(serial) == "Valid"
        desk.run("revoke", "main", "--reason", "cessationOfOperation", "--yes")
        assert pebble_of(desk).status(serial) == "Revoked"
        assert desk.ca.orders == 1


def test_a_compromised_certificate_is_revoked_by_its_own_key_and_another_served(tmp_path: Path) -> None:
    with at_desk(tmp_path) as desk:
        desk.run("renew")
        first = chain_of(desk)[0]
        desk.clock = Ahead()
        desk.run("revoke", "main", "--reason", "keyCompromise", "--with-certificate-key", "--yes")
        assert pebble_of(desk).status(first.serial_number) == "Revoked"
        second = chain_of(desk)[0]
        assert second.serial_number != first.serial_number
        assert second.public_key() != first.public_key()
        assert pebble_of(desk).status(second.serial_number) == "Valid"
        desk.is_proven()


def test_the_accounts_key_is_changed_and_orders_go_on(tmp_path: Path) -> None:
    """RFC 8555 section 7.3.5, and the end of an account (section 7.3.6)."""
    with at_desk(tmp_path, environ={"PEBBLE_WFE_NONCEREJECT": "20"}) as desk:
        desk.run("renew")
        uri = desk.run("account", "show", "ca", "--json").json["accounts"][0]["uri"]
        assert uri in desk.run("account", "rollover", "ca", "-m", "yearly").out
        desk.clock = Ahead()
        assert "1 ordered" in desk.run("issue", "main").out
        desk.is_proven()
        assert desk.run("account", "show", "ca", "--json").json["accounts"][0]["uri"] == uri

        desk.run("account", "deactivate", "ca", "--yes")
        desk.clock = Ahead(timedelta(hours=1))
        assert "1 ordered" in desk.run("issue", "main").out
        assert desk.run("account", "show", "ca", "--json").json["accounts"][0]["uri"] != uri
