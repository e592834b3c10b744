"""What one run knows of the account: listings read once, and kept right as we write. Safe for the threads of a run."""

from __future__ import annotations

import threading

from certbroker.errors import Missing, Rejected
from certbroker_fastly.api import SERVICE, Certificate, Configuration, DnsRecord, FastlyApi, Key


class Account:
    """The slow-moving part of an account. Activations are not kept: who serves what is asked anew each time.

    `wanted` is the id or the name of a TLS configuration; None is the account's default.
    """

    def __init__(self, api: FastlyApi, wanted: str | None) -> None:
        self._api = api
        self._wanted = wanted
        self._lock = threading.RLock()
        self._configuration: Configuration | None = None
        self._records: tuple[DnsRecord, ...] | None = None
        self._keys: dict[str, Key] | None = None
        self._certificates: dict[str, Certificate] | None = None
        self._looked_up: dict[str, Certificate | None] = {}

    def configuration(self) -> Configuration:
        """The TLS configuration that names are activated on.

        Raises:
            Missing: there is none of that id or name, or no default.
            Rejected: two have that name, or it belongs to Platform TLS.
        """
        with self._lock:
            if self._configuration is None:
                self._configuration = self._choose(self._api.configurations())
            return self._configuration

    def _choose(self, there: tuple[Configuration, ...]) -> Configuration:
        if self._wanted is None:
            found = [each for each in there if each.default]
        else:
            found = [each for each in there if each.id == self._wanted]
            found = found or [each for each in there if each.name == self._wanted]
        listed = ", ".join(f'"{each.name}" ({each.id})' for each in there if not each.bulk) or "none"
        if not found:
            what = f"no TLS configuration {self._wanted}" if self._wanted else "no default TLS configuration"
            raise Missing(
                f"{SERVICE} has {what} for this account", hint=f'set configuration = "…"; there are: {listed}'
            )
        if len(found) > 1:
            raise Rejected(
                f"{SERVICE} has {len(found)} TLS configurations called {found[0].name}",
                hint=f"name it by its id: {listed}",
            )
        if found[0].bulk:
            raise Rejected(
                f'the TLS configuration "{found[0].name}" ({found[0].id}) is one of Platform TLS (bulk: true), which is another product',
                hint=f"name another in configuration; there are: {listed}",
            )
        return found[0]

    def other_configurations(self) -> tuple[str, ...]:
        """Those that names could be activated on besides ours, as a person finds them: name and id."""
        ours = self.configuration().id
        return tuple(
            f'"{each.name}" ({each.id})' for each in self._api.configurations() if not each.bulk and each.id != ours
        )

    def dns_records(self) -> tuple[DnsRecord, ...]:
        """Where the configuration is reached."""
        with self._lock:
            if self._records is None:
                self._records = self._api.dns_records(self.configuration().id)
            return self._records

    def key(self, sha1: str) -> Key | None:
        """The uploaded key with that public key."""
        with self._lock:
            if self._keys is None:
                self._keys = {key.sha1: key for key in self._api.private_keys()}
            return self._keys.get(sha1)

    def remember_key(self, sha1: str, key: Key) -> None:
        with self._lock:
            if self._keys is not None:
                self._keys[sha1] = key

    def certificates(self, *, again: bool = False) -> tuple[Certificate, ...]:
        """Every uploaded certificate. `again`: ask anew."""
        with self._lock:
            if self._certificates is None or again:
                self._certificates = {each.id: each for each in self._api.certificates()}
            return tuple(self._certificates.values())

    def remember_certificate(self, certificate: Certificate) -> None:
        with self._lock:
            self._looked_up.pop(certificate.id, None)
            if self._certificates is not None:
                self._certificates[certificate.id] = certificate

    def forget_certificate(self, certificate: str) -> None:
        with self._lock:
            self._looked_up.pop(certificate, None)
            if self._certificates is not None:
                self._certificates.pop(certificate, None)

    def certificate(self, certificate: str) -> Certificate | None:
        """One by its id; None if Fastly does not show it, as it does not for the ones that it manages."""
        with self._lock:
            listed = (self._certificates or {}).get(certificate)
            if listed is not None:
                return listed
            if certificate not in self._looked_up:
                try:
                    self._looked_up[certificate] = self._api.certificate(certificate)
                except Missing:
                    self._looked_up[certificate] = None
            return self._looked_up[certificate]
