"""A program of the owner's: how each style is called, what it is told, and what becomes of one that fails or hangs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from certbroker.challenges import child
from certbroker.challenges.exec import ExecSettings, ExecSolver
from certbroker.errors import Missing, Rejected, Unavailable
from tests.challenges.rig import VALUE, context, small_world

NAME = "_acme-challenge.www.example.com"
ZONE = "example.com"

LOG = """#!/bin/sh
{ echo "argv: $*"; env | grep -E '^(CERTB|DNS_|SECRET_|HOME|TSIG|ODD)' | sort; } >> "$HOME/log"
echo "id-$1"
"""


def script(folder: Path, text: str) -> str:
    path = folder / "hook"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def ours(
    tmp_path: Path,
    options: Mapping[str, Any],
    *,
    zones: tuple[str, ...] = (ZONE,),
    deadline: float = 1e9,
    **environ: str,
) -> ExecSolver:
    world = small_world(tmp_path, network=None, **environ)
    return ExecSolver.open(ExecSettings.model_validate(dict(options)), context(world, zones=zones, deadline=deadline))


def log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_our_own_style_is_told_all_in_the_environment(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": [script(tmp_path, LOG), "first"]})
    handle = solver.present(ZONE, NAME, VALUE)
    solver.clean_up(ZONE, NAME, VALUE, handle)
    told = [f"CERTBROKER_NAME={NAME}", f"CERTBROKER_VALUE={VALUE}", f"CERTBROKER_ZONE={ZONE}", f"HOME={tmp_path}"]
    assert log(tmp_path) == ["argv: first present", *told, "argv: first cleanup", "CERTBROKER_HANDLE=id-first", *told]


def test_legos_style_names_the_record_with_its_final_dot(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG), "style": "lego"})
    solver.clean_up(ZONE, NAME, VALUE, solver.present(ZONE, NAME, VALUE))
    argv = [line for line in log(tmp_path) if line.startswith("argv")]
    assert argv == [f"argv: present {NAME}. {VALUE}", f"argv: cleanup {NAME}. {VALUE}"]


def test_dehydrateds_style_names_the_domain(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG), "style": "dehydrated"})
    solver.clean_up(ZONE, NAME, VALUE, solver.present(ZONE, NAME, VALUE))
    argv = [line for line in log(tmp_path) if line.startswith("argv")]
    assert argv == [
        f"argv: deploy_challenge www.example.com - {VALUE}",
        f"argv: clean_challenge www.example.com - {VALUE}",
    ]


def test_certbots_style_hands_the_first_hooks_output_to_the_second(tmp_path: Path) -> None:
    hook = script(tmp_path, LOG)
    solver = ours(tmp_path, {"program": f"{hook} add", "cleanup": f"{hook} remove", "style": "certbot"})
    solver.clean_up(ZONE, NAME, VALUE, solver.present(ZONE, NAME, VALUE))
    lines = log(tmp_path)
    assert "argv: add" in lines
    assert "argv: remove" in lines
    assert "CERTBOT_DOMAIN=www.example.com" in lines
    assert f"CERTBOT_VALIDATION={VALUE}" in lines
    assert "CERTBOT_AUTH_OUTPUT=id-add" in lines
    assert not any(line.startswith("CERTBOT_TOKEN") for line in lines)


def test_certbots_style_without_a_second_hook_cleans_nothing(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG), "style": "certbot"})
    solver.clean_up(ZONE, NAME, VALUE, None)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("style", ["certbot", "dehydrated"])
def test_hooks_that_make_the_label_themselves_refuse_other_names(tmp_path: Path, style: str) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG), "style": style})
    with pytest.raises(Rejected, match=r"puts _acme-challenge\. before a domain itself"):
        solver.present(ZONE, "landed.example.com", VALUE)
    assert not (tmp_path / "log").exists()


def test_only_what_the_owner_names_is_passed_on(tmp_path: Path) -> None:
    options = {
        "program": script(tmp_path, LOG),
        "environ": ["DNS_URL", "DNS_UNSET"],
        "secrets": {"SECRET_KEY": {"env": "THE_KEY"}},
    }
    ours(tmp_path, options, DNS_URL="https://x", THE_KEY="hush-hush", ODD="1").present(ZONE, NAME, VALUE)
    lines = log(tmp_path)
    assert "DNS_URL=https://x" in lines
    assert "SECRET_KEY=hush-hush" in lines
    assert not any(line.startswith(("TSIG", "ODD")) for line in lines)


def test_a_failing_program_is_an_error_with_its_last_words_and_no_secret(tmp_path: Path) -> None:
    text = '#!/bin/sh\nprintf "bad key $SECRET_KEY\\n\\033[31mgo away" >&2\nexit 3\n'
    options = {"program": script(tmp_path, text), "secrets": {"SECRET_KEY": {"env": "THE_KEY"}}}
    with pytest.raises(Rejected, match=f"ended with exit code 3 at present of {NAME}") as caught:
        ours(tmp_path, options, THE_KEY="hush-hush").present(ZONE, NAME, VALUE)
    assert '"bad key … [31mgo away"' in str(caught.value)
    assert "hush-hush" not in repr(caught.value)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="the program /nowhere/hook cannot be started: No such file"):
        ours(tmp_path, {"program": "/nowhere/hook"}).present(ZONE, NAME, VALUE)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    text = f'#!/bin/sh\n{sys.executable} -c "import time; time.sleep(60)" &\necho $! > "$HOME/pid"\nwait\n'
    solver = ours(tmp_path, {"program": script(tmp_path, text), "seconds": 1.5})
    with pytest.raises(Unavailable, match="took more than 2 seconds and was ended"):
        solver.present(ZONE, NAME, VALUE)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.02)
    assert not alive(pid)


def test_a_grandchild_that_stays_does_not_keep_us(tmp_path: Path) -> None:
    text = "#!/bin/sh\nsleep 5 &\necho done\n"
    began = time.monotonic()
    assert ours(tmp_path, {"program": script(tmp_path, text)}).present(ZONE, NAME, VALUE) == "exec:done"
    assert time.monotonic() - began < 4


def test_nothing_is_started_after_the_runs_deadline(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG)}, deadline=0.0)
    with pytest.raises(Unavailable, match="no time left"):
        solver.present(ZONE, NAME, VALUE)
    assert not (tmp_path / "log").exists()


def test_output_without_end_is_cut(tmp_path: Path) -> None:
    text = "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x\n"
    handle = ours(tmp_path, {"program": script(tmp_path, text)}).present(ZONE, NAME, VALUE)
    assert len(handle) == 4096 + len("exec:")


def test_a_private_key_in_what_a_program_says_is_not_repeated() -> None:
    assert child.tidy("oh -----BEGIN PRIVATE KEY-----\nabc") == "oh …"


def test_check_tries_a_zone_that_the_file_names(tmp_path: Path) -> None:
    solver = ours(tmp_path, {"program": script(tmp_path, LOG)})
    assert solver.check().remarks == ()
    assert not (tmp_path / "log").exists()
    assert solver.check(write=True).remarks == (f"wrote and removed a TXT at _certbroker-check.{ZONE}",)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"program": []},
        {"program": ["a", "b"], "style": "certbot"},
        {"program": "a", "cleanup": "b"},
        {"program": "a", "style": "lego-raw"},
        {"program": "a", "seconds": 0},
        {"program": "a", "secrets": {"X": "pasted"}},
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ExecSettings.model_validate(options)
    assert "pasted" not in str(caught.value)
