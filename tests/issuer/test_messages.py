"""What a CA says is read as far as it can be used; the rest is named, never a crash."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker.errors import CertbrokerError, ChallengeFailed, IssuanceError, IssuerUnavailable, RateLimited
from certbroker.issuer.messages import Authorization, Directory, NewOrder, Order, moment, new_order, usable
from certbroker.issuer.order import explained
from certbroker.issuer.problem import Problem, refusal
from tests.clock import START

URL = "https://ca.test/acme/1"
DIRECTORY = {"newNonce": URL, "newAccount": URL, "newOrder": URL}
ORDER = {"status": "pending", "authorizations": [URL], "finalize": URL}
TOKEN = "abcdefghijklmnopqrstuv"
CHALLENGE = {"type": "dns-01", "url": URL, "status": "pending", "token": TOKEN}
AUTHORIZATION = {
    "identifier": {"type": "dns", "value": "example.com"},
    "status": "pending",
    "challenges": [{"type": "dns-persist-01", "url": URL, "status": "pending"}, CHALLENGE],
    "wildcard": True,
}


def test_an_order_says_what_it_replaces_and_leaves_out_what_is_not_set() -> None:
    full = new_order(("example.com",), profile="tlsserver", replaces="AQ.fw").to_json()
    assert full["replaces"] == "AQ.fw"
    assert full["profile"] == "tlsserver"
    plain = new_order(("example.com",), profile=None, replaces=None)
    assert isinstance(plain, NewOrder)
    assert set(plain.to_json()) == {"identifiers"}


def test_a_directory_tells_what_the_ca_offers() -> None:
    meta = {
        "termsOfService": "https://ca.test/terms",
        "profiles": {"classic": "90 days"},
        "caaIdentities": ["CA.Test"],
        "externalAccountRequired": True,
    }
    read = Directory.read("ca", {**DIRECTORY, "meta": meta, "renewalInfo": URL, "somethingNew": 7})
    assert read.terms == "https://ca.test/terms"
    assert read.profiles == {"classic": "90 days"}
    assert read.caa_identities == ("ca.test",)
    assert read.renewal_info == URL
    assert read.binding_required


@pytest.mark.parametrize("missing", list(DIRECTORY))
def test_a_directory_without_an_address_is_named(missing: str) -> None:
    with pytest.raises(IssuanceError, match=f"ca answered its directory without a usable {missing} address"):
        Directory.read("ca", {key: value for key, value in DIRECTORY.items() if key != missing})


@pytest.mark.parametrize("status", ["expired", "weird\x1b[31m", "", None, 7, ["valid"]])
def test_an_unknown_order_status_is_named(status: object) -> None:
    with pytest.raises(IssuanceError, match="ca answered the order with the unknown status") as caught:
        Order.read("ca", {**ORDER, "status": status})
    assert "\x1b" not in str(caught.value)


def test_a_valid_order_must_say_where_the_certificate_is() -> None:
    with pytest.raises(IssuanceError, match="without a usable certificate address"):
        Order.read("ca", {**ORDER, "status": "valid"})


def test_an_authorization_gives_the_challenge_that_is_wanted_among_strangers() -> None:
    read = Authorization.read("ca", URL, AUTHORIZATION)
    assert read.pattern == "*.example.com"
    assert read.challenge("ca", "dns-01").token == TOKEN


def test_an_expired_authorization_is_legal_and_says_why_it_is_of_no_use() -> None:
    read = Authorization.read("ca", URL, {**AUTHORIZATION, "status": "expired"})
    assert read.problems() == ["*.example.com: its authorization is expired"]


def test_a_ca_that_does_not_offer_the_challenge_is_told_with_what_it_offers() -> None:
    read = Authorization.read("ca", URL, {**AUTHORIZATION, "challenges": [{**CHALLENGE, "type": "http-01"}]})
    with pytest.raises(IssuanceError, match=r"does not offer dns-01 for \*\.example\.com: it offers http-01"):
        read.challenge("ca", "dns-01")


def test_an_unknown_identifier_type_is_named() -> None:
    with pytest.raises(IssuanceError, match="an authorization for a 'onion'"):
        Authorization.read("ca", URL, {**AUTHORIZATION, "identifier": {"type": "onion", "value": "x.onion"}})


def test_an_unknown_challenge_status_is_named() -> None:
    read = Authorization.read("ca", URL, {**AUTHORIZATION, "challenges": [{**CHALLENGE, "status": "asleep"}]})
    with pytest.raises(IssuanceError, match="unknown status 'asleep'"):
        read.challenge("ca", "dns-01")


def failed(name: str, detail: str, kind: str = "unauthorized") -> Authorization:
    error = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}
    challenge = {**CHALLENGE, "status": "invalid", "error": error}
    value = {"identifier": {"type": "dns", "value": name}, "status": "invalid", "challenges": [challenge]}
    return Authorization.read("ca", URL, value)


def test_every_name_that_failed_is_told_with_the_words_of_the_ca() -> None:
    order = Order.read("ca", {**ORDER, "status": "invalid"})
    error = explained("ca", [failed("a.test", "no TXT"), failed("b.test", "CAA forbids ca", "caa")], order)
    assert isinstance(error, ChallengeFailed)
    assert "a.test: no TXT; b.test: CAA forbids ca" in error.what
    assert "CAA" in (error.hint or "")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("rateLimited", RateLimited), ("serverInternal", IssuerUnavailable), ("rejectedIdentifier", IssuanceError)],
)
def test_an_order_given_up_without_failed_names_tells_its_own_problem(kind: str, expected: type) -> None:
    problem = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": "because"}
    order = Order.read("ca", {**ORDER, "status": "invalid", "error": problem})
    error = explained("ca", [], order)
    assert type(error) is expected
    assert "because" in error.what


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, IssuanceError),
        (404, IssuanceError),
        (408, IssuerUnavailable),
        (429, RateLimited),
        (502, IssuerUnavailable),
    ],
)
def test_a_status_says_whose_move_it_is(status: int, expected: type) -> None:
    error = refusal("ca", "the order", status, "text/html", b"<h1>no</h1>", 7.0, START)
    assert type(error) is expected
    assert error.status == status
    assert error.retry_after == 7.0
    assert "text/html where JSON belongs" in error.what


def test_subproblems_do_not_go_down_for_ever() -> None:
    value: dict[str, Any] = {"detail": "deep"}
    for _ in range(500):
        value = {"detail": "above", "subproblems": [value]}
    read = Problem.read(value)
    assert read is not None
    assert len(read.subproblems) == 1
    assert read.subproblems[0].subproblems == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00+00:00"),
        ("2026-11-23T10:00:00.123456789+02:00", "2026-11-23T08:00:00.123456+00:00"),
        ("2026-11-23T10:00:00", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        (12, None),
    ],
)
def test_only_a_full_time_with_its_zone_is_a_moment(text: object, read: str | None) -> None:
    got = moment(text)
    assert (got.isoformat() if got else None) == read


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://ca.test/",
        "https://",
        "https://ca.test:99999/",
        "https://ca.test/a b",
        "https://ca.test/\n",
        "/path",
        3,
    ],
)
def test_an_address_that_cannot_be_asked_is_none(url: object) -> None:
    assert not usable(url)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(URL) | st.just("valid"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_answer_crashes_the_readers(data: st.DataObject) -> None:
    for base, read in (
        (DIRECTORY, lambda value: Directory.read("ca", value)),
        (ORDER, lambda value: Order.read("ca", value)),
        (AUTHORIZATION, lambda value: Authorization.read("ca", URL, value).challenge("ca", "dns-01")),
    ):
        extra = ["meta", "error", "expires", "certificate", "renewalInfo"]
        spoiled = data.draw(st.dictionaries(st.sampled_from([*base, *extra]), JSON, max_size=3))
        with contextlib.suppress(CertbrokerError):
            read({**base, **spoiled})
    Problem.read(data.draw(JSON))
