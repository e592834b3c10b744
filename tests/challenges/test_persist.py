"""The record of dns-persist-01: what we write, what we read, what we make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.challenges import persist
from certbroker.challenges.persist import Permit
from certbroker.sandbox.ca import persist as ca

ACCOUNT = "https://acme-v02.api.letsencrypt.org/acme/acct/123"
CA = "letsencrypt.org"
NOW = datetime(2026, 11, 26, tzinfo=UTC)
GOOD = f"{CA}; accounturi={ACCOUNT}"


def judge(*values: str, name: str = "example.com") -> persist.Verdict:
    return persist.judge(values, name=name, issuers=(CA,), account_uri=ACCOUNT, now=NOW)


def test_the_record_of_the_draft() -> None:
    record = persist.record("*.example.com", CA, ACCOUNT)
    assert str(record) == f'_validation-persist.example.com.  TXT  "{GOOD}; policy=wildcard"'
    assert str(persist.record("a.example.com", CA, ACCOUNT)) == f'_validation-persist.a.example.com.  TXT  "{GOOD}"'


def test_a_long_record_is_shown_in_character_strings_of_255() -> None:
    shown = str(persist.record("example.com", CA, "https://ca.example/" + "x" * 400))
    strings = shown.split("TXT  ")[1].strip('"').split('" "')
    assert [len(each) for each in strings[:-1]] == [255]
    assert "".join(strings).endswith("x" * 400)


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (GOOD, "ok"),
        (f"  LetsEncrypt.ORG  ;  AccountURI =  {ACCOUNT} ", "ok"),
        (f"{GOOD};policy=wildcard;unknown=1", "ok"),
        (f"{GOOD}; persistUntil={int(NOW.timestamp()) + 60}", "ok"),
        (f"{GOOD}; persistUntil={int(NOW.timestamp())}", "wrong"),
        (f"{GOOD}; persistuntil=soon", "wrong"),
        (f"{GOOD}; persistuntil=999999999999", "wrong"),
        (f"{GOOD};", "wrong"),
        (f"{GOOD}; ", "wrong"),
        (f"{GOOD}; accounturi={ACCOUNT}", "wrong"),
        (f"{GOOD}; AccountUri=other", "wrong"),
        (f"{GOOD}; x=1; X=2", "wrong"),
        (f"{GOOD}; policy", "wrong"),
        (f"{GOOD}; -x=1", "wrong"),
        (f"{CA}; accounturi={ACCOUNT} x", "wrong"),
        (f"{CA}; accounturi={ACCOUNT}/", "wrong"),
        (f"{CA}; accounturi={ACCOUNT.upper()}", "wrong"),
        (CA, "wrong"),
        (f"pki.goog; accounturi={ACCOUNT}", "missing"),
        (f"accounturi={ACCOUNT}", "missing"),
        ("v=spf1 -all", "missing"),
        ("", "missing"),
    ],
)
def test_what_stands_is_judged_as_a_ca_would(value: str, state: str) -> None:
    assert judge(value).state == state


def test_a_wildcard_needs_the_policy() -> None:
    found = judge(GOOD, name="*.example.com")
    assert found.state == "wrong"
    assert "lacks policy=wildcard" in found.why
    assert judge(f"{GOOD}; policy=WildCard", name="*.example.com").state == "ok"
    assert judge(f"{GOOD}; policy=other").state == "ok"


def test_one_good_record_among_others_is_enough() -> None:
    assert judge("v=spf1", f"{CA}; accounturi=https://old.example/1", GOOD).state == "ok"
    found = judge("v=spf1", f"{CA}; accounturi=https://old.example/1")
    assert found.why == "the record is for the account https://old.example/1"


@given(st.text(alphabet=' ;=aAzZ09.-_:/\t"\\x7f\xe9', max_size=40), st.booleans())
def test_the_sandbox_which_reads_it_by_itself_never_takes_what_we_would_not_and_the_other_way_round(
    tail: str, wildcard: bool
) -> None:
    """Two readings of one grammar. Where they differ, one of them is wrong."""
    value = f"{CA};accounturi={ACCOUNT};{tail}"
    ours = judge(value, name="*.example.com" if wildcard else "example.com").state == "ok"
    theirs = ca.refusal([value], identity=CA, account=ACCOUNT, wildcard=wildcard, now=NOW.timestamp()) is None
    assert ours == theirs


@given(
    st.from_regex(r"\Ahttps://[a-z0-9./_-]{1,300}\Z"),
    st.booleans(),
    st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_what_is_written_is_read_again(account: str, wildcard: bool, until: datetime | None) -> None:
    permit = Permit(CA, account, wildcard, until.replace(microsecond=0) if until else None)
    assert persist.read(str(permit)) == permit
    end = permit.until or NOW + timedelta(days=1)
    before = end - timedelta(seconds=1)
    assert persist.judge([str(permit)], name="a.example", issuers=(CA,), account_uri=account, now=before).state == "ok"
