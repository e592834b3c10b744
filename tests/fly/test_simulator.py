"""The simulator by itself: Fly's stated rules, and each open question both ways."""

from __future__ import annotations

import json
import random
import tomllib
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from certbroker import keys
from certbroker.model import KeyType
from certbroker.secret import Secret
from certbroker.testkit.embedded import House
from certbroker.testkit.simulator import Request, Response
from certbroker_fly import FlySettings
from certbroker_fly.simulator import FlyApp, FlySimulator, Quirks
from tests.clock import START
from tests.fly.rig import Fly, certify, make_bundle, make_fly, self_managed

HOST = "www.example.com"


def ask(
    fly: Fly, method: str, path: str, body: object = None, *, app: str = "site-blue", token: str | None = None
) -> Response:
    """One call with the app's deploy token; `path` is what follows the app's name."""
    path, _, query = path.partition("?")
    pairs = tuple((key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part))
    headers = {"Authorization": fly.simulator.deploy_token(app) if token is None else token}
    headers |= {"Content-Type": "application/json"} if body is not None else {}
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return fly.simulator.handle(Request(method, f"/v1/apps/{app}{path}", pairs, headers, sent))


def told(response: Response) -> Any:
    return json.loads(response.body)


def upload(hostname: str = HOST, names: tuple[str, ...] = (HOST,), **times: Any) -> dict[str, str]:
    key = keys.generate(KeyType.P256)
    return {"hostname": hostname, "fullchain": certify(names, key, **times), "private_key": key.reveal()}


def post(fly: Fly, body: object, app: str = "site-blue") -> Response:
    return ask(fly, "POST", "/certificates/custom", body, app=app)


def test_it_needs_no_arguments() -> None:
    simulator = FlySimulator()
    assert list(simulator.apps) == ["site-blue"]
    headers = {"Authorization": simulator.deploy_token("site-blue")}
    assert simulator.handle(Request("GET", "/v1/apps/site-blue/certificates", (), headers, b"")).status == 200


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer FlyV1 fm2_x", "FlyV1 fm2_unknown"])
def test_no_token_it_knows_is_401(header: str) -> None:
    answer = ask(make_fly(), "GET", "/certificates", token=header)
    assert answer.status == 401
    assert told(answer)["error"]


@pytest.mark.parametrize("path", ["/certificates/%2A.example.com", "/certificates/*.example.com"])
def test_a_wildcard_is_found_encoded_or_not(path: str) -> None:
    fly = make_fly()
    post(fly, upload("*.example.com", ("*.example.com",)))
    assert told(ask(fly, "GET", path))["hostname"] == "*.example.com"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/certificates"),
        ("PUT", f"/certificates/{HOST}"),
        ("PATCH", f"/certificates/{HOST}"),
        ("POST", f"/certificates/{HOST}/custom"),
        ("GET", "/certificates/acme"),
        ("GET", "/certificates/custom"),
        ("DELETE", "/certificates/nobody.example.com"),
        ("POST", "/certificates/nobody.example.com/check"),
        ("GET", "/machines"),
    ],
)
def test_what_is_no_endpoint_or_no_hostname_is_404(method: str, path: str) -> None:
    fly = make_fly()
    post(fly, upload())
    assert ask(fly, method, path).status == 404


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("body", [b"", b"{", {"hostname": HOST}, [], {**upload(), "private_key": None}])
def test_a_malformed_upload_is_refused(body: object, status: int) -> None:
    fly = make_fly(Quirks(malformed_status=400 if status == 400 else 422))
    assert post(fly, body).status == status


def test_an_upload_must_fit_together() -> None:
    fly = make_fly()
    other = upload()
    bad = [
        {**upload(), "fullchain": "no PEM"},
        {**upload(), "private_key": "no PEM"},
        {**upload(), "private_key": other["private_key"]},
        upload(starts=START - timedelta(days=9), ends=START - timedelta(days=1)),
        upload("mail.example.com"),
        upload("exa mple.com", ("exa mple.com",)),
    ]
    for body in bad:
        answer = post(fly, body)
        assert answer.status == 422
        assert "PRIVATE KEY" not in answer.body.decode()
    assert told(ask(fly, "GET", "/certificates"))["certificates"] == []


