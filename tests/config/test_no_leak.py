"""Whatever is pasted wherever, and whatever the file looks like: one kind of error, and no token in it."""

from __future__ import annotations

import tomllib
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certbroker.cli.blanks import toml
from tests.config.files import FAKE_TOKEN, HEAD, MAIN, refusal
from tests.config.test_values import FULL

FAKES = [
    FAKE_TOKEN,
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "FlyV1 fm2_lJPECAAAAAAAAAAAxBCdefaultabcdefghijklmnop,fm2_lJPETabcdefghijklmnopqrstuv",
    "0b9a6f3c5d1e4a7788c2f4e6d0a1b3c5",
    "7f6b1c2e-90d4-4a3b-8c5d-1e2f3a4b5c6d",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "MHcCAQEEIKm0Zt7yU0cGJq3Yw0XH0T1+/kq0aVbWJ7Xo1q2oQ3y=",
]

SLOTS = [
    "store.url", "vault.key", "defaults.issuer", "defaults.keys", "issuer.house.directory", "issuer.house.roots",
    "issuer.house.agree_to_terms", "issuer.house.unheard", "issuer.house.eab", "issuer.google.eab.hmac", "solver.dns.type", "solver.dns.token", "solver.dns.zones",
    "solver.dns.nameservers", "target.cloud.type", "target.cloud.token", "target.cloud.tokn", "target.cloud.size",
    "target.cloud.edges", "target.cloud.standby", "target.cloud.deadline", "target.cloud.ownership",
    "target.cloud.login", "target.folder.place", "network.connect_to", "network.nameservers", "schedule.every",
    "schedule.keep", "certificate.main.names", "certificate.main.keys", "certificate.main.issuer",
    "certificate.main.targets", "certificate.main.each", "certificate.main", "secrets", "token",
]  # fmt: skip


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("slot", SLOTS)
def test_a_token_pasted_anywhere_is_not_echoed(tmp_path: Path, slot: str, fake: str) -> None:
    for value in (fake, [fake], {"env": fake, "x": fake}, {fake: "x"}, {"target": fake, "names": [fake]}):
        document = tomllib.loads(HEAD + MAIN)
        place: dict[str, Any] = document
        *path, key = slot.split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[key] = value
        error = refusal(tmp_path, dump(document))
        assert fake not in "".join(traceback.format_exception(error) if error else ())
        assert error is None or fake not in repr(error.problems)


def dump(document: dict[str, Any]) -> str:
    """Inline tables only: plain to write, and TOML all the same."""
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())


WORDS = st.sampled_from(
    ["store", "url", "issuer", "letsencrypt", "solver", "dns", "target", "cloud", "type", "token", "env", "edges", "deadline",
     "certificate", "main", "names", "each", "targets", "keys", "defaults", "network", "connect_to", "schedule", "every", "keep",
     "{each}", "example.com", "*.example.com", "ecdsa-p256", "60m", "192.0.2.1:443", "[::1]", "", "\x00", "../x", "ü.example"]
)  # fmt: skip
TEXTS = WORDS | st.text(max_size=20)
LEAVES = TEXTS | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(WORDS, st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=4) | VALUES, max_size=3), max_size=4))  # fmt: skip
def test_any_document_is_read_or_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    error = refusal(tmp_path, dump(document))
    assert error is None or error.problems
    assert error is None or all(problem.line is None or problem.line >= 1 for problem in error.problems)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FULL)))
    end = data.draw(st.integers(start, min(len(FULL), start + 40)))
    text = FULL[:start] + data.draw(TEXTS) + FULL[end:]
    error = refusal(tmp_path, text.encode("utf-8", "surrogatepass"))
    assert error is None or error.problems


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    error = refusal(tmp_path, raw)
    assert error is None or error.problems
