"""The first page: the truth in one line, what needs somebody, and a page of certificates, those to be seen to first leading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from certbroker.config import Config
from certbroker.notices import Condition, Kind
from certbroker.serving import Cell, Stand, Standing
from certbroker.standing.conditions import conditions
from certbroker.standing.facts import Facts
from certbroker.standing.gathering import gather
from certbroker.standing.orphans import Orphan
from certbroker.standing.words import minute
from certbroker.store import Store, TallyRow

PAGE: Final = 25
"""Certificates on one page."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at a glance, as the store last knew it."""

    now: datetime
    line: str
    """The truth in one sentence, or two."""
    conditions: tuple[Condition, ...]
    """What needs somebody, or is worth a look."""
    targets: tuple[str, ...]
    """The columns, in the file's order."""
    standby: frozenset[str]
    """Those that users are not sent to."""
    rows: tuple[Standing, ...]
    """One page, as they stand at `now`."""
    total: int
    """Certificates on all pages."""
    offset: int
    counts: Mapping[Stand, int]
    """Certificates by how they stand."""
    edges: int
    """Edges that answered, where users are sent."""
    proven: int
    """Of them, those that serve something valid."""
    looked_at: datetime | None
    held: Mapping[str, tuple[str, ...]]
    """Of the certificates on this page, those that are due and put off, in words; what is put off too long is a condition."""
    orphans: tuple[Orphan, ...]
    steps: tuple[str, ...]
    """What to type first, where nothing stands yet."""

    @property
    def gone(self) -> list[Orphan]:
        """The orphans that no condition tells."""
        return untold(self.orphans, self.conditions)


def overview(
    store: Store, config: Config, now: datetime, *, offset: int = 0, size: int = PAGE, needle: str = ""
) -> Overview:
    """A page of `size` certificates from `offset` on, of all or of those whose name holds `needle`. Raises StoreError."""
    facts = gather(store, config, now)
    told = conditions(facts)
    tally = store.standing_tally()
    counts = Counter({row.stand: row.many for row in tally if not row.target})
    standby = frozenset(name for name, target in config.targets.items() if target.standby)
    facing = [row for row in tally if row.target and row.target not in standby]
    found = (
        store.named_standings(needle, offset=offset, limit=size)
        if needle
        else store.standings(now, offset=offset, limit=size)
    )
    rows = [as_of(each, now) for each in found]
    total = counts.total() if not needle else store.count_named(needle)
    new = [] if store.knows(config.digest) else store.undeclared(config.certificates)
    if new:
        named = [name for name in new if needle in name]
        start = max(0, offset - total)
        rows += [_unknown(config, name) for name in named[start : start + size - len(rows)]]
        total += len(named)
        counts[Stand.UNISSUED] += len(new)
    edges = sum(row.edges for row in facing)
    over = [cell for name in facts.overdue for cell in facts.standings[name].cells if cell.target not in standby]
    proven = sum(row.proven for row in facing)
    proven -= sum(cell.proven for cell in over if cell.until is not None and cell.until <= now)
    looked = store.last_look()
    return Overview(
        now=now,
        line=_line(store, counts, tally, facts, told, edges=edges, proven=proven, looked=looked),
        conditions=told,
        targets=tuple(config.targets),
        standby=standby,
        rows=tuple(rows),
        total=total,
        offset=offset,
        counts=dict(counts),
        edges=edges,
        proven=proven,
        looked_at=looked,
        held=_held(facts, told, {row.certificate for row in rows}),
        orphans=tuple(facts.orphans),
        steps=_steps(config, counts),
    )


def _held(facts: Facts, told: Sequence[Condition], shown: Collection[str]) -> dict[str, tuple[str, ...]]:
    late = {name for each in told if each.kind is Kind.HOLD for name in each.certificates}
    found: dict[str, list[str]] = {}
    for each in facts.held:
        if each.certificate in shown and each.certificate not in late:
            found.setdefault(each.certificate, []).append(each.words())
    return {name: tuple(dict.fromkeys(words)) for name, words in found.items()}


def untold(orphans: Iterable[Orphan], conditions: Iterable[Condition]) -> list[Orphan]:
    """Those that no condition tells."""
    told = {each.key for each in conditions}
    return [each for each in orphans if each.kind != "certificate" or f"{Kind.ORPHAN}/{each.name}" not in told]


def as_of(standing: Standing, now: datetime) -> Standing:
    """How it stands at `now`: what ended meanwhile is broken, and what is past its last safe moment is not fine."""
    cells = tuple(_cell_as_of(cell, now) for cell in standing.cells)
    if standing.until is not None and standing.until <= now and standing.stand.rank > Stand.BROKEN.rank:
        words = f"what is served ended {minute(standing.until)}"
        return replace(standing, stand=Stand.BROKEN, words=words, since=standing.until, cells=cells)
    if standing.ends is not None and standing.ends <= now and standing.stand.rank > Stand.FAILING.rank:
        words = f"{standing.wanted} ended {minute(standing.ends)}"
        return replace(standing, stand=Stand.FAILING, words=words, since=standing.ends, cells=cells)
    if standing.act_by is not None and standing.act_by <= now and standing.stand.fine:
        words = f"its last safe moment was {minute(standing.act_by)}"
        return replace(standing, stand=Stand.FAILING, words=words, since=standing.act_by, cells=cells)
    return replace(standing, cells=cells)


