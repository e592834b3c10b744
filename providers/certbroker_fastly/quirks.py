"""Where the real Fastly is inconsistent, undocumented or unlucky: the simulator can be it either way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this Fastly behaves where nobody knows the real one. The defaults are the likely ones."""

    new_key_on_patch: bool = False
    """A certificate may be replaced by one with another uploaded key."""
    one_activation_per: Literal["configuration", "domain"] = "configuration"
    """Whether a name may be activated once on each configuration, or once at all."""
    services_checked: bool = True
    """An activation needs its domain on an active service."""
    links: bool = True
    """Listings of activations and configurations have `links`; those of keys never do."""
    refusal_status: Literal[400, 409, 422] = 400
    """The status of refusals whose wording nobody has recorded."""
    same_certificate: Literal["new row", "refuse"] = "new row"
    """What becomes of a certificate that is uploaded a second time."""
    untrusted: Literal["accept", "reject"] = "accept"
    """A chain that ends in no root Fastly knows, without `allow_untrusted_root`."""
    dates: Literal["reject", "accept"] = "reject"
    """An expired or not yet valid certificate is stored or not. It is never activated."""
    stale_domains: bool = True
    """The answer to a replaced certificate still shows the names of the one before."""
    ec_key_type: str = "ECDSA"
    ec_key_length: int | None = None
    """How elliptic keys are described; None: their size in bits."""
    rate_headers: bool = False
    """Answers to writes tell how many are left."""
    retry_after: bool = False
    """A 429 tells when to come back."""
    writes_per_hour: int = 1000
    rename_certificate: bool = True
    """A PATCH with a name alone is taken."""
    managed_activation_moves: bool = False
    """The activation of a Fastly-managed certificate can be moved to an uploaded one."""
    managed_activation_returns: bool = False
    """An activation can be pointed (back) to the certificate that a subscription of its domain issued."""
    subscription_blocks: Literal["domain", "configuration"] = "domain"
    """Whether a subscription keeps its domain from being activated at all, or on its own configuration."""
    subscription_beside: bool = False
    """A subscription can be had for a domain that is activated with an uploaded certificate."""
    subscription_goes: bool = True
    """One that serves nothing can be deleted while its domain is activated otherwise."""
    issued_is_activated: bool = False
    """What a subscription issued takes the place of an uploaded certificate by itself."""
    list_lag: int = 0
    """So many reads of each listing after a write show it as it was before."""
    filters: bool = True
    """Filters of listings work; if not they are ignored, as those are that Fastly does not know."""
    read_only: bool = False
    """Every write is refused with 403 while reads work."""
    plain_401: bool = False
    """The 401 is labelled text/plain."""
    tokens_self: Literal[200, 403, 404] = 200
    """Whether a token may ask about itself."""
    mutual_member: bool = True
    """Activations name their mutual authentication, also when they have none."""
    mutual_survives: bool = True
    """It survives a PATCH that does not name it."""
    old_statuses: bool = False
    """As in hand-made recordings: 200 to the POST of an activation, 200 and `{}` to a DELETE."""
