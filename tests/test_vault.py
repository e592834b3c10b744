from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.errors import LeaseHeld, VaultError
from certbroker.secret import Sealed, Secret
from certbroker.vault import Vault, rotate
from tests.clock import START

STORE = "4c1f0a2b"
KEY = base64.b64encode(bytes(range(32))).decode()
LINE = f"certbroker-vault-1 2026-11-abcd {KEY}"
CANARY = "-----BEGIN PRIVATE KEY----- canary"


def of(text: str) -> Vault:
    return Vault.open("env:KEY", {"KEY": text}, Path("/"))


def make(folder: Path) -> Vault:
    return Vault.make("file:vault.key", {}, folder, START)


@given(
    st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))
)
def test_what_is_sealed_opens_for_its_row_alone(text: str, kind: str, owner: str) -> None:
    vault = of(LINE)
    sealed = vault.seal(STORE, kind, owner, Secret(text))
    assert vault.unseal(STORE, kind, owner, sealed) == Secret(text)
    for other in ((STORE, kind, owner + "1"), (STORE, kind + "1", owner), ("00000000", kind, owner)):
        with pytest.raises(VaultError):
            vault.unseal(*other, sealed)
    with pytest.raises(VaultError):
        vault.unseal(STORE, kind + owner[:1], owner[1:], sealed) if owner else vault.unseal(STORE, kind, "x", sealed)


@given(st.integers(min_value=0), st.sampled_from(["wrapped", "box"]))
def test_a_single_changed_bit_is_noticed(place: int, part: str) -> None:
    vault = of(LINE)
    sealed = vault.seal(STORE, "version", "7", Secret(CANARY))
    content = bytearray(sealed.box if part == "box" else sealed.wrapped)
    content[place % len(content)] ^= 1
    changed = sealed._replace(box=bytes(content)) if part == "box" else sealed._replace(wrapped=bytes(content))
    with pytest.raises(VaultError) as refused:
        vault.unseal(STORE, "version", "7", changed)
    assert "version 7" in str(refused.value)
    assert refused.value.hint is not None


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_a_box_that_was_cut_does_not_open(cut: int) -> None:
    vault = of(LINE)
    sealed = vault.seal(STORE, "version", "7", Secret(CANARY))
    for short in (sealed._replace(wrapped=sealed.wrapped[:cut]), sealed._replace(box=sealed.box[:cut])):
        with pytest.raises(VaultError):
            vault.unseal(STORE, "version", "7", short)


def test_the_same_secret_is_never_sealed_to_the_same_bytes_and_its_text_is_in_none() -> None:
    vault = of(LINE)
    first, second = (vault.seal(STORE, "version", "7", Secret(CANARY)) for _ in range(2))
    assert first.kid == second.kid == "2026-11-abcd"
    assert first.box != second.box
    assert first.wrapped != second.wrapped
    assert b"canary" not in first.box + first.wrapped


def test_another_key_is_named_by_what_is_missing() -> None:
    sealed = of(LINE).seal(STORE, "version", "7", Secret(CANARY))
    other = of(LINE.replace("abcd", "ffff"))
    with pytest.raises(VaultError, match=r"sealed under 2026-11-abcd, and env:KEY holds 2026-11-ffff"):
        other.unseal(STORE, "version", "7", sealed)


def test_a_wrong_key_of_the_same_name_is_told_apart_from_a_damaged_box() -> None:
    sealed = of(LINE).seal(STORE, "version", "7", Secret(CANARY))
    wrong = of(f"certbroker-vault-1 2026-11-abcd {base64.b64encode(bytes(32)).decode()}")
    with pytest.raises(VaultError, match="another key of the same name"):
        wrong.unseal(STORE, "version", "7", sealed)
    with pytest.raises(VaultError, match="damaged or belongs to another row"):
        of(LINE).unseal(STORE, "version", "7", sealed._replace(box=bytes(60)))


