"""What holds for every value: JSON columns give back what went in, and the tally is what counting would give."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker.model import KeyType, Live, Owner, Phase, Record, Restorable, Version
from certbroker.store import Store
from certbroker.store.rows import decode_live, decode_records, encode_live, encode_records, plain
from tests.clock import TestClock
from tests.fresh import empty_store
from tests.store.fixtures import add, draft
from tests.store.test_deployments import row

_text = st.text(st.characters(codec="utf-8"), max_size=20)
_records = st.lists(
    st.builds(
        Record,
        name=_text,
        type=st.sampled_from(["TXT", "CNAME"]),
        values=st.lists(_text, min_size=1, max_size=3).map(tuple),
        separator=st.none() | st.just(","),
    ),
    max_size=3,
).map(tuple)
_moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(
    st.builds(
        Live,
        owner=st.sampled_from(Owner),
        restorable=st.sampled_from(Restorable),
        reference=_text,
        fingerprint=st.none() | _text,
        serial=st.none() | st.integers(min_value=0, max_value=2**160),
        issued_by=st.none() | _text,
        ends=st.none() | _moments,
        store=st.none() | _text,
        pending=_records,
    )
)
def test_what_a_platform_said_survives_a_json_column(live: Live) -> None:
    assert decode_live(plain(encode_live(live))) == live


@given(_records)
def test_records_survive_a_json_column(records: tuple[Record, ...]) -> None:
    assert decode_records(plain(encode_records(records))) == records


_VERSIONS = st.integers(min_value=0, max_value=3)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.just("wanted"), st.sampled_from([KeyType.P256, KeyType.RSA2048]), st.booleans())
        | st.tuples(_VERSIONS, st.sampled_from(["fly", "fastly"]), st.sampled_from(Phase)),
        max_size=12,
    )
)
def test_the_tally_is_what_counting_would_give(steps: list[tuple[int | str, KeyType | str, Phase | bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(empty_store(Path(folder, "s.db")), TestClock()) as store:
        made: list[Version] = []
        for what, where, how in steps:
            if isinstance(where, KeyType):
                made.append(add(store, draft(f"{len(made):04x}", key_type=where, rehearsal=how is True)))
            elif made and isinstance(what, int) and isinstance(how, Phase):
                store.put_deployments([row(made[what % len(made)], where, phase=how)])
        wanted = {variant.wanted for variant in store.variants("main").values()}
        counted = Counter(
            one.phase for one in store.deployments("main") if one.version_id in {v.id for v in wanted if v}
        )
        assert store.count_deployments() == dict(counted)
        assert len(store.unsettled()) == sum(many for phase, many in counted.items() if not phase.settled)
