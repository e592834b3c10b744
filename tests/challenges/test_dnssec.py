"""Recursors that validate: what they refuse, the CA refuses too."""

from __future__ import annotations

from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from certbroker.challenges.caa import CaaFinding
from certbroker.model import Method
from tests.challenges.rig import challenges, small_world
from tests.challenges.test_lookup import responder


def caa(tmp_path: Path, recursor: str) -> CaaFinding:
    room = challenges(small_world(tmp_path), recursor=recursor)
    (found,) = room.caa(
        "example.com", issuers=("letsencrypt.org",), account_uri=None, wildcard=False, method=Method.DNS_01
    )
    return found


def test_broken_dnssec_forbids_for_the_cas_look_up_fails_as_well(tmp_path: Path) -> None:
    def answer(query: dns.message.Message, response: dns.message.Message) -> None:
        if not query.flags & dns.flags.CD:
            response.set_rcode(dns.rcode.SERVFAIL)

    with responder(answer) as address:
        found = caa(tmp_path, address)
    assert found.state == "fail"
    assert "DNSSEC is broken for example.com" in found.what
    assert "DS record" in str(found.hint)


def test_a_server_that_fails_whether_it_validates_or_not_only_warns(tmp_path: Path) -> None:
    with responder(lambda query, response: response.set_rcode(dns.rcode.SERVFAIL)) as address:
        assert caa(tmp_path, address).state == "warn"


def test_a_recursor_that_validates_is_asked_to_say_so(tmp_path: Path) -> None:
    def answer(query: dns.message.Message, response: dns.message.Message) -> None:
        response.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "CAA", '0 issue "letsencrypt.org"'))
        response.flags |= query.flags & dns.flags.AD

    with responder(answer) as address:
        assert caa(tmp_path, address).what == "CAA at example.com allows it, and DNSSEC proves it"
