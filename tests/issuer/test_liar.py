"""An honest CA whose answers are spoilt on the way, anywhere and anyhow: what comes out is a version or one of our errors, in
time and within a bounded number of requests, and the next day an honest run finds a store that works.

CERTBROKER_FUZZ=n tries n times as many cases as usual.
"""

from __future__ import annotations

import json
import os
import random
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certbroker.config import IssuerSettings
from certbroker.errors import BadMaterial, CertbrokerError, IssuanceError, IssuerUnavailable, NothingDone, ProviderError
from certbroker.issuer.ari import certificate_id
from certbroker.issuer.certificate import certified
from certbroker.keys import check_pair, generate, load_key
from certbroker.model import KeyType, RevocationReason, Standing, Version, Window
from certbroker.policy import order_backoff
from certbroker.sandbox.ca import SandboxCA
from certbroker.sandbox.ca.authority import Authority, profiles
from tests.clock import START, TestClock
from tests.issuer.desk import Desk, desk, own_dns, wanted
from tests.issuer.liar import (
    GONE,
    STEPS,
    Both,
    Bytes,
    Der,
    Header,
    Liar,
    Lie,
    Member,
    Named,
    Pem,
    Plain,
    Raw,
    Recoded,
    Repeated,
    Wire,
)

pytestmark = pytest.mark.timeout(900)  # many cases, and more of them when one has to be shrunk

BASE: Final = "http://ca.test"
SETTINGS: Final = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
NAMES: Final = ("example.com", "*.example.com")
CASES: Final = 50 * int(os.environ.get("CERTBROKER_FUZZ", "1"))

REQUESTS: Final = 500
"""More than any lie may make us send for one certificate in one run of ten minutes."""

LONGEST: Final = 6000
"""Characters of one message."""

# ---- lies, drawn ---------------------------------------------------------------------------------------------------------

