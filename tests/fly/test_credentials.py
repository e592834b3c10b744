"""The token: how it is sent, what it reaches, and what the settings accept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from certbroker.errors import CredentialsRejected, Missing, Unavailable
from certbroker.model import Standing
from certbroker.provider import ChecksCredentials
from certbroker.secret import Secret
from certbroker.testkit.simulator import Fault, Response
from certbroker_fly import FlyProvider, FlySettings
from certbroker_fly.api import authorization
from certbroker_fly.simulator import FlyApp, Quirks
from tests.fly.rig import NAMES, Fly, make_bundle, make_fly


@pytest.mark.parametrize(
    ("pasted", "sent"),
    [
        ("fm2_abc", "FlyV1 fm2_abc"),
        ("FlyV1 fm2_abc", "FlyV1 fm2_abc"),
        ("  flyv1 fm2_abc\n", "FlyV1 fm2_abc"),
        ("Bearer fm2_abc", "FlyV1 fm2_abc"),
        ("BEARER fm1r_abc", "FlyV1 fm1r_abc"),
        ("FlyV1 fm2_abc, fm2_def,fm1a_ghi", "FlyV1 fm2_abc,fm2_def,fm1a_ghi"),
        ("fm2_abc,fo1_user", "FlyV1 fm2_abc"),
        ("fo1_user", "Bearer fo1_user"),
        ("Bearer fo1_user", "Bearer fo1_user"),
        ("some-old-token", "Bearer some-old-token"),
    ],
)
def test_a_pasted_token_is_sent_under_one_scheme(pasted: str, sent: str) -> None:
    assert authorization(Secret(pasted)) == {"Authorization": Secret(sent)}


@pytest.mark.parametrize("pasted", ["fm2_abc…", "fm2_a\nfm2_b", "Bearer FlyV1 fm2_abc def", "FlyV1 ,", "two words"])
def test_what_cannot_be_a_token_is_refused_without_quoting_it(pasted: str) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        authorization(Secret(pasted))
    assert "fm2" not in repr(caught.value)
    assert "words" not in repr(caught.value)


def test_the_simulator_lets_in_both_schemes_and_nothing_else() -> None:
    fly = make_fly()
    fly.simulator.accept("fm2_one", org="personal")
    fly.simulator.accept("fo1_two", org="personal")
    for token in ("FlyV1 fm2_one", "fm2_one", "fo1_two", "fm2_other,fm2_one"):
        fly.provider(token=token).inspect(make_bundle().assignment)
    for token in ("fm2_other", "fo1_other"):
        with pytest.raises(CredentialsRejected):
            fly.provider(token=token).inspect(make_bundle().assignment)


def test_a_revoked_token_is_refused() -> None:
    fly = make_fly()
    provider = fly.provider()
    fly.simulator.revoke(fly.simulator.deploy_token("site-blue"))
    with pytest.raises(CredentialsRejected):
        provider.push(make_bundle(), {})


def check(fly: Fly, token: str | None = None, app: str = "site-blue") -> Standing:
    provider = fly.provider(app, token=token)
    assert isinstance(provider, ChecksCredentials)
    return provider.check()


def test_a_deploy_token_of_the_app_needs_no_remark() -> None:
    fly = make_fly()
    standing = check(fly)
    assert standing.name.startswith('token "')
    assert (standing.account, standing.ends, standing.remarks) == ("personal", None, ())
    assert "site-blue" in standing.reach
    assert fly.simulator.writes == []


def test_an_organisation_wide_token_is_remarked() -> None:
    fly = make_fly()
    standing = check(fly, fly.simulator.org_token("personal"))
    assert standing.remarks == ("the token reaches the whole organisation, one app would do",)


def test_a_token_for_more_apps_or_of_a_person_is_remarked() -> None:
    fly = make_fly()
    fly.simulator.accept("fm2_both", org="personal", apps=("site-blue", "site-green"), user="ana")
    assert check(fly, "fm2_both").remarks == (
        "the token also reaches site-green; site-blue alone would do",
        "the token is a person's, a deploy token of the app would do",
    )


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_token_that_fly_does_not_describe_is_judged_by_what_it_reaches(status: int) -> None:
    fly = make_fly()
    answer = Response.of(status, {"error": "unauthorized"})
    fly.simulator.faults.append(Fault(answer, matches=lambda request: request.path.endswith("/tokens/current")))
    standing = check(fly)
    assert standing.name == "a token that Fly does not describe"
    assert standing.remarks == ()


def test_a_token_without_the_app_is_an_error() -> None:
    fly = make_fly(apps=("site-blue", FlyApp("elsewhere", org="other")))
    with pytest.raises(CredentialsRejected):
        check(fly, fly.simulator.deploy_token("elsewhere"))
    with pytest.raises(Missing):
        check(fly, fly.simulator.org_token("other"), app="nowhere")
    fly.simulator.faults.append(Fault("reset", times=9))
    with pytest.raises(Unavailable):
        check(fly)


@pytest.mark.parametrize("may_check", [True, False])
def test_a_readonly_token_reads_and_cannot_push(may_check: bool) -> None:
    fly = make_fly(Quirks(readonly_checks=may_check))
    bundle = make_bundle(NAMES[:1])
    fly.provider().push(bundle, {})
    readonly = fly.provider(token=fly.simulator.deploy_token("site-blue", readonly=True))
    assert set(readonly.inspect(bundle.assignment)) == {"example.com"}
    with pytest.raises(CredentialsRejected):
        readonly.push(bundle, {})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tokn": {"env": "X"}}, "Extra inputs"),
        ({"app": "Site Blue"}, "pattern"),
        ({"app": "../x"}, "pattern"),
        ({"token": "fm2_pasted"}, "a secret itself does not belong"),
        ({"api": "https://api.machines.dev/v1"}, "/v1 is added"),
        ({"api": "http://api.machines.dev"}, "in the clear"),
        ({"api": "api.machines.dev"}, "must be a URL"),
    ],
)
def test_a_wrong_setting_is_said_without_quoting_it(changed: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FlySettings.model_validate({"app": "site-blue", "token": {"env": "FLY_TOKEN"}, **changed})
    assert why in str(caught.value)
    assert "fm2_pasted" not in str(caught.value)


@pytest.mark.parametrize("api", ["https://api.machines.dev/", "http://_api.internal:4280", "http://127.0.0.1:8080"])
def test_the_public_and_the_private_address_are_taken(api: str) -> None:
    settings = FlySettings.model_validate({"app": "site-blue", "token": {"env": "FLY_TOKEN"}, "api": api})
    assert settings.api == api.rstrip("/")


def test_ecdsa_p256_is_the_first_choice() -> None:
    assert FlyProvider.traits.key_types[0] == "ecdsa-p256"
