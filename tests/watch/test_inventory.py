"""An inventory as it is written and read: what cannot be is told with its place, and nothing else is made of it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from certbroker.errors import ConfigError
from certbroker.testkit.bundles import default_ca
from certbroker.watch.inventory import AtTarget, Entry, Expected, Inventory, Where, parse
from tests.clock import START
from tests.watch.given import V1, V2, at_target, entry, inventory

README = (Path(__file__).parents[2] / "certbroker" / "watch" / "README.md").read_text()
ROOTED = V2.model_copy(update={"roots": "abc"})
WHOLE = inventory(
    entry(at_target(V2, V1), at_target(V2, target="folder", edges=0, standby=True), versions=(V1, ROOTED)),
    roots={"abc": default_ca().root_pem},
    connect_to={"192.0.2.1:443": "127.0.0.1:8443", "[2001:db8::1]:443": "[::1]:8443"},
    link="https://certs.example.com",
)


def document() -> Any:
    return json.loads(WHOLE.text())


def mistakes(text: bytes | Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text if isinstance(text, bytes) else json.dumps(text).encode(), "inventory.json")
    assert caught.value.hint
    return caught.value.what.splitlines()


def test_it_is_read_as_it_was_written() -> None:
    assert parse(WHOLE.text(), "here") == WHOLE
    assert parse(WHOLE.text(), "here").text() == WHOLE.text()


def _set(value: Any, path: str, new: Any) -> Any:
    *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner = value
    for part in above:
        inner = inner[part]
    if new is None:
        del inner[last]
    else:
        inner[last] = new
    return value


LEAF = "certificates/0/versions/0"
PLACE = "certificates/0/targets/0"


@pytest.mark.parametrize(
    ("path", "new", "told"),
    [
        ("certbroker_inventory", 2, "certbroker_inventory: is version 2, and certbroker "),
        ("certbroker_inventory", "1", "certbroker_inventory: must be the number 1"),
        ("certbroker_inventory", True, "certbroker_inventory: must be the number 1"),
        ("certbroker_inventory", None, "certbroker_inventory: is missing: this is no inventory"),
        ("certificates", None, "certificates: field required"),
        ("certificates", {}, "certificates: input should be a valid array"),
        ("tokens", ["x"], "tokens: extra inputs are not permitted"),
        ("store", "a\x1b[2J", "store: holds signs that no page shows"),
        ("written", "yesterday", "written: input should be a valid datetime"),
        ("written", "2026-11-23T09:00:00", "written: input should have timezone info"),
        ("written", "9999-12-31T23:59:59-14:00", "written: is no moment that a clock shows"),
        ("written", 1795420800, "written: input should be a valid datetime"),
        ("next_writing", "2026-11-23T09:00:00Z", "inventory: next_writing must come after written, within 366 days"),
        ("next_writing", "8026-11-23T09:00:00Z", "inventory: next_writing must come after written, within 366 days"),
        ("link", "javascript:alert(1)", "link: string should match pattern"),
        ("roots/abc", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "roots.abc holds no certificates"),
        ("roots/abc", None, "inventory: refers to roots that it does not have"),
        ("connect_to/192.0.2.9:443", "127.0.0.1:99999", "connect_to.192.0.2.9:443: must be HOST:PORT"),
        ("connect_to/nowhere", "127.0.0.1:80", "connect_to.nowhere: must be HOST:PORT"),
        ("certificates/0/name", "../etc", "certificates.0.name: is no name as the file has them"),
        (f"{LEAF}/fingerprint", "01" * 31, "certificates.0.versions.0.fingerprint: string should match pattern"),
        (f"{LEAF}/ends", 0, "certificates.0.versions.0.ends: input should be a valid datetime"),
        (f"{PLACE}/serves/0", "ab" * 32, "certificates.0: what a target serves is not among the versions"),
        (f"{PLACE}/serves", [], "certificates.0.targets.0.serves: tuple should have at least 1 item"),
        (f"{PLACE}/names", [], "certificates.0.targets.0.names: tuple should have at least 1 item"),
        (f"{PLACE}/names/0", "exa mple.com", "certificates.0.targets.0.names.0: is neither a DNS name nor an IP address"),
        (f"{PLACE}/names/0", "example.com\x00.evil.example", "certificates.0.targets.0.names.0: is neither"),
        (f"{PLACE}/target", "folder", "certificates.0: says the same name of a target twice"),
        (f"{PLACE}/standby", "yes", "certificates.0.targets.0.standby: input should be a valid boolean"),
        (f"{PLACE}/edges/0/host", "192.0.2.1/24", "certificates.0.targets.0.edges.0.host: string should match"),
        (f"{PLACE}/edges/0/port", 0, "certificates.0.targets.0.edges.0.port: input should be greater than"),
        (f"{PLACE}/edges/0/port", "443", "certificates.0.targets.0.edges.0.port: input should be a valid integer"),
        (f"{PLACE}/edges/0/token", "x", "certificates.0.targets.0.edges.0.token: extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_place(path: str, new: Any, told: str) -> None:
    found = mistakes(_set(document(), path, new))
    assert len(found) == 1, found
    assert found[0].startswith("inventory.json: ")
    assert told in found[0]


def test_a_certificate_twice_is_refused() -> None:
    value = document()
    value["certificates"] *= 2
    assert mistakes(value) == ["inventory.json: inventory: has a certificate twice"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "inventory.json:1: column 0: is no JSON: EOF while parsing a value"),
        (b"[]", "inventory.json: inventory: input should be an object"),
        (b"null", "inventory.json: inventory: input should be an object"),
        (WHOLE.text()[:-200], "is no JSON: EOF while parsing"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON: recursion limit exceeded"),
        (b"<!doctype html><p>Sign in</p>", "inventory.json:1: column 1: is no JSON: expected value"),
    ],
)
def test_what_is_no_inventory_at_all(text: bytes, told: str) -> None:
    [found] = mistakes(text)
    assert told in found


def test_many_mistakes_do_not_fill_the_screen() -> None:
    value = document()
    value["certificates"] = [{"name": "x", "versions": [], "more": 1} for _ in range(500)]
    found = mistakes(value)
    assert len(found) == 11
    assert found[-1] == "inventory.json: and more: 490 mistakes of the kind"


@given(at=st.integers(0, len(WHOLE.text()) - 2))
def test_cut_anywhere_it_is_refused(at: int) -> None:
    assert mistakes(WHOLE.text()[:at])


@given(at=st.integers(0, len(WHOLE.text()) - 1), byte=st.integers(0, 255))
def test_with_any_byte_changed_it_is_read_or_refused(at: int, byte: int) -> None:
    text = bytearray(WHOLE.text())
    text[at] = byte
    with suppress(ConfigError):
        assert parse(bytes(text), "here").written.year >= 2000


def test_its_readme_tells_every_member() -> None:
    told = set(re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE))
    models: tuple[type[BaseModel], ...] = (Inventory, Entry, Expected, AtTarget, Where)
    assert told == {member for model in models for member in model.model_fields}


def test_the_start_is_when_tests_think_it_is() -> None:
    assert WHOLE.written == START
