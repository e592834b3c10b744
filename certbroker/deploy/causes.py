"""Why something is not served as wanted."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why a name at a target is not as wanted, the worst first; the last two are no drift."""

    BROKEN = "broken"
    """An edge serves nothing that a user accepts, and the platform does not know of it."""
    OTHER_STORE = "other-store"
    """Another store wrote what is there."""
    REPLACED = "replaced"
    """Somebody put a certificate there that is not ours."""
    REMOVED = "removed"
    """Ours was pushed, and nothing is there."""
    MANAGED = "managed"
    """The platform serves its own certificate."""
    OTHER_CDN = "other-cdn"
    """Ours is bound at the platform, and what answers shows something of which it does not know: another CDN in front."""
    NEVER_PUSHED = "never-pushed"
    NOT_ACTIVE = "not-active"
    """The push was taken; the platform does not serve it (yet)."""
    STALE = "stale"
    """Active by the platform's word; an edge still serves what was there before."""
    NEVER_ISSUED = "never-issued"
    UNASKED = "unasked"
    """The platform cannot be asked, and no edge proves anything."""
    UNREACHABLE = "unreachable"
    """No edge can be reached from here, or one not that could be before the push."""
    NOBODY_CAN_LOOK = "nobody-can-look"
    """The target has it by its own word, and no edge to look at."""
    WELL = "well"

    @property
    def fine(self) -> bool:
        return self in (Cause.WELL, Cause.NOBODY_CAN_LOOK)

    @property
    def unknown(self) -> bool:
        """Neither fine nor drift: nobody could find out."""
        return self in (Cause.UNASKED, Cause.UNREACHABLE)

    @property
    def healable(self) -> bool:
        """A push can help: not where somebody stands in front, or another store works."""
        return not (self.fine or self.unknown or self in (Cause.OTHER_STORE, Cause.OTHER_CDN, Cause.NEVER_ISSUED))
