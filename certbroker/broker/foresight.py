"""What DNS says beforehand against the orders of a plan: CAA that forbids, a record that only a person can publish."""

from __future__ import annotations

from dataclasses import dataclass, replace

from certbroker.broker.desk import Desk
from certbroker.challenges import Means
from certbroker.errors import IssuanceError, NothingDone, ProviderError, RecordWanted
from certbroker.model import Certificate
from certbroker.plan import Hold, Plan, rationed


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What stands in the way of an order, if anything, and what is worth a remark."""

    why: str | None = None
    hint: str | None = None
    waits: bool = False
    """Nothing is wrong: a person has to act first."""
    remarks: tuple[str, ...] = ()


def foresee(desk: Desk, made: Plan) -> Plan:
    """The plan with a hold for each order that cannot succeed. A look-up that fails is a remark: the CA's look-up counts."""
    by_issuer = {order.issuer: order for order in made.orders}
    found = {issuer: look_ahead(desk, made.certificate, issuer) for issuer in by_issuer}
    holds = {}
    for order in made.orders:
        seen = found[order.issuer]
        if seen.why is not None:
            why = f"{order.why}; {seen.why}"
            holds[order.key_type] = Hold(
                order.certificate,
                None,
                why,
                person=True,
                hint=seen.hint,
                failed=not seen.waits,
                key_type=order.key_type,
            )
    remarks = [remark for seen in found.values() for remark in seen.remarks]
    return replace(rationed(made, holds), remarks=(*made.remarks, *remarks))


def look_ahead(desk: Desk, certificate: Certificate, issuer: str) -> Foreseen:
    """Asks DNS, and the CA's directory where it is not known yet; no account, no key, no token."""
    remarks: list[str] = []
    try:
        problems = desk.issuer(issuer).caa_problems(certificate.names, certificate.challenge)
        for problem in problems:
            if problem.forbids:
                return Foreseen(f"{issuer} would refuse it: {problem.what}", problem.hint)
            remarks.append(problem.what)
        means = desk.means(certificate, issuer)
        for name in Means.asked(certificate.names):
            desk.challenges().require(name, means)
    except RecordWanted as error:
        return Foreseen(error.what, error.hint, waits=True, remarks=tuple(remarks))
    except NothingDone as error:
        return Foreseen(error.what, error.hint, remarks=tuple(remarks))
    except (IssuanceError, ProviderError) as error:
        remarks.append(f"what DNS says against it is not known: {error.what}")
    return Foreseen(remarks=tuple(remarks))
