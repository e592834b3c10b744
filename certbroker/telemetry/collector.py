"""Where traces go, by the environment variables that all of OpenTelemetry has, and how they get there.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/ ; nothing of it is asked for unless an endpoint is named.
"""

from __future__ import annotations

import gzip
import importlib.util
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import certbroker
from certbroker.world import World

SECONDS: Final = 2.0
"""That a run waits for a collector, at most, if the environment does not say."""

LONGEST: Final = 10.0
"""And at most, whatever it says."""

_HINTS: Final = {
    401: "the key in OTEL_EXPORTER_OTLP_HEADERS is not accepted there",
    403: "the key in OTEL_EXPORTER_OTLP_HEADERS may not do this",
    404: "OTEL_EXPORTER_OTLP_ENDPOINT is the address without /v1/traces; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT the whole one",
}


class NotSent(Exception):
    """Why, in words that hold nothing of a header; what to do, or nothing."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Collector:
    """An OTLP/HTTP endpoint that takes protobuf. `headers` may hold a key, and so may the URL: neither is ever shown."""

    url: str
    headers: Mapping[str, str]
    seconds: float
    compressed: bool
    resource: Mapping[str, str]
    ca: str | None = None
    client: tuple[str, str] | str | None = None

    @property
    def origin(self) -> str:
        """What may be shown of it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def take(self, body: bytes, world: World, connect_to: Mapping[str, str]) -> bytes:
        """One request, tried once; the collector's answer. Over within `seconds`, looking up its name included. Raises NotSent."""
        came: list[bytes | Exception] = []

        def ask() -> None:
            try:
                came.append(self._post(body, world, connect_to))
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                came.append(error)

        asking = threading.Thread(
            target=ask, name="traces", daemon=True
        )  # a name server that is away is not waited for
        asking.start()
        asking.join(self.seconds)
        if not came:
            raise NotSent(f"{self.origin} did not take them within {self.seconds:g} s")
        if isinstance(came[0], Exception):
            raise came[0]
        return came[0]

    def _post(self, body: bytes, world: World, connect_to: Mapping[str, str]) -> bytes:
        import requests

        from certbroker.transport import Transport

        headers = {"User-Agent": f"certbroker/{certbroker.__version__}", **self.headers}
        headers["Content-Type"] = "application/x-protobuf"
        if self.compressed:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        carrier = Transport(world.network, connect_to)
        with requests.Session() as session:
            session.mount("https://", carrier)
            session.mount("http://", carrier)
            session.cert = self.client
            try:
                answer = session.post(
                    self.url,
                    data=body,
                    headers=headers,
                    timeout=self.seconds,
                    allow_redirects=False,
                    verify=self.ca or True,
                )
            except requests.Timeout:
                raise NotSent(f"{self.origin} did not take them within {self.seconds:g} s") from None
            except (requests.RequestException, OSError, ValueError) as error:
                raise NotSent(f"{self.origin} cannot be reached ({type(error).__name__})") from None
            if not 200 <= answer.status_code < 300:
                raise NotSent(f"{self.origin} answers {answer.status_code}", _HINTS.get(answer.status_code, ""))
            return answer.content


def collector(world: World) -> Collector | None:
    """The one that the environment names; None if it names none, or wants nothing sent. Raises NotSent: it asks for what cannot be."""
    environ = world.environ
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporters = [each.strip() for each in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",") if each.strip()]
    url = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if not url and (base := environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()):
        url = f"{base.rstrip('/')}/v1/traces"
    if not url or exporters == ["none"]:
        return None
    if exporters and "otlp" not in exporters:
        raise NotSent(f"OTEL_TRACES_EXPORTER is {', '.join(exporters)}, and they are sent by otlp alone")
    protocol = _of(environ, "PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise NotSent(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and http/protobuf alone is spoken",
            "collectors listen for it at port 4318",
        )
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise NotSent("OTEL_EXPORTER_OTLP_ENDPOINT is no address such as https://api.honeycomb.io")
    _check_installed()
    certificate, key = _of(environ, "CLIENT_CERTIFICATE"), _of(environ, "CLIENT_KEY")
    return Collector(
        url=url,
        headers=_pairs(_of(environ, "HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS"),
        seconds=_seconds(_of(environ, "TIMEOUT")),
        compressed=_of(environ, "COMPRESSION") == "gzip",
        resource=_resource(world),
        ca=_of(environ, "CERTIFICATE") or None,
        client=(certificate, key) if certificate and key else certificate or None,
    )


def _of(environ: Mapping[str, str], what: str) -> str:
    """What is said of traces wins over what is said of everything; empty is as good as not said."""
    of_traces = environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}", "").strip()
    return of_traces or environ.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()


def _pairs(text: str, variable: str) -> dict[str, str]:
    """`name=value,name=value`, percent-encoded where need be (W3C Baggage)."""
    found = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        if not equals or not name or not (name + value).isprintable() or not (name + value).isascii():
            raise NotSent(f"{variable} is not of the form name=value,name=value")
        found[name] = value
    return found


def _resource(world: World) -> dict[str, str]:
    """Who sends: what the environment says wins."""
    named = {
        name: unquote(value).strip()
        for name, equals, value in (
            pair.strip().partition("=") for pair in world.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        )
        if equals and name
    }
    ours = {"service.name": "certbroker", "service.version": certbroker.__version__, "host.name": world.host}
    service = world.environ.get("OTEL_SERVICE_NAME", "").strip()
    return ours | named | ({"service.name": service} if service else {})


def _seconds(text: str) -> float:
    """The variable counts milliseconds."""
    if not text:
        return SECONDS
    try:
        found = float(text) / 1000
    except ValueError:
        found = 0.0
    if not found > 0:
        raise NotSent("OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds")
    return min(found, LONGEST)


def _check_installed() -> None:
    try:
        found = importlib.util.find_spec("opentelemetry.proto")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise NotSent("opentelemetry-proto is not installed", "pip install 'certbroker[otel]'")
