"""Names and addresses as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.config.names import address, dns_name, duration, edge, subject
from certbroker.config.words import Refusal, looks_secret, quoted
from certbroker.errors import UsageError
from certbroker.model import Edge
from certbroker.names import NAME, covers, is_address

LONG = ".".join(["a" * 60] * 5) + ".example"

KEPT = [
    ("example.com", "example.com"),
    ("WWW.Example.Com", "www.example.com"),
    ("example.com.", "example.com"),
    ("*.example.com", "*.example.com"),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
    ("例え。jp", "xn--r8jz45g.jp"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
]


@pytest.mark.parametrize(("written", "kept"), KEPT)
def test_a_dns_name_is_kept_in_one_form(written: str, kept: str) -> None:
    assert dns_name(written) == kept
    assert dns_name(kept) == kept


REFUSED = [
    ("", "a DNS name is empty"),
    (" ", "a DNS name is empty"),
    ("exam ple.com", "holds a space"),
    ("example.com\n", "holds a control character"),
    ("a\x00b.com", 'x00b.com" holds a control character'),
    ("a\u202eb.com", "holds a control character"),
    ("../etc.x", "holds /"),
    ("a\\b.com", "holds \\"),
    ("https://example.com", "is a URL"),
    ("example.com:443", "holds :"),
    ("me@example.com", "holds @"),
    ("{each}.example", "holds {"),
    ("192.0.2.1", "is an IP address"),
    ("localhost", "has no dot"),
    ("*", "a wildcard stands alone"),
    ("*.com.*", "a wildcard stands alone"),
    ("www.*.com", "a wildcard stands alone"),
    ("w*.example.com", "a wildcard stands alone"),
    ("**.example.com", "a wildcard stands alone"),
    ("*.", "a wildcard stands alone"),
    ("*.localhost", "has no dot"),
    ("a..example", "an empty label"),
    (".example.com", "an empty label"),
    ("example.com..", "an empty label"),
    ("-a.example", "labels have letters, digits and inner hyphens"),
    ("a-.example", "labels have letters, digits and inner hyphens"),
    ("a!.example", "labels have letters, digits and inner hyphens"),
    ("example.123", "ends in a number"),
    ("a" * 64 + ".example", "a label longer than 63"),
    (LONG, "longer than 253"),
    ("☃︎.example", "no valid international name"),
]


@pytest.mark.parametrize(("written", "why"), REFUSED)
def test_what_is_no_dns_name_is_told_why(written: str, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        dns_name(written)
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert isinstance(caught.value, UsageError)


ADDRESSES = [
    ("192.0.2.1", "192.0.2.1"),
    ("2001:DB8:0:0::1", "2001:db8::1"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    ("Example.com.", "example.com"),
]


@pytest.mark.parametrize(("written", "kept"), ADDRESSES)
def test_an_address_is_kept_in_one_form(written: str, kept: str) -> None:
    assert subject(written) == kept
    assert is_address(kept) is (kept != "example.com")


@pytest.mark.parametrize(
    "written", ["fe80::1%eth0", "::ffff:192.0.2.1", "*.192.0.2.1", "*.2001:db8::1", "192.0.2.1/32", "[::1]"]
)
def test_what_is_no_address_that_a_certificate_names_is_refused(written: str) -> None:
    with pytest.raises(Refusal):
        subject(written)


@given(st.ip_addresses())
def test_no_address_is_taken_for_a_name_nor_covered_by_a_wildcard(address: object) -> None:
    text = str(address)
    assert is_address(text)
    assert not covers(f"*.{text.partition('.')[2]}", text)


@given(st.text(max_size=40) | st.from_regex(r"\A(\*\.)?[a-zA-Z0-9üß._-]{0,70}\Z"))
def test_any_text_is_a_name_as_we_keep_it_or_is_refused(text: str) -> None:
    try:
        name = dns_name(text)
    except Refusal:
        return
    assert NAME.fullmatch(name)
    assert len(name) <= 253
    assert dns_name(name) == name
    assert not is_address(name)


EDGES = [
    ("192.0.2.10", Edge("192.0.2.10", 443)),
    ("Host.Example:8443", Edge("host.example", 8443)),
    ("localhost", Edge("localhost", 443)),
    ("[2001:db8::1]:8443", Edge("2001:db8::1", 8443)),
    ("[2001:DB8:0::1]", Edge("2001:db8::1", 443)),
    ("2001:db8::1", Edge("2001:db8::1", 443)),
]


@pytest.mark.parametrize(("text", "kept"), EDGES)
def test_an_edge_is_a_host_and_a_port(text: str, kept: Edge) -> None:
    assert edge(text) == kept
    assert edge(str(kept)) == kept


@pytest.mark.parametrize(
    "text",
    ["", ":443", "host:", "host:0", "host:65536", "host:https", "host:٣", "[::1", "[::1]443", "[1.2.3.4]:1", "[x]:1",
     "1:2:3", "ho st", "-host", "host/path", "https://host", "*.example.com", "a..b", "x" * 300],
)  # fmt: skip
def test_what_is_no_edge_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        edge(text)


def test_an_address_always_has_its_port() -> None:
    assert address("ns.example", 53) == "ns.example:53"
    assert address("::1", 53) == "[::1]:53"
    assert address("[::1]:5353", 53) == "[::1]:5353"


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("60m", timedelta(hours=1)), ("2h", timedelta(hours=2)), ("1d", timedelta(days=1)),
     ("1h30m", timedelta(minutes=90))],
)  # fmt: skip
def test_a_time_has_its_unit(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "60", "0s", "m", "-1h", "1.5h", "1 h", "1H", "1w", "4000d", "999999999d", "٣m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        duration(text)


@pytest.mark.parametrize(
    "name",
    ["letsencrypt-staging", "planb-nodebalancer-2", "fly-site-blue", "certbroker-probe.example.com", "site-production-eu1-2026",
     "example.com", "ECDSA-P256", "../../etc/passwd", "shop.internationalisation.example"],
)  # fmt: skip
def test_names_that_people_give_are_no_secrets(name: str) -> None:
    assert not looks_secret(name)
    assert quoted(name) == f'"{name}"'


def test_what_is_quoted_is_short_and_printable() -> None:
    assert quoted("a\tb\x7f") == '"a\\x09b\\x7f"'
    assert len(quoted("word " * 100)) < 60
