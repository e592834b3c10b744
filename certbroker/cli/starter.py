"""The file that `init` writes, and `.env.example` beside it: complete for what was found, with a word on every line."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from certbroker.cli.blanks import Blank, Choice, SecretBlank, Section, section, section_name, toml, variable_name
from certbroker.errors import UsageError
from certbroker.model import KeyType

if TYPE_CHECKING:
    from pydantic import BaseModel

_WIDTH: Final = 110
_COMMENT_AT: Final = 38


@dataclass(frozen=True, slots=True)
class Start:
    """What is known when the file is written. `looked` are findings, one a line; they become comments."""

    names: Sequence[str]
    targets: Sequence[Choice]
    solvers: Sequence[Choice]
    looked: Sequence[str] = ()
    keys: Sequence[KeyType] = (KeyType.P256,)
    agree_to_terms: bool = False
    issuers: Sequence[str] = ("letsencrypt",)
    """Presets, the preferred first."""
    solver_types: Sequence[str] = ()
    """What there is to choose from, told if no solver was chosen."""


@dataclass(frozen=True, slots=True)
class Written:
    """Two texts, and the secrets that are to be filled in."""

    toml: str
    env: str
    secrets: tuple[SecretBlank, ...]


def choice(
    text: str, *, kind: str, settings_of: Callable[[str], type[BaseModel] | None], types: Collection[str]
) -> Choice:
    """`fastly` or `fly:site-blue`. Raises UsageError with the nearest type."""
    from certbroker.config.words import unknown

    name, _, value = text.partition(":")
    settings = settings_of(name)
    if settings is None:
        raise UsageError(unknown(kind, name, types))
    return Choice(name, settings, value)


def common_keys(accepted: Sequence[tuple[KeyType, ...]]) -> tuple[KeyType, ...]:
    """The fewest key types with which every target gets one that it accepts; ECDSA P-256 where that will do."""
    keys: list[KeyType] = []
    waiting = list(accepted) or [tuple(KeyType)]
    while waiting:
        best = max(KeyType, key=lambda key: (sum(key in kinds for kinds in waiting), key is KeyType.P256))
        rest = [kinds for kinds in waiting if best not in kinds]
        if len(rest) == len(waiting):
            break
        keys.append(best)
        waiting = rest
    return tuple(keys) or (KeyType.P256,)


def render(start: Start) -> Written:
    """The texts. With a solver the file loads without a problem; what must be filled in are environment variables.

    Raises UsageError for a name that is no DNS name.
    """
    from certbroker.config.names import dns_name

    start = dataclasses.replace(start, names=tuple(dict.fromkeys(map(dns_name, start.names))))
    solvers: dict[str, Section] = {}
    for one in start.solvers:
        name = section_name(one, solvers)
        solvers[name] = section("solver", name, one)
    targets: dict[str, Section] = {}
    for one in start.targets:
        name = section_name(one, targets)
        targets[name] = section("target", name, one)
    secrets = (
        *(secret for name in start.issuers for secret in _binding_secrets(name)),
        *(secret for part in (*solvers.values(), *targets.values()) for secret in part.secrets),
    )
    text = "\n".join(
        [
            *_head(start),
            *_common(start),
            *_solvers(start, solvers),
            *(line for part in targets.values() for line in _section("target", part)),
            *_any_target(),
            *_certificate(start, targets),
            *_rest(),
        ]
    )
    return Written(text + "\n", _env(secrets), secrets)


def _head(start: Start) -> list[str]:
    looked = [line for found in start.looked for line in _comment(f"looked: {found}", hang="        ")]
    return [
        "# certbroker.toml, kept in git: it names secrets and never holds one; each is read only by the command that",
        "# needs it. Written by certbroker init; certbroker config check tells every mistake with its line.",
        *looked,
        "",
    ]


def _common(start: Start) -> list[str]:
    listed = "the preferred first; the next steps in when it does not deliver" if len(start.issuers) > 1 else ""
    return [
        _line("[defaults]", "for every certificate, unless it says otherwise"),
        _line(f"issuer = {toml(list(start.issuers))}", listed),
        _line(f"keys   = {toml([key.value for key in start.keys])}", "every target below takes one of them"),
        "",
        *(line for name in start.issuers for line in _issuer(name, agreed=start.agree_to_terms)),
    ]


def _issuer(name: str, *, agreed: bool) -> list[str]:
    from certbroker.config import PRESETS

    known = PRESETS[name]
    comment = f"a preset; {known.rehearsal} is one too, for rehearsals" if known.rehearsal else "a preset"
    terms = f"you agree to {known.terms}" if agreed else f"read {known.terms} , then say true"
    lines = [_line(f"[issuer.{name}]", comment), _line(f"agree_to_terms = {'true' if agreed else 'false'}", terms)]
    if known.binding:
        lines += ["# binds the new account to yours at the CA; not read any more once that account exists", _eab(name)]
    if name == "letsencrypt":
        said = "45 days; left out: 90 days. The CA says when to renew, either way"
        lines.append(_line('# profile = "tlsserver"', said))
    if known.rehearsal and PRESETS[known.rehearsal].binding:
        lines += ["", *_comment(f"Rehearsals need credentials of their own: {PRESETS[known.rehearsal].binding}")]
        lines += [
            f"# {line}" for line in (f"[issuer.{known.rehearsal}]", "agree_to_terms = true", _eab(known.rehearsal))
        ]
    return [*lines, ""]


def _eab(name: str) -> str:
    names = {part: {"env": variable_name(name, f"eab_{part}")} for part in ("kid", "hmac")}
    return f"eab = {toml(names)}"


def _binding_secrets(name: str) -> tuple[SecretBlank, ...]:
    """The credentials of a CA that takes only accounts that are bound to one it knows."""
    from certbroker.config import PRESETS

    if not PRESETS[name].binding:
        return ()
    told = {"kid": PRESETS[name].binding, "hmac": "comes with the kid"}
    return tuple(SecretBlank(variable_name(name, f"eab_{key}"), f"issuer {name}", how) for key, how in told.items())


def _solvers(start: Start, solvers: dict[str, Section]) -> list[str]:
    if solvers:
        return [line for part in solvers.values() for line in _section("solver", part)]
    there = ", ".join(start.solver_types)
    return [
        *_comment("No certificate can be proven without a solver: it writes the TXT records that the CA looks for."),
        *(_comment(f"There is {there}. Settings: certbroker providers, or the README.") if there else []),
        "# [solver.dns]",
        '# type = "…"',
        "",
    ]


def _section(kind: str, part: Section) -> list[str]:
    used = "used for every zone it holds" if kind == "solver" else ""
    lines = [_line(f"[{kind}.{part.name}]", used), *_table(part)]
    if not part.ready:
        note = _comment(f"{part.kind} needs values that only you know: fill them in and remove the signs in front.")
        lines = note + [line if line.startswith("#") else f"# {line}" for line in lines]
    return [*lines, ""]


def _table(part: Section) -> list[str]:
    blanks = [Blank("type", toml(part.kind), "", True), *part.blanks]
    width = max(len(blank.key) for blank in blanks if blank.live)
    lines: list[str] = []
    for blank in blanks:
        text = f"{blank.key:<{width}} = {blank.text}" if blank.live else f"# {blank.key} = {blank.text}"
        lines += _told(text, blank.comment)
    return lines


def _any_target() -> list[str]:
    return [
        "# Every target may also have",
        _line('# edges     = ["192.0.2.10"]', "addresses to look at besides those it names itself"),
        _line("# standby   = true", "DNS does not point there: proven all the same, told apart"),
        _line('# deadline  = "60m"', "how long its edges may take before that is a failure"),
        _line('# ownership = "publish"', 'records it asks for go through the solver; "print" only tells you'),
        "",
    ]


def _certificate(start: Start, targets: dict[str, Section]) -> list[str]:
    ready = [name for name, part in targets.items() if part.ready]
    later = [name for name, part in targets.items() if not part.ready]
    some = start.names[0] if start.names else "example.com"
    return [
        "[certificate.main]",
        f"names   = {toml(list(start.names))}",
        _line(f"targets = {toml(ready)}", f"then also: {', '.join(later)}" if later else ""),
        f"# where a target serves fewer names: {{ target = {toml((ready + later + ['NAME'])[0])}, names = [{toml(some)}] }}",
        "",
        "# Many names of one kind: a certificate for each entry, so that a lapsed domain holds up no other",
        "# [certificate.vanity]",
        '# each    = ["podcast.example", "radio.example"]',
        '# names   = ["{each}", "www.{each}"]',
        f"# targets = {toml(ready)}",
        "",
    ]


def _rest() -> list[str]:
    return [
        _line("# [store]", "what is known; left out: SQLite in your state folder"),
        _line('# url = { env = "CERTBROKER_STORE" }', "postgresql://…, when two machines share it"),
        "",
        _line("# [vault]", "opens the sealed private keys; left out: vault.key in your config folder"),
        _line('# key = "systemd:vault"', 'or "file:PATH", "env:NAME"'),
        "",
        _line("# [schedule]", "what cron or the timer does, so that a renewal is not too late"),
        '# every = "1h"',
        _line("# keep  = 3", "versions of each certificate that stay in the store"),
    ]


def _env(secrets: Sequence[SecretBlank]) -> str:
    lines = [
        "# Copy to .env, fill in, keep it out of git. One file for systemd (EnvironmentFile=), a shell (set -a; . ./.env)",
        "# and op run --env-file. Above each secret stands what makes it, with the least rights that will do.",
    ]
    for secret in secrets:
        told = f"{secret.owner}: {secret.how}" if secret.how else secret.owner
        lines += ["", *_comment(told), f"{secret.variable}="]
    return "\n".join(lines) + "\n"


def _told(text: str, comment: str) -> list[str]:
    """A line with its comment beside it, or above it where that would be too long."""
    beside = _line(text, comment)
    return [beside] if len(beside) <= _WIDTH + 10 else [*_comment(comment), text]


def _line(text: str, comment: str) -> str:
    comment = _printable(comment)
    return f"{text:<{_COMMENT_AT}} # {comment}" if comment else text


def _comment(text: str, *, hang: str = "") -> list[str]:
    return textwrap.wrap(
        _printable(text),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent=f"# {hang}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """A comment cannot end its line early, whoever wrote it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
