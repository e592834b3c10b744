"""What a public CA is known to refuse is a mistake in the file, told with its line; a CA of one's own has its own rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from certbroker.config import rehearsal
from tests.config.files import HEAD, only, problems, read

OWN = '\n[issuer.own]\ndirectory = "https://ca.example/dir"\n'
MANY = ", ".join(f'"n{number}.example.com"' for number in range(101))
LONGEST = ".".join(["a" * 60] * 4) + ".exams.com"


def one(issuer: str, *names: str, more: str = "", issuers: str = OWN) -> str:
    listed = ",\n  ".join(f'"{name}"' for name in names)
    return f'{HEAD}{issuers}\n[certificate.x]\nissuer = "{issuer}"\n{more}\nnames = [\n  {listed}]\n'


SHORT = '\n[issuer.letsencrypt-staging]\nprofile = "shortlived"\n'


@pytest.mark.parametrize(
    ("issuer", "names", "told"),
    [
        ("letsencrypt", ("a.example", "_x.a.example"), "27: certificate.x.names: _x.a.example holds an underscore, which public CAs do not sign; letsencrypt would refuse it"),
        ("zerossl", ("_x.a.example",), "26: certificate.x.names: _x.a.example holds an underscore, which public CAs do not sign; zerossl would refuse it"),
        ("own", ("a.example", "com"), '27: certificate.x.names: "com" has no dot; a certificate needs a full name, as in www.example.com'),
        ("own", ("*.com",), '26: certificate.x.names: "*.com" has no dot; a certificate needs a full name, as in www.example.com'),
        ("own", ("*.192.0.2.1",), '26: certificate.x.names: "*.192.0.2.1": a wildcard stands before a DNS name, never before an IP address'),
        ("own", ("::ffff:192.0.2.1",), '26: certificate.x.names: "::ffff:192.0.2.1" is no address that a certificate names: write it without a zone, and IPv4 as IPv4'),
        ("own", ("a" * 64 + ".example",), f'26: certificate.x.names: "{"a" * 64}.example" has a label longer than 63 characters'),
        ("own", ("192.0.2.1",), '26: certificate.x.names: 192.0.2.1 is an IP address, which no DNS record proves: challenge = "http-01" does, this is dns-01'),
    ],
)  # fmt: skip
def test_what_cannot_be_signed_is_told_with_its_line(
    tmp_path: Path, issuer: str, names: tuple[str, ...], told: str
) -> None:
    assert only(tmp_path, one(issuer, *names)) == told


@pytest.mark.parametrize(
    ("issuer", "name", "why"),
    [
        ("letsencrypt", "8.8.8.8", "Let's Encrypt signs with profile = \"shortlived\" only; [issuer.letsencrypt] has none, which means classic"),
        ("letsencrypt-staging", "10.0.0.1", "10.0.0.1 is no public address; letsencrypt-staging signs only addresses that anybody can reach"),
        ("letsencrypt-staging", "fd00::1", "fd00::1 is no public address"),
        ("google", "8.8.8.8", "8.8.8.8 is an IP address, and google signs none"),
    ],
)  # fmt: skip
def test_an_address_that_this_ca_does_not_sign_is_refused(tmp_path: Path, issuer: str, name: str, why: str) -> None:
    assert any(why in line for line in problems(tmp_path, one(issuer, name, issuers=SHORT)))


def test_a_list_of_issuers_is_refused_if_one_of_them_would(tmp_path: Path) -> None:
    text = one("own", "_x.a.example").replace('issuer = "own"', 'issuer = ["own", "letsencrypt"]')
    assert "letsencrypt would refuse it" in only(tmp_path, text)


def test_a_ca_of_ones_own_is_asked_for_anything(tmp_path: Path) -> None:
    assert read(tmp_path, one("own", "_x.a.example")).certificates["x"].names == ("_x.a.example",)


def test_a_name_of_254_characters_is_one_too_many(tmp_path: Path) -> None:
    assert "is longer than 253 characters" in only(tmp_path, one("own", LONGEST + "m"))
    assert read(tmp_path, one("own", LONGEST)).certificates["x"].names == (LONGEST,)


def test_more_names_than_the_profile_takes_are_told_with_the_way_out(tmp_path: Path) -> None:
    text = f"{HEAD}\n[certificate.x]\nnames = [{MANY}]\n"
    assert only(tmp_path, text) == (
        "20: certificate.x.names: letsencrypt (profile classic) takes at most 100 names in one certificate, and there are 101; "
        "split = true makes several certificates of them"
    )


def test_more_names_than_a_target_takes_are_told_too(tmp_path: Path) -> None:
    small = '\n[target.little]\ntype = "small"\ntoken = { env = "X" }\n'
    names = ["a.example", "b.example", "c.example", "d.example"]
    text = one("own", *names, more='targets = ["little"]', issuers=OWN + small)
    assert "little takes at most 3 names in one certificate, and there are 4" in only(tmp_path, text)


def test_a_target_that_serves_no_addresses_is_not_given_one(tmp_path: Path) -> None:
    web = '\n[solver.web]\ntype = "web"\n'
    more = 'challenge = "http-01"\ntargets = ["folder", "cloud"]'
    text = one("own", "a.example", "8.8.8.8", more=more, issuers=OWN + web)
    assert "cloud serves no IP addresses, and 8.8.8.8 is one" in only(tmp_path, text)
    fewer = text.replace('"cloud"]', '{ target = "cloud", names = ["a.example"] }]')
    assert read(tmp_path, fewer).certificates["x"].names_on("folder") == ("a.example", "8.8.8.8")


def test_a_list_that_may_be_split_becomes_certificates_of_their_own(tmp_path: Path) -> None:
    small = '\n[target.little]\ntype = "small"\ntoken = { env = "X" }\n'
    names = ["a.example", "*.a.example", "b.example", "c.example"]
    more = 'split = true\ntargets = ["little", { target = "cloud", names = ["c.example"] }]'
    found = read(tmp_path, one("own", *names, more=more, issuers=OWN + small)).certificates
    assert {name: c.names for name, c in found.items()} == {
        "x-1": ("a.example", "*.a.example", "b.example"),
        "x-2": ("c.example",),
    }
    assert [(a.certificate, a.target, a.names) for c in found.values() for a in c.assignments] == [
        ("x-1", "little", ("a.example", "*.a.example", "b.example")),
        ("x-2", "little", ("c.example",)),
        ("x-2", "cloud", ("c.example",)),
    ]


def test_a_list_that_may_be_split_and_need_not_be_keeps_its_name_when_it_grows(tmp_path: Path) -> None:
    assert list(read(tmp_path, one("own", "a.example", more="split = true")).certificates) == ["x-1"]


def test_a_part_may_not_take_the_name_of_another_certificate(tmp_path: Path) -> None:
    other = '\n[certificate.x-1]\nissuer = "own"\nnames = ["z.example"]\n'
    assert "there is already a certificate named x-1" in only(
        tmp_path, one("own", "a.example", more="split = true") + other
    )


def test_a_rehearsal_asks_for_the_profile_that_the_real_order_asks_for(tmp_path: Path) -> None:
    text = HEAD.replace("agree_to_terms = true", 'agree_to_terms = true\nprofile = "shortlived"')
    staging = rehearsal(read(tmp_path, text).issuers["letsencrypt"])
    assert staging
    assert staging.profile == "shortlived"