PLACES: Final = [
    "",
    "x",
    "//",
    "http://",
    "http://[::1",
    "http://ca.test:99999/",
    "http://elsewhere.test/dir",
    "https://ca.test/dir",
    "file:///etc/passwd",
    "gopher://ca.test/",
    "http://ca.test/dir",
    "http://ca.test/nonce",
    "http://ca.test/new-order",
    "http://ca.test/authz/1",
    "http://ca.test/order/1/finalize",
    "http://user:word@ca.test/",
    "http://ca.test/\r\nX-Injected: yes",
    "http://ca.test/" + "a" * 5000,
    "http://ca.tést/",
    "http://169.254.169.254/latest/meta-data",
]
TIMES: Final = [
    "0",
    "1",
    "-1",
    "007",
    "1.5",
    "9" * 400,
    "99999999999999999999",
    "5, 10",
    "+3",
    "٣",
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Tue, 24 Nov 2026 09:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Mon, 23 Nov 2026 18:00:30 +0900",
    "Mon, 23 Nov 2026 09:00:30",
    "Monday, 23-Nov-26 09:00:30 GMT",
    "Mon Nov 23 09:00:30 2026",
    "Tue, 99 Foo",
    "2026-11-23T09:00:30Z",
]
MOMENTS: Final = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    "2026-11-23T09:00:00",
    "2026-11-23",
    "2026-W48-1",
    "2027-01-20T09:00:00Z",
    "2026-12-01T00:00:00.123456789Z",
    "20261201T000000Z",
]
STATUSES: Final = ["pending", "ready", "processing", "valid", "invalid", "expired", "deactivated", "revoked", "VALID"]
TYPES: Final = [
    f"urn:ietf:params:acme:error:{code}"
    for code in ("badNonce", "rateLimited", "serverInternal", "alreadyReplaced", "accountDoesNotExist", "malformed")
]
TEXTS: Final = st.one_of(
    st.sampled_from(PLACES),
    st.sampled_from(STATUSES),
    st.sampled_from(MOMENTS),
    st.sampled_from(TYPES),
    st.sampled_from(["dns", "ip", "dns-01", "http-01", "*.example.com", "\x1b[31mred", "\ud800", "\0", "x" * 70_000]),
    st.text(max_size=20),
)
NUMBERS: Final = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**31, 2**63, -(2**63), 10**4000]), st.floats(allow_nan=False, width=32)
)
RAW: Final = st.sampled_from(
    [Raw("NaN"), Raw("-Infinity"), Raw("1e999"), Raw("9" * 5000), Raw('"\\ud800"'), Raw('{"a": 1, "a": 2}'), Raw("[,]")]
    + [Raw("[" * depth + "]" * depth) for depth in (31, 200, 450, 900, 20_000)]
    + [Raw('{"detail":' * depth + "1" + "}" * depth) for depth in (200, 450)]
)
VALUES: Final = st.one_of(
    st.just(GONE),
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXTS,
    RAW,
    st.lists(st.one_of(TEXTS, NUMBERS, RAW), max_size=3),
    st.dictionaries(st.sampled_from(["type", "value", "url", "token", "status", "detail"]), TEXTS, max_size=3),
)
LATIN: Final = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30)
PROBLEMS: Final = st.builds(
    lambda kind, detail, below: json.dumps({"type": kind, "detail": detail, "subproblems": below}).encode(),
    st.sampled_from(TYPES),
    TEXTS,
    st.one_of(
        st.none(), st.lists(st.dictionaries(st.sampled_from(["type", "detail", "identifier"]), TEXTS), max_size=3)
    ),
)
HEADERS: Final = st.one_of(
    st.builds(Header, st.just("Location"), st.lists(st.sampled_from(PLACES[:-4]), max_size=2).map(tuple)),
    st.builds(Header, st.just("Replay-Nonce"), st.lists(LATIN | st.just("A" * 9000), max_size=2).map(tuple)),
    st.builds(
        Header, st.just("Retry-After"), st.lists(st.sampled_from(TIMES) | LATIN, min_size=1, max_size=2).map(tuple)
    ),
    st.builds(
        Header,
        st.just("Content-Type"),
        st.lists(
            st.sampled_from(["text/html; charset=utf-7", "application/json; charset=\xff", ";;=", ""]), max_size=2
        ).map(tuple),
    ),
    st.builds(
        Header,
        st.just("Content-Length"),
        st.lists(st.sampled_from(["0", "7", "-1", "x", "9" * 30]), max_size=2).map(tuple),
    ),
    st.builds(Header, st.just("Content-Encoding"), st.just(("gzip",))),
    st.builds(
        Header,
        st.just("Link"),
        st.lists(
            st.sampled_from(['<>;rel="up"', "<", '<http://ca.test/cert/1>;rel="alternate"', "x" * 9000]), max_size=3
        ).map(tuple),
    ),
)
CERTIFICATES: Final = st.one_of(
    st.builds(
        Pem, st.lists(st.integers(0, 3), max_size=5).map(tuple), st.sampled_from([b"", b"\r\n", b"words\n", b"\xff"])
    ),
    st.builds(Pem, st.just((0, 1) * 300)),
    st.builds(
        Der,
        st.integers(0, 2),
        st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=3).map(tuple),
    ),
)
MEMBERS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "status": st.sampled_from(STATUSES),
    "expires": st.sampled_from(MOMENTS),
    "start": st.sampled_from(MOMENTS),
    "end": st.sampled_from(MOMENTS),
    "suggestedWindow": st.fixed_dictionaries({"start": st.sampled_from(MOMENTS), "end": st.sampled_from(MOMENTS)}),
    "explanationURL": TEXTS,
    "url": st.sampled_from(PLACES),
    "token": st.sampled_from(["", "short", "a" * 22, "a" * 600, "ü" * 22, "../" * 9]),
    "value": st.sampled_from(["EXAMPLE.com", "*.example.com", "other.test", "example.com.", "", "x" * 300]),
    "wildcard": st.sampled_from([True, False, "yes"]),
    "authorizations": st.lists(st.sampled_from(PLACES), max_size=3),
    "finalize": st.sampled_from(PLACES),
    "certificate": st.sampled_from(PLACES),
    "newNonce": st.sampled_from(PLACES),
    "newOrder": st.sampled_from(PLACES),
    "newAccount": st.sampled_from(PLACES),
    "renewalInfo": st.sampled_from(PLACES),
    "caaIdentities": st.lists(TEXTS, max_size=3),
    "profiles": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "termsOfService": TEXTS,
    "error": st.fixed_dictionaries({"type": st.sampled_from(TYPES), "detail": TEXTS | RAW}),
}
NAMED: Final = st.sampled_from(list(MEMBERS)).flatmap(lambda name: st.builds(Named, st.just(name), MEMBERS[name]))
CHANGES: Final = st.one_of(
    NAMED,
    st.builds(Both, NAMED, NAMED),
    st.builds(Member, st.integers(0, 30), VALUES),
    st.builds(Both, st.builds(Member, st.integers(0, 30), VALUES), st.builds(Member, st.integers(0, 30), VALUES)),
    HEADERS,
    CERTIFICATES,
    st.builds(Repeated, st.integers(0, 5), st.sampled_from([0, 2, 50, 5000])),
    st.builds(
        Plain, status=st.sampled_from([199, 200, 202, 204, 206, 302, 304, 400, 401, 403, 404, 409, 418, 500, 503, 999])
    ),
    st.builds(
        Both,
        st.builds(Plain, status=st.sampled_from([400, 403, 404, 409, 429, 500, 503]), body=PROBLEMS),
        HEADERS | st.builds(Plain),
    ),
    st.builds(
        Both,
        st.builds(Plain, status=st.sampled_from([301, 302, 307, 308])),
        st.builds(Header, st.just("Location"), st.sampled_from(PLACES).map(lambda place: (place,))),
    ),
    st.builds(
        Plain, body=st.binary(max_size=20) | st.sampled_from([b"", b"null", b"[]", b"{}", b"<html>", b" " * (1 << 21)])
    ),
    st.builds(Bytes, st.floats(0, 1), st.floats(0, 1), st.binary(max_size=3)),
    st.builds(Recoded, st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "latin-1", "cp500"])),
    st.builds(Plain, seconds=st.sampled_from([1.0, 29.0, 31.0, 1000.0])),
    st.builds(Plain, drip=st.sampled_from([1.0, 29.0, 31.0])),
    st.builds(Plain, endless=st.just(True), drip=st.sampled_from([0.0, 5.0])),
    st.builds(Plain, trouble=st.sampled_from(["reset", "tls", "cut"])),
)
STEP_CHANGES: Final[dict[str, st.SearchStrategy[Callable[[Wire], Wire]]]] = {"cert": CERTIFICATES | CHANGES}


