"""A CA's buckets as arithmetic: who may order now, who waits and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import headroom
from certbroker.limits import LETSENCRYPT, Bucket, Ledger, Level, Taken, Told
from certbroker.model import KeyType
from certbroker.steps import Exemption, Hold, Order
from tests.clock import START

HOUR = timedelta(hours=1)
SMALL = Bucket(10, 10 * HOUR)
"""One an hour comes back; one is kept back."""


def level(*spent: datetime) -> Level:
    """SMALL, after these were taken."""
    made = Level(SMALL)
    for moment in spent:
        made.take(moment)
    return made


def order(
    number: int = 0, *, domain: str = "", latest: datetime | None = None, exempt: Exemption | None = None
) -> Order:
    name = f"n{number}.{domain or f'd{number}.example'}"
    return Order(f"c{number}", KeyType.P256, "le", (name,), "never issued", latest=latest, exempt=exempt)


def ledger(*taken: Taken, told: tuple[Told, ...] = (), **changes: Bucket) -> Ledger:
    published = replace(LETSENCRYPT, **changes)
    names = {name for each in taken for name in each.names} | {f"n{n}.d{n}.example" for n in range(400)}
    return Ledger("le", published, taken, told, {name: ".".join(name.split(".")[1:]) for name in names})


def taken(number: int, at: datetime = START, **changes: object) -> Taken:
    made = Taken(at, frozenset(order(number).names))
    return replace(made, **changes)  # type: ignore[arg-type]


def rationed(orders: list[Order], known: Ledger, now: datetime = START) -> list[Order | Hold]:
    """By the one issuer that they are all for."""
    return headroom.spread(orders, lambda *_: known, now, HOUR)


def held(orders: list[Order], known: Ledger, now: datetime = START) -> dict[str, Hold]:
    return {hold.certificate: hold for hold in rationed(orders, known, now) if isinstance(hold, Hold)}


# ---- one bucket --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "hours", "free"), [(0, 0, 10), (3, 0, 7), (3, 2, 9), (3, 50, 10), (10, 0, 0), (10, 0.5, 0), (10, 1, 1)]
)
def test_it_is_full_at_first_and_fills_again_one_by_one(spent: int, hours: float, free: int) -> None:
    assert level(*[START] * spent).free(START + hours * HOUR) == free


def test_it_says_when_one_more_can_be_taken() -> None:
    assert level(*[START] * 9).again(START) == START
    assert level(*[START] * 10).again(START) == START + HOUR
    assert level(*[START] * 10).again(START, keep=1) == START + 2 * HOUR
    assert level(*[START] * 10).again(START + HOUR / 2) == START + HOUR


@given(st.lists(st.floats(min_value=0, max_value=40), max_size=40), st.integers(min_value=0, max_value=9))
def test_at_the_moment_it_says_there_is_one_more_and_not_before(hours: list[float], keep: int) -> None:
    spent = sorted(START + each * HOUR for each in hours)
    now = max(spent, default=START)
    full = level(*spent)
    at = full.again(now, keep)
    assert full.free(at + timedelta(milliseconds=1)) >= keep + 1
    if at > now:
        assert full.free(at - timedelta(seconds=1)) <= keep
    assert at - now <= SMALL.period * (keep + 1) / SMALL.size + timedelta(milliseconds=1)


# ---- who may order -----------------------------------------------------------------------------------------------------


def test_a_run_orders_up_to_the_reserve_and_spreads_the_rest() -> None:
    orders = [order(n) for n in range(13)]
    waits = held(orders, ledger(orders=SMALL))
    assert sorted(waits) == ["c10", "c11", "c12", "c9"]
    assert [waits[f"c{n}"].until for n in (9, 10, 11, 12)] == [START + hours * HOUR for hours in (1, 2, 3, 4)]
    assert "waits for the limits of le: 10 orders in 10 h" in waits["c9"].why
    assert not waits["c9"].failed


def test_what_cannot_wait_takes_the_reserve_and_comes_first() -> None:
    orders = [*[order(n) for n in range(9)], order(9, latest=START)]
    assert sorted(held(orders, ledger(orders=SMALL))) == ["c8"]


@pytest.mark.parametrize("spent", [0, 9, 10, 300])
def test_no_renewal_is_put_off_beyond_its_last_safe_moment(spent: int) -> None:
    known = ledger(*[taken(n) for n in range(spent)], orders=SMALL)
    assert held([order(399, latest=START - HOUR)], known) == {}
    for hours in (0.5, 1.0, 200.0):
        latest = START + hours * HOUR
        for hold in held([order(399, latest=latest)], known).values():
            assert hold.until is not None
            assert hold.until <= latest


@given(
    st.lists(st.one_of(st.none(), st.integers(min_value=-5, max_value=30)), min_size=1, max_size=40),
    st.lists(st.integers(min_value=0, max_value=20), max_size=20),
)
def test_whatever_was_ordered_nothing_waits_too_long_and_the_reserve_stays(
    latest: list[int | None], hours: list[int]
) -> None:
    orders = [order(n, latest=None if each is None else START + each * HOUR) for n, each in enumerate(latest)]
    known = ledger(*[taken(100 + n, START - each * HOUR) for n, each in enumerate(hours)], orders=SMALL)
    answers = rationed(orders, known)
    patient = [a for a in answers if isinstance(a, Order) and (a.latest is None or a.latest > START)]
    urgent = [a for a in answers if isinstance(a, Order) and a not in patient]
    assert len(answers) == len(orders)
    assert {o.certificate for o in urgent} == {
        o.certificate for o in orders if o.latest is not None and o.latest <= START
    }
    for wanted, answer in zip(orders, answers, strict=True):
        assert answer.certificate == wanted.certificate
        if isinstance(answer, Hold):
            assert answer.until is not None
            assert START < answer.until <= (wanted.latest or answer.until)
    if patient:
        before = sorted(START - each * HOUR for each in hours)
        assert level(*before, *[START] * (len(patient) + len(urgent))).free(START) >= SMALL.reserve


def test_a_domain_has_a_bucket_of_its_own() -> None:
    orders = [order(n, domain="shop.example") for n in range(46)]
    known = replace(ledger(), domains={o.names[0]: "shop.example" for o in orders})
    waits = held(orders, known)
    assert sorted(waits) == ["c45"]
    assert "50 certificates for shop.example in a week" in waits["c45"].why


def test_who_waits_for_one_domain_holds_up_nobody_else() -> None:
    orders = [*[order(n, domain="shop.example") for n in range(47)], order(100), order(101)]
    known = replace(ledger(), domains={o.names[0]: ".".join(o.names[0].split(".")[1:]) for o in orders})
    waits = held(orders, known)
    assert sorted(waits) == ["c45", "c46"]
    one = LETSENCRYPT.domain.one
    assert [waits[name].until for name in ("c45", "c46")] == [START + one, START + 2 * one]


def test_ten_thousand_wait_in_turn() -> None:
    waits = held([order(n) for n in range(10_000)], ledger())
    assert len(waits) == 10_000 - 270
    assert waits["c9999"].until == START + 9_730 * LETSENCRYPT.orders.one


def test_the_same_names_are_certified_a_few_times_a_week_and_no_more() -> None:
    many = [taken(1, START - n * HOUR, exempt="names") for n in range(4)]
    assert "5 certificates for the same names" in held([order(1, exempt="names")], ledger(*many))["c1"].why
    assert held([order(1, exempt="names", latest=START)], ledger(*many)) == {}
    assert held([order(1, exempt="window")], ledger(*many)) == {}


def test_a_renewal_inside_its_window_takes_nothing_and_one_for_the_same_names_little() -> None:
    full = [taken(n) for n in range(300)]
    assert sorted(held([order(1), order(2, exempt="names"), order(3, exempt="window")], ledger(*full))) == ["c1"]
    inside = [taken(n, exempt="window") for n in range(300)]
    assert held([order(1)], ledger(*inside)) == {}


def test_failed_orders_count_for_the_account_and_failed_proofs_for_their_name() -> None:
    name = order(1).names[0]
    failed = [taken(1, failed=True, unproven=(name,)) for _ in range(5)]
    assert f"5 failed proofs of {name} in 1 h" in held([order(1)], ledger(*failed))["c1"].why
    assert held([order(2)], ledger(*failed)) == {}
    assert headroom.cost([], ledger(*failed), START) == "5 of 300 orders in 3 h, 0 of 50 per domain in a week"


# ---- where it may order --------------------------------------------------------------------------------------------------

EVERY = HOUR


def chain(number: int, *issuers: str, latest: datetime | None = None) -> Order:
    """An order to the first of them, or else to the next."""
    first, *others = issuers
    rest = chain(number, *others, latest=latest) if others else None
    return replace(order(number, latest=latest), issuer=first, otherwise=rest)


def spread(orders: list[Order], **ledgers: Ledger) -> list[Order | Hold]:
    def ledger_of(issuer: str, _: Sequence[Order]) -> Ledger:
        return replace(ledgers.get(issuer, Ledger(issuer)), issuer=issuer)

    return headroom.spread(orders, ledger_of, START, EVERY)


def places(answers: list[Order | Hold]) -> list[str]:
    return [answer.issuer if isinstance(answer, Order) else f"waits for {answer.awaited}" for answer in answers]


def full(tokens_back_in: int = 1) -> Ledger:
    """No room for what can wait, for so many hours."""
    return ledger(*[taken(100 + n) for n in range(8 + tokens_back_in)], orders=SMALL)


@pytest.mark.parametrize(
    ("hours", "place"),
    [(None, "second"), (-1, "first"), (0, "first"), (2.5, "second"), (3, "waits for first"), (900, "waits for first")],
)
def test_what_cannot_wait_for_the_first_goes_to_the_second(hours: float | None, place: str) -> None:
    """One comes back in an hour, and two runs are to spare after that. What is late is asked of the first, as ever."""
    latest = None if hours is None else START + hours * HOUR
    assert places(spread([chain(1, "first", "second", latest=latest)], first=full())) == [place]


def test_who_steps_in_is_told_with_the_limit_and_its_end() -> None:
    [answer] = spread([chain(1, "first", "second")], first=full())
    assert isinstance(answer, Order)
    assert answer.instead == ("first has no room before Mon 23 Nov 10:00 UTC (10 orders in 10 h); second steps in")
    assert answer.otherwise is None


def test_as_many_as_fit_stay_at_the_first_and_each_is_asked_once() -> None:
    answers = spread(
        [chain(n, "first", "second", "third") for n in range(23)],
        first=ledger(orders=SMALL),
        second=ledger(orders=SMALL),
    )
    assert places(answers) == ["first"] * 9 + ["second"] * 9 + ["third"] * 5


def test_where_nobody_has_room_it_waits_for_the_first_that_has() -> None:
    never = chain(1, "first", "second", "third")
    assert places(spread([never], first=full(3), second=full(1), third=full(2))) == ["waits for second"]
    assert places(spread([never], first=full(1), second=full(3), third=full(2))) == ["waits for first"]


def test_a_name_whose_proofs_fail_is_not_taken_elsewhere() -> None:
    wanted = chain(1, "first", "second")
    failed = [taken(1, failed=True, unproven=wanted.names) for _ in range(5)]
    assert places(spread([wanted], first=ledger(*failed))) == ["waits for first"]


def test_without_a_second_it_waits() -> None:
    assert places(spread([order(1)], le=full())) == ["waits for le"]


def test_what_the_ca_has_already_takes_nothing_and_does_not_wait() -> None:
    begun = replace(order(1), begun=True)
    answers = spread([begun, order(2)], le=ledger(*[taken(100 + n) for n in range(8)], orders=SMALL))
    assert places(answers) == ["le", "le"]


@given(
    st.lists(
        st.tuples(st.sampled_from([("a",), ("a", "b"), ("b", "a"), ("a", "b", "c")]), st.none() | st.integers(-3, 40))
    ),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_nobody_with_a_free_issuer_waits_too_long_and_no_reserve_is_touched(
    wanted: list[tuple[tuple[str, ...], int | None]], at_a: int, at_b: int
) -> None:
    orders = [
        chain(n, *issuers, latest=None if hours is None else START + hours * HOUR)
        for n, (issuers, hours) in enumerate(wanted)
    ]
    spent = {"a": at_a, "b": at_b}
    known = {name: ledger(*[taken(100 + n) for n in range(count)], orders=SMALL) for name, count in spent.items()}
    answers = spread(orders, **known)
    for asked, answer, (issuers, hours) in zip(orders, answers, wanted, strict=True):
        assert answer.certificate == asked.certificate
        if isinstance(answer, Order):
            assert answer.issuer in issuers
        else:
            assert answer.awaited in issuers
            assert "c" not in issuers or (answer.until and hours and answer.until + 2 * EVERY <= START + hours * HOUR)
    for name, count in spent.items():
        here = [a for a in answers if isinstance(a, Order) and a.issuer == name]
        patient = [a for a in here if a.latest is None or a.latest > START]
        if patient:
            assert count + len(here) <= SMALL.size - SMALL.reserve


def test_what_the_ca_told_holds_until_its_moment_for_those_it_concerns() -> None:
    told = (Told("d1.example", START, START + 3 * HOUR, "too many"), Told("", START, START + HOUR, "too many orders"))
    waits = held([order(1), order(2), order(3, exempt="window")], replace(ledger(told=told), published=None))
    assert {name: hold.until for name, hold in waits.items()} == {"c1": START + 3 * HOUR, "c2": START + HOUR}
    assert held([order(1), order(2)], ledger(told=told), START + 3 * HOUR) == {}


# ---- in words ----------------------------------------------------------------------------------------------------------


def test_the_cost_is_told_with_the_headroom_and_a_guess_as_a_guess() -> None:
    orders = [order(n) for n in range(9)]
    assert headroom.cost(orders, ledger(), START) == (
        "9 of 300 orders in 3 h, 1 of 50 per domain in a week (d0.example)"
    )
    guessed = Ledger("le", LETSENCRYPT, guessed=frozenset({"co.uk"}))
    words = headroom.cost([replace(order(), names=("shop.co.uk", "www.shop.co.uk"))], guessed, START)
    assert words == "1 of 300 orders in 3 h, 1 of 50 per domain in a week (co.uk, a guess)"
    assert headroom.cost(orders, replace(ledger(), published=None), START) is None
    assert "; 1 inside the window" in str(headroom.cost([order(exempt="window")], ledger(), START))
