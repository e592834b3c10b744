"""What looks at edges prove, as a table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certbroker.deploy.verify import NOTHING, judge, remember
from certbroker.model import Edge, Phase
from certbroker.probe import Seen, Verdict
from tests.test_policy import START, version

OURS = version().fingerprint
OLD = "cd" * 32
OTHER = "ef" * 32


def seen(verdict: Verdict, fingerprint: str | None = None, host: str = "192.0.2.1") -> Seen:
    ends = START + timedelta(days=30) if fingerprint else None
    return Seen(
        Edge(host),
        host,
        "example.com",
        START,
        verdict,
        fingerprint,
        "some CA" if fingerprint else None,
        ends,
        "detail",
        2,
    )


VALID, INVALID, REFUSED, UNREACHABLE = Verdict.VALID, Verdict.INVALID, Verdict.REFUSED, Verdict.UNREACHABLE


@pytest.mark.parametrize(
    ("before", "after", "phase", "regressions"),
    [
        pytest.param({}, [seen(VALID, OURS)], Phase.COMMITTED, 0, id="proven"),
        pytest.param({"192.0.2.1": OLD}, [seen(VALID, OURS)], Phase.COMMITTED, 0, id="replaced"),
        pytest.param({"192.0.2.1": OLD}, [seen(VALID, OLD)], Phase.VERIFYING, 0, id="slow is no regression"),
        pytest.param({"192.0.2.1": OLD}, [seen(INVALID, OURS)], Phase.VERIFYING, 1, id="ours, but its chain is broken"),
        pytest.param({"192.0.2.1": OLD}, [seen(VALID, OTHER)], Phase.VERIFYING, 1, id="something else"),
        pytest.param({"192.0.2.1": OLD}, [seen(REFUSED)], Phase.VERIFYING, 1, id="nothing"),
        pytest.param({"192.0.2.1": OLD}, [seen(UNREACHABLE)], Phase.VERIFYING, 1, id="gone"),
        pytest.param({"192.0.2.1": NOTHING}, [seen(REFUSED)], Phase.VERIFYING, 0, id="nothing before and after"),
        pytest.param({}, [seen(UNREACHABLE)], Phase.VERIFYING, 0, id="skipped is not ok"),
        pytest.param(
            {}, [seen(UNREACHABLE), seen(VALID, OURS, "192.0.2.2")], Phase.COMMITTED, 0, id="one proves, one skipped"
        ),
        pytest.param({}, [seen(VALID, OLD), seen(VALID, OURS, "192.0.2.2")], Phase.VERIFYING, 0, id="one contradicts"),
        pytest.param({}, [], Phase.VERIFYING, 0, id="no look at all"),
    ],
)
def test_commit_needs_a_proof_and_no_contradiction(
    before: dict[str, str], after: list[Seen], phase: Phase, regressions: int
) -> None:
    found = judge(version(), before, after, now=START, deadline=START + timedelta(hours=1))
    assert found.phase is phase
    assert len(found.regressions) == regressions
    late = judge(version(), before, after, now=START + timedelta(hours=1), deadline=START + timedelta(hours=1))
    assert late.phase is (Phase.COMMITTED if phase is Phase.COMMITTED else Phase.FAILED)


def test_what_was_unreachable_before_is_not_remembered() -> None:
    looks = [seen(VALID, OLD), seen(UNREACHABLE, host="192.0.2.2"), seen(INVALID, OTHER, "192.0.2.3")]
    assert remember(looks) == {"192.0.2.1": OLD, "192.0.2.3": NOTHING}
