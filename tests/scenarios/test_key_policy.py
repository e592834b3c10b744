"""`key_policy`: versions that share a private key reach every target, and what is pruned never takes the key along."""

from __future__ import annotations

from certbroker.model import RevocationReason
from tests.scenarios.town import Town

EVERYWHERE = ("fastly", "fly-blue", "fly-green", "folder")


def keys(place: Town) -> list[str]:
    """The key of each version, the oldest first."""
    with place.store() as store:
        return [version.key_id for version in reversed(store.versions("main"))]


def renew(place: Town) -> None:
    """The next version, everywhere; and what nobody uses any more is swept."""
    place.later(days=61)
    place.run("renew")
    place.later(hours=3)
    place.run("renew")
    assert "✗" not in place.run("probe", "main").out


def test_two_versions_share_a_key_and_the_third_gets_a_new_one(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=EVERYWHERE, key_policy='"every 2"'))
    place.run("renew")
    place.later(days=61)
    assert "keeps the key of v1 (version 2 of 2 with it)" in place.run("plan").out
    place.run("renew")
    place.later(hours=3)
    place.run("renew")
    place.later(days=61)
    assert "a new key: 2 versions have had that of v2" in place.run("plan").out
    place.run("renew")
    first, second, third = keys(place)
    assert first == second != third
    assert "keeps the key of v1" in place.run("history", "main", "--limit", "200").out


def test_a_key_that_is_kept_outlives_the_pruning_of_every_old_certificate(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=EVERYWHERE, key_policy='"reuse"'))
    place.run("renew")
    for _ in range(4):
        renew(place)
    assert len(keys(place)) >= 3
    assert len(set(keys(place))) == 1


def test_the_key_of_a_revoked_version_is_not_kept_by_those_that_share_it(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), key_policy='"reuse"'))
    place.run("renew")
    renew(place)
    with place.store() as store:
        store.revoked(store.versions("main")[-1].id, place.clock.now(), RevocationReason.SUPERSEDED)
    place.later(days=61)
    assert "a new key: the one of v2 was revoked" in place.run("plan", "--offline").out
    place.run("renew")
    first, second, third = keys(place)
    assert first == second != third


def test_defaults_hold_for_every_certificate_that_says_nothing(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",)))
    place.edit("[defaults]", '[defaults]\nkey_policy = "reuse"')
    place.run("renew")
    renew(place)
    assert len(set(keys(place))) == 1
