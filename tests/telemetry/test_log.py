"""stderr as JSON lines: everything on it, whoever writes."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from certbroker.saying import Aside, say
from certbroker.telemetry import library_logs
from tests.clock import START, TestClock


def aside(*, as_json: bool = True) -> tuple[Any, io.StringIO]:
    stream = io.StringIO()
    return Aside(stream, TestClock(), as_json=as_json), stream


def lines(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_what_is_said_has_its_parts() -> None:
    made, stream = aside()
    say(made, "error", "it failed", now="v1 is served", hint="certbroker check")
    say(made, "note", "by the way")
    first, second = lines(stream)
    assert first == {
        "at": START.isoformat(),
        "level": "error",
        "message": "it failed",
        "kind": "error",
        "now": "v1 is served",
        "hint": "certbroker check",
    }
    assert (second["level"], second["kind"]) == ("warning", "note")
    assert "hint" not in second


def test_for_people_it_is_text() -> None:
    made, stream = aside(as_json=False)
    say(made, "error", "it failed", now="v1 is served", hint="certbroker check")
    assert stream.getvalue() == "error: it failed\n now   v1 is served\n hint: certbroker check\n"
    made.write("so\nit ")
    made.write("is\n")
    assert stream.getvalue().endswith("so\nit is\n")


def test_whatever_else_is_written_becomes_lines_too() -> None:
    made, stream = aside()
    made.write("one\ntw")
    made.write("o\n\nthree")
    assert [line["message"] for line in lines(stream)] == ["one", "two"]
    made.write("\n")
    assert [line["message"] for line in lines(stream)] == ["one", "two", "three"]


@pytest.mark.parametrize("everything", [False, True])
def test_what_libraries_log(everything: bool) -> None:
    made, stream = aside()
    logger = logging.getLogger("some.library")
    with library_logs(made, everything=everything):
        logger.debug("small %s", "talk")
        logger.warning("look")
        try:
            raise KeyError("a mistake")
        except KeyError:
            logger.exception("it broke")
        logging.getLogger("urllib3").info("GET https://hooks.example/s3cret")
    logger.warning("afterwards")
    found = lines(stream)
    assert [(line["level"], line["message"]) for line in found] == [
        *([("debug", "small talk")] if everything else []),
        ("warning", "look"),
        ("error", "it broke"),
    ]
    assert {line["logger"] for line in found} == {"some.library"}
    assert "KeyError: 'a mistake'" in found[-1]["exception"]


def test_a_line_stays_a_line() -> None:
    made, stream = aside()
    say(made, "error", "two\nlines   and more")
    assert len(stream.getvalue().split("\n")) == 2
    assert lines(stream)[0]["message"] == "two\nlines   and more"
