"""Who hears: a web hook, a heartbeat and a post office on loopback."""

from __future__ import annotations

import json
import socketserver
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.servers.loopback import Quiet, serving


@dataclass
class Ear:
    """`heard` are the bodies of POSTs in order, `visits` the paths of GETs. `answer` is the status it gives."""

    url: str = ""
    heard: list[Any] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)
    answer: int = 200


@contextmanager
def web(log: Path | None = None) -> Iterator[Ear]:
    """`log`: a file that gets every body."""
    ear = Ear()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            _note(log, body)
            if ear.answer < 300:
                ear.heard.append(json.loads(body))
            self._end()

        def do_GET(self) -> None:
            ear.visits.append(self.path)
            self._end()

        def _end(self) -> None:
            self.send_response(ear.answer)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

    with serving(Handler) as port:
        ear.url = f"http://127.0.0.1:{port}"
        yield ear


@dataclass
class PostOffice:
    url: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuses: bool = False


@contextmanager
def mail(log: Path | None = None) -> Iterator[PostOffice]:
    """Enough of SMTP (RFC 5321) for one mail after the other. `log`: a file that gets all that is said to it."""
    office = PostOffice()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "EHLO":
                    self.wfile.write(b"250-here\r\n")
                    self._say("250 AUTH PLAIN")
                elif verb == "AUTH":
                    office.logins.append(b64decode(line.split()[2]).decode())
                    self._say("235 come in")
                elif verb == "DATA":
                    self._say("354 go on")
                    office.mails.append(self._mail())
                    self._say("250 taken")
                elif verb == "RCPT" and office.refuses:
                    self._say("550 nobody of that name")
                elif verb == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 well")

        def _mail(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(line.removeprefix("."))
            _note(log, "\n".join(lines).encode())
            found = message_from_string("\n".join(lines), policy=policy.default)
            assert isinstance(found, EmailMessage)
            return found

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with serving(Handler, socketserver.ThreadingTCPServer) as port:
        office.url = f"smtp://127.0.0.1:{port}"
        yield office


def _note(log: Path | None, body: bytes) -> None:
    if log is not None:
        with log.open("ab") as file:
            file.write(body + b"\n")
