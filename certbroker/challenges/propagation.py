"""Wait once, for all records: until every authoritative server that answers has every value.

Policy. Ready when no server that answers lacks the value or reports a failure, and two servers (all, if the zone names
fewer) have it. Servers are counted by name: one whose IPv6 address is out of reach from here is not a second opinion.
Servers that never answer are reported, not waited for beyond `PATIENCE`. A recursor is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from certbroker.challenges.lookup import Lookup, Said, Server, State
from certbroker.errors import CertbrokerError, ChallengeFailed, Unavailable
from certbroker.world import Clock

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 4.0
PATIENCE: Final = 10.0
"""Seconds that silent servers are waited for once all others agree."""
ENOUGH: Final = 2
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value that must be seen at one name on these servers."""

    id: int
    name: str
    value: str
    servers: tuple[Server, ...]
    spread: Callable[[], bool | None] = lambda: None
    """What the service itself says about all its servers; None: it does not tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What all servers said about one wanted value."""

    wanted: Wanted
    said: Mapping[Server, Said]
    spread: bool | None = None

    def has(self, server: Server) -> bool:
        return self.wanted.value in self.said[server].values

    @property
    def silent(self) -> list[Server]:
        return [s for s, said in self.said.items() if said.state in (State.UNREACHABLE, State.LAME)]

    @property
    def lacking(self) -> list[Server]:
        """The servers that answer, and without the value."""
        return [s for s in self.said if s not in self.silent and not self.has(s)]

    def ready(self, *, patient: bool) -> bool:
        """`patient`: the silent servers have been waited for long enough."""
        proven = {server.name for server in self.said if self.has(server)}
        enough = min(ENOUGH, len({server.name for server in self.said}))
        if self.lacking or not proven or self.spread is False:
            return False
        return len(proven) >= enough or patient

    def error(self) -> CertbrokerError:
        """Names each server and what it says."""
        name = self.wanted.name
        if self.lacking:
            words = "; ".join(f"{s} says {_word(self.said[s])}" for s in self.lacking[:4])
            more = len(self.lacking) - 4
            return ChallengeFailed(
                f"{name} has no TXT {self.wanted.value} yet: {words}" + (f"; and {more} more" if more > 0 else ""),
                hint=_hint([self.said[s] for s in self.lacking], name),
            )
        if self.spread is False:
            return ChallengeFailed(f"the DNS service has not distributed TXT {name} to all its servers yet")
        words = "; ".join(f"{s}: {self.said[s].state.value}" for s in self.silent[:4])
        return Unavailable(
            f"no name server of {name} shows the TXT {self.wanted.value} ({words})",
            hint=_hint([self.said[s] for s in self.silent], name),
        )


def wait(wanted: Sequence[Wanted], *, seconds: float, lookup: Lookup, clock: Clock) -> dict[int, CertbrokerError]:
    """Ask until all are there or `seconds` are over. Returns what is wrong, by the id of the wanted value.

    What was seen early is looked at once more at the end: another writer at the same name may have removed it meanwhile.
    """
    end = clock.monotonic() + seconds
    pause = FIRST_PAUSE
    agreed: dict[int, float] = {}
    missing: Mapping[int, Finding] = {}
    pending = list(wanted)
    again = False
    while pending:
        found = look(pending, lookup)
        now = clock.monotonic()
        missing = {}
        for finding in found:
            id_ = finding.wanted.id
            if not finding.lacking and any(finding.has(server) for server in finding.said):
                since = agreed.setdefault(id_, now)
            else:
                since = now
                agreed.pop(id_, None)
            if not finding.ready(patient=now - since >= PATIENCE):
                missing[id_] = finding
        if not missing:
            if len(pending) == len(wanted) or again:
                break
            pending, again = list(wanted), True
            continue
        if now >= end:
            break
        pending = [finding.wanted for finding in missing.values()]
        clock.sleep(min(pause, max(0.0, end - now)))
        pause = min(pause * 2, LONGEST_PAUSE)
    return {id_: finding.error() for id_, finding in missing.items()}


def look(wanted: Sequence[Wanted], lookup: Lookup) -> list[Finding]:
    """Ask every server about every name, in parallel; a name with two values is asked once."""
    questions = sorted({(server, one.name) for one in wanted for server in one.servers})
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        said = dict(zip(questions, pool.map(lambda question: lookup.ask(*question), questions), strict=True))
        findings = [Finding(one, {server: said[server, one.name] for server in one.servers}) for one in wanted]
        return list(pool.map(_with_spread, findings))


def _with_spread(finding: Finding) -> Finding:
    """The service is asked only when the servers agree: its calls are counted."""
    if finding.lacking or not any(finding.has(server) for server in finding.said):
        return finding
    return Finding(finding.wanted, finding.said, finding.wanted.spread())


def _word(said: Said) -> str:
    if said.state is State.YES:
        return f"{len(said.values)} other value{'s' if len(said.values) > 1 else ''}"
    return said.state.value


def _hint(said: Sequence[Said], name: str) -> str | None:
    if said and all(one.recursing for one in said):
        return "every server answers like a recursor: outbound port 53 seems to be rewritten here"
    if any(one.state is State.REFERRAL for one in said):
        return f"the delegation at or above {name} leads to servers that do not hold it: dig +trace {name} TXT"
    if any(one.state is State.CNAME for one in said):
        return f"a CNAME stands at or above {name}; nothing can be published there"
    if any(one.state is State.SERVFAIL for one in said):
        return "a server that fails for us fails for the CA too; look at its log"
    return None