def test_init_makes_a_private_file_and_never_overwrites(tmp_path: Path) -> None:
    made = Vault.make("file:~/.config/vault.key", {"HOME": str(tmp_path)}, Path("/"), START)
    path = tmp_path / ".config" / "vault.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert re.fullmatch(r"certbroker-vault-1 2026-11-[0-9a-f]{4} [A-Za-z0-9+/]{43}=\n", path.read_text())
    opened = Vault.open(f"file:{path}", {}, Path("/"))
    assert opened.kid == made.kid
    assert opened.unseal(STORE, "a", "b", made.seal(STORE, "a", "b", Secret("x"))) == Secret("x")
    before = path.read_text()
    with pytest.raises(VaultError, match="is there already"):
        Vault.make(f"file:{path}", {}, Path("/"), START)
    assert path.read_text() == before
    with pytest.raises(VaultError, match="cannot be written"):
        Vault.make(f"file:{path}/below", {}, Path("/"), START)
    with pytest.raises(VaultError, match="only a vault key in a file"):
        Vault.make("env:KEY", {}, Path("/"), START)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_that_others_may_touch_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    make(tmp_path)
    path = tmp_path / "vault.key"
    path.chmod(mode)
    with pytest.raises(VaultError, match=rf"open to others \(mode {mode:04o}\)") as refused:
        Vault.open("file:vault.key", {}, tmp_path)
    assert refused.value.hint == f"chmod 600 {path}"
    path.chmod(0o400)
    assert Vault.open("file:vault.key", {}, tmp_path).kids


def test_the_key_may_come_from_the_environment_or_systemd(tmp_path: Path) -> None:
    assert of(f"\n {LINE} \n").kid == "2026-11-abcd"
    (tmp_path / "vault").write_text(LINE)
    assert Vault.open("systemd:vault", {"CREDENTIALS_DIRECTORY": str(tmp_path)}, Path("/")).kid == "2026-11-abcd"


@pytest.mark.parametrize(
    ("url", "environ", "what"),
    [
        ("file:nothing", {}, "is not there"),
        ("file:.", {}, "cannot be read|open to others"),
        ("env:KEY", {}, r"\$KEY, which is not set"),
        ("systemd:vault", {}, r"no \$CREDENTIALS_DIRECTORY"),
        ("systemd:../vault", {"CREDENTIALS_DIRECTORY": "/"}, "no slash"),
        ("vault.key", {}, "not file:PATH"),
        ("file:", {}, "not file:PATH"),
        ("awskms:arn", {}, "not file:PATH"),
    ],
)
def test_a_key_that_cannot_be_had_says_why(url: str, environ: dict[str, str], what: str, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=what):
        Vault.open(url, environ, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "canary",
        KEY,
        f"certbroker-vault-9 kid {KEY}",
        f"certbroker-vault-1 k!d {KEY}",
        "certbroker-vault-1 kid canary",
        f"certbroker-vault-1 kid {KEY[:-8]}",
        f"{LINE}\n{LINE}",
        f"{LINE}\ncanary",
    ],
)
def test_a_key_that_cannot_be_read_is_not_quoted(text: str) -> None:
    with pytest.raises(VaultError) as refused:
        of(text)
    assert "canary" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_vault_shows_nothing_of_its_key() -> None:
    vault = of(LINE)
    assert repr(vault) == "Vault('env:KEY', kids=('2026-11-abcd',))"
    assert KEY not in f"{vault!r}{vault._keys!r}"


class Rows:
    """A store's sealed rows. `cut` kills the program at the n-th replacement."""

    def __init__(self, vault: Vault, count: int) -> None:
        self.boxes = {
            ("version", str(n)): vault.seal(STORE, "version", str(n), Secret(f"key {n}")) for n in range(count)
        }
        self.cut: int | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def all(self) -> Iterator[tuple[str, str, Sealed]]:
        yield from [(kind, owner, box) for (kind, owner), box in self.boxes.items()]

    def replace(self, kind: str, owner: str, old: Sealed, new: Sealed) -> bool:
        if self.cut is not None:
            self.cut -= 1
            if self.cut < 0:
                raise KeyboardInterrupt
        self.meanwhile()
        if self.boxes.get((kind, owner)) != old:
            return False
        self.boxes[kind, owner] = new
        return True


def turn(folder: Path, rows: Rows) -> tuple[Vault, int]:
    return rotate("file:vault.key", {}, folder, START, store_id=STORE, boxes=rows.all, replace=rows.replace)


def check(vault: Vault, rows: Rows) -> None:
    assert vault.check(STORE, rows.all()) == {vault.kid: len(rows.boxes)}
    for (kind, owner), box in rows.boxes.items():
        assert vault.unseal(STORE, kind, owner, box) == Secret(f"key {owner}")


