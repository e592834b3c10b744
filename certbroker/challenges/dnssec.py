"""Broken DNSSEC, told apart from a server that fails."""

from __future__ import annotations

from certbroker.errors import Unavailable


class BrokenDnssec(Unavailable):
    """Resolvers that validate refuse the answer; so does every CA (BR 3.2.2.4 and 3.2.2.8.1, since 2026-03-15)."""
