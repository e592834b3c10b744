"""One certificate takes the place of the other at Fastly; where Fastly does not allow what nobody has documented: nothing is changed, and the way round is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from certbroker.model import Assignment, Bundle, Done, Outcome
from tests.fastly.rig import NAMES, Fastly, failure, make_fastly, serves, version

MINE = Assignment("main", "place", NAMES)


def managed(**quirks: object) -> tuple[Fastly, set[str | None]]:
    """A Fastly that serves certificates of its own for all names; and these."""
    fastly = make_fastly()
    fastly.quirk(**quirks)
    for name in NAMES:
        fastly.simulator.manage(name)
    return fastly, {fastly.served(name) for name in NAMES}


def take_over(fastly: Fastly, bundle: Bundle, **settings: Any) -> dict[str, Outcome]:
    provider = fastly.provider(**settings)
    return dict(provider.take_over(bundle, provider.inspect(bundle.assignment)))


def served(fastly: Fastly) -> set[str | None]:
    return {fastly.served(name) for name in NAMES}


def test_a_fastly_that_keeps_its_activations_is_not_touched_and_the_way_round_is_told() -> None:
    fastly, own = managed()
    second = fastly.simulator.add_configuration("second", edges=("198.51.100.99",))
    outcomes = take_over(fastly, version())
    assert served(fastly) == own
    assert fastly.writes == ["POST private_keys", "POST certificates", "PATCH activations"], (
        "it went on after a refusal"
    )
    for name in NAMES:
        error = failure(outcomes[name])
        assert "does not let ours take the place of its own certificate" in error.what
        assert f'"second" ({second}): set configuration to it' in str(error.hint)
    assert "ask Fastly's support for one" in str(failure(take_over(managed()[0], version())[NAMES[0]]).hint)


def test_on_a_second_configuration_ours_stands_beside_fastlys_own() -> None:
    fastly, own = managed(subscription_blocks="configuration")
    second = fastly.simulator.add_configuration("second", edges=("198.51.100.99",))
    bundle = version()
    outcomes = take_over(fastly, bundle, configuration="second")
    assert set(outcomes.values()) == {Done()}
    assert served(fastly) == own
    assert {fastly.served(name, second) for name in NAMES} == {bundle.fingerprint}
    said = fastly.provider(configuration="second").managed(NAMES)
    first = fastly.simulator.estate.default().id
    assert {each.elsewhere for each in said.values()} == {f"the TLS configuration {first}"}


def test_a_fastly_that_has_one_place_for_a_name_refuses_the_second_configuration() -> None:
    fastly, own = managed(subscription_blocks="domain")
    fastly.simulator.add_configuration("second")
    outcomes = take_over(fastly, version(), configuration="second")
    assert "enabled already" in failure(outcomes[NAMES[0]]).what
    assert served(fastly) == own


def test_a_fastly_that_knows_no_way_back_keeps_ours() -> None:
    fastly, _ = managed(managed_activation_moves=True)
    bundle = version()
    take_over(fastly, bundle)
    outcomes = fastly.provider().give_way(MINE)
    assert "does not let its own certificate take the place of ours" in failure(outcomes[NAMES[0]]).what
    assert serves(fastly, bundle)


def test_a_fastly_that_keeps_its_subscriptions_keeps_them() -> None:
    fastly, _ = managed(managed_activation_moves=True, subscription_goes=False)
    bundle = version()
    take_over(fastly, bundle)
    outcomes = fastly.provider().retire_managed(MINE)
    assert "keeps its subscription" in failure(outcomes[NAMES[0]]).what
    assert serves(fastly, bundle)


def test_a_subscription_that_cannot_be_had_beside_ours_changes_nothing() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.push(bundle)
    outcomes = fastly.provider().request_managed(MINE)
    assert "the domain is enabled already" in failure(outcomes[NAMES[0]]).what
    assert serves(fastly, bundle)


def test_a_fastly_that_activates_what_it_issued_does_so_without_a_gap() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(subscription_beside=True, issued_is_activated=True)
    fastly.push(bundle)
    fastly.provider().request_managed(MINE)
    assert serves(fastly, bundle)
    fastly.prove()
    assert {each.state for each in fastly.provider().managed(NAMES).values()} == {"issued"}
    assert not served(fastly) & {None, bundle.fingerprint}
    assert set(fastly.provider().give_way(MINE).values()) == {Done()}


def test_a_subscription_for_names_of_others_too_is_left() -> None:
    fastly, _ = managed(managed_activation_moves=True)
    take_over(fastly, version())
    part = Assignment("main", "place", NAMES[:1])
    both = next(each for each in fastly.simulator.estate.subscriptions.values() if each.domains == (NAMES[0],))
    fastly.simulator.estate.subscriptions[both.id] = replace(both, domains=(NAMES[0], "shop.example.com"))
    assert "is also for shop.example.com" in failure(fastly.provider().retire_managed(part)[NAMES[0]]).what
