"""What a run would do: facts in, steps out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.failover import Cause, PassedOver
from certbroker.model import Assignment, Certificate, KeyPolicy, KeyType, Live, Owner, Phase, Restorable, Version
from certbroker.plan import (
    DeploymentFacts,
    Facts,
    Hold,
    OpenOrder,
    Order,
    Plan,
    Push,
    Restore,
    Selection,
    TargetFacts,
    VariantFacts,
    Verify,
    due_next,
    plan,
)
from tests.test_policy import START, version

NOW = START + timedelta(days=10)
NAMES = ("example.com", "*.example.com")


def certificate(*targets: str, keys: tuple[KeyType, ...] = (KeyType.P256,)) -> Certificate:
    return Certificate("main", NAMES, keys, ("le",), tuple(Assignment("main", target, NAMES) for target in targets))


def facts(*targets: TargetFacts, have: Version | None = None, **changes: Any) -> Facts:
    made = Facts(
        now=NOW,
        every=timedelta(hours=1),
        certificate=certificate(*(target.name for target in targets)),
        variants={KeyType.P256: VariantFacts(wanted=have)},
        targets={target.name: target for target in targets},
    )
    return replace(made, **changes)


def target(name: str = "cdn", phase: Phase | None = None, **changes: Any) -> TargetFacts:
    deployments = {each: DeploymentFacts(1, phase) for each in NAMES} if phase else {}
    return replace(TargetFacts(name, (KeyType.P256,), deployments=deployments), **changes)


def only(found: Plan) -> Any:
    assert len(found.steps) == 1, found.steps
    return found.steps[0]


def test_a_new_certificate_is_ordered_and_pushed_everywhere() -> None:
    found = plan(facts(target("cdn"), target("app")), Selection())
    assert [order.why for order in found.orders] == ["never issued"]
    assert [push.assignment.target for push in found.pushes] == ["cdn", "app"]
    assert all(push.version is None for push in found.pushes)


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (None, Push),
        (Phase.PENDING, Push),
        (Phase.PUSHED, Verify),
        (Phase.VERIFYING, Verify),
        (Phase.WAITING, Push),
        (Phase.FAILED, Push),
    ],
)
def test_what_is_open_is_gone_on_with(phase: Phase | None, kind: type) -> None:
    assert isinstance(only(plan(facts(target(phase=phase), have=version()), Selection())), kind)


@pytest.mark.parametrize("phase", [Phase.COMMITTED, Phase.DELIVERED])
def test_the_plan_of_what_stands_is_empty(phase: Phase) -> None:
    assert plan(facts(target(phase=phase), have=version()), Selection()).steps == ()


def test_a_target_that_is_added_gets_the_present_version_without_an_order() -> None:
    found = plan(facts(target(phase=Phase.COMMITTED), target("new"), have=version()), Selection())
    assert found.orders == ()
    assert only(found).assignment.target == "new"


def test_a_name_that_is_new_is_not_pushed_before_a_version_covers_it() -> None:
    have = version(names=NAMES[:1])
    waiting = {KeyType.P256: VariantFacts(wanted=have, finalized=NOW - timedelta(minutes=1))}
    found = plan(facts(target(), variants=waiting), Selection())
    assert found.orders == ()
    assert [push.assignment.names for push in found.pushes] == [NAMES[:1]]


def test_a_failed_push_waits_for_its_next_try_unless_a_person_asks() -> None:
    failed = {name: DeploymentFacts(1, Phase.FAILED, NOW + timedelta(minutes=5), why="500") for name in NAMES}
    known = facts(target(deployments=failed), have=version())
    assert isinstance(only(plan(known, Selection())), Hold)
    assert isinstance(only(plan(known, Selection(ignore_backoff=True))), Push)


def test_a_certificate_that_is_not_ours_is_replaced_only_with_a_yes() -> None:
    live = {name: Live(Owner.FOREIGN, Restorable.KEPT, ends=NOW + timedelta(days=3)) for name in NAMES}
    known = facts(target(live=live), have=version())
    held = only(plan(known, Selection()))
    assert isinstance(held, Hold)
    assert held.person
    assert not held.failed
    pushed = only(plan(known, Selection(yes=True)))
    assert pushed.foreign == NAMES


def test_a_name_that_is_not_ours_does_not_hold_back_its_neighbours() -> None:
    live = {NAMES[0]: Live(Owner.FOREIGN, Restorable.KEPT), NAMES[1]: Live(Owner.OURS, Restorable.KEPT)}
    held, pushed = plan(facts(target(live=live), have=version()), Selection()).steps
    assert isinstance(held, Hold)
    assert isinstance(pushed, Push)
    assert (held.names, pushed.assignment.names, pushed.foreign) == (NAMES[:1], NAMES[1:], ())
    assert len(plan(facts(target(live=live)), Selection()).orders) == 1, "somebody gets it"


def test_nothing_is_ordered_while_every_target_waits_for_a_yes() -> None:
    live = {name: Live(Owner.FOREIGN, Restorable.KEPT) for name in NAMES}
    assert plan(facts(target(live=live)), Selection()).orders == ()
    assert len(plan(facts(target(live=live), target("free")), Selection()).orders) == 1


def test_objects_of_another_store_stop_the_order_too() -> None:
    live = {NAMES[0]: Live(Owner.OTHER_STORE, Restorable.KEPT, store="0badcafe")}
    found = plan(facts(target(live=live), target("free")), Selection(yes=True))
    held = only(found)
    assert isinstance(held, Hold)
    assert held.failed
    assert "0badcafe" in held.why


def test_a_chain_nobody_trusts_goes_only_where_the_owner_said_so() -> None:
    known = facts(target(), target("lab", accept_untrusted=True), have=version(trusted=False))
    found = plan(known, Selection())
    assert [push.assignment.target for push in found.pushes] == ["lab"]
    assert [hold.target for hold in found.holds] == ["cdn"]


def test_each_target_gets_the_first_key_type_it_accepts() -> None:
    both = (KeyType.P384, KeyType.RSA2048)
    known = replace(
        facts(target("old", key_types=(KeyType.RSA2048,)), target("new", key_types=tuple(KeyType))),
        certificate=certificate("old", "new", keys=both),
        variants={
            KeyType.P384: VariantFacts(wanted=version(id=1, key_type=KeyType.P384)),
            KeyType.RSA2048: VariantFacts(wanted=version(id=2, key_type=KeyType.RSA2048)),
        },
    )
    chosen = {push.assignment.target: push.key_type for push in plan(known, Selection()).pushes}
    assert chosen == {"old": KeyType.RSA2048, "new": KeyType.P384}


def test_two_finalizations_are_never_closer_than_the_minimum_whatever_the_reason() -> None:
    known = facts(target(), variants={KeyType.P256: VariantFacts(finalized=NOW - timedelta(minutes=1))})
    for selection in (Selection(), Selection(by_hand="now!", ignore_backoff=True)):
        assert plan(known, selection).orders == ()


def test_an_order_that_was_left_behind_goes_on() -> None:
    known = facts(
        target(phase=Phase.COMMITTED),
        variants={KeyType.P256: VariantFacts(wanted=version(), open_orders=(OpenOrder("le"),))},
    )
    assert [order.why for order in plan(known, Selection()).orders] == ["an order is under way"]


phases = st.sampled_from([None, *Phase])


@given(st.lists(phases, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_plan_never_pushes_what_is_settled_and_never_forgets_what_is_open(
    found: list[Phase | None], yes: bool, order: bool
) -> None:
    targets = [target(f"t{i}", phase) for i, phase in enumerate(found)]
    made = plan(facts(*targets, have=version()), Selection(yes=yes, order=order))
    touched = {step.assignment.target for step in made.steps if isinstance(step, Push | Verify | Restore)}
    assert touched == {t.name for t, phase in zip(targets, found, strict=True) if phase is None or not phase.settled}
    assert not any(isinstance(step, Order) for step in made.steps)


owners = st.sampled_from([None, *(owner for owner in Owner if owner is not Owner.OTHER_STORE)])


@given(st.lists(st.tuples(phases, owners, st.booleans()), min_size=1, max_size=4), st.booleans())
def test_the_plan_of_what_was_carried_out_is_empty(
    found: list[tuple[Phase | None, Owner | None, bool]], new: bool
) -> None:
    """Whatever stood where: ordering, pushing and proving leaves nothing to do."""
    targets = [
        target(
            f"t{i}",
            None if new else phase,
            heal=heal,
            live={name: Live(owner, Restorable.KEPT) for name in NAMES} if owner else None,
        )
        for i, (phase, owner, heal) in enumerate(found)
    ]
    before = facts(*targets, have=None if new else version())
    made = plan(before, Selection(yes=True))
    done = {step.assignment.target: Phase.COMMITTED for step in made.steps if isinstance(step, Push | Verify | Restore)}
    settled = {t.name: next(iter(t.deployments.values())).phase for t in targets if t.deployments}
    after = facts(*(target(t.name, done.get(t.name, settled.get(t.name))) for t in targets), have=version())
    assert plan(after, Selection()).steps == ()
    assert bool(made.orders) == new


@pytest.mark.parametrize(
    ("wish", "have", "known", "kept", "words"),
    [
        (KeyPolicy(), {}, {}, False, None),
        (KeyPolicy(None), {}, {}, True, "keeps the key of v1"),
        (KeyPolicy(None), {"key_use": 900}, {}, True, "keeps the key of v1"),
        (KeyPolicy(2), {"key_use": 1}, {}, True, "keeps the key of v1 (version 2 of 2 with it)"),
        (KeyPolicy(2), {"key_use": 2}, {}, False, "a new key: 2 versions have had that of v1"),
        (KeyPolicy(None), {"revoked_at": NOW}, {}, False, "a new key: the one of v1 was revoked"),
        (KeyPolicy(None), {}, {"key_revoked": True}, False, "a new key: the one of v1 was revoked"),
        (KeyPolicy(), {"revoked_at": NOW}, {}, False, None),
    ],
)
def test_the_key_is_kept_as_the_file_says_and_never_after_a_revocation(
    wish: KeyPolicy, have: dict[str, Any], known: dict[str, Any], kept: bool, words: str | None
) -> None:
    present = version(**have)
    found = facts(
        target(phase=Phase.COMMITTED),
        certificate=replace(certificate("cdn"), key_policy=wish),
        variants={KeyType.P256: VariantFacts(wanted=present, **known)},
    )
    [order] = plan(found, Selection(by_hand="now")).orders
    assert (order.key_of, order.key_why) == (present if kept else None, words)


@given(st.integers(1, 6), st.integers(1, 30))
def test_so_many_versions_in_a_row_have_one_key_and_no_more(share: int, renewals: int) -> None:
    keys, have = [0], version()
    for number in range(2, renewals + 2):
        made = facts(
            target(phase=Phase.COMMITTED),
            have=have,
            certificate=replace(certificate("cdn"), key_policy=KeyPolicy(share)),
        )
        [order] = plan(made, Selection(by_hand="now")).orders
        keys.append(keys[-1] + (order.key_of is None))
        have = version(number=number, key_use=have.key_use + 1 if order.key_of else 1)
    assert all(keys.count(key) == share for key in keys if key != keys[-1])
    assert keys.count(keys[-1]) <= share


ISSUERS = ("first", "second", "third")


@given(
    st.lists(st.tuples(st.sampled_from(ISSUERS), st.integers(min_value=-2, max_value=2)), max_size=5),
    st.lists(st.tuples(st.sampled_from((*ISSUERS, "gone")), st.booleans()), max_size=3),
    st.one_of(st.none(), st.sampled_from(ISSUERS)),
)
def test_one_order_at_most_never_at_one_that_is_passed_over_and_never_without_a_moment(
    passed: list[tuple[str, int]], open_: list[tuple[str, bool]], served_by: str | None
) -> None:
    rows = {
        issuer: PassedOver(issuer, Cause.AWAY, NOW, NOW + timedelta(hours=hours), "503") for issuer, hours in passed
    }
    have = version(issuer=served_by, revoked_at=NOW) if served_by else None
    known = VariantFacts(
        wanted=have,
        passed=tuple(rows.values()),
        open_orders=tuple(OpenOrder(issuer, placed=placed) for issuer, placed in open_),
    )
    base = facts(target(), variants={KeyType.P256: known})
    made = plan(replace(base, certificate=replace(base.certificate, issuers=ISSUERS)), Selection())
    out = {issuer for issuer, row in rows.items() if row.until > NOW}
    assert len(made.orders) == (0 if out == set(ISSUERS) else 1)
    for order in made.orders:
        assert order.issuer in set(ISSUERS) - out
        assert order.replaces is None
        stands = [issuer for issuer, placed in open_ if placed and issuer in ISSUERS and issuer not in out]
        assert order.issuer == (stands[0] if stands else next(i for i in ISSUERS if i not in out))
    for hold in made.holds:
        if hold.key_type is not None:
            assert hold.until is not None
            assert hold.until > NOW


# ---- several issuers ---------------------------------------------------------------------------------------------------


def listed(have: Version | None, **known: Any) -> Facts:
    """A certificate of two issuers, a minute before its last safe moment (or never issued)."""
    latest = have.lifetime.at(5 / 6) if have else NOW
    made = facts(have=have, now=latest - timedelta(minutes=1) if have else NOW)
    variant = VariantFacts(wanted=have, **known)
    return replace(
        made, certificate=replace(made.certificate, issuers=("le", "other")), variants={KeyType.P256: variant}
    )


def limited(at: Facts, **until: float) -> PassedOver:
    return PassedOver("le", Cause.LIMITED, at.now, at.now + timedelta(**until), "too many")


def test_an_order_knows_where_else_it_may_go() -> None:
    [order] = plan(listed(version()), Selection()).orders
    assert (order.issuer, order.replaces) == ("le", version())
    assert order.otherwise is not None
    assert (order.otherwise.issuer, order.otherwise.replaces, order.otherwise.latest) == ("other", None, order.latest)
    assert order.otherwise.otherwise is None


def test_a_limit_is_waited_for_while_the_renewal_is_safe_and_not_by_who_asks_by_hand() -> None:
    due = listed(version())
    early = replace(due, now=due.now - timedelta(days=5))
    told = replace(early, limited=(limited(early, hours=3),))
    hold = only(plan(told, Selection()))
    assert isinstance(hold, Hold)
    assert (hold.awaited, hold.until, hold.put_off) == ("le", early.now + timedelta(hours=3), True)
    assert hold.why.endswith("; waits for the limits of le: too many")
    [by_hand] = plan(told, Selection(by_hand="now")).orders
    assert by_hand.issuer == "other"
    late = replace(due, limited=(limited(due, hours=3),))
    [stepped_in] = plan(late, Selection()).orders
    assert stepped_in.issuer == "other"
    assert "le limits us" in (stepped_in.instead or "")


def test_an_order_under_way_at_the_second_is_not_left_for_the_first() -> None:
    due = listed(version(), open_orders=(OpenOrder("other"),))
    early = replace(due, now=due.now - timedelta(days=5))
    [order] = plan(replace(early, limited=(limited(early, hours=3),)), Selection()).orders
    assert (order.issuer, order.begun) == ("other", True)


def test_what_was_put_off_is_due_at_its_moment() -> None:
    until = NOW + timedelta(hours=7)
    assert due_next(facts(variants={KeyType.P256: VariantFacts(held_until=until)})) == until
    over = VariantFacts(held_until=NOW - timedelta(hours=7))
    assert due_next(facts(variants={KeyType.P256: over})) == NOW + timedelta(hours=1)