def test_whoever_signed_it_and_whoever_owns_the_name_an_upload_is_taken() -> None:
    fly = make_fly()
    answer = post(fly, upload())
    assert answer.status == 201
    detail = told(answer)
    assert detail["status"] == "Awaiting configuration"
    assert (detail["configured"], detail["acme_requested"]) == (False, False)
    assert [(entry["source"], entry["status"]) for entry in detail["certificates"]] == [("custom", "pending_ownership")]
    assert fly.served() == {}


@pytest.mark.parametrize("aware", [True, False])
def test_whether_a_wildcard_covers_a_concrete_name(aware: bool) -> None:
    fly = make_fly(Quirks(wildcards=aware))
    assert post(fly, upload(HOST, ("*.example.com",))).status == (201 if aware else 422)
    assert post(fly, upload("a.b.example.com", ("*.example.com",))).status == 422


@pytest.mark.parametrize("taken", [True, False])
def test_whether_old_key_formats_are_taken(taken: bool) -> None:
    fly = make_fly(Quirks(old_keys=taken))
    body = upload()
    key = keys.load_key(Secret(body["private_key"]))
    old = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert post(fly, {**body, "private_key": old.decode()}).status == (201 if taken else 422)


@pytest.mark.parametrize("value", ['"app"', '"org"', '"v=1; org"', '"other; app "'])
def test_either_value_proves_a_name_alone_or_between_semicolons(value: str) -> None:
    fly = make_fly()
    app, org = fly.simulator.apps["site-blue"].proofs
    text = value.replace("app", app).replace("org", org)
    fly.dns.values["_fly-ownership.example.com", "TXT"] = ['"unrelated"', text]
    for hostname in ("example.com", "*.example.com"):
        assert told(post(fly, upload(hostname, (hostname,))))["configured"]


def test_the_organisations_value_serves_a_second_app_and_the_apps_does_not() -> None:
    fly = make_fly()
    for by, configured in (("app", False), ("org", True)):
        fly.prove(HOST, by=by)
        assert told(post(fly, upload(), app="site-green"))["configured"] is configured


def test_an_aaaa_proves_a_name_and_no_wildcard() -> None:
    fly = make_fly()
    for hostname in (HOST, "*.example.com"):
        fly.dns.values[hostname, "AAAA"] = list(fly.simulator.apps["site-blue"].v6)
        fly.dns.values[hostname, "A"] = list(fly.simulator.apps["site-blue"].v4)
    assert told(post(fly, upload()))["configured"]
    assert not told(post(fly, upload("*.example.com", ("*.example.com",))))["configured"]


@pytest.mark.parametrize("after", [timedelta(minutes=1), None])
def test_a_name_is_promoted_by_a_check_or_by_a_later_read(after: timedelta | None) -> None:
    fly = make_fly(Quirks(rechecks_after=after))
    post(fly, upload())
    fly.prove(HOST)
    assert not told(ask(fly, "GET", f"/certificates/{HOST}"))["configured"]
    fly.clock.advance(timedelta(minutes=2))
    assert told(ask(fly, "GET", f"/certificates/{HOST}"))["configured"] is (after is not None)
    checked = told(ask(fly, "POST", f"/certificates/{HOST}/check"))
    assert checked["configured"]
    assert fly.simulator.apps["site-blue"].proofs[1] in checked["dns_records"]["ownership_txt"]


@pytest.mark.parametrize("lost", ["keep", "drop"])
def test_what_becomes_of_a_served_certificate_when_its_proof_goes(lost: Any) -> None:
    fly = make_fly(Quirks(ownership_lost=lost))
    fly.prove(HOST)
    post(fly, upload())
    fly.dns.values.clear()
    kept = told(ask(fly, "POST", f"/certificates/{HOST}/check"))["configured"]
    assert kept is (lost == "keep")
    assert set(fly.served()) == ({HOST} if kept else set())
    assert told(post(fly, upload()))["configured"] is kept


