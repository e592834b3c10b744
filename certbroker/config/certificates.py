"""[certificate.NAME] -> what the owner wants, checked against the rest of the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from certbroker.config import refused
from certbroker.config.issuers import preset
from certbroker.config.lines import Lines
from certbroker.config.names import dns_name, subject
from certbroker.config.problems import Problems
from certbroker.config.proofs import Proofs
from certbroker.config.settings import IssuerSettings, TargetSettings
from certbroker.config.split import parts
from certbroker.config.tables import CertificateTable, DefaultsTable
from certbroker.config.words import listed, nearest, quoted, unknown
from certbroker.model import LABEL, Assignment, Certificate, KeyPolicy, KeyType, Method, Traits
from certbroker.names import is_address

EACH: Final = "{each}"
DEFAULT_KEYS: Final = (KeyType.P256,)
"""Every target that we know takes it."""


class Certificates:
    """Takes the tables one by one; `found` holds the certificates that have no mistake of their own."""

    def __init__(
        self,
        problems: Problems,
        lines: Lines,
        *,
        issuers: Mapping[str, IssuerSettings],
        targets: Mapping[str, TargetSettings],
        named_issuers: Collection[str],
        named_targets: Collection[str],
        traits_of: Callable[[str], Traits],
        defaults: DefaultsTable,
        broken_defaults: Collection[str],
        proofs: Proofs,
    ) -> None:
        """`named_*` are all names that may be referred to, also those whose own table has a mistake (told there).

        `broken_defaults` are the keys of [defaults] that are at fault.
        """
        self.found: dict[str, Certificate] = {}
        self._problems = problems
        self._lines = lines
        self._issuers = issuers
        self._targets = targets
        self._named_issuers = named_issuers
        self._named_targets = named_targets
        self._defaults = defaults
        self._broken_defaults = broken_defaults
        self._proofs = proofs
        self._traits = {target.name: traits_of(target.type) for target in targets.values()}
        self._serving: dict[tuple[str, str], str] = {}
        self._presets: dict[str, IssuerSettings] = {}
        self._default_issuers = self._check_issuers(("defaults", "issuer"), defaults.issuer or ())

    def presets_used(self) -> dict[str, IssuerSettings]:
        """CAs known by name that certificates use without a table of their own."""
        return self._presets

    def add(self, name: str, table: CertificateTable, broken: Collection[str] = ()) -> None:
        """One table: one certificate, or one for each entry of `each`. `broken` are its keys that are at fault."""
        path = ("certificate", name)
        issuers = self._issuers_of(path, table, broken)
        keys = () if "keys" in broken else self._keys_of(path, table)
        if "each" in broken:
            return
        if table.each is None:
            if any(EACH in text for text in table.names):
                self._problems.add((*path, "names"), f"{EACH} stands for the entries of each = […], which is missing")
                return
            self._one(name, path, self._lines.at(path), table, keys, issuers)
            return
        if not any(EACH in text for text in table.names):
            self._problems.add(
                (*path, "names"), f"needs {EACH} in at least one name, else all entries would be the same certificate"
            )
            return
        for number, text in enumerate(table.each):
            place = (*path, "each", number)
            entry = self._entry(place, text)
            if entry is not None:
                self._one(entry, path, self._lines.at(place), table, keys, issuers, entry=entry)

    def _entry(self, place: tuple[str | int, ...], text: str) -> str | None:
        """An entry of `each` as the name of its certificate."""
        try:
            entry = dns_name(text) if "." in text else text.lower()
        except ValueError as error:
            self._problems.add(place, str(error))
            return None
        if not LABEL.fullmatch(entry):
            self._problems.add(
                place, f"{quoted(text)} cannot name a certificate: at most 63 letters, digits, dots and hyphens"
            )
            return None
        return entry

    def _one(
        self,
        name: str,
        path: tuple[str, str],
        line: int | None,
        table: CertificateTable,
        keys: tuple[KeyType, ...],
        issuers: tuple[str, ...],
        *,
        entry: str = "",
    ) -> None:
        names = self._names(path, table, entry)
        if name in self.found:
            what = f"there is already a certificate named {name}, at line {self.found[name].line}"
            self._problems.add((*path, "each") if entry else path, what)
            return
        if not names:
            return
        challenge = table.challenge or self._defaults.challenge or Method.DNS_01
        self._proofs.check(path, challenge, tuple(names), table.alias)
        self._refusals(path, names, issuers, challenge)
        assignments = self._assignments(name, path, table, tuple(names), keys, entry)
        whole = Certificate(
            name=name,
            names=tuple(names),
            keys=keys,
            issuers=issuers,
            assignments=assignments,
            line=line,
            challenge=challenge,
            alias=table.alias,
            key_policy=table.key_policy or self._defaults.key_policy or KeyPolicy(),
        )
        for part in self._parts(path, whole, split=table.split):
            if part.name in self.found:
                what = f"there is already a certificate named {part.name}, at line {self.found[part.name].line}"
                self._problems.add(path, what)
            elif not LABEL.fullmatch(part.name):
                self._problems.add(path, f"its parts cannot be named: {part.name} has more than 63 characters")
            self.found[part.name] = part

    def _refusals(
        self, path: tuple[str, str], names: Mapping[str, int], issuers: tuple[str, ...], challenge: Method
    ) -> None:
        """What cannot come of an order, whoever is asked first."""
        known = [settings for issuer in issuers if (settings := self._issuer(issuer))]
        for name, why in (
            *refused.unprovable(tuple(names), challenge),
            *(refusal for issuer in known for refusal in refused.refusals(tuple(names), issuer)),
        ):
            self._problems.add((*path, "names", names[name]), why)

    def _parts(self, path: tuple[str, str], whole: Certificate, *, split: bool) -> Iterator[Certificate]:
        """The certificate, or as many as its names need."""
        limits = dict(self._limits(whole))
        most = min(limits.values(), default=None)
        if not split:
            for who, limit in limits.items():
                if len(whole.names) > limit:
                    self._problems.add(
                        (*path, "names"),
                        f"{who} takes at most {limit} names in one certificate, and there are {len(whole.names)}; "
                        "split = true makes several certificates of them",
                    )
            yield whole
            return
        for number, names in enumerate(parts(whole.names, most), start=1):
            name = f"{whole.name}-{number}"
            kept = [(a.target, tuple(n for n in a.names if n in names)) for a in whole.assignments]
            mine = tuple(Assignment(name, target, here) for target, here in kept if here)
            yield replace(whole, name=name, names=names, assignments=mine)

    def _limits(self, whole: Certificate) -> Iterator[tuple[str, int]]:
        """Who takes how many names at most."""
        for issuer in whole.issuers:
            settings = self._issuer(issuer)
            if settings is not None and (most := refused.most_names(settings)) is not None:
                yield refused.shown(settings), most
        for assignment in whole.assignments:
            traits = self._traits.get(assignment.target)
            if traits is not None and traits.most_names is not None:
                yield assignment.target, traits.most_names

    def _names(self, path: tuple[str, str], table: CertificateTable, entry: str) -> dict[str, int]:
        """Each name with its place in the list."""
        found: dict[str, int] = {}
        for number, text in enumerate(table.names):
            try:
                dns = subject(text.replace(EACH, entry) if entry else text)
            except ValueError as error:
                self._problems.add((*path, "names", number), str(error))
                continue
            if dns in found:
                self._problems.add((*path, "names", number), f"{dns} is named twice")
            found.setdefault(dns, number)
        return found

    def _assignments(
        self,
        name: str,
        path: tuple[str, str],
        table: CertificateTable,
        names: tuple[str, ...],
        keys: tuple[KeyType, ...],
        entry: str,
    ) -> tuple[Assignment, ...]:
        found: dict[str, Assignment] = {}
        for number, wish in enumerate(table.targets):
            place = (*path, "targets", number)
            target = wish.target
            if target not in self._named_targets:
                self._problems.add(place, unknown("target", target, self._named_targets))
                continue
            if target in found:
                self._problems.add(place, f"{target} is listed twice")
                continue
            wanted = names if wish.names is None else self._subset(place, wish.names, names, entry)
            traits = self._traits.get(target)
            accepted = traits.key_types if traits else None
            if keys and accepted is not None and not any(key in accepted for key in keys):
                self._problems.add(
                    place,
                    f"{target} takes {listed([key.value for key in accepted])}, "
                    f"and keys has only {', '.join(key.value for key in keys)}",
                )
            if traits is not None and not traits.addresses and (strange := list(filter(is_address, wanted))):
                self._problems.add(
                    place,
                    f"{target} serves no IP addresses, and {strange[0]} is one; "
                    f'name what it serves: {{ target = "{target}", names = […] }}',
                )
            self._served_once(name, place, target, wanted)
            found[target] = Assignment(name, target, wanted)
        return tuple(found.values())

    def _subset(
        self, place: tuple[str | int, ...], texts: list[str], names: tuple[str, ...], entry: str
    ) -> tuple[str, ...]:
        """In the certificate's order."""
        wanted: set[str] = set()
        for text in texts:
            try:
                dns = subject(text.replace(EACH, entry) if entry else text)
            except ValueError as error:
                self._problems.add((*place, "names"), str(error))
                continue
            if dns in names:
                wanted.add(dns)
            else:
                self._problems.add(
                    (*place, "names"), f"{quoted(dns)} is not among the names of the certificate{nearest(dns, names)}"
                )
        return tuple(name for name in names if name in wanted)

    def _served_once(self, certificate: str, place: tuple[str | int, ...], target: str, names: tuple[str, ...]) -> None:
        """Two certificates for one name on one target would replace each other for ever."""
        others: dict[str, list[str]] = {}
        for name in names:
            other = self._serving.setdefault((target, name), certificate)
            if other != certificate:
                others.setdefault(other, []).append(name)
        for other, shared in others.items():
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            self._problems.add(
                place,
                f"{shared[0]}{more} on {target} is also served by certificate {other}; one of {certificate} and {other} must leave it out",
            )

    def _keys_of(self, path: tuple[str, str], table: CertificateTable) -> tuple[KeyType, ...]:
        place = (*path, "keys") if table.keys else ("defaults", "keys")
        keys = table.keys or self._defaults.keys or DEFAULT_KEYS
        unique = tuple(dict.fromkeys(keys))
        if len(unique) < len(keys):
            self._problems.add(place, "names a key type twice")
        return unique

    def _issuers_of(self, path: tuple[str, str], table: CertificateTable, broken: Collection[str]) -> tuple[str, ...]:
        if "issuer" in broken or (not table.issuer and "issuer" in self._broken_defaults):
            return ()
        if table.issuer:
            return self._check_issuers((*path, "issuer"), table.issuer)
        if self._defaults.issuer:
            return self._default_issuers
        declared = list(self._issuers)
        if len(declared) == 1:
            return (declared[0],)
        self._problems.add(
            (*path, "issuer"),
            f"is missing, and [defaults] has none; there is {listed(sorted(self._named_issuers))}",
        )
        return ()

    def _check_issuers(self, place: tuple[str, ...], names: Collection[str]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if name not in self._named_issuers:
                self._problems.add((*place, number), unknown("issuer", name, self._named_issuers))
            elif name not in self._issuers and (known := preset(name)) is not None:
                self._presets[name] = known
        if len(set(names)) < len(names):
            self._problems.add(place, "names an issuer twice")
        return tuple(dict.fromkeys(names))

    def _issuer(self, name: str) -> IssuerSettings | None:
        """None if its own table has a mistake."""
        return self._issuers.get(name) or self._presets.get(name)
