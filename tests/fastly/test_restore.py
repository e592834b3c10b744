"""Going back, clearing up, and trying a token."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certbroker.errors import CredentialsRejected, Missing, Unavailable
from certbroker.testkit.bundles import make_bundle
from certbroker.testkit.rig import OTHER_STORE, STORE
from certbroker.testkit.simulator import Fault, Response
from tests.fastly.rig import NAMES, make_fastly, serves, version

# ---- restore and prune -----------------------------------------------------------------------------------------------


def test_restore_uploads_the_previous_version_again_if_it_was_pruned() -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    before = fastly.inspect()
    fastly.push(new)
    fastly.prune(new)
    fastly.provider().restore(new.assignment, before, old)
    assert serves(fastly, old)


def test_restore_binds_again_what_was_bound_and_leaves_new_names_as_they_are() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=["example.com"])
    before = fastly.inspect()
    fastly.push(new)
    fastly.provider().restore(new.assignment, before, None)
    assert fastly.served("example.com") == theirs.fingerprint
    assert serves(fastly, new, *NAMES[1:])


def test_restore_brings_back_an_activation_that_is_gone() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=NAMES)
    before = fastly.inspect()
    fastly.simulator.estate.activations.clear()
    fastly.provider().restore(new.assignment, before, None)
    assert serves(fastly, theirs)


def test_restore_leaves_what_fastly_manages() -> None:
    fastly = make_fastly()
    fastly.simulator.manage("example.com")
    before = fastly.inspect()
    fastly.provider().restore(version().assignment, before, None)
    assert fastly.writes == []


def test_restore_of_what_is_gone_for_good_is_an_error_after_every_name_was_tried() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=NAMES)
    before = dict(fastly.inspect())
    before["example.com"] = replace(before["example.com"], reference=f"activation:x certificate:{'0' * 22}")
    fastly.push(new)
    with pytest.raises(Missing):
        fastly.provider().restore(new.assignment, before, None)
    assert serves(fastly, new, "example.com")
    assert serves(fastly, theirs, *NAMES[1:])


def test_prune_takes_certificate_and_key_and_says_so() -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.push(new)
    tail = f"certbroker/{STORE}/main/{old.fingerprint[:12]}"
    assert fastly.prune(new) == (f"certificate {tail}", f"key {tail}")
    assert fastly.prune(new) == ()


@pytest.mark.parametrize("filters", [True, False])
def test_prune_keeps_a_key_that_another_certificate_has(filters: bool) -> None:
    """Somebody uploaded our certificate again under his own name."""
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.quirk(filters=filters)
    fastly.push(old)
    fastly.simulator.add_certificate(old.version.chain_pem, name="a copy")
    fastly.push(new)
    removed = fastly.prune(new)
    assert [what.split()[0] for what in removed] == ["certificate"]
    assert "a copy" in {row["name"] for row in fastly.simulator.certificate_names()}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_prune_tolerates_that_fastly_refuses(status: int) -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.push(new)
    fault = Fault(
        Response.of(status, {"errors": [{"title": "in use"}]}), times=2, matches=lambda r: r.method == "DELETE"
    )
    fastly.simulator.faults.append(fault)
    assert fastly.prune(new) == ()
    assert fault.times == 1, "a key whose certificate stays is not tried"
    assert serves(fastly, new)


def test_prune_takes_the_key_that_a_cut_push_left() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.line.gate.cut(1, "before")
    with pytest.raises(Unavailable):
        fastly.push(bundle)
    fastly.line.gate.mend()
    assert fastly.prune(bundle) == ()
    assert len(fastly.prune()) == 1
    assert fastly.simulator.estate.keys == {}


def test_prune_does_not_touch_another_store_or_another_certificate() -> None:
    fastly = make_fastly()
    for number in (1, 2):
        fastly.push(version(number), store_id=OTHER_STORE)
    state = fastly.state()
    assert fastly.prune() == ()
    assert fastly.prune(certificate="mai") == ()
    assert fastly.state() == state


# ---- checking --------------------------------------------------------------------------------------------------------


def test_trying_to_write_changes_nothing_and_tells_a_token_that_cannot() -> None:
    fastly = make_fastly()
    state = fastly.state()
    assert "may write" in fastly.provider().check(write=True).reach
    assert fastly.writes == ["POST private_keys"]
    assert fastly.state() == state
    fastly.quirk(read_only=True)
    assert "writing not tried" in fastly.provider().check().reach
    with pytest.raises(CredentialsRejected) as caught:
        fastly.provider().check(write=True)
    assert "TLS management" in str(caught.value.hint)
