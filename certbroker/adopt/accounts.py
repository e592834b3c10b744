"""Where certbot, lego and acme.sh keep the account that ordered a certificate: beside it, by the address of the CA."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from certbroker.adopt.pem import decode
from certbroker.adopt.place import Place
from certbroker.errors import BadMaterial
from certbroker.secret import Secret

DEEPEST: Final = 2
"""So many folders up from what a person names begins what the program keeps: /etc/letsencrypt from live/NAME."""


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """A key that signs for an account, as it lies there, and the account's address where that is kept too."""

    shown: str
    key: Secret
    uri: str | None


def find_account(source: Place, kind: str, directory: str) -> FoundAccount:
    """The account at the CA of that directory URL, of the program `kind` whose folder, or a part of it, is `source`.

    Raises BadMaterial: there is none, or more than one.
    """
    found = [account for root in _roots(source, kind) for account in _ACCOUNTS[kind](root, directory)]
    if not found:
        raise BadMaterial(
            f"{kind} keeps no account at {directory} near {source.shown}",
            hint="leave out --account: the next order makes one; or certbroker account import ISSUER FILE",
        )
    if len(found) > 1:
        shown = ", ".join(each.shown for each in found[:5])
        raise BadMaterial(
            f"{kind} keeps {len(found)} accounts at {directory}: {shown}",
            hint=f"leave out --account, and name one: certbroker account import ISSUER {found[0].shown}",
        )
    return found[0]


def _roots(source: Place, kind: str) -> Iterator[Place]:
    """The nearest folder, from `source` upwards, that has accounts."""
    place = source
    for _ in range(DEEPEST + 1):
        if (place / ("ca" if kind == "acme.sh" else "accounts")).is_folder:
            yield place
            return
        place = place / ".."


def _certbot(root: Place, directory: str) -> Iterator[FoundAccount]:
    """`accounts/HOST/PATH/ID/{private_key,regr}.json` (certbot's `server_path`)."""
    url = urlsplit(directory)
    for place in _folders(_below(root / "accounts", url.netloc, url.path)):
        key = place / "private_key.json"
        if key.is_file:
            yield FoundAccount(key.shown, _secret(key), _address(place / "regr.json", "uri"))


def _lego(root: Place, directory: str) -> Iterator[FoundAccount]:
    """`accounts/HOST/EMAIL/{account.json,keys/EMAIL.key}`, with `_` for the colon before a port."""
    host = urlsplit(directory).netloc.replace(":", "_")
    for place in _folders(_below(root / "accounts", host)):
        for keys in (place / "keys", place):
            for file in keys.inside() if keys.is_folder else ():
                if file.shown.endswith(".key") and file.is_file:
                    yield FoundAccount(
                        file.shown, _secret(file), _address(place / "account.json", "registration", "uri")
                    )


def _acme_sh(root: Place, directory: str) -> Iterator[FoundAccount]:
    """`ca/HOST/PATH/account.key`, and the address in `ca.conf`; the port is left out."""
    url = urlsplit(directory)
    place = _below(root / "ca", url.hostname or "", url.path)
    key, conf = place / "account.key", place / "ca.conf"
    if key.is_file:
        said = (
            re.search(r"^ACCOUNT_URL='([^']+)'", decode(conf.shown, conf.read()), re.MULTILINE)
            if conf.is_file
            else None
        )
        yield FoundAccount(key.shown, _secret(key), said[1] if said else None)


_ACCOUNTS: Final[Mapping[str, Callable[[Place, str], Iterator[FoundAccount]]]] = {
    "certbot": _certbot,
    "lego": _lego,
    "acme.sh": _acme_sh,
}

KEEPING_ACCOUNTS: Final = tuple(_ACCOUNTS)


def _below(place: Place, *parts: str) -> Place:
    """No part of a URL leads out of the folder."""
    for part in (each for some in parts for each in some.split("/")):
        if part not in ("", ".", ".."):
            place = place / part
    return place


def _folders(place: Place) -> list[Place]:
    return [each for each in place.inside() if each.is_folder] if place.is_folder else []


def _secret(file: Place) -> Secret:
    return Secret(decode(file.shown, file.read()))


def _address(file: Place, *path: str) -> str | None:
    """What stands there in a JSON file; None where it is not as expected: the CA then finds the account by its key."""
    if not file.is_file:
        return None
    try:
        value = json.loads(decode(file.shown, file.read()))
    except ValueError:
        return None
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None
