"""Who holds an `_acme-challenge` name that is a CNAME: known targets, by the end of the name.

Sources: the platforms' own documentation and the survey of the IETF draft on domain control validation.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Holder(NamedTuple):
    """A platform that answers validations at names of its own."""

    name: str
    needed: str
    """What the CNAME is for there, and what that means for a certificate that we push."""
    perhaps_ours: bool = False
    """The owner may have a registration of his own there."""


HOLDERS: Final = {
    "fastly-validations.com": Holder("Fastly", "Fastly does not need it for a certificate we push"),
    "flydns.net": Holder("Fly", "Fly does not need it for a certificate we push"),
    "dcv.cloudflare.com": Holder("Cloudflare", "it renews a certificate that Cloudflare, or a vendor there, manages"),
    "authorize.certificatemanager.goog": Holder(
        "Google Certificate Manager",
        "it renews a Google-managed certificate; per-project authorisations need another name",
    ),
    "validate-akdv.net": Holder("Akamai", "it renews an Akamai Default DV certificate; Akamai also takes a TXT"),
    "verify.renderdns.com": Holder("Render", "it renews a wildcard certificate that Render manages"),
    "authorize.railwaydns.net": Holder("Railway", "it renews a wildcard certificate that Railway manages"),
    "_acme.deno.net": Holder("Deno Deploy", "it renews a certificate that Deno manages"),
    "hosting-verify.netsuite.com": Holder("Oracle NetSuite", "it renews a certificate that NetSuite manages"),
    "auth.acme-dns.io": Holder(
        "the public acme-dns",
        "or, if the registration is yours, name it in a solver of type acme-dns",
        perhaps_ours=True,
    ),
}


def holder_of(name: str) -> Holder | None:
    """Who answers at `name` (lower case, no final dot); None if nobody known."""
    return next((who for suffix, who in HOLDERS.items() if name == suffix or name.endswith("." + suffix)), None)