def lies(*steps: str) -> st.SearchStrategy[Lie]:
    """One lie at one of these steps."""

    def at(step: str) -> st.SearchStrategy[Lie]:
        return st.builds(
            Lie,
            st.just(step),
            STEP_CHANGES.get(step, CHANGES),
            st.sampled_from([0, 0, 0, 1, 2]),
            st.sampled_from([1, 1, 2, 10_000]),
        )

    return st.sampled_from(steps).flatmap(at)


# ---- the scene -----------------------------------------------------------------------------------------------------------


@contextmanager
def scene(folder: Path) -> Iterator[tuple[SandboxCA, Desk, Liar]]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(
            clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE, chain_length=3, alternates=1
        )
        ca.bad.finalize_seconds = 1.0
        liar = Liar(ca, clock)
        choosy = replace(SETTINGS, preferred_chain="a root that no chain ends at")  # so that every alternate is read
        with desk(folder, choosy, dns.address, clock, transport=liar) as at:
            yield ca, at, liar
        assert ca.bugs == []
        assert ca.violations == []
        assert dns.txt("_acme-challenge.example.com") == []


def within_bounds(at: Desk, liar: Liar, act: Callable[[], Any]) -> Any:
    """What it returns, or the error of ours that it raises; in time, and after a bounded number of requests."""
    liar.asked = 0
    began = at.world.clock.monotonic()
    try:
        result = act()
    except (IssuanceError, NothingDone, ProviderError) as error:
        result = error
    assert at.world.clock.monotonic() <= began + at.seconds + 1
    assert liar.asked <= REQUESTS
    if isinstance(result, CertbrokerError):
        fit_to_show(result.what, result.hint)
        order_backoff(1, result.retry_after)
    return result


