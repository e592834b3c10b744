"""Some ninety DNS services through Lexicon (https://github.com/dns-lexicon/dns-lexicon), in a child process.

    pip install 'certbroker[lexicon]'

    [solver.dns]
    type     = "lexicon"
    provider = "powerdns"
    options  = { pdns_server = "https://ns1.example.net:8081", auth_token = { env = "PDNS_KEY" } }

A child, because Lexicon has no time-outs, reads files and environment when it starts, and logs what it sends. It is given one job on
stdin and ended at its deadline; secrets are nowhere but in that job.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from certbroker.challenges import child
from certbroker.challenges.solver import TTL, SolverContext, try_writing
from certbroker.config import Puts
from certbroker.errors import CredentialsRejected, Missing, Misunderstood, ProviderError, Rejected, Unavailable
from certbroker.model import Standing
from certbroker.names import within
from certbroker.secret import SecretRef

CALL_SECONDS: Final = 60.0
PASSED_ON: Final = ("PATH", "LANG", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE")

Option = SecretRef | str | int | bool


class LexiconSettings(BaseModel):
    """`[solver.NAME]` with `type = "lexicon"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: str = Field(pattern=r"^[a-z0-9_]+$", description="Lexicon's name of the service", examples=["cloudflare"])
    options: dict[str, Option] = Field(default={}, description="the service's options, as Lexicon calls them")

    @field_validator("provider")
    @classmethod
    def _ours(cls, value: str) -> str:
        if value == "dnsimple":
            raise ValueError(
                'Lexicon cannot delete what it wrote at DNSimple (it compares without the quotes); type = "dnsimple" can'
            )
        return value

    @field_validator("options", mode="before")
    @classmethod
    def _references(cls, value: object) -> object:
        """A table is a reference; anything else stands for itself."""
        if not isinstance(value, dict):
            return value
        return {key: SecretRef.parse(each) if isinstance(each, dict) else each for key, each in value.items()}


class LexiconSolver:
    """One child for each call; calls for one name never overlap: some services write the whole set at once."""

    settings: ClassVar[type[BaseModel]] = LexiconSettings
    puts: ClassVar[Puts] = "txt"
    walks: ClassVar[bool] = True

    def __init__(self, settings: LexiconSettings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()
        self._names: dict[str, threading.Lock] = {}

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        return cls(settings, context)

    def zone_for(self, name: str) -> str | None:
        """The zone named in the file, else the one that DNS says."""
        if self._context.zones:
            return within(name, self._context.zones)
        return self._context.lookup.zone_of(name)

    def present(self, zone: str, name: str, value: str) -> str:
        self._job("present", zone, name, value)
        return "lexicon"

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        self._job("cleanup", zone, name, value)

    def check(self, *, write: bool = False) -> Standing:
        """Lexicon logs in for one zone at a time, so the zones of the file are tried."""
        remarks = []
        for zone in self._context.zones:
            if write:
                remarks.append(try_writing(self, zone, self._context.random))
            else:
                self._job("check", zone, zone, "")
        if not self._context.zones:
            remarks.append("the file names no zones for it, so its credentials were not tried")
        return Standing(self._settings.provider, reach=", ".join(self._context.zones), remarks=tuple(remarks))

    def _job(self, operation: Literal["present", "cleanup", "check"], zone: str, name: str, value: str) -> None:
        provider = self._settings.provider
        what = f"Lexicon ({provider})"
        options = {
            key: self._context.resolve(option).reveal() if isinstance(option, SecretRef) else option
            for key, option in self._settings.options.items()
        }
        asked = {"op": operation, "zone": zone, "fqdn": name, "value": value, "ttl": TTL}
        job = json.dumps({**asked, "provider": provider, "options": options}).encode()
        with self._lock:
            one = self._names.setdefault(name, threading.Lock())
        with one, tempfile.TemporaryDirectory(prefix="certbroker-") as home, as_file(_PROGRAM) as program:
            self._announce(provider, what)
            given = self._context.environ
            env = {key: given[key] for key in PASSED_ON if key in given}
            env |= {"HOME": home, "TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS": "", "TLDEXTRACT_CACHE_PATH": home}
            done = child.run(
                [sys.executable, "-I", str(program)],
                env=env,
                cwd=Path(home),
                seconds=self._context.seconds(CALL_SECONDS, what),
                stdin=job,
                what=what,
            )
        self._judge(done, what, f"{operation} of {name}")

    def _announce(self, provider: str, what: str) -> None:
        """The child's own contacts cannot be seen from here; this one stands for them."""
        try:
            self._context.network.contact("http", f"lexicon:{provider}")
        except OSError as error:
            raise Unavailable(f"{what} cannot be reached ({type(error).__name__})") from None

    def _judge(self, done: child.Finished, what: str, where: str) -> None:
        """Only class names and statuses come back: messages may hold addresses with ids and tokens."""
        try:
            said = json.loads(done.out.strip().splitlines()[-1])
            good, kind, status = bool(said["ok"]), str(said.get("error") or ""), said.get("status")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise Misunderstood(f"{what} ended with code {done.code} and said nothing at {where}") from None
        if good:
            return
        status = status if isinstance(status, int) else None
        raise as_error(kind, status, what, where)


def as_error(kind: str, status: int | None, what: str, where: str) -> ProviderError:
    """From the class and the HTTP status that the child tells."""
    short = child.tidy(kind) or "it says no"
    text = f"{what} failed at {where}: {short}" + (f" {status}" if status else "")
    if kind in ("ModuleNotFoundError", "ImportError"):
        return Missing(f"{what} is not installed", hint="pip install 'certbroker[lexicon]'")
    if kind == "ProviderNotAvailableError":
        return Missing(
            f"{what}: there is no such service, or it needs more packages", hint="lexicon --help lists the services"
        )
    if kind == "AuthenticationError" or status in (401, 402, 403):
        return CredentialsRejected(text, hint="look at options, and whether the zone is there", status=status)
    if status == 404:
        return Missing(text, status=status)
    if (
        kind in ("ConnectionError", "ConnectTimeout", "ReadTimeout", "SSLError")
        or status == 429
        or (status or 0) >= 500
    ):
        return Unavailable(text, status=status)
    return Rejected(text, status=status)


_PROGRAM: Final = files("certbroker.challenges") / "lexicon_child.py"
