"""The solver types, by the word in the file. Lazy: naming a type loads that module and no other."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.challenges.solver import Solver

SOLVERS: Final = {
    "acme-dns": "certbroker.challenges.acmedns:AcmeDnsSolver",
    "dnsimple": "certbroker.challenges.dnsimple:DnsimpleSolver",
    "exec": "certbroker.challenges.exec:ExecSolver",
    "lexicon": "certbroker.challenges.lexicon:LexiconSolver",
    "rfc2136": "certbroker.challenges.rfc2136:Rfc2136Solver",
}


def solver_types() -> tuple[str, ...]:
    return tuple(SOLVERS)


def solver_class(type_: str) -> type[Solver]:
    """Raises LookupError if there is no such type."""
    module, _, name = SOLVERS[type_].partition(":")
    return cast("type[Solver]", getattr(import_module(module), name))


def solver_settings(type_: str) -> type[BaseModel] | None:
    """The settings model of a type; None if there is no such type."""
    return solver_class(type_).settings if type_ in SOLVERS else None
