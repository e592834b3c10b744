"""Whether the names of a certificate can be proven the way it says, by the solvers of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from certbroker.config.problems import Problems
from certbroker.config.settings import SolverSettings
from certbroker.config.solvers import answering
from certbroker.config.words import listed
from certbroker.model import Method
from certbroker.names import base_name

LONGEST_NAME: Final = 253
ACCOUNT_LABEL: Final = "_" + "x" * 16
"""As long as the label of dns-account-01."""


class Proofs:
    """What the file has for proving.

    Args:
        solvers: those without a mistake of their own.
        whole: there are no others.
        over_http: the types that answer over HTTP, to be offered where one is missing.
    """

    def __init__(
        self, problems: Problems, solvers: Mapping[str, SolverSettings], *, whole: bool, over_http: Sequence[str]
    ) -> None:
        self._problems = problems
        self._solvers = solvers
        self._whole = whole
        self._over_http = over_http

    def check(self, path: tuple[str, str], challenge: Method, names: Sequence[str], alias: str | None) -> None:
        """Every problem that can be seen without asking anybody. What a solver with a mistake would do is not judged."""
        if alias is not None:
            self._through(path, challenge, names, alias)
        if challenge is Method.DNS_PERSIST_01:
            return  # nobody writes anything
        if challenge is Method.HTTP_01:
            self._over_the_web(path, names)
        elif self._whole and self._solvers and all(solver.puts == "http" for solver in self._solvers.values()):
            self._problems.add(
                (*path, "challenge"), f"{challenge} needs a solver that writes TXT records, and there is none"
            )

    def _through(self, path: tuple[str, str], challenge: Method, names: Sequence[str], alias: str) -> None:
        """An alias zone is what `_acme-challenge` is a CNAME into."""
        place = (*path, "alias")
        if challenge not in (Method.DNS_01, Method.DNS_ACCOUNT_01):
            self._problems.add(place, f"has no meaning with {challenge}: nothing is written into a zone")
        if alias.startswith("*."):
            self._problems.add(place, f"{alias} is a wildcard, not a zone")
        for name in names:
            longest = f"{ACCOUNT_LABEL}.{base_name(name)}.{alias}"
            if len(longest) > LONGEST_NAME:
                self._problems.add(place, f"makes a name of more than {LONGEST_NAME} characters with {base_name(name)}")
                return

    def _over_the_web(self, path: tuple[str, str], names: Sequence[str]) -> None:
        stars = [name for name in names if name.startswith("*.")]
        if stars:
            self._problems.add(
                (*path, "names"),
                f"{stars[0]} cannot be proven by http-01: no CA takes it for a wildcard; use dns-01, or leave the wildcard out",
            )
        if not self._whole:
            return
        if not any(solver.puts == "http" for solver in self._solvers.values()):
            self._problems.add(
                (*path, "challenge"),
                f"http-01 needs a solver that answers over HTTP: [solver.NAME] with type {listed(self._over_http)}",
            )
            return
        for name in names:
            if name not in stars and answering(name, self._solvers.values()) is None:
                held = ", ".join(solver.name for solver in self._solvers.values() if solver.puts == "http")
                self._problems.add(
                    (*path, "names"), f"no solver answers for {name} over HTTP: it is in none of the zones of {held}"
                )
