"""CAA preflight (RFC 8659, RFC 8657): what forbids stops, what cannot be looked up warns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.challenges.caa import Asker, CaaFinding, Property, Standing, Use, refusals, wanted
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
    wish = f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01"'
    assert found.hint == f"add example.com.  CAA  {wish}"


def test_a_look_up_that_fails_only_warns(tmp_path: Path, dns: DnsServer) -> None:
    dns.servfail.add("www.example.com")
    assert finding(tmp_path, dns).state == "warn"


def test_an_account_that_does_not_exist_yet_cannot_be_the_one_named(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("example.com", "CAA", f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"')
    room = challenges(small_world(tmp_path), recursor=dns.address)
    (found,) = room.caa("example.com", issuers=CA, account_uri=None, wildcard=False, method=Method.DNS_01)
    assert found.state == "fail"
    assert "ours does not exist yet" in found.what


# ---- what is to stand --------------------------------------------------------------------------------------------------


def use(
    method: Method, *, plain: bool = True, wildcard: bool = False, ca: str = CA[0], account: str | None = ACCOUNT
) -> Use:
    return Use(ca, account, method, plain, wildcard)


def said(*uses: Use) -> list[str]:
    return [str(line) for line in wanted(uses)]


def test_one_line_a_ca_with_the_methods_in_use() -> None:
    assert said(use(Method.DNS_01), use(Method.HTTP_01), use(Method.DNS_01, ca="pki.goog", account=None)) == [
        f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01,http-01"',
        '0 issue "pki.goog; validationmethods=dns-01"',
    ]


def test_wildcards_have_lines_of_their_own_and_the_methods_of_other_names_do_not_do_for_them() -> None:
    assert said(use(Method.DNS_01, wildcard=True), use(Method.HTTP_01)) == [
        f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01,http-01"',
        f'0 issuewild "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01"',
    ]


def test_where_only_wildcards_are_wanted_nobody_may_sign_the_plain_name() -> None:
    assert said(use(Method.DNS_01, plain=False, wildcard=True))[0] == '0 issue ";"'


def test_nothing_is_to_stand_for_nobody() -> None:
    assert said() == []


MANY = st.lists(
    st.builds(
        Use,
        st.sampled_from(["letsencrypt.org", "pki.goog"]),
        st.sampled_from([None, "https://ca.example/acct/1", "https://ca.example/acct/2"]),
        st.sampled_from(list(Method)),
        st.booleans(),
        st.booleans(),
    ).filter(lambda use: use.plain or use.wildcard),
    min_size=1,
    max_size=4,
)


@given(MANY)
def test_the_set_lets_each_of_ours_sign_and_nobody_else(uses: list[Use]) -> None:
    """Whatever is wanted: every use is allowed as it is; another CA, account or method is not, once ours are known."""
    standing = Standing("example.com", tuple(wanted(uses)))
    bound = {use.issuer for use in uses} - {use.issuer for use in uses if use.account_uri is None}
    for wildcard in (False, True):
        mine = [use for use in uses if (use.wildcard if wildcard else use.plain)]
        for each in mine:
            assert not refusals(standing, Asker((each.issuer,), each.account_uri, each.method), wildcard=wildcard)
        if not mine and wildcard:
            continue  # without a wildcard in use `issue` speaks for them, for our accounts alone
        assert refusals(standing, Asker(("evil.example",), None, None), wildcard=wildcard)
        for issuer in bound:
            assert refusals(standing, Asker((issuer,), "https://ca.example/acct/9", None), wildcard=wildcard)
            methods = {use.method for use in mine if use.issuer == issuer}
            for method in set(Method) - methods:
                account = next(use.account_uri for use in uses if use.issuer == issuer)
                assert refusals(standing, Asker((issuer,), account, method), wildcard=wildcard)


@pytest.mark.parametrize(
    ("record", "ours", "allowed"),
    [
        ("letsencrypt.org", ACCOUNT, True),
        (f"letsencrypt.org; accounturi={ACCOUNT}", ACCOUNT, False),
        ("letsencrypt.org; accounturi=https://ca.example/acct/77", ACCOUNT, True),  # perhaps theirs
        ("letsencrypt.org; accounturi=https://ca.example/acct/77", None, True),
        ("letsencrypt.org; validationmethods=dns-01", ACCOUNT, True),  # how they prove it is not known
        ("pki.goog", ACCOUNT, False),
    ],
)
def test_what_a_stranger_may_whose_account_we_do_not_know(record: str, ours: str | None, allowed: bool) -> None:
    standing = Standing("example.com", (Property(0, "issue", record),))
    assert (not refusals(standing, Asker(CA, ours, None, stranger=True), wildcard=False)) is allowed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            "letsencrypt.org; accounturi=a; validationmethods=dns-01",
            "LetsEncrypt.org;validationmethods=dns-01;accounturi=a",
            True,
        ),
        ("letsencrypt.org", "letsencrypt.org.", True),
        ("letsencrypt.org; accounturi=a", "letsencrypt.org; accounturi=b", False),
        (";", "", True),
    ],
)
def test_two_ways_to_write_one_thing(one: str, other: str, same: bool) -> None:
    assert Property(0, "issue", one).same(Property(0, "issue", other)) is same
