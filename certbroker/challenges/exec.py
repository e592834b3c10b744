"""A program of the owner's that writes the TXT: for DNS that nothing else here speaks to.

    [solver.hook]
    type    = "exec"
    program = ["/usr/local/bin/dns-hook"]
    environ = ["DNS_API_URL"]                     # passed on besides PATH, HOME and LANG
    secrets = { DNS_API_KEY = { file = "~/.dns-key" } }

It is called once to add a value and once to remove it, never twice at a time. Exit code 0 means done.

| style | called as | told in the environment |
| --- | --- | --- |
| `certbroker` | `PROGRAM present` / `PROGRAM cleanup` | `CERTBROKER_NAME` (full name, no final dot), `CERTBROKER_ZONE`, `CERTBROKER_VALUE`; in cleanup `CERTBROKER_HANDLE`: what `present` printed |
| `lego` | `PROGRAM present NAME. VALUE` / `PROGRAM cleanup NAME. VALUE` | |
| `dehydrated` | `PROGRAM deploy_challenge DOMAIN - VALUE` / `PROGRAM clean_challenge …` | |
| `certbot` | `program` and `cleanup` are shell commands | `CERTBOT_DOMAIN`, `CERTBOT_VALIDATION` …; in cleanup `CERTBOT_AUTH_OUTPUT` |

certbot and dehydrated hooks put `_acme-challenge.` before DOMAIN themselves, so they serve no other names. lego's raw mode is not
offered: it needs the account's key authorization. Unlike in certbot, a hook that fails is an error.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from certbroker.challenges import child
from certbroker.challenges.solver import SolverContext, try_writing
from certbroker.config import Puts
from certbroker.errors import Rejected
from certbroker.model import Standing
from certbroker.names import within
from certbroker.secret import Secret, SecretRef, expand

CHALLENGE: Final = "_acme-challenge."
MOST_HANDLE: Final = 4096
ALWAYS: Final = ("PATH", "HOME", "LANG")


class ExecSettings(BaseModel):
    """`[solver.NAME]` with `type = "exec"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    program: list[str] = Field(
        min_length=1,
        description="the program and its first words; certbot: one shell command",
        examples=[["/usr/local/bin/dns-hook"]],
    )
    style: Literal["certbroker", "lego", "certbot", "dehydrated"] = "certbroker"
    cleanup: str | None = Field(default=None, description="certbot only: the shell command that removes the value")
    environ: list[str] = Field(default=[], description="names of environment variables to pass on")
    secrets: dict[str, SecretRef] = Field(default={}, description="environment variables to fill with secrets")
    seconds: float = Field(default=120.0, gt=0, le=3600, description="how long one call may take")

    @field_validator("program", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_style(self) -> Self:
        if self.style == "certbot" and len(self.program) != 1:
            raise ValueError("certbot hooks are one shell command: program is one text")
        if self.style != "certbot" and self.cleanup is not None:
            raise ValueError("cleanup belongs to style certbot; other programs are called again")
        return self


class ExecSolver:
    """One call at a time: hooks were written for clients that work so."""

    settings: ClassVar[type[BaseModel]] = ExecSettings
    puts: ClassVar[Puts] = "txt"
    walks: ClassVar[bool] = True

    def __init__(self, settings: ExecSettings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        return cls(settings, context)

    def zone_for(self, name: str) -> str | None:
        """The zone named in the file, else the one that DNS says."""
        if self._context.zones:
            return within(name, self._context.zones)
        return self._context.lookup.zone_of(name)

    def present(self, zone: str, name: str, value: str) -> str:
        """The handle is what the program printed (after a mark that keeps it apart from other handles)."""
        output = self._run("present", zone, name, value, "")
        return "exec:" + output.strip()[:MOST_HANDLE]

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        self._run("cleanup", zone, name, value, (handle or "").removeprefix("exec:"))

    def check(self, *, write: bool = False) -> Standing:
        program = self._settings.program[0].split()[0]
        remarks = []
        if write:
            if self._settings.style in ("certbot", "dehydrated"):
                remarks.append(f"hooks of style {self._settings.style} write challenges only: not tried")
            elif not self._context.zones:
                remarks.append("the file names no zones for it, so it was not tried")
            else:
                remarks += [try_writing(self, zone, self._context.random) for zone in self._context.zones]
        return Standing(program, reach=", ".join(self._context.zones), remarks=tuple(remarks))

    def _run(self, operation: Literal["present", "cleanup"], zone: str, name: str, value: str, handle: str) -> str:
        call = self._call(operation, zone, name, value, handle)
        if call is None:
            return ""
        argv, told = call
        given = self._context.environ
        secrets = {key: self._context.resolve(ref) for key, ref in self._settings.secrets.items()}
        passed = {key: given[key] for key in (*ALWAYS, *self._settings.environ) if key in given}
        env = passed | {key: secret.reveal() for key, secret in secrets.items()} | told
        what = f"the program {self._settings.program[0].split()[0]}"
        with self._lock:
            seconds = self._context.seconds(self._settings.seconds, what)
            done = child.run(argv, env=env, cwd=self._context.cwd, seconds=seconds, what=what)
        if done.code:
            hidden = [*secrets.values(), *(Secret(given[key]) for key in self._settings.environ if key in given)]
            said = done.words(hidden)
            ended = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
            raise Rejected(f"{what} ended with {ended} at {operation} of {name}" + (f': "{said}"' if said else ""))
        return _without(done.out, secrets.values())

    def _call(
        self, operation: Literal["present", "cleanup"], zone: str, name: str, value: str, handle: str
    ) -> tuple[list[str], dict[str, str]] | None:
        """The words and the variables of one call; None if there is nothing to call."""
        program = [expand(self._settings.program[0], self._context.environ), *self._settings.program[1:]]
        match self._settings.style:
            case "lego":
                return [*program, operation, f"{name}.", value], {}
            case "dehydrated":
                word = "deploy_challenge" if operation == "present" else "clean_challenge"
                return [*program, word, self._domain(name), "-", value], {}
            case "certbot":
                domain = self._domain(name)
                command = program[0] if operation == "present" else self._settings.cleanup
                told = {
                    "CERTBOT_DOMAIN": domain,
                    "CERTBOT_IDENTIFIER": domain,
                    "CERTBOT_VALIDATION": value,
                    "CERTBOT_ALL_DOMAINS": domain,
                    "CERTBOT_ALL_IDENTIFIERS": domain,
                    "CERTBOT_REMAINING_CHALLENGES": "0",
                }
                if operation == "cleanup":
                    told["CERTBOT_AUTH_OUTPUT"] = handle
                return (["/bin/sh", "-c", command], told) if command is not None else None
        told = {"CERTBROKER_NAME": name, "CERTBROKER_ZONE": zone, "CERTBROKER_VALUE": value}
        if operation == "cleanup":
            told["CERTBROKER_HANDLE"] = handle
        return [*program, operation], told

    def _domain(self, name: str) -> str:
        if not name.startswith(CHALLENGE):
            raise Rejected(
                f"a hook of style {self._settings.style} cannot write {name}: it puts {CHALLENGE} before a domain itself",
                hint='use style "lego" or "certbroker", which are told the whole name',
            )
        return name.removeprefix(CHALLENGE)


def _without(output: str, secrets: Iterable[Secret]) -> str:
    """A handle lies in the store in the clear: what a talkative program says of its secrets does not."""
    for secret in secrets:
        if len(secret.reveal()) > 7:
            output = output.replace(secret.reveal(), "…")
    return output
