"""CAA preflight (RFC 8659, RFC 8657): what forbids stops, what cannot be looked up warns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.challenges.caa import CaaFinding
from certbroker.model import Method
from certbroker.sandbox.dns import DnsServer
from tests.challenges.rig import challenges, small_world, town

CA = ("letsencrypt.org",)
ACCOUNT = "https://ca.example/acct/1"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with town("example.com") as server:
        yield server


def finding(
    tmp_path: Path,
    dns: DnsServer,
    name: str = "www.example.com",
    *,
    wildcard: bool = False,
    method: Method = Method.DNS_01,
) -> CaaFinding:
    room = challenges(small_world(tmp_path), recursor=dns.address)
    (found,) = room.caa(name, issuers=CA, account_uri=ACCOUNT, wildcard=wildcard, method=method)
    return found


@pytest.mark.parametrize(
    ("records", "wildcard", "state"),
    [
        ((), False, "ok"),
        (('0 issue "letsencrypt.org"',), False, "ok"),
        (('0 issue "LetsEncrypt.org"',), False, "ok"),
        (('0 issue "pki.goog"', '0 issue "letsencrypt.org"'), False, "ok"),
        (('0 issue "pki.goog"',), False, "fail"),
        (('0 issue ";"',), False, "fail"),
        (('0 issuewild ";"',), False, "ok"),
        (('0 issue "letsencrypt.org"', '0 issuewild ";"'), True, "fail"),
        (('0 issue ";"', '0 issuewild "letsencrypt.org"'), True, "ok"),
        (('0 issue "pki.goog"',), True, "fail"),
        (('0 iodef "mailto:a@example.com"',), False, "ok"),
        (('128 tbs "x"', '0 issue "letsencrypt.org"'), False, "fail"),
        (('0 tbs "x"', '0 issue "letsencrypt.org"'), False, "ok"),
        ((f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"',), False, "ok"),
        (('0 issue "letsencrypt.org; accounturi=https://ca.example/acct/2"',), False, "fail"),
        (('0 issue "letsencrypt.org; validationmethods=dns-01"',), False, "ok"),
        (('0 issue "letsencrypt.org;validationmethods=http-01,dns-01"',), False, "ok"),
        (('0 issue "letsencrypt.org; validationmethods=http-01"',), False, "fail"),
        (('0 issue "letsencrypt.org; nonsense"',), False, "fail"),
        (('0 issue "letsencrypt.org; policy=ev"',), False, "ok"),
    ],
)
def test_the_nearest_set_decides(
    tmp_path: Path, dns: DnsServer, records: tuple[str, ...], wildcard: bool, state: str
) -> None:
    for record in records:
        dns.add("example.com", "CAA", record)
    assert finding(tmp_path, dns, wildcard=wildcard).state == state


def test_the_method_in_use_is_the_one_that_counts(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("example.com", "CAA", '0 issue "letsencrypt.org; validationmethods=dns-account-01"')
    assert finding(tmp_path, dns, method=Method.DNS_ACCOUNT_01).state == "ok"
    found = finding(tmp_path, dns)
    assert found.state == "fail"
    assert "only validation by dns-account-01, and we use dns-01" in found.what


def test_a_set_further_down_hides_the_one_above(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("example.com", "CAA", '0 issue ";"')
    dns.add("www.example.com", "CAA", '0 issue "letsencrypt.org"')
    assert finding(tmp_path, dns).state == "ok"
    assert finding(tmp_path, dns, "other.example.com").state == "fail"


def test_a_refusal_says_which_record_and_what_to_add(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("example.com", "CAA", '0 issue "pki.goog"')
    found = finding(tmp_path, dns)
    assert found.what == "CAA at example.com forbids it: only pki.goog may issue"
    assert found.hint == 'add to example.com:  CAA 0 issue "letsencrypt.org"'


def test_a_look_up_that_fails_only_warns(tmp_path: Path, dns: DnsServer) -> None:
    dns.servfail.add("www.example.com")
    assert finding(tmp_path, dns).state == "warn"


def test_an_account_that_does_not_exist_yet_cannot_be_the_one_named(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("example.com", "CAA", f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"')
    room = challenges(small_world(tmp_path), recursor=dns.address)
    (found,) = room.caa("example.com", issuers=CA, account_uri=None, wildcard=False, method=Method.DNS_01)
    assert found.state == "fail"
    assert "ours does not exist yet" in found.what
