"""DNSimple, against its simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from certbroker.challenges.dnsimple import DnsimpleSettings, DnsimpleSolver, content
from certbroker.challenges.dnsimple_simulator import DnsimpleSimulator
from certbroker.errors import CredentialsRejected, Missing, Misunderstood, Rejected, Unavailable
from certbroker.testkit.simulator import Fault, Request, Response
from tests.challenges.rig import OTHER, VALUE, context, small_world

NAME = "_acme-challenge.example.com"
ZONES = ("example.com", "example.net", "sub.example.com")


@pytest.fixture
def cloud() -> DnsimpleSimulator:
    return DnsimpleSimulator(zones=ZONES)


def ours(
    tmp_path: Path,
    cloud: DnsimpleSimulator,
    *,
    token: str = "",
    zones: tuple[str, ...] = (),
    deadline: float = 1e9,
    **options: Any,
) -> DnsimpleSolver:
    settings = DnsimpleSettings.model_validate({"token": {"env": "TOKEN"}, **options})
    secrets = {"TOKEN": token or cloud.token}
    given = context(small_world(tmp_path), simulator=cloud, zones=zones, secrets=secrets, deadline=deadline)
    return DnsimpleSolver.open(settings, given)


def test_two_values_at_one_name_and_only_ours_are_removed(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_record("example.com", "_acme-challenge", "TXT", '"somebody else\'s"')
    solver = ours(tmp_path, cloud)
    handles = {value: solver.present("example.com", NAME, value) for value in (VALUE, OTHER)}
    assert cloud.values("example.com", "_acme-challenge") == ("somebody else's", VALUE, OTHER)
    for value, handle in handles.items():
        solver.clean_up("example.com", NAME, value, handle)
    assert cloud.values("example.com", "_acme-challenge") == ("somebody else's",)


@pytest.mark.parametrize("quotes", [True, False])
def test_a_clean_up_without_memory_finds_its_value_by_content(
    tmp_path: Path, cloud: DnsimpleSimulator, quotes: bool
) -> None:
    cloud.quotes = quotes
    ours(tmp_path, cloud).present("example.com", NAME, VALUE)
    ours(tmp_path, cloud).present("example.com", NAME, OTHER)
    ours(tmp_path, cloud).clean_up("example.com", NAME, VALUE, None)
    assert cloud.values("example.com", "_acme-challenge") == (OTHER,)


def test_a_value_that_stands_already_is_adopted_and_never_removed(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_record("example.com", "_acme-challenge", "TXT", f'"{VALUE}"')
    solver = ours(tmp_path, cloud)
    handle = solver.present("example.com", NAME, VALUE)
    assert handle.startswith("adopted")
    solver.clean_up("example.com", NAME, VALUE, handle)
    assert cloud.values("example.com", "_acme-challenge") == (VALUE,)
    assert cloud.writes == []


class Race(DnsimpleSimulator):
    """Somebody else creates the same record between our look and our create."""

    def answer(self, request: Request) -> Response:
        if request.method == "POST":
            self.add_record("example.com", "_acme-challenge", "TXT", f'"{VALUE}"')
        return super().answer(request)


def test_a_create_that_loses_the_race_looks_again_whatever_the_text_says(tmp_path: Path) -> None:
    cloud = Race(zones=ZONES)
    cloud.duplicate_error = {"message": "Validation failed", "errors": {}}
    assert ours(tmp_path, cloud).present("example.com", NAME, VALUE).startswith("adopted")


def test_a_400_for_another_reason_stays_one(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    refusal = Response.of(400, {"message": "Validation failed", "errors": {"content": ["is odd"]}})
    cloud.faults.append(Fault(refusal, matches=lambda request: request.method == "POST"))
    with pytest.raises(Rejected, match="content: is odd"):
        ours(tmp_path, cloud).present("example.com", NAME, VALUE)


def test_a_line_that_dies_after_the_create_leaves_one_record_that_a_retry_finds(
    tmp_path: Path, cloud: DnsimpleSimulator
) -> None:
    cloud.faults.append(Fault("reset", when="after", matches=lambda request: request.method == "POST"))
    solver = ours(tmp_path, cloud)
    with pytest.raises(Unavailable):
        solver.present("example.com", NAME, VALUE)
    solver.present("example.com", NAME, VALUE)
    assert cloud.values("example.com", "_acme-challenge") == (VALUE,)


def test_a_cname_in_the_way_is_named_and_left_alone(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_record("example.com", "_acme-challenge", "CNAME", "x.flydns.net")
    with pytest.raises(Rejected, match=f"a CNAME to x.flydns.net stands at {NAME}"):
        ours(tmp_path, cloud).present("example.com", NAME, VALUE)
    assert cloud.writes == []


def test_records_that_belong_to_another_record_are_left_alone(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    """An ALIAS brings a TXT of its own at the same name."""
    alias = cloud.add_record("example.com", "", "ALIAS", "host.example.net")
    cloud.add_record("example.com", "", "TXT", '"ALIAS for host.example.net"', parent=alias)
    solver = ours(tmp_path, cloud)
    solver.clean_up("example.com", "example.com", "ALIAS for host.example.net", None)
    assert cloud.values("example.com", "") == ("ALIAS for host.example.net",)


@pytest.mark.parametrize("filters", [True, False])
def test_a_value_at_the_apex(tmp_path: Path, cloud: DnsimpleSimulator, filters: bool) -> None:
    cloud.filters_apex = filters
    for number in range(150):
        cloud.add_record("example.com", f"host{number}", "TXT", f'"{VALUE}"')
    solver = ours(tmp_path, cloud)
    handle = solver.present("example.com", "example.com", VALUE)
    assert cloud.values("example.com", "") == (VALUE,)
    solver.clean_up("example.com", "example.com", VALUE, handle)
    assert cloud.values("example.com", "") == ()


def test_the_longest_zone_of_the_account_holds_the_name(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    solver = ours(tmp_path, cloud)
    assert solver.zone_for("_acme-challenge.a.sub.example.com") == "sub.example.com"
    assert solver.zone_for("_acme-challenge.a.example.com") == "example.com"
    assert solver.zone_for("_acme-challenge.myexample.com") is None
    assert len([request for request in cloud.requests if request.path.endswith("/zones")]) == 1


def test_zones_are_listed_over_several_pages(tmp_path: Path) -> None:
    cloud = DnsimpleSimulator(zones=tuple(f"z{number:03d}.example" for number in range(230)))
    assert ours(tmp_path, cloud).zone_for("www.z229.example") == "z229.example"


def test_a_scoped_token_sees_only_its_zones(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_token("scoped-token", account=1010, zones=("example.net",))
    solver = ours(tmp_path, cloud, token="scoped-token")
    assert solver.zone_for(NAME) is None
    assert solver.zone_for("www.example.net") == "example.net"
    with pytest.raises(Missing, match=r"does not see example.com in account 1010"):
        ours(tmp_path, cloud, token="scoped-token", zones=("example.com",)).check()


def test_a_token_that_may_only_read_is_told_with_the_scope(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_token("reading-token", account=1010, writes=False)
    with pytest.raises(CredentialsRejected, match=r"403.*Required Scope: zones:example.com:write") as caught:
        ours(tmp_path, cloud, token="reading-token").present("example.com", NAME, VALUE)
    assert caught.value.hint is not None


def test_a_revoked_token_is_told_without_showing_it(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    with pytest.raises(CredentialsRejected, match=r"DNSimple refused the credentials \(401") as caught:
        ours(tmp_path, cloud, token="revoked-token-1234").check()
    assert "revoked-token-1234" not in repr(caught.value)


def test_zones_that_cannot_serve_a_record_are_refused(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_zone("asleep.example", account=1010, active=False)
    cloud.add_zone("copied.example", account=1010, secondary=True)
    solver = ours(tmp_path, cloud)
    with pytest.raises(Rejected, match=r"asleep.example is not active"):
        solver.zone_for("www.asleep.example")
    with pytest.raises(Rejected, match=r"serves copied.example as a secondary"):
        solver.zone_for("www.copied.example")
    assert solver.check().remarks == ("the zone asleep.example is not active",)


def test_a_user_token_of_one_account_needs_no_setting(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_token("user-token", account=None)
    assert ours(tmp_path, cloud, token="user-token").check().account == "1010 (Example Account)"


def test_a_user_token_of_several_accounts_needs_a_choice(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.add_account(2020, "Other")
    cloud.add_token("user-token", account=None)
    with pytest.raises(Rejected, match=r"2 accounts: 1010 \(Example Account\), 2020 \(Other\)"):
        ours(tmp_path, cloud, token="user-token").check()
    assert ours(tmp_path, cloud, token="user-token", account=2020).check().account == "2020 (Other)"
    with pytest.raises(Missing, match="does not reach account 3"):
        ours(tmp_path, cloud, token="user-token", account=3).check()


def test_an_account_token_of_another_account_is_told(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    with pytest.raises(Missing, match="one of account 1010, not of 7"):
        ours(tmp_path, cloud, account=7).check()


def test_check_says_who_we_are_and_writes_only_when_asked(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    standing = ours(tmp_path, cloud, zones=("example.com",)).check()
    assert (standing.account, standing.reach) == ("1010 (Example Account)", "sees 1 of 1 zones; writing not tried")
    assert cloud.writes == []
    standing = ours(tmp_path, cloud, zones=("example.com",)).check(write=True)
    assert standing.remarks == ("wrote and removed a TXT at _certbroker-check.example.com",)
    assert cloud.values("example.com", "_certbroker-check") == ()


def test_a_record_that_is_gone_already_is_cleaned_up(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    solver = ours(tmp_path, cloud)
    handle = solver.present("example.com", NAME, VALUE)
    solver.clean_up("example.com", NAME, VALUE, handle)
    solver.clean_up("example.com", NAME, VALUE, handle)


@pytest.mark.parametrize("said", [True, False, None])
def test_its_own_look_at_its_servers(tmp_path: Path, cloud: DnsimpleSimulator, said: bool | None) -> None:
    solver = ours(tmp_path, cloud)
    handle = solver.present("example.com", NAME, VALUE)
    cloud.distribution = lambda id_: said
    assert solver.spread("example.com", handle) is said


def test_the_hourly_limit_is_unavailable_until_it_resets(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    cloud.remaining = 0
    with pytest.raises(Unavailable, match="quota exceeded") as caught:
        ours(tmp_path, cloud).check()
    assert caught.value.retry_after == 3600.0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response.html(200, "<html>"), Misunderstood),
        (Response.html(502, "<html>"), Unavailable),
        (Response.of(200, {"data": []}), Misunderstood),
        (Response.of(200, {}), Misunderstood),
        (Response.of(200, {"data": {"account": {"id": "1"}}}), Misunderstood),
        (Response.of(402, {"message": "unpaid"}), CredentialsRejected),
        (Response.of(412, {"message": "plan"}), CredentialsRejected),
    ],
)
def test_odd_answers_are_our_errors(
    tmp_path: Path, cloud: DnsimpleSimulator, answer: Response, error: type[Exception]
) -> None:
    cloud.faults.append(Fault(answer))
    with pytest.raises(error):
        ours(tmp_path, cloud).check()


def test_long_and_quoted_content_is_read_back(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    odd = 'app "x" \\ ' + "y" * 400
    solver = ours(tmp_path, cloud)
    solver.present("example.com", "_fly-ownership.example.com", odd)
    assert solver.present("example.com", "_fly-ownership.example.com", odd).startswith("adopted")
    assert content({"content": '"cut'}) == '"cut'
    assert content({"content": '"a" b"'}) == '"a" b"'


def test_every_change_is_told_to_the_world_that_serves_it() -> None:
    served: dict[str, tuple[str, ...]] = {}
    cloud = DnsimpleSimulator(
        zones=("example.com",), on_change=lambda zone, name, kind, values: served.update({name: values})
    )
    cloud.add_record("example.com", "_acme-challenge", "TXT", '"one"')
    assert served == {NAME: ("one",)}


@pytest.mark.parametrize(
    "api",
    ["http://api.dnsimple.com/v2", "https://user:pw@api.dnsimple.com", "ftp://x", "api.dnsimple.com", "https://x/?a=b"],
)
def test_a_token_is_not_sent_to_an_address_that_is_not_safe(api: str) -> None:
    with pytest.raises(ValidationError, match="must be an https URL"):
        DnsimpleSettings.model_validate({"token": {"env": "T"}, "api": api})