def fit_to_show(*texts: str | None) -> None:
    for text in filter(None, texts):
        assert text.isprintable(), ascii(text)
        assert len(text) < LONGEST


def nothing_secret(at: Desk, folder: Path) -> None:
    """No private key in anything that is told, nor in the clear in the store."""
    keys = [at.store.box("account", f"sandbox {BASE}/dir")]
    secrets = []
    for box in filter(None, keys):
        secrets.append(json.loads(at.vault.unseal(at.store.id, "account", f"sandbox {BASE}/dir", box).reveal())["d"])
    for version in at.store.versions("main"):
        key_box = at.store.box("version", str(version.id))
        assert key_box is not None
        key = at.vault.unseal(at.store.id, "version", str(version.id), key_box)
        check_pair(version.chain_pem, key, NAMES, version.lifetime.starts)
        secrets += [line for line in key.reveal().splitlines() if "-----" not in line]
    told = repr(at.told) + "".join(json.dumps(event.data()) for event in at.told)
    files = b"".join(path.read_bytes() for path in folder.rglob("store.db*"))
    for secret in secrets:
        assert secret not in told
        assert secret.encode() not in files
    for event in at.told:
        fit_to_show(*(value for value in event.data().values() if isinstance(value, str)))


# ---- what holds, whatever it says ------------------------------------------------------------------------------------------


@settings(max_examples=CASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(lies(*(step for step in STEPS if step not in ("ari", "revoke-cert"))), min_size=1, max_size=3))
def test_no_lie_breaks_an_order_or_the_store(tmp_path_factory: pytest.TempPathFactory, told: list[Lie]) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (ca, at, liar):
        liar.tell(*told)
        first = within_bounds(at, liar, lambda: at.issuer().obtain([wanted(*NAMES)])[0])
        assert isinstance(first, Version | IssuanceError | NothingDone | ProviderError)
        standing = within_bounds(at, liar, lambda: at.issuer().check())
        assert isinstance(standing, Standing | CertbrokerError)
        finalized = ca.finalizations

        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        known = at.store.account("sandbox", f"{BASE}/dir")
        if known is not None and known.uri not in [BASE + account.path for account in ca.accounts]:
            # the address of our account was a plausible lie: the CA does not know it, and we say so with a way out
            later = within_bounds(at, liar, lambda: at.issuer().obtain([wanted(*NAMES)])[0])
            assert isinstance(later, IssuanceError)
        else:
            later = within_bounds(at, liar, lambda: at.issuer().obtain([wanted(*NAMES)])[0])
            assert isinstance(later, Version), later
            assert ca.finalizations - finalized <= 1
            assert at.issuer().check().account == later.account_uri
        assert at.store.unremoved() == []
        assert at.store.open_orders() == [] or not isinstance(later, Version)
        nothing_secret(at, folder)


@settings(max_examples=CASES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(lies("ari", "ari", "dir"), min_size=1, max_size=2))
def test_no_lie_about_when_to_renew_is_believed_beyond_reason(
    tmp_path_factory: pytest.TempPathFactory, told: list[Lie]
) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (_, at, liar):
        version = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(version, Version)
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        liar.tell(*told)
        now = at.world.clock.now()
        window = within_bounds(at, liar, lambda: at.issuer().window(version))
        if isinstance(window, Window):
            assert window.start <= window.drawn < window.end
            assert now < window.ask_again <= at.world.clock.now() + timedelta(days=1)
        else:
            assert window is None
        assert at.store.window(version.id) == window
        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        honest = at.issuer().window(version)
        assert honest is not None
        assert version.lifetime.starts < honest.drawn < version.lifetime.ends
        nothing_secret(at, folder)


