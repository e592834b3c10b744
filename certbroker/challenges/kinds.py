"""The solver types, by the word in the file. Lazy: naming a type loads that module and no other."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.challenges.http_solver import HttpSolver
    from certbroker.challenges.solver import Solver
    from certbroker.config import Puts

IN_DNS: Final = {
    "acme-dns": "certbroker.challenges.acmedns:AcmeDnsSolver",
    "dnsimple": "certbroker.challenges.dnsimple:DnsimpleSolver",
    "exec": "certbroker.challenges.exec:ExecSolver",
    "lexicon": "certbroker.challenges.lexicon:LexiconSolver",
    "rfc2136": "certbroker.challenges.rfc2136:Rfc2136Solver",
}
"""Those that write TXT records."""

OVER_HTTP: Final = {
    "http-server": "certbroker.challenges.http_server:HttpServerSolver",
    "target": "certbroker.challenges.handing:TargetSolver",
    "webroot": "certbroker.challenges.webroot:WebrootSolver",
}
"""Those that answer http-01."""

SOLVERS: Final = {**IN_DNS, **OVER_HTTP}


def solver_types() -> tuple[str, ...]:
    return tuple(SOLVERS)


def solver_class(type_: str) -> type[Solver] | type[HttpSolver]:
    """Raises LookupError if there is no such type."""
    module, _, name = SOLVERS[type_].partition(":")
    found: Any = getattr(import_module(module), name)
    return found  # type: ignore[no-any-return]


def solver_settings(type_: str) -> type[BaseModel] | None:
    """The settings model of a type; None if there is no such type."""
    return solver_class(type_).settings if type_ in SOLVERS else None


def solver_puts(type_: str) -> Puts:
    """What a type puts where the CA looks; imports nothing. Raises LookupError if there is no such type."""
    if type_ not in SOLVERS:
        raise LookupError(type_)
    return "http" if type_ in OVER_HTTP else "txt"


def walks(type_: str) -> bool:
    """It takes the zone that DNS says, so it is asked last. Raises LookupError if there is no such type."""
    found = solver_class(type_)
    return found.puts == "txt" and found.walks
