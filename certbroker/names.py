"""Names that certificates are for, as text: DNS names and IP addresses, which covers which, and which is asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

NAME = re.compile(r"^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
"""A DNS name as we keep it: lower case, A-labels, perhaps one leading `*.`, no final dot."""


def is_address(name: str) -> bool:
    """Whether a name, as we keep it, is an IP address: no DNS name holds a colon or ends in a number."""
    return ":" in name or name.rpartition(".")[2].isdigit()


def covers(pattern: str, name: str) -> bool:
    """Whether a SAN `pattern` covers `name` (RFC 6125: one label for the star). `*.a` covers `*.a` and `x.a`, not `a`."""
    if pattern == name:
        return True
    return (
        not is_address(name)
        and pattern.startswith("*.")
        and "." in name
        and name.split(".", 1)[1] == pattern[2:]
        and not name.startswith("*.")
    )


def within(name: str, zones: Sequence[str]) -> str | None:
    """The longest of `zones` that holds `name`, on label boundaries."""
    return max((zone for zone in zones if name == zone or name.endswith("." + zone)), key=len, default=None)


def base_name(name: str) -> str:
    """Without the leading `*.`: the name whose control is proven."""
    return name.removeprefix("*.")


def probe_name(name: str) -> str:
    """A concrete name to send as SNI: for a wildcard, a label under it that nobody uses."""
    return f"certbroker-probe.{name[2:]}" if name.startswith("*.") else name