@settings(max_examples=CASES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(lies("revoke-cert", "revoke-cert", "nonce"), min_size=1, max_size=2), by_own_key=st.booleans())
def test_no_lie_keeps_a_revocation_from_being_asked_for_again(
    tmp_path_factory: pytest.TempPathFactory, told: list[Lie], by_own_key: bool
) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (ca, at, liar):
        version = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(version, Version)
        box = at.store.box("version", str(version.id))
        assert box is not None
        key = at.vault.unseal(at.store.id, "version", str(version.id), box) if by_own_key else None
        liar.tell(*told)
        done = within_bounds(
            at, liar, lambda: at.issuer().revoke(version, RevocationReason.KEY_COMPROMISE, key_pem=key)
        )
        assert isinstance(done, bool | CertbrokerError)
        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        again = at.issuer().revoke(version, RevocationReason.KEY_COMPROMISE, key_pem=key)
        assert isinstance(again, bool)
        assert ca.find(version.fingerprint).revoked_at is not None
        nothing_secret(at, folder)


def test_a_ca_that_calls_an_order_ready_forever_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    with scene(tmp_path) as (ca, at, liar):
        ready = b'{"status": "ready", "finalize": "http://ca.test/order/x/finalize", "authorizations": ["http://ca.test/authz/1"]}'
        liar.tell(*(Lie(step, Plain(status=200, body=ready), times=10_000) for step in ("order", "finalize")))
        outcome = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(outcome, IssuerUnavailable), outcome
        assert "still ready" in outcome.what
        assert liar.asked < 50
        assert ca.bugs == []


def test_a_list_of_thousands_of_authorizations_is_not_worked_off(tmp_path: Path) -> None:
    with scene(tmp_path) as (_, at, liar):
        liar.tell(Lie("new-order", Named("authorizations", [f"{BASE}/authz/{n}" for n in range(5000)])))
        outcome = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(outcome, IssuanceError)
        assert outcome.what == "sandbox wants 5000 authorizations for one order"
        assert liar.asked < 10


# ---- the certificate itself: cheap enough for many cases -------------------------------------------------------------------

KEY: Final = generate(KeyType.P256)


@cache
def chain() -> tuple[bytes, ...]:
    """A leaf and two intermediates, as DER."""
    authority = Authority(TestClock(), random.Random(7), chain_length=3, alternates=0)
    leaf = authority.issue(load_key(KEY).public_key(), NAMES, next(iter(profiles().values())))
    return tuple(one.public_bytes(Encoding.DER) for one in authority.chains(leaf)[0])


TAGS: Final = [0x00, 0x01, 0x02, 0x05, 0x0C, 0x13, 0x16, 0x1E, 0x30, 0x31, 0x80, 0x82, 0xA0, 0xA3, 0xFF]


@pytest.mark.filterwarnings("ignore")  # cryptography warns of what it will refuse one day: negative serials, long names
@settings(max_examples=CASES * 30)
@given(
    which=st.integers(0, 2),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(TAGS) | st.integers(0, 255)),
        min_size=1,
        max_size=3,
    ),
)
def test_no_byte_of_a_certificate_crashes_its_reader(which: int, changes: list[tuple[float, int]]) -> None:
    spoilt = bytearray(chain()[which])
    for share, value in changes:
        spoilt[int(share * len(spoilt))] = value
    ders = [bytes(spoilt) if number == which else der for number, der in enumerate(chain())]
    text = "".join(ssl.DER_cert_to_PEM_cert(der) for der in ders)
    try:
        got = certified(text, KEY, NAMES, START)
    except BadMaterial as error:
        fit_to_show(error.what, error.hint)
    else:
        fit_to_show(*got.names, got.leaf.issued_by)
        certificate_id(got.leaf)
