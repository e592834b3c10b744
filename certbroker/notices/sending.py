"""The ways a message can go. Each is tried once, within seconds: the next run tries again.

The URL of a way is a secret, as a whole: it is in no error, no log and no message.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from certbroker.errors import CertbrokerError, UsageError
from certbroker.notices.deciding import Way
from certbroker.notices.route import Route
from certbroker.notices.words import Message
from certbroker.secret import Secret, SecretRef
from certbroker.transport import Transport
from certbroker.world import Network

SECONDS: Final = 10.0
"""For all of one sending."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class NotSent(Exception):
    """It did not arrive, and why, in words that hold nothing of the address."""


@dataclass(frozen=True, slots=True)
class Post:
    """Sends, and says why something did not arrive instead of raising. `resolve` opens a reference when it is needed."""

    resolve: Callable[[SecretRef], Secret]
    network: Network
    connect_to: Mapping[str, str] = field(default_factory=dict)

    def send(self, way: Way, message: Message) -> str:
        """Why it did not arrive; empty if it did."""
        try:
            url = self.resolve(way.route.url)
            send(way.route, url, message, network=self.network, connect_to=self.connect_to)
        except (NotSent, UsageError, OSError) as error:
            return _why(error)
        return ""

    def beat(self, heartbeat: SecretRef | None, path: str = "") -> str:
        """Visit the heartbeat's URL: `/start`, nothing (all well) or `/fail`. Returns why it was not reached."""
        if heartbeat is None:
            return ""
        try:
            visit(self.resolve(heartbeat).reveal().rstrip("/") + path, network=self.network, connect_to=self.connect_to)
        except (NotSent, UsageError, OSError) as error:
            return _why(error)
        return ""


def _why(error: Exception) -> str:
    """Our own words alone: what a library says may hold the address."""
    if isinstance(error, CertbrokerError):
        return error.what
    return str(error) if isinstance(error, NotSent) else type(error).__name__


def send(route: Route, url: Secret, message: Message, *, network: Network, connect_to: Mapping[str, str]) -> None:
    """Raises NotSent."""
    match route.way:
        case "webhook":
            _post(url, message.values, network, connect_to)
        case "slack":
            _post(url, {"text": f"*{message.title}*\n{message.text}"}, network, connect_to)
        case "smtp":
            _mail(route, url, message, network)
        case "apprise":
            _apprise(url, message)


def visit(url: str, *, network: Network, connect_to: Mapping[str, str]) -> None:
    """GET, as a heartbeat. Raises NotSent."""
    _request("GET", url, None, network, connect_to)


def _post(url: Secret, value: object, network: Network, connect_to: Mapping[str, str]) -> None:
    _request("POST", url.reveal(), value, network, connect_to)


def _request(method: str, url: str, value: object, network: Network, connect_to: Mapping[str, str]) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise NotSent("its address does not begin with https://")
    carrier = Transport(network, connect_to)
    with requests.Session() as session:
        session.trust_env = True  # a proxy of the house
        session.mount("https://", carrier)
        session.mount("http://", carrier)
        try:
            answer = session.request(
                method, url, json=value, timeout=(SECONDS / 2, SECONDS), allow_redirects=False, stream=True
            )
        except requests.RequestException as error:
            raise NotSent(f"it cannot be reached ({type(error).__name__})") from None
        except OSError as error:
            raise NotSent(f"it cannot be reached ({error.strerror or type(error).__name__})") from None
        with answer:
            if not 200 <= answer.status_code < 300:
                raise NotSent(f"it answers {answer.status_code}")


def _mail(route: Route, url: Secret, message: Message, network: Network) -> None:
    """`smtp://USER:PASSWORD@HOST:587` with STARTTLS, `smtps://` with TLS from the start; plain only to this machine."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(message.title.split())[:200]
    mail["From"] = route.sender or "certbroker"
    mail["To"] = ", ".join(route.to)
    mail.set_content(message.text)
    try:
        parts = urlsplit(url.reveal())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NotSent("its address is no URL such as smtp://user:password@host:587") from None
    if parts.scheme not in ("smtp", "smtps") or not host:
        raise NotSent("its address is no URL such as smtp://user:password@host:587")
    network.contact("smtp", f"{host}:{port or (465 if parts.scheme == 'smtps' else 587)}")
    try:
        with _post_office(parts.scheme, host, port) as office:
            if parts.scheme == "smtp" and (host not in LOOPBACK or "starttls" in parse_qs(parts.query)):
                office.starttls(context=ssl.create_default_context())
            if parts.username:
                office.login(unquote(parts.username), unquote(parts.password or ""))
            office.send_message(mail)
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", None)
        raise NotSent(f"the mail server did not take it ({code or type(error).__name__})") from None


def _post_office(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(host, port or 587, timeout=SECONDS)


def _apprise(url: Secret, message: Message) -> None:
    try:
        import apprise
    except ImportError:
        raise NotSent("apprise is not installed: pip install 'certbroker[notify]'") from None
    herald = apprise.Apprise()
    if not herald.add(url.reveal()):
        raise NotSent("its address is none that apprise knows")
    if not herald.notify(title=message.title, body=message.text):
        raise NotSent("the service did not take it")
