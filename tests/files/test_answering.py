"""The files target answers http-01 where it has a webroot."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from certbroker.errors import Missing, ProviderError, Rejected
from certbroker.provider import AnswersHttp01
from certbroker.testkit.rig import context
from certbroker_files import FilesProvider, FilesSettings
from certbroker_files.disk import Disk

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"
ANSWER = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


def provider(tmp_path: Path, disk: Disk | None = None, **settings: str) -> FilesProvider:
    made = FilesSettings(folder=str(tmp_path / "certs"), **settings)  # type: ignore[arg-type]
    return FilesProvider(made, context(), disk or Disk())


def test_an_answer_stands_in_the_webroot_until_it_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    it = provider(tmp_path, webroot=str(tmp_path / "www"))
    assert isinstance(it, AnswersHttp01)
    it.can_answer_http01()
    it.answer_http01("example.com", TOKEN, ANSWER)
    it.answer_http01("example.com", TOKEN, ANSWER)
    folder = tmp_path / "www" / ".well-known" / "acme-challenge"
    assert {each.name: each.read_text() for each in folder.iterdir()} == {TOKEN: ANSWER}
    assert (folder / TOKEN).stat().st_mode & 0o777 == 0o644
    it.forget_http01("example.com", TOKEN, ANSWER)
    it.forget_http01("example.com", TOKEN, ANSWER)
    assert list(folder.iterdir()) == []


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "www" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / TOKEN).write_text("theirs")
    it = provider(tmp_path, webroot=str(tmp_path / "www"))
    with pytest.raises(Rejected, match="with another's answer"):
        it.answer_http01("example.com", TOKEN, ANSWER)
    it.forget_http01("example.com", TOKEN, ANSWER)
    assert (folder / TOKEN).read_text() == "theirs"


def test_without_a_webroot_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="it has no webroot"):
        provider(tmp_path).can_answer_http01()
    with pytest.raises(Missing, match="is not a folder"):
        provider(tmp_path, webroot=str(tmp_path / "nowhere")).can_answer_http01()
    assert not (tmp_path / "nowhere").exists()


class FullDisk(Disk):
    """No room for a file."""

    def write(self, path: Path, content: bytes, rights: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_in_our_errors(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    it = provider(tmp_path, FullDisk(), webroot=str(tmp_path / "www"))
    with pytest.raises(ProviderError, match="no space left"):
        it.answer_http01("example.com", TOKEN, ANSWER)