def test_rotation_rewraps_every_box_and_leaves_one_key(tmp_path: Path) -> None:
    old = make(tmp_path)
    forgotten = of((tmp_path / "vault.key").read_text())
    rows = Rows(old, 5)
    before = dict(rows.boxes)
    vault, rewrapped = turn(tmp_path, rows)
    assert rewrapped == 5
    assert vault.kid != forgotten.kid
    assert Vault.open("file:vault.key", {}, tmp_path).kids == (vault.kid,)
    check(vault, rows)
    assert [box.box for box in rows.boxes.values()] == [box.box for box in before.values()]
    assert os.listdir(tmp_path) == ["vault.key"]  # noqa: PTH208 - names alone
    assert stat.S_IMODE((tmp_path / "vault.key").stat().st_mode) == 0o600
    with pytest.raises(VaultError, match="sealed under"):
        forgotten.check(STORE, rows.all())


@pytest.mark.parametrize("at", range(5))
def test_a_rotation_killed_anywhere_loses_nothing_and_goes_on(tmp_path: Path, at: int) -> None:
    rows = Rows(make(tmp_path), 4)
    rows.cut = at
    if at < 4:
        with pytest.raises(KeyboardInterrupt):
            turn(tmp_path, rows)
        both = Vault.open("file:vault.key", {}, tmp_path)
        assert len(both.kids) == 2
        assert sum(both.check(STORE, rows.all()).values()) == 4
        rows.cut = None
        vault, rewrapped = turn(tmp_path, rows)
        assert (vault.kid, rewrapped) == (both.kid, 4 - at)
    else:
        vault, _ = turn(tmp_path, rows)
    check(vault, rows)
    assert len(Vault.open("file:vault.key", {}, tmp_path).kids) == 1


def test_a_key_sealed_by_another_run_meanwhile_is_rewrapped_too(tmp_path: Path) -> None:
    make(tmp_path)
    old = of((tmp_path / "vault.key").read_text())  # the other run does not look at the file again in between
    rows = Rows(old, 2)

    def other_run() -> None:
        rows.meanwhile = lambda: None
        rows.boxes["version", "9"] = old.seal(STORE, "version", "9", Secret("key 9"))
        rows.boxes["version", "1"] = old.seal(STORE, "version", "1", Secret("key 1"))

    rows.meanwhile = other_run
    vault, rewrapped = turn(tmp_path, rows)
    assert rewrapped == 3
    check(vault, rows)


def test_a_run_that_read_the_old_key_goes_on_with_the_new_one(tmp_path: Path) -> None:
    running = make(tmp_path)
    rows = Rows(running, 2)
    vault, _ = turn(tmp_path, rows)
    sealed = running.seal(STORE, "version", "3", Secret("key 3"))
    assert sealed.kid == vault.kid
    check(Vault.open("file:vault.key", {}, tmp_path), rows)
    late = Vault.open("file:vault.key", {}, tmp_path)
    vault, _ = turn(tmp_path, rows)
    assert late.unseal(STORE, "version", "0", rows.boxes["version", "0"]) == Secret("key 0")


def test_while_another_run_is_at_work_the_old_key_stays_until_the_next_rotation(tmp_path: Path) -> None:
    old = make(tmp_path)
    rows = Rows(old, 3)
    late = old.seal(STORE, "version", "9", Secret("key 9"))  # and not yet in the store

    def busy() -> None:
        raise LeaseHeld("certificate/main", "broker-1", 60)

    with pytest.raises(LeaseHeld):
        rotate("file:vault.key", {}, tmp_path, START, store_id=STORE, boxes=rows.all, replace=rows.replace, alone=busy)
    both = Vault.open("file:vault.key", {}, tmp_path)
    assert both.kids[1] == old.kids[-1]
    assert both.check(STORE, rows.all()) == {both.kid: 3}
    rows.boxes["version", "9"] = late
    vault, rewrapped = turn(tmp_path, rows)
    assert (vault.kid, rewrapped) == (both.kid, 1)
    check(vault, rows)


def test_a_box_that_does_not_open_stops_the_rotation_with_the_old_key_in_place(tmp_path: Path) -> None:
    old = make(tmp_path)
    rows = Rows(old, 2)
    rows.boxes["version", "1"] = rows.boxes["version", "0"]
    with pytest.raises(VaultError, match="version 1"):
        turn(tmp_path, rows)
    assert old.kid in Vault.open("file:vault.key", {}, tmp_path).kids


def test_only_a_key_in_a_file_is_rotated(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="only a vault key in a file"):
        rotate("env:KEY", {"KEY": LINE}, tmp_path, START, store_id=STORE, boxes=lambda: (), replace=lambda *_: True)
