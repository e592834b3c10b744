"""DNSimple's recorded answers: our code reads each, and the simulator answers in the same shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from certbroker.challenges.dnsimple import DnsimpleSettings, DnsimpleSolver, content
from certbroker.challenges.dnsimple_simulator import DnsimpleSimulator
from certbroker.errors import (
    CertbrokerError,
    CredentialsRejected,
    Missing,
    Misunderstood,
    Rejected,
    Unavailable,
)
from certbroker.testkit.simulator import Request, Response, Simulator
from tests.challenges.rig import VALUE, context, small_world
from tests.contracts import contract


def recorded(name: str) -> Response:
    """One recorded exchange as an answer."""
    head, _, body = contract(f"dnsimple-recorded/{name}.http").read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    pairs = (line.partition(":") for line in lines)
    skipped = ("connection", "content-length", "status")
    headers = {key.strip(): value.strip() for key, _, value in pairs if key.strip().lower() not in skipped}
    return Response(int(first.split()[1]), body.rstrip(b"\n"), headers)


class Replay(Simulator):
    """Answers each call with a recording, by method and the end of the path; the rest as the simulator would."""

    def __init__(self, answers: Mapping[tuple[str, str], Response]) -> None:
        super().__init__()
        self._answers = answers
        self.cloud = DnsimpleSimulator(zones=("example.com", "example-alpha.com"))

    def answer(self, request: Request) -> Response:
        for (method, end), answer in self._answers.items():
            if request.method == method and request.path.endswith(end):
                return answer
        return self.cloud.handle(request)


def solver(tmp_path: Path, cloud: Simulator, *, account: int | None = None, token: str = "") -> DnsimpleSolver:
    settings = DnsimpleSettings.model_validate({"token": {"env": "TOKEN"}, "account": account})
    secrets = {"TOKEN": token or getattr(cloud, "token", DnsimpleSimulator().token)}
    return DnsimpleSolver.open(settings, context(small_world(tmp_path), simulator=cloud, secrets=secrets))


# ---- our code reads what was recorded -----------------------------------------------------------------------------------


def test_an_account_tokens_whoami_is_read(tmp_path: Path) -> None:
    cloud = Replay({("GET", "/whoami"): recorded("whoami-account-token"), ("GET", "/zones"): recorded("list-zones")})
    standing = solver(tmp_path, cloud).check()
    assert (standing.account, standing.reach) == ("1 (Example Account)", "sees 2 zones; writing not tried")


def test_a_user_tokens_whoami_and_accounts_are_read(tmp_path: Path) -> None:
    cloud = Replay(
        {
            ("GET", "/whoami"): recorded("whoami-user-token"),
            ("GET", "/accounts"): recorded("list-accounts-user-token"),
            ("GET", "/456/zones"): recorded("list-zones"),
        }
    )
    assert solver(tmp_path, cloud, account=456).zone_for("www.example-beta.com") == "example-beta.com"
    with pytest.raises(Rejected, match=r"2 accounts: 123 \(John\), 456 \(Ops Company\)"):
        solver(tmp_path, cloud).check()


def test_a_create_and_its_delete_are_read(tmp_path: Path) -> None:
    cloud = Replay(
        {
            ("GET", "/records"): recorded("list-records"),
            ("POST", "/records"): recorded("create-record-201"),
            ("DELETE", "/records/1"): recorded("delete-record-204"),
        }
    )
    ours = solver(tmp_path, cloud)
    handle = ours.present("example.com", "www.example.com", VALUE)
    assert handle == "1010/1"
    ours.clean_up("example.com", "www.example.com", VALUE, handle)
    assert cloud.writes[-1].path.endswith("/records/1")


def test_a_create_at_the_apex_is_read(tmp_path: Path) -> None:
    cloud = Replay(
        {("GET", "/records"): recorded("list-records"), ("POST", "/records"): recorded("create-record-apex-201")}
    )
    assert solver(tmp_path, cloud).present("example.com", "example.com", VALUE) == "1010/1"
    assert json.loads(cloud.writes[0].body)["name"] == ""


@pytest.mark.parametrize(
    ("name", "said"), [("distribution-true", True), ("distribution-false", False), ("distribution-504", None)]
)
def test_distribution_is_read(tmp_path: Path, name: str, said: bool | None) -> None:
    cloud = Replay({("GET", "/distribution"): recorded(name)})
    assert solver(tmp_path, cloud).spread("example.com", "1010/1") is said


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("error-400-validation", Rejected),
        ("error-400-batch-create", Rejected),
        ("error-401-DOCUMENTED", CredentialsRejected),
        ("error-403-scope", CredentialsRejected),
        ("error-404-zone", Missing),
        ("error-429-DOCUMENTED", Unavailable),
        ("error-502-html", Unavailable),
        ("success-malformed-json", Misunderstood),
    ],
)
def test_errors_are_read(tmp_path: Path, name: str, error: type[CertbrokerError]) -> None:
    with pytest.raises(error):
        solver(tmp_path, Replay({("POST", "/records"): recorded(name)})).present("example.com", "a.example.com", VALUE)


def test_a_record_that_is_not_there_any_more_is_no_error(tmp_path: Path) -> None:
    cloud = Replay({("DELETE", "/records/0"): recorded("error-404-record")})
    solver(tmp_path, cloud).clean_up("example.com", "a.example.com", VALUE, "1010/0")


def test_the_values_of_a_recorded_set_are_read() -> None:
    """Recorded before DNSimple began to quote: content without quotes stands for itself."""
    cassettes = json.loads(contract("dnsimple-recorded/lexicon-txt-2018.json").read_text())
    found = {
        content(record)
        for cassette in cassettes
        for exchange in cassette["interactions"]
        if "/records?" in exchange["path"]
        for record in exchange["response"]["data"]
        if record["type"] == "TXT"
    }
    assert {"challengetoken1", "challengetoken2"} <= found


# ---- the simulator answers in the same shape ----------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """Keys and kinds, without the values. A list has the shape of its first item."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if value is None or isinstance(value, bool):
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def call(cloud: DnsimpleSimulator, method: str, path: str, body: Any = None, token: str | None = None) -> Response:
    path, _, query = path.partition("?")
    pairs = tuple((key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part))
    headers = {"Authorization": f"Bearer {token or cloud.token}"}
    return cloud.handle(
        Request(method, f"/v2{path}", pairs, headers, b"" if body is None else json.dumps(body).encode())
    )


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("whoami-account-token", "GET", "/whoami", None),
        ("list-zones", "GET", "/1010/zones", None),
        ("get-zone", "GET", "/1010/zones/example.com", None),
        ("list-records", "GET", "/1010/zones/example.com/records", None),
        ("create-record-201", "POST", "/1010/zones/example.com/records", {"name": "www", "type": "A", "content": "x"}),
        (
            "create-record-apex-201",
            "POST",
            "/1010/zones/example.com/records",
            {"name": "", "type": "A", "content": "x"},
        ),
        ("update-record-200", "PATCH", "/1010/zones/example.com/records/{id}", {"ttl": 600}),
        ("delete-record-204", "DELETE", "/1010/zones/example.com/records/{id}", None),
        ("distribution-true", "GET", "/1010/zones/example.com/records/{id}/distribution", None),
        ("error-404-zone", "GET", "/1010/zones/0", None),
        ("error-404-record", "GET", "/1010/zones/example.com/records/0", None),
    ],
)
def test_the_simulator_answers_in_the_recorded_shape(name: str, method: str, path: str, body: Any) -> None:
    cloud = DnsimpleSimulator(zones=("example.com",))
    id_ = cloud.add_record("example.com", "mx", "TXT", '"x"')
    said, was = call(cloud, method, path.format(id=id_), body), recorded(name)
    assert said.status == was.status
    if was.body:
        expected = shape(json.loads(was.body))
        if name == "update-record-200":
            expected["data"]["priority"] = "NoneType"  # recorded with an MX
        assert shape(json.loads(said.body)) == expected
    rated = {key.lower() for key in was.headers if key.lower().startswith("x-ratelimit")}
    assert rated == {key.lower() for key in said.headers if key.lower().startswith("x-ratelimit")}