def test_an_upload_replaces_in_place() -> None:
    fly = make_fly()
    fly.prove(HOST)
    for _ in range(2):
        body = upload()
        assert post(fly, body).status == 201
        chain, key = fly.simulator.serving("site-blue")[HOST]
        assert (chain, key) == (body["fullchain"], Secret(body["private_key"]))
    assert told(ask(fly, "GET", "/certificates"))["total_count"] == 1


def test_a_second_request_for_flys_own_certificate_is_refused() -> None:
    fly = make_fly()
    assert ask(fly, "POST", "/certificates/acme", {}).status == 400
    first = ask(fly, "POST", "/certificates/acme", {"hostname": HOST})
    assert (first.status, told(first)["status"]) == (201, "Awaiting certificates")
    again = ask(fly, "POST", "/certificates/acme", {"hostname": HOST})
    assert (again.status, told(again)["error"]) == (422, "Hostname already exists on app")


@pytest.mark.parametrize("issues", [True, False])
def test_flys_own_certificate_is_issued_once_dns_points_there(issues: bool) -> None:
    fly = make_fly()
    if not issues:
        fly = Fly(FlySimulator(clock=fly.clock.now, lookup=fly.dns.lookup), fly.dns, fly.clock)
    asked = told(ask(fly, "POST", "/certificates/acme", {"hostname": "*.example.com"}))
    assert asked["validation_errors"][0]["code"] == "DNS_NOT_CONFIGURED"
    challenge = asked["dns_requirements"]["acme_challenge"]
    fly.dns.values[challenge["name"], "CNAME"] = [f"{challenge['target']}."]
    checked = told(ask(fly, "POST", "/certificates/%2A.example.com/check"))
    assert [(entry["source"], entry["status"]) for entry in checked["certificates"]] == [("fly", "active")]
    assert checked["dns_records"]["acme_challenge_cname"] == challenge["target"]
    assert set(fly.served()) == ({"*.example.com"} if issues else set())


@pytest.mark.parametrize("warning", ["careful", None])
def test_the_three_deletes_leave_what_fly_says_they_leave(warning: str | None) -> None:
    fly = make_fly(Quirks(warning=warning))
    fly.prove(HOST)
    fly.simulator.manage("site-blue", HOST)
    managed = fly.served()[HOST]
    post(fly, upload())
    fallen = ask(fly, "DELETE", f"/certificates/{HOST}/custom")
    assert (fallen.status, "warning" in told(fallen)) == (200, False)
    assert fly.served() == {HOST: managed}
    assert ask(fly, "DELETE", f"/certificates/{HOST}/custom").status == 404
    post(fly, upload())
    assert told(ask(fly, "DELETE", f"/certificates/{HOST}/acme"))["acme_requested"] is False
    last = ask(fly, "DELETE", f"/certificates/{HOST}/custom")
    assert (last.status, told(last).get("warning")) == (200, warning)
    assert fly.served() == {}
    assert told(ask(fly, "GET", f"/certificates/{HOST}"))["certificates"] == []
    gone = ask(fly, "DELETE", f"/certificates/{HOST}")
    assert (gone.status, gone.body) == (204, b"")
    assert ask(fly, "GET", f"/certificates/{HOST}").status == 404


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_list_filters_by_substring_and_pages_by_an_opaque_cursor(newest_first: bool) -> None:
    fly = make_fly(Quirks(newest_first=newest_first))
    hosts = [f"h{number}.example.com" for number in range(5)]
    for host in hosts:
        post(fly, upload(host, (host,)))
        fly.clock.advance(timedelta(seconds=1))
    seen: list[str] = []
    path: str | None = "/certificates?filter=.example.&limit=2"
    while path:
        page = told(ask(fly, "GET", path))
        assert page["total_count"] == 5
        seen += [item["hostname"] for item in page["certificates"]]
        cursor = page.get("next_cursor")
        path = f"/certificates?filter=.example.&limit=2&cursor={cursor}" if cursor else None
    assert seen == (hosts[::-1] if newest_first else hosts)
    assert ask(fly, "GET", "/certificates?cursor=!").status == 400
    assert told(ask(fly, "GET", "/certificates?filter=h3"))["total_count"] == 1


