"""import --account: the account that certbot, lego or acme.sh has at the CA comes along with the certificate."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from certbroker.issuer.account_key import read
from certbroker.secret import Secret
from tests.issuer.test_account_keys import PEMS
from tests.scenarios import layouts
from tests.scenarios.test_accounts import elsewhere
from tests.scenarios.town import Town

NAMES = ("example.com", "*.example.com")
PEM = PEMS["ecdsa-p256"]


def certbot(place: Town, pem: str, uri: str, who: str = "0123abcd") -> None:
    url = urlsplit(f"{place.house.urls['ca']}/dir")
    folder = place.folder / "etc/letsencrypt/accounts" / url.netloc / "dir" / who
    layouts.write(folder / "private_key.json", read(Secret(pem), "x").json_dumps())
    layouts.write(folder / "regr.json", json.dumps({"body": {}, "uri": uri}))
    layouts.write(folder / "meta.json", "{}")


def lego(place: Town, pem: str, uri: str, who: str = "me@example.com") -> None:
    host = urlsplit(place.house.urls["ca"]).netloc.replace(":", "_")
    folder = place.folder / ".lego/accounts" / host / who
    layouts.write(folder / "keys" / f"{who}.key", pem)
    layouts.write(folder / "account.json", json.dumps({"email": who, "registration": {"body": {}, "uri": uri}}))


def acme_sh(place: Town, pem: str, uri: str) -> None:
    folder = place.folder / ".acme.sh/ca" / str(urlsplit(place.house.urls["ca"]).hostname) / "dir"
    layouts.write(folder / "account.key", pem)
    layouts.write(folder / "account.json", "{}")
    layouts.write(folder / "ca.conf", f"CA_KEY_HASH='x'\nACCOUNT_URL='{uri}'\n")


Keeping = Callable[[Town, str, str], None]
KEEPING: dict[str, tuple[layouts.Writer, Keeping]] = {
    "certbot": (layouts.certbot_lineage, certbot),
    "certbot's folder": (layouts.certbot_root, certbot),
    "lego": (layouts.lego, lego),
    "acme.sh": (layouts.acme_sh, acme_sh),
}


@pytest.mark.parametrize("layout", KEEPING)
@pytest.mark.parametrize("told", [True, False])
def test_the_account_comes_along_and_orders_from_then_on(place: Town, layout: str, told: bool) -> None:
    writer, keeping = KEEPING[layout]
    place.configure(certificates=place.certificate(targets=("folder",)))
    where = writer(place.folder, *place.ca.issue_directly(*NAMES))
    uri = elsewhere(place, PEM)
    keeping(place, PEM, uri if told else "")
    ran = place.run("import", "main", *where, "--account")
    assert f"the account at sandbox came along: {uri}" in ran.out
    assert PEM.splitlines()[1] not in ran.all
    with place.store() as store:
        assert [account.uri for account in store.accounts()] == [uri]
        assert store.versions("main")[0].account_uri == uri
    place.later(days=61)
    place.run("renew")
    assert len(place.ca.accounts) == 1
    assert place.orders == 1


def test_without_the_flag_it_stays_where_it_is(place: Town) -> None:
    where = layouts.lego(place.folder, *place.ca.issue_directly(*NAMES))
    lego(place, PEM, elsewhere(place, PEM))
    place.run("import", "main", *where)
    with place.store() as store:
        assert store.accounts() == []


def test_an_account_that_cannot_be_brought_stops_the_import(place: Town) -> None:
    chain, key = place.ca.issue_directly(*NAMES)
    where = layouts.certbot_lineage(place.folder, chain, key)

    def refused(*argv: str, ends: int = 2) -> str:
        ran = place.run("import", "main", *argv, "--account", ends=ends)
        assert "hint: " in ran.err
        with place.store() as store:
            assert store.versions("main") == []
        return ran.err

    assert re.search(
        r"certbot keeps no account at http://\S+/dir near etc/letsencrypt/live/example.com", refused(*where)
    )
    certbot(place, PEMS["ecdsa-p384"], "", "one")
    assert "knows no account by this key" in place.run("import", "main", *where, "--account", ends=2).err
    certbot(place, PEM, "", "two")
    assert "certbot keeps 2 accounts" in refused(*where)
    assert "this is pem" in refused(*layouts.one_file(place.folder, chain, key))
