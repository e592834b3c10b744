"""The reload command: told little, killed when late, run again until it has succeeded."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from certbroker.errors import Missing, ProviderError, Rejected, Unavailable
from certbroker.testkit.rig import Rig, shows
from tests.files.rig import files_rig

SAYS = 'echo "$CERTBROKER_CERTIFICATE $CERTBROKER_TARGET $CERTBROKER_NAMES" >> "$CERTBROKER_FOLDER/../told"'


def told(tmp_path: Path) -> list[str]:
    return [line for path in sorted(tmp_path.glob("*/told")) for line in path.read_text().splitlines()]


def test_it_runs_once_for_each_change_and_is_told_what_changed(tmp_path: Path) -> None:
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", SAYS], target="web")
    rig.push(rig.first)
    rig.push(rig.first)
    rig.push(rig.renewed)
    assert told(tmp_path) == ["main web example.com *.example.com www.example.net"] * 2


def test_it_runs_after_a_restore(tmp_path: Path) -> None:
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", SAYS])
    assert rig.occupy is not None
    rig.occupy()
    before = rig.inspect()
    rig.push(rig.first)
    rig.open().restore(rig.assignment, before, None)
    assert len(told(tmp_path)) == 2


def test_a_failed_one_is_run_again_by_the_next_push(tmp_path: Path) -> None:
    switch = tmp_path / "fixed"
    rig = files_rig(
        tmp_path, reload=["/bin/sh", "-c", f'echo "line 1"; echo "bad config" >&2; test -e {switch} && {SAYS}']
    )
    for _ in range(2):
        with pytest.raises(Unavailable, match='ended with exit code 1: "bad config"'):
            rig.push(rig.first)
        assert rig.serves() == {rig.first.fingerprint}
    switch.touch()
    rig.push(rig.first)
    rig.push(rig.first)
    assert len(told(tmp_path)) == 1


def test_one_that_a_kill_prevented_is_run_by_the_next_push(tmp_path: Path) -> None:
    """Wherever it dies, the server has been told of the renewed files once the next push is through."""
    for nth in range(50):
        home = tmp_path / str(nth)
        home.mkdir()
        rig = files_rig(home, reload=["/bin/sh", "-c", SAYS])
        rig.push(rig.first)
        rig.gate.cut(nth, "after", kill=True)
        rig.attempt(rig.push, rig.renewed)
        cut = rig.gate.mend()
        rig.push(rig.renewed)
        assert len(told(home)) == 2
        if not cut:
            return
    pytest.fail("a push takes more than 50 writes")


def test_it_is_killed_with_all_it_started_when_it_takes_too_long(tmp_path: Path) -> None:
    child = tmp_path / "child"
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", f"sleep 600 & echo $! > {child}; wait"], reload_seconds=1.5)
    with pytest.raises(Unavailable, match=r"took more than 1\.5 seconds"):
        rig.push(rig.first)
    process = int(child.read_text())
    patience = time.monotonic() + 30  # a signal takes a moment to arrive on a busy machine
    while not gone(process) and time.monotonic() < patience:
        time.sleep(0.01)
    assert gone(process)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z"


def test_a_daemon_that_it_leaves_behind_holds_nothing_up(tmp_path: Path) -> None:
    """It keeps the output open, as daemons that forget to close it do."""
    child = tmp_path / "child"
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", f"sleep 600 & echo $! > {child}"], reload_seconds=30)
    rig.push(rig.first)
    os.kill(int(child.read_text()), signal.SIGKILL)


def test_one_that_a_signal_ended_is_told_so(tmp_path: Path) -> None:
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", "kill -TERM $$"])
    with pytest.raises(Unavailable, match="ended with signal 15"):
        rig.push(rig.first)


@pytest.mark.parametrize(("program", "error"), [("/no/such/program", Missing), ("/etc/passwd", Rejected)])
def test_one_that_cannot_be_started_is_named(tmp_path: Path, program: str, error: type[ProviderError]) -> None:
    rig = files_rig(tmp_path, reload=[program])
    with pytest.raises(error, match=program):
        rig.push(rig.first)
    assert rig.serves() == {rig.first.fingerprint}


def test_it_gets_no_token_and_no_key(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"import os, sys; open({str(seen)!r}, 'w').write(repr((dict(os.environ), sys.argv)))"
    environ = {"PATH": os.defpath, "HOME": "/home/ann", "FASTLY_TOKEN": "canary-token-4711"}
    rig = files_rig(tmp_path, environ=environ, reload=[sys.executable, "-c", script])
    rig.push(rig.first)
    text = seen.read_text()
    assert "/home/ann" in text
    assert "CERTBROKER_CERTIFICATE" in text
    assert "canary" not in text
    assert not shows(text, rig.first.key_pem)


def test_what_it_says_is_repeated_but_never_the_key(tmp_path: Path) -> None:
    rig: Rig = files_rig(tmp_path, reload=["/bin/sh", "-c", "tr -d '\\n' < $CERTBROKER_FOLDER/privkey.pem >&2; exit 3"])
    with pytest.raises(Unavailable, match="exit code 3") as caught:
        rig.push(rig.first)
    assert not shows(str(caught.value), rig.first.key_pem)


def test_what_it_says_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    rig = files_rig(tmp_path, reload=["/bin/sh", "-c", r"printf 'a\033[31mb\a'; exit 1"])
    with pytest.raises(Unavailable) as caught:
        rig.push(rig.first)
    assert str(caught.value).isprintable()