@pytest.mark.parametrize("says_when", [True, False])
def test_the_rate_limit_counts_per_app_and_action(says_when: bool) -> None:
    fly = make_fly(Quirks(rate_limit=True, retry_after=says_when))
    answers = [ask(fly, "GET", "/certificates") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers.get("Retry-After") == ("1" if says_when else None)
    assert ask(fly, "GET", "/ip_assignments").status == 200
    assert ask(fly, "GET", "/certificates", app="site-green").status == 200
    fly.clock.advance(timedelta(seconds=1))
    assert [ask(fly, "GET", "/certificates").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("falls_back", [True, False])
def test_whether_an_expired_certificate_gives_way(falls_back: bool) -> None:
    fly = make_fly(Quirks(expired_falls_back=falls_back))
    fly.prove(HOST)
    fly.simulator.manage("site-blue", HOST)
    managed = fly.served()[HOST]
    post(fly, upload(ends=START + timedelta(hours=1)))
    ours = fly.served()[HOST]
    fly.clock.advance(timedelta(hours=2))
    assert fly.served() == {HOST: managed if falls_back else ours}


def test_an_edge_may_be_late_or_stale_and_every_change_is_told() -> None:
    changes: list[None] = []
    fly = make_fly()
    slow, stuck = "2a09:8280:1::1:abcd", "137.66.0.10"
    fly.simulator = FlySimulator(
        clock=fly.clock.now,
        lookup=fly.dns.lookup,
        on_change=lambda: changes.append(None),
        quirks=Quirks(propagation={slow: timedelta(minutes=3)}),
    )
    fly.prove(HOST)
    post(fly, upload())
    first = fly.served()
    fly.clock.advance(timedelta(minutes=5))
    fly.simulator.freeze(stuck)
    post(fly, upload())
    assert len(changes) == 2
    second = fly.served()
    assert second != first
    assert fly.served(address=slow) == first
    fly.clock.advance(timedelta(minutes=5))
    assert fly.served(address=slow) == second
    assert fly.served(address=stuck) == first
    fly.simulator.thaw(stuck)
    assert fly.served(address=stuck) == second


def test_addresses_and_organisations_can_be_given() -> None:
    fly = make_fly(apps=(FlyApp("one", org="acme", v4=("192.0.2.1",)), FlyApp("two", org="acme"), FlyApp("three")))
    one, two, three = fly.simulator.apps.values()
    assert one.org_id == two.org_id != three.org_id
    assert len({one.id, two.id, three.id}) == 3
    ips = told(ask(fly, "GET", "/ip_assignments", app="one"))["ips"]
    assert [item["ip"] for item in ips] == ["192.0.2.1", "fdaa:0:18:0:1::2"]


def test_every_answer_carries_a_request_id_and_no_value_shows_a_key() -> None:
    fly = make_fly()
    fly.prove(HOST)
    body = upload()
    assert post(fly, body).headers["fly-request-id"].endswith("-ams")
    assert body["private_key"] not in repr(vars(fly.simulator)["_held"])
    assert body["private_key"] not in repr(fly.simulator.serving("site-blue"))
    assert make_bundle().key_pem.reveal() not in repr(make_bundle())


def test_it_moves_into_the_embedded_world_with_two_apps_and_their_tokens() -> None:
    house = House(lambda: START, random.Random(1), lambda name, kind: (), self_managed)
    simulator = FlySimulator.embed(house)
    tables = tomllib.loads(simulator.tables("http://127.0.0.1:8080"))["target"]
    assert set(tables) == {"fly-blue", "fly-green"}
    for table in tables.values():
        own = {key: table[key] for key in ("app", "token", "api")}
        assert FlySettings.model_validate(own).app == table["app"]
        assert table["token"]["env"] in simulator.secrets
    assert len(set(simulator.addresses)) == 4
    simulator.manage("site-green", HOST)
    v4, v6 = simulator.apps["site-green"].v4[0], simulator.apps["site-green"].v6[0]
    assert [set(simulator.serving_at(address)) for address in (v4, v6)] == [{HOST}, {HOST}]
    assert simulator.serving_at(simulator.apps["site-blue"].v4[0]) == {}
