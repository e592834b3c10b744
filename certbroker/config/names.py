"""Names and addresses as people write them, to the one form we keep; each refusal says why."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Final

from certbroker.config.words import Refusal, quoted
from certbroker.model import Edge, KeyPolicy
from certbroker.names import NAME

_HOST: Final = re.compile(r"^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$")
_DURATION: Final = re.compile(r"^(?:[0-9]{1,9}[smhd])+$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def subject(text: str) -> str:
    """What a certificate may name: a DNS name, or an IP address (IPv6 compressed and in lower case). Raises Refusal."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        if _is_address(text.removeprefix("*.")):
            raise Refusal(f"{quoted(text)}: a wildcard stands before a DNS name, never before an IP address") from None
        return dns_name(text)
    if isinstance(found, ipaddress.IPv6Address) and (found.scope_id or found.ipv4_mapped):
        raise Refusal(
            f"{quoted(text)} is no address that a certificate names: write it without a zone, and IPv4 as IPv4"
        )
    return str(found)


def dns_name(text: str) -> str:
    """Lower case, A-labels (IDNA 2008 with UTS 46 mapping), no final dot; a `*.` may stand left-most.

    Raises Refusal saying what is wrong.
    """
    name = text.lower().removesuffix(".")
    if NAME.fullmatch(name) and len(name) <= 253 and not name.rsplit(".", 1)[1].isdigit():
        return name
    shown = quoted(text)
    if not text.strip():
        raise Refusal("a DNS name is empty")
    if any(not sign.isprintable() for sign in text):
        raise Refusal(f"{shown} holds a control character")
    if "://" in text:
        raise Refusal(f"{shown} is a URL; give the host name alone")
    if found := next((sign for sign in " /\\:@,;{}" if sign in text), None):
        raise Refusal(f"{shown} holds {'a space' if found == ' ' else found}, which no DNS name has")
    if _is_address(name):
        raise Refusal(f"{shown} is an IP address, not a DNS name")
    if "*" in name.removeprefix("*."):
        raise Refusal(f"{shown}: a wildcard stands alone and left-most, as in *.example.com")
    if not name.isascii():
        return dns_name(_ascii(name, shown))
    if "." not in name.removeprefix("*."):
        raise Refusal(f"{shown} has no dot; a certificate needs a full name, as in www.example.com")
    if len(name) > 253:
        raise Refusal(f"{shown} is longer than 253 characters")
    labels = name.removeprefix("*.").split(".")
    if "" in labels:
        raise Refusal(f"{shown} has an empty label: two dots in a row, or one in front")
    if max(map(len, labels)) > 63:
        raise Refusal(f"{shown} has a label longer than 63 characters")
    if labels[-1].isdigit():
        raise Refusal(f"{shown} ends in a number, which no DNS name does")
    raise Refusal(f"{shown} is no DNS name: labels have letters, digits and inner hyphens")


def _ascii(name: str, shown: str) -> str:
    import idna

    star = "*." if name.startswith("*.") else ""
    try:
        return star + idna.encode(name.removeprefix("*."), uts46=True).decode()
    except UnicodeError:
        raise Refusal(f"{shown} is no valid international name (IDNA 2008)") from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def edge(text: str) -> Edge:
    """`192.0.2.10`, `host:8443`, `2001:db8::1` or `[2001:db8::1]:443`. Raises Refusal."""
    return Edge(*host_and_port(text, 443))


def address(text: str, default_port: int) -> str:
    """The same as one text with its port, IPv6 in brackets: how connections are named everywhere. Raises Refusal."""
    host, port = host_and_port(text, default_port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """Raises Refusal saying what is wrong."""
    shown = quoted(text)
    if "://" in text:
        raise Refusal(f"{shown} is a URL; give HOST or HOST:PORT")
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise Refusal(f"{shown} is no address; IPv6 with a port is written [2001:db8::1]:443")
        port = rest.removeprefix(":") if rest else str(default_port)
        if ":" not in host or not _is_address(host):
            raise Refusal(f"{shown}: between [ and ] stands an IPv6 address")
    elif text.count(":") > 1:
        host, port = text, str(default_port)
        if not _is_address(host):
            raise Refusal(f"{shown} is no address; IPv6 with a port is written [2001:db8::1]:443")
    else:
        host, colon, port = text.partition(":")
        port = port if colon else str(default_port)
    host = host.lower()
    if _is_address(host):
        host = str(ipaddress.ip_address(host))
    elif not _HOST.fullmatch(host):
        raise Refusal(f"{shown} is neither a host name nor an IP address")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise Refusal(f"{shown}: a port is a number from 1 to 65535")
    return host, int(port)


def key_policy(text: str) -> KeyPolicy:
    """`rotate`, `reuse`, or `every N`: N versions share a private key. Raises Refusal."""
    if text == "rotate":
        return KeyPolicy()
    if text == "reuse":
        return KeyPolicy(None)
    found = re.fullmatch(r"every ([1-9][0-9]{0,3})", text)
    if found is None:
        raise Refusal('must be "rotate", "reuse" or "every N", as in "every 4"')
    return KeyPolicy(int(found[1]))


def duration(text: str) -> timedelta:
    """`90s`, `60m`, `2h`, `1d`, or several in a row: `1h30m`. Longer than nothing. Raises Refusal."""
    if not _DURATION.fullmatch(text):
        raise Refusal("must be a time with its unit, such as 90s, 60m, 2h or 1d")
    try:
        length = timedelta(seconds=sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"([0-9]+)([smhd])", text)))
    except OverflowError:
        raise Refusal("is longer than any clock counts") from None
    if not timedelta(0) < length <= timedelta(days=3650):
        raise Refusal("must be longer than nothing and at most 3650d")
    return length
