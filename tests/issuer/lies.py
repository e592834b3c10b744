"""Lies, drawn by Hypothesis: what a `Liar` may be told to say in the place of the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from tests.issuer.liar import (
    GONE,
    Both,
    Bytes,
    Der,
    Header,
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
    "keyChange": st.sampled_from(PLACES),
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
