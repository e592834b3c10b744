"""The files adapter: what a server finds at its paths, and what it says of a disk that will not have it."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from certbroker.errors import CredentialsRejected, Missing, ProviderError, Rejected, Unavailable
from certbroker.model import Assignment, Bundle, Owner, Restorable
from certbroker.testkit.bundles import make_bundle
from certbroker.testkit.rig import Rig, context
from certbroker_files import FilesProvider, FilesSettings
from certbroker_files.disk import refusal
from certbroker_files.place import folder_for
from tests.files.rig import files_rig, put, served, state

NAMES = ("example.com", "*.example.com")


def opened(folder: Path, *, environ: dict[str, str] | None = None, **settings: object) -> FilesProvider:
    wanted = FilesSettings.model_validate({"folder": str(folder), **settings})
    return FilesProvider.open(wanted, context(cwd=folder.parent, environ=environ))


def bundle(number: int = 1, certificate: str = "main") -> Bundle:
    return make_bundle(NAMES, number=number, certificate=certificate)


def assignment(names: tuple[str, ...] = NAMES) -> Assignment:
    return Assignment("main", "place", names)


# ---- what a server finds ---------------------------------------------------------------------------------------------


def test_the_four_files_are_what_their_names_say(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    assert (tmp_path / "fullchain.pem").read_text() == made.version.chain_pem
    assert (tmp_path / "privkey.pem").read_text() == made.key_pem.reveal()
    assert (tmp_path / "cert.pem").read_text() == made.leaf_pem
    assert (tmp_path / "chain.pem").read_text() == made.intermediates_pem


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        opened(tmp_path / "new").push(bundle(), {})
    finally:
        os.umask(old)
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file() and not path.is_symlink()]
    folders = [path for path in (tmp_path / "new").rglob("*") if path.is_dir() and not path.is_symlink()]
    assert len(files) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "new", *folders]} == {0o700}


def test_a_group_that_may_read_the_files_may_enter_the_folders(tmp_path: Path) -> None:
    opened(tmp_path / "new", mode="0640").push(bundle(), {})
    assert stat.S_IMODE((tmp_path / "new" / "privkey.pem").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "new" / ".certbroker").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750


def test_files_can_be_called_otherwise_also_later(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    opened(tmp_path, fullchain="tls.crt", privkey="tls.key").push(made, {})
    assert (tmp_path / "tls.crt").read_text() == made.version.chain_pem
    assert (tmp_path / "tls.key").read_text() == made.key_pem.reveal()


def test_the_mark_says_whose_it_is_and_holds_no_key(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    mark = json.loads((tmp_path / ".certbroker" / "current" / "certbroker.json").read_text())
    assert mark == {
        "store": "5ca1ab1e",
        "certificate": "main",
        "version": "v1",
        "fingerprint": made.fingerprint,
    }


def test_a_reader_never_finds_half_a_pair_while_versions_change(tmp_path: Path) -> None:
    """Both files through one opened folder: what a careful server does."""
    first, second = bundle(1), bundle(2)
    provider = opened(tmp_path)
    provider.push(first, {})
    held = os.open(tmp_path / ".certbroker" / "current", os.O_RDONLY)
    try:
        provider.push(second, {})
        with open(os.open("privkey.pem", os.O_RDONLY, dir_fd=held)) as file:  # noqa: PTH123 - relative to a folder
            assert file.read() == first.key_pem.reveal()
    finally:
        os.close(held)
    assert served(tmp_path, "example.com") == second.fingerprint


# ---- names and paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "..", ".", "", "*.x", "a\\b", "a/b", "/etc", "a\x00b", "a\nb", "main\n", "-rf", ".hidden", "a b", "ü"],
)
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    opened_context = context(cwd=tmp_path)
    with pytest.raises(Rejected) as caught:
        folder_for("certs/{certificate}", name, opened_context)
    assert str(caught.value).isprintable()


def test_paths_are_relative_to_the_file_and_home_is_this_runs(tmp_path: Path) -> None:
    known = context(cwd=tmp_path / "etc", environ={"HOME": "/home/ann"})
    assert folder_for("certs/{certificate}", "main", known) == tmp_path / "etc" / "certs" / "main"
    assert folder_for("~/{certificate}/tls", "www.example.com", known) == Path("/home/ann/www.example.com/tls")
    assert folder_for("/srv/tls", "main", known) == Path("/srv/tls")


@pytest.mark.parametrize(
    "settings",
    [
        {"folder": ""},
        {"folder": "a\x00b"},
        {"folder": "certs/{name}"},
        {"folder": "x", "privkey": "../privkey.pem"},
        {"folder": "x", "privkey": ".certbroker"},
        {"folder": "x", "cert": "fullchain.pem"},
        {"folder": "x", "mode": "0888"},
        {"folder": "x", "owner": "a:b:c"},
        {"folder": "x", "reload": "systemctl reload nginx"},
        {"folder": "x", "reload": []},
        {"folder": "x", "relaod": ["true"]},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FilesSettings.model_validate(settings)


def test_a_second_certificate_does_not_take_over_the_folder_of_the_first(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    other = bundle(certificate="other")
    seen = opened(tmp_path).inspect(other.assignment)
    assert {live.owner for live in seen.values()} == {Owner.FOREIGN}
    with pytest.raises(Rejected, match="holds the certificate main"):
        opened(tmp_path).push(other, seen)
    assert served(tmp_path, "example.com") == made.fingerprint


# ---- what was there before -------------------------------------------------------------------------------------------


def test_somebody_elses_files_are_described_copied_and_brought_back(tmp_path: Path) -> None:
    theirs = put(tmp_path, NAMES)
    (tmp_path / "chain.pem").write_bytes(b"\xff\xfe not text")
    before = opened(tmp_path).inspect(assignment())
    assert {(live.owner, live.restorable, live.fingerprint) for live in before.values()} == {
        (Owner.FOREIGN, Restorable.KEPT, theirs)
    }
    opened(tmp_path).push(bundle(), before)
    opened(tmp_path).restore(assignment(), before, None)
    assert served(tmp_path, "example.com") == theirs
    assert (tmp_path / "chain.pem").read_bytes() == b"\xff\xfe not text"
    assert opened(tmp_path).inspect(assignment()) == before


def test_a_foreign_pair_that_does_not_fit_together_is_not_called_a_certificate(tmp_path: Path) -> None:
    put(tmp_path, NAMES)
    (tmp_path / "privkey.pem").write_text(bundle(3).key_pem.reveal())
    seen = opened(tmp_path).inspect(assignment())
    assert {(live.owner, live.fingerprint, live.ends) for live in seen.values()} == {(Owner.FOREIGN, None, None)}


@pytest.mark.parametrize(
    "rubbish", [b"", b"hello", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_rubbish_in_the_place_of_a_certificate_is_foreign_and_replaced(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "fullchain.pem").write_bytes(rubbish)
    seen = opened(tmp_path).inspect(assignment())
    assert {live.owner for live in seen.values()} == {Owner.FOREIGN}
    made = bundle()
    opened(tmp_path).push(made, seen)
    assert served(tmp_path, "example.com") == made.fingerprint


def test_links_of_another_tool_are_replaced_and_what_they_led_to_is_left_alone(tmp_path: Path) -> None:
    archive, live = tmp_path / "archive", tmp_path / "live"
    theirs = put(archive, NAMES)
    live.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).symlink_to(archive / name)
    untouched = state(archive)
    before = opened(live).inspect(assignment())
    opened(live).push(bundle(), before)
    opened(live).restore(assignment(), before, None)
    assert state(archive) == untouched
    assert served(live, "example.com") == theirs


def test_a_file_put_over_one_of_our_links_is_noticed_and_put_right(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    (tmp_path / "privkey.pem").unlink()
    (tmp_path / "privkey.pem").write_text(bundle(3).key_pem.reveal())
    seen = opened(tmp_path).inspect(assignment())
    assert {(live.owner, live.fingerprint) for live in seen.values()} == {(Owner.FOREIGN, None)}
    opened(tmp_path).push(made, seen)
    assert served(tmp_path, "example.com") == made.fingerprint
    assert {live.owner for live in opened(tmp_path).inspect(assignment()).values()} == {Owner.OURS}


def test_a_link_that_was_removed_is_made_again(tmp_path: Path) -> None:
    made = bundle()
    opened(tmp_path).push(made, {})
    (tmp_path / "fullchain.pem").unlink()
    assert opened(tmp_path).inspect(assignment()) == {}
    opened(tmp_path).push(made, {})
    assert served(tmp_path, "example.com") == made.fingerprint


def test_a_name_that_the_files_do_not_cover_is_not_said_to_be_served(tmp_path: Path) -> None:
    opened(tmp_path).push(bundle(), {})
    seen = opened(tmp_path).inspect(assignment((*NAMES, "www.example.net")))
    assert set(seen) == set(NAMES)


def test_what_was_not_kept_cannot_be_brought_back(tmp_path: Path) -> None:
    put(tmp_path, NAMES)
    before = opened(tmp_path).inspect(assignment())
    elsewhere = {name: replace(live, reference="../../etc") for name, live in before.items()}
    for remembered in (before, elsewhere):
        with pytest.raises(Missing):
            opened(tmp_path).restore(assignment(), remembered, None)


# ---- a disk that will not have it ------------------------------------------------------------------------------------


def test_a_file_where_the_folder_belongs_is_named(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("a file")
    provider = opened(tmp_path / "certs" / "main")
    with pytest.raises(Rejected, match=re.escape(str(tmp_path / "certs"))) as caught:
        provider.push(bundle(), {})
    assert caught.value.hint is not None
    with pytest.raises(Rejected):
        provider.inspect(assignment())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(Rejected, match="permission denied"):
            opened(tmp_path / "certs").push(bundle(), {})
        with pytest.raises(CredentialsRejected):
            opened(tmp_path / "certs").check()
    finally:
        tmp_path.chmod(0o700)


def test_an_owner_that_does_not_exist_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no such user"):
        opened(tmp_path, owner="nobody-of-that-name").push(bundle(), {})
    assert state(tmp_path) == {}


def test_a_full_disk_leaves_the_old_pair_and_says_that_it_passes(tmp_path: Path) -> None:
    rig = files_rig(tmp_path)
    rig.push(rig.first)
    rig.gate.cut(2, "before")
    with pytest.raises(Unavailable, match="no space left") as caught:
        rig.push(rig.renewed)
    assert caught.value.hint == "make room there"
    assert rig.serves() == {rig.first.fingerprint}


@pytest.mark.parametrize(
    ("number", "error", "hint"),
    [
        (errno.ENOSPC, Unavailable, "make room"),
        (errno.EDQUOT, Unavailable, "make room"),
        (errno.EIO, Unavailable, ""),
        (errno.EROFS, Rejected, "mounted read-only"),
        (errno.EACCES, Rejected, "must be able to write"),
        (errno.EPERM, Rejected, "leave owner out"),
        (errno.ENOTDIR, Rejected, "must be a folder"),
        (errno.ENAMETOOLONG, Rejected, ""),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else None,
)
def test_what_a_disk_says_is_told_with_the_path_and_what_to_do(
    number: int, error: type[ProviderError], hint: str
) -> None:
    told = refusal(OSError(number, os.strerror(number), "/srv/tls/privkey.pem"), Path("/srv/tls"))
    assert type(told) is error
    assert str(told).startswith("/srv/tls/privkey.pem: ")
    assert hint in (told.hint or "")


def test_a_directory_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "fullchain.pem").mkdir()
    with pytest.raises(Rejected, match=r"fullchain\.pem"):
        opened(tmp_path).inspect(assignment())


# ---- check -----------------------------------------------------------------------------------------------------------


def test_check_says_where_it_may_write_and_changes_nothing(tmp_path: Path) -> None:
    provider = opened(tmp_path / "a" / "{certificate}", environ={"PATH": "/usr/bin:/bin"}, reload=["no-such-program"])
    standing = provider.check(write=True)
    assert str(tmp_path) in standing.reach
    assert standing.remarks == ("the reload command no-such-program is not there",)
    assert list(tmp_path.iterdir()) == []


def test_check_names_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("a file")
    with pytest.raises(Missing):
        opened(tmp_path / "certs").check()


def test_a_prune_names_what_it_removed(tmp_path: Path) -> None:
    rig: Rig = files_rig(tmp_path)
    rig.push(rig.first)
    rig.push(rig.renewed)
    assert [Path(text).name for text in rig.prune()] == [f"5ca1ab1e-{rig.first.fingerprint[:12]}"]