def _cell_as_of(cell: Cell, now: datetime) -> Cell:
    if cell.until is None or cell.until > now or cell.stand is Stand.BROKEN:
        return cell
    return replace(cell, stand=Stand.BROKEN, words=f"what is served ended {minute(cell.until)}", since=cell.until)


def needs(told: Collection[Condition]) -> list[Condition]:
    """Those that need somebody; the rest is only worth a look."""
    return [each for each in told if each.state != "warn"]


def _unknown(config: Config, name: str) -> Standing:
    """In the file, and no run has seen it there."""
    certificate = config.certificates[name]
    cells = tuple(
        Cell(
            certificate=name,
            target=each.target,
            stand=Stand.MISSING,
            standby=config.targets[each.target].standby,
            wanted="",
            served="",
            words="not pushed yet",
            since=None,
            until=None,
            act_by=None,
            hint="",
            failures=0,
            edges=0,
            proven=0,
        )
        for each in sorted(certificate.assignments, key=lambda each: each.target)
    )
    return Standing(
        certificate=name,
        stand=Stand.UNISSUED,
        wanted="",
        words="new in the file; the next renew sees to it",
        since=None,
        until=None,
        ends=None,
        renews=None,
        act_by=None,
        revoked_at=None,
        length=None,
        took=None,
        places=len(cells),
        served=0,
        cells=cells,
    )


# ---- the line of truth -------------------------------------------------------------------------------------------------


def _line(
    store: Store,
    counts: Counter[Stand],
    tally: Sequence[TallyRow],
    facts: Facts,
    told: Sequence[Condition],
    *,
    edges: int,
    proven: int,
    looked: datetime | None,
) -> str:
    total = counts.total()
    fine = sum(many for found, many in counts.items() if found.fine)
    if not total:
        return "The file declares no certificate yet."
    if not any(row.target for row in tally) and not fine:
        return f"{_many(total, 'certificate')} in the file, nothing is issued yet."
    open_, now = needs(told), facts.now
    if fine == total and not facts.overdue:
        said = _all_fine(total, tally)
    elif edges:
        said = f"Users get a valid certificate at {proven} of {_many(edges, 'edge')}"
        said += f" (looked at {minute(looked)})." if looked else "."
    else:
        said = (
            "The certificate is not where it should be."
            if total == 1
            else f"{fine:,} of {total:,} certificates are where they should be."
        )
    if open_:
        first = min((each.act_by for each in open_ if each.act_by), default=None)
        said += f" {len(open_)} {'thing needs' if len(open_) == 1 else 'things need'} somebody"
        if first is not None:
            said += f" by {minute(first)}" if first > now else f" now: the last safe moment was {minute(first)}"
        return said + "."
    coming = store.next_to_renew()
    if coming is None or coming.renews is None:
        return said
    return f"{said} Next renewal: {coming.certificate}, {when(coming.renews, now)}."


def _all_fine(total: int, tally: Sequence[TallyRow]) -> str:
    """`All 14 certificates are served by all 37 targets.` What was only delivered is never called served."""
    delivered = {row.target for row in tally if row.target and row.stand is Stand.DELIVERED}
    served = {row.target for row in tally if row.target} - delivered
    who, them = ("The certificate is", "it") if total == 1 else (f"All {total:,} certificates are", "them")
    if not served and not delivered:
        return f"{who} issued; no target is to serve {them}."
    if not delivered:
        return f"{who} served by {f'all {len(served)} targets' if len(served) > 1 else 'the target'}."
    if not served:
        where = f"all {len(delivered)} targets" if len(delivered) > 1 else "the target"
        return f"{who} delivered to {where}; nobody can look."
    return f"{who} served by {_many(len(served), 'target')} and delivered to {len(delivered)}, where nobody can look."


def when(moment: datetime, now: datetime) -> str:
    """`due now`, `today 02:10 UTC`, `tomorrow 02:10 UTC`, else with day and month."""
    days = (moment.date() - now.date()).days
    if moment <= now:
        return "due now"
    return f"{'today' if days == 0 else 'tomorrow'} {moment:%H:%M} UTC" if days < 2 else minute(moment)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _steps(config: Config, counts: Mapping[Stand, int]) -> tuple[str, ...]:
    """What a newcomer does next: nothing was ever issued."""
    if any(many for found, many in counts.items() if found is not Stand.UNISSUED):
        return ()
    if not config.certificates:
        return ("add [certificate.NAME] to the file", "certbroker config check")
    name = next(iter(config.certificates))
    return ("certbroker check", f"certbroker issue {name} --staging", "certbroker plan", "certbroker renew")
