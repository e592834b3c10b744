"""Lexicon's child process: what goes in, and what comes back. The real thing runs in `tests/interop`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import certbroker.challenges
from certbroker.challenges.lexicon import LexiconSettings, LexiconSolver, as_error
from certbroker.errors import CredentialsRejected, Missing, Rejected, Unavailable
from tests.challenges.rig import VALUE, HoleyNetwork, context, small_world

NAME = "_acme-challenge.example.com"
CHILD = Path(certbroker.challenges.__file__).with_name("lexicon_child.py")


def ours(tmp_path: Path, options: dict[str, Any], *, network: HoleyNetwork | None = None) -> LexiconSolver:
    world = small_world(tmp_path, network=network, THE_KEY="hush-hush")
    return LexiconSolver.open(LexiconSettings.model_validate(options), context(world, zones=("example.com",)))


def test_a_service_that_does_not_exist_is_told_with_or_without_the_package(tmp_path: Path) -> None:
    options = {"provider": "nosuchservice", "options": {"auth_token": {"env": "THE_KEY"}}}
    with pytest.raises(Missing, match=r"Lexicon \(nosuchservice\)") as caught:
        ours(tmp_path, options).present("example.com", NAME, VALUE)
    assert "hush-hush" not in repr(caught.value)


def test_the_child_tells_a_class_and_never_a_message() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(CHILD)], input=b'{"zone": "hush-hush"}', capture_output=True, timeout=60, check=False
    )
    said = json.loads(done.stdout.strip())
    assert said["ok"] is False
    assert said["error"] in ("KeyError", "ModuleNotFoundError")
    assert b"hush" not in done.stdout + done.stderr


def test_the_contact_is_announced_before_the_child_starts(tmp_path: Path) -> None:
    network = HoleyNetwork("lexicon:powerdns")
    with pytest.raises(Unavailable, match="cannot be reached"):
        ours(tmp_path, {"provider": "powerdns"}, network=network).present("example.com", NAME, VALUE)
    assert network.contacts == [("http", "lexicon:powerdns")]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("HTTPError", 401, CredentialsRejected),
        ("HTTPError", 403, CredentialsRejected),
        ("HTTPError", 404, Missing),
        ("HTTPError", 429, Unavailable),
        ("HTTPError", 503, Unavailable),
        ("HTTPError", 422, Rejected),
        ("ConnectionError", None, Unavailable),
        ("AuthenticationError", None, CredentialsRejected),
        ("ProviderNotAvailableError", None, Missing),
        ("ModuleNotFoundError", None, Missing),
        ("Exception", None, Rejected),
        ("", None, Rejected),
    ],
)
def test_what_went_wrong_is_one_of_our_errors(kind: str, status: int | None, error: type[Exception]) -> None:
    assert type(as_error(kind, status, "Lexicon (x)", "present of y")) is error


def test_dnsimple_is_refused_because_lexicon_leaves_its_records_there() -> None:
    with pytest.raises(ValidationError, match='type = "dnsimple" can'):
        LexiconSettings.model_validate({"provider": "dnsimple"})


def test_an_option_that_is_a_table_is_a_reference(tmp_path: Path) -> None:
    settings = LexiconSettings.model_validate(
        {"provider": "powerdns", "options": {"auth_token": {"env": "THE_KEY"}, "pdns_server_id": "localhost", "n": 1}}
    )
    assert str(settings.options["auth_token"]) == "$THE_KEY"
    assert settings.options["n"] == 1
    with pytest.raises(ValidationError) as caught:
        LexiconSettings.model_validate({"provider": "powerdns", "options": {"auth_token": {"value": "pasted"}}})
    assert "pasted" not in str(caught.value)
