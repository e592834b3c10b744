"""A year of hourly runs: the real planner, policy and drawing of moments, with a CA that is a few lines of arithmetic.

The runs come hourly with jitter, one in twenty is missed, and the CA is away for 36 hours. What is asked of the outcome: no
certificate expires, hardly more orders than there must be, and renewals inside the window that the CA suggests, for only
they are exempt from its limits.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from certbroker import policy
from certbroker.facts import Facts, VariantFacts
from certbroker.issuer import ari
from certbroker.issuer.windows import AWAY
from certbroker.model import Certificate, KeyType, Lifetime, Version, Window
from certbroker.plan import Selection, due_next, plan
from tests.clock import START

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
EVERY = HOUR
KEY = KeyType.P256
LIFETIMES = {"90 days": timedelta(days=90), "45 days": timedelta(days=45), "160 hours": timedelta(hours=160)}
CERTIFICATES = 200
"""So many in all, of the three lifetimes in turn."""

BACKDATED = HOUR


@dataclass
class Served:
    """One certificate, as the store would know it, and what became of it."""

    certificate: Certificate
    life: timedelta
    outage: Lifetime
    known: VariantFacts = field(default_factory=VariantFacts)
    orders: int = 0
    inside: int = 0
    outside: int = 0
    in_outage: int = 0
    expired: bool = False


def suggested(version: Version) -> tuple[datetime, datetime]:
    """As boulder does: 1 % of the life to both sides of two thirds of it, of a half if it is shorter than ten days."""
    life = version.lifetime
    middle = life.at(1 / 2 if life.length < timedelta(days=10) else 2 / 3)
    return middle - life.length / 100, middle + life.length / 100


def away(served: Served, now: datetime) -> bool:
    return served.outage.starts <= now < served.outage.ends


def runs(chance: random.Random, length: timedelta) -> Iterator[datetime]:
    """Hourly, up to ten minutes late, one in twenty not at all."""
    for number in range(round(length / EVERY)):
        if chance.random() >= 0.05:
            yield START + number * EVERY + timedelta(minutes=chance.uniform(0, 10))


def facts(served: Served, now: datetime) -> Facts:
    return Facts(now, EVERY, served.certificate, {KEY: served.known}, {})


def look(served: Served, now: datetime, chance: random.Random) -> datetime:
    """What a run does with a certificate that is due; returns when it is due again."""
    _ask(served, now, chance)
    for _ in plan(facts(served, now), Selection()).orders:
        _order(served, now)
    return due_next(facts(served, now))


def _ask(served: Served, now: datetime, chance: random.Random) -> None:
    have, old = served.known.wanted, served.known.window
    if have is None or not policy.time_to_ask(old, served.known.finalized, now):
        return
    window: Window | None
    if away(served, now):
        window = None if old is None else ari.unheard(old, now, AWAY.total_seconds())
    else:
        asked = 6 * 3600 * chance.uniform(0.8, 1.2)
        window = ari.heard(old, ari.Suggestion(*suggested(have), None), have.id, now, asked, chance, EVERY)
    served.known = replace(served.known, window=window)


def _order(served: Served, now: datetime) -> None:
    known, have = served.known, served.known.wanted
    if away(served, now):
        failures = known.failures + 1
        left = have.lifetime.ends - now if have else None
        again = now + policy.order_backoff(failures, left=left)
        served.known = replace(known, failures=failures, try_again=again, error="away")
        return
    if have is not None:
        start, end = suggested(have)
        served.expired |= now >= have.lifetime.ends
        if served.outage.starts <= end and start <= served.outage.ends:
            served.in_outage += 1
        elif start <= now < end:
            served.inside += 1
        else:
            served.outside += 1
    served.orders += 1
    starts = now - BACKDATED
    made = Version(
        id=served.orders,
        certificate=served.certificate.name,
        key_type=KEY,
        number=served.orders,
        issuer="le",
        profile=None,
        fingerprint="ab" * 32,
        serial=served.orders,
        issued_by="CA",
        names=served.certificate.names,
        lifetime=Lifetime(starts, starts + served.life),
        chain_pem="",
        roots_pem=None,
        trusted=True,
    )
    served.known = VariantFacts(wanted=made, finalized=now)


def played(seed: int, lives: Sequence[timedelta], outage: Lifetime, length: timedelta) -> list[Served]:
    """So many certificates through that time. The CA is away in the outage."""
    chance = random.Random(seed)
    everything = [
        Served(Certificate(f"c{n}", (f"n{n}.example",), (KEY,), ("le",), ()), lives[n % len(lives)], outage)
        for n in range(CERTIFICATES)
    ]
    due = [(START + timedelta(hours=chance.uniform(0, 100)), n) for n in range(CERTIFICATES)]
    heapq.heapify(due)
    for now in runs(chance, length):
        later = []
        while due and due[0][0] <= now:
            _, n = heapq.heappop(due)
            later.append((look(everything[n], now, chance), n))
        for each in later:
            heapq.heappush(due, each)
    for served in everything:
        assert served.known.wanted is not None
        served.expired |= served.known.wanted.lifetime.ends <= START + length
    return everything


@pytest.mark.parametrize("seed", [1])
def test_a_year_of_hourly_runs_lets_nothing_expire_and_lands_inside_the_windows(seed: int) -> None:
    down = START + timedelta(days=170)
    everything = played(seed, list(LIFETIMES.values()), Lifetime(down, down + 36 * HOUR), YEAR)
    for label, life in LIFETIMES.items():
        mine = [served for served in everything if served.life == life]
        orders = sum(served.orders for served in mine) / len(mine)
        ideal = YEAR / (life * (1 / 2 if life < timedelta(days=10) else 2 / 3) - BACKDATED)
        inside, outside = sum(s.inside for s in mine), sum(s.outside for s in mine)
        share = inside / (inside + outside)
        print(  # noqa: T201 - the figure that is asked for
            f"{label}: {len(mine)} certificates, {orders:.2f} orders each, ideal {ideal:.2f} ({orders / ideal:.3f}), "
            f"{share:.2%} of {inside + outside} renewals inside the window, {sum(s.in_outage for s in mine)} met the outage"
        )
        assert not any(served.expired for served in mine), label
        assert orders <= 1.2 * ideal, label
        assert share > 0.95, label


def test_a_ca_that_is_away_nearly_until_the_end_is_back_in_time() -> None:
    """A window of 160 hours lies around the middle: 75 hours later five are left, and they are found."""
    down = START + timedelta(days=15)
    outage = Lifetime(down, down + 75 * HOUR)
    everything = played(2, [LIFETIMES["160 hours"]], outage, timedelta(days=30))
    assert not any(served.expired for served in everything)
