"""OpenTelemetry's variables: where traces go, and that they cost a run next to nothing if that is nowhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certbroker.telemetry.collector import Collector, NotSent, collector
from tests.telemetry.receiver import closed, receiver, silence
from tests.world import CountingNetwork, make_world

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://api.honeycomb.io"}


def found(tmp_path: Path, **environ: str) -> Collector:
    made = collector(make_world(tmp_path, environ={**ENDPOINT, **environ}))
    assert made is not None
    return made


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "certs", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_sent_unless_it_is_asked_for(environ: dict[str, str], tmp_path: Path) -> None:
    assert collector(make_world(tmp_path, environ=environ)) is None


def test_honeycomb_takes_two_variables(tmp_path: Path) -> None:
    made = found(tmp_path, OTEL_EXPORTER_OTLP_HEADERS="x-honeycomb-team=hcaik_01")
    assert made.url == "https://api.honeycomb.io/v1/traces"
    assert made.headers == {"x-honeycomb-team": "hcaik_01"}
    assert (made.seconds, made.compressed, made.ca, made.client) == (2.0, False, None, None)
    assert made.resource["service.name"] == "certbroker"


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "url", "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/here"}, "url", "https://c/here"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=1, b=x%20y%3D"}, "headers", {"a": "1", "b": "x y="}),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "c=3"}, "headers", {"c": "3"}),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "250"}, "seconds", 0.25),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "86400000"}, "seconds", 10.0),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "compressed", True),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}, "ca", "/ca.pem"),
        ({"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "k"}, "client", ("c", "k")),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, "url", "https://api.honeycomb.io/v1/traces"),
    ],
)
def test_what_the_variables_say(environ: dict[str, str], field: str, value: Any, tmp_path: Path) -> None:
    assert getattr(found(tmp_path, **environ), field) == value


def test_who_sends(tmp_path: Path) -> None:
    made = found(
        tmp_path, OTEL_RESOURCE_ATTRIBUTES="deployment.environment=prod%20eu,host.name=h", OTEL_SERVICE_NAME="c"
    )
    assert made.resource["service.name"] == "c"
    assert made.resource["deployment.environment"] == "prod eu"
    assert made.resource["host.name"] == "h"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is zipkin"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "api.honeycomb.io"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no address"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT is no number"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "nan"}, "OTEL_EXPORTER_OTLP_TIMEOUT is no number"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, "OTEL_EXPORTER_OTLP_HEADERS is not of the form"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=s3cret%0d%0ax: y"}, "OTEL_EXPORTER_OTLP_HEADERS is not of the form"),
    ],
)
def test_what_cannot_be_is_told_and_shows_no_key(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(NotSent) as caught:
        found(tmp_path, **environ)
    assert words in caught.value.what
    assert "s3cret" not in caught.value.what + caught.value.hint


def test_a_body_goes_out_once_by_the_network_of_the_world(tmp_path: Path) -> None:
    network = CountingNetwork()
    world = make_world(tmp_path, network=network)
    with receiver() as at:
        there = replace(found(tmp_path), url="http://collector.test:4318/v1/traces", headers={"x-key": "k"})
        there.take(b"", world, {"collector.test:4318": at.url.removeprefix("http://")})
        assert [(path, headers["x-key"], headers["content-type"]) for path, headers in at.asked] == [
            ("/v1/traces", "k", "application/x-protobuf")
        ]
    assert network.contacts == [("http", "http://collector.test:4318")]


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [(401, "answers 401", "the key in OTEL"), (404, "answers 404", "without /v1/traces"), (503, "answers 503", "")],
)
def test_a_collector_that_refuses(status: int, words: str, hint: str, tmp_path: Path) -> None:
    with receiver() as at:
        at.status = status
        there = replace(found(tmp_path), url=at.url.replace("//", "//user:s3cret@"))
        with pytest.raises(NotSent) as caught:
            there.take(b"", make_world(tmp_path), {})
    assert len(at.asked) == 1, "tried once"
    assert words in caught.value.what
    assert hint in caught.value.hint
    assert "s3cret" not in caught.value.what


def test_nobody_who_is_away_or_silent_is_waited_for_beyond_the_time_out(tmp_path: Path) -> None:
    """That it returns at all shows that it is bounded: the silent one never answers."""
    with pytest.raises(NotSent, match="cannot be reached"):
        replace(found(tmp_path), url=closed()).take(b"", make_world(tmp_path), {})
    with silence() as address, pytest.raises(NotSent, match=r"did not take them within 0\.1 s"):
        replace(found(tmp_path), url=address, seconds=0.1).take(b"", make_world(tmp_path), {})
    forbidden = make_world(tmp_path, network=CountingNetwork(forbidden=True))
    with pytest.raises(NotSent, match="cannot be reached"):
        found(tmp_path).take(b"", forbidden, {})


WITHOUT = """\
import io, sys
from pathlib import Path
from certbroker.cli import main
from tests.world import make_world

if sys.argv[1] == "missing":
    sys.modules["opentelemetry"] = None  # as if it were not installed
folder = Path(sys.argv[2])
asked = {} if sys.argv[1] == "unasked" else {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
for command in ("init", "push"):
    world = make_world(folder, environ=asked)
    code = main([command], world)
    print(code, world.stderr.getvalue())
print([name for name in sys.modules if name.startswith(("google.protobuf", "opentelemetry.proto."))])
"""

FILE = """\
[issuer.letsencrypt]
agree_to_terms = true

[solver.manual]
type = "webroot"
folder = "here"

[target.folder]
type = "files"
folder = "there"

[certificate.main]
names = ["example.com"]
challenge = "http-01"
targets = ["folder"]
"""


@pytest.mark.parametrize("how", ["unasked", "asked", "missing"])
def test_the_extra_is_imported_when_there_is_something_to_send_and_its_absence_is_one_hint(
    how: str, tmp_path: Path
) -> None:
    (tmp_path / "certbroker.toml").write_text(FILE)
    words = [sys.executable, "-c", WITHOUT, how, str(tmp_path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert ran.stdout.splitlines()[-1] == "[]"
    note = "note: traces cannot be sent: opentelemetry-proto is not installed\n hint: pip install 'certbroker[otel]'\n"
    assert ran.stdout.count(note) == (how == "missing")
    assert ran.stdout.count("note:") == (how == "missing")
    assert ran.stderr == ""