def test_the_simulators_user_token_answers_in_the_recorded_shape() -> None:
    cloud = DnsimpleSimulator()
    cloud.add_token("user", account=None)
    for name, path in (("whoami-user-token", "/whoami"), ("list-accounts-user-token", "/accounts")):
        said = call(cloud, "GET", path, token="user")
        assert shape(json.loads(said.body)) == shape(json.loads(recorded(name).body))


@pytest.mark.parametrize(
    ("name", "path", "token"),
    [
        ("error-401-DOCUMENTED", "/whoami", "nobody's"),
        ("error-403-scope", "/1010/domains", "scoped"),
    ],
)
def test_the_simulators_refusals_have_the_recorded_shape(name: str, path: str, token: str) -> None:
    cloud = DnsimpleSimulator(zones=("example.com",))
    cloud.add_token("scoped", account=1010, zones=("example.com",))
    said, was = call(cloud, "GET", path, token=token), recorded(name)
    assert (said.status, shape(json.loads(said.body))) == (was.status, shape(json.loads(was.body)))


def test_the_simulators_other_bad_answers_have_the_recorded_shape() -> None:
    cloud = DnsimpleSimulator(zones=("example.com",))
    cloud.distribution = lambda id_: None
    said = call(cloud, "GET", "/1010/zones/example.com/distribution")
    assert (said.status, json.loads(said.body)) == (504, json.loads(recorded("distribution-504").body))
    said = call(cloud, "POST", "/1010/zones/example.com/records", {"name": "x", "type": "TXT", "content": ""})
    assert said.status == 400
    assert set(json.loads(said.body)) == set(json.loads(recorded("error-400-validation").body))
    cloud.remaining = 0
    assert json.loads(call(cloud, "GET", "/whoami").body) == json.loads(recorded("error-429-DOCUMENTED").body)
