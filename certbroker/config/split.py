"""A list of names that is too long for one certificate, in parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from certbroker.names import base_name


def parts(names: Sequence[str], most: int | None) -> list[tuple[str, ...]]:
    """The names in parts of at most `most`; a wildcard and its base, which share a proof, stay together.

    Each name goes, in the file's order, to the first part that has room, or to the one where its other half is. So a name that is
    appended joins one part and leaves the others as they are; only where it joins its other half in a full part do both move
    on together.

    Raises:
        ValueError: not even two names fit.
    """
    if most is None or len(names) <= most:
        return [tuple(names)]
    if most < 2:
        raise ValueError("a part has room for a name and its wildcard")
    found: list[list[str]] = []
    for name in names:
        together = [name]
        home = next((part for part in found if any(base_name(other) == base_name(name) for other in part)), None)
        if home is not None and len(home) >= most:
            halves = [other for other in home if base_name(other) == base_name(name)]
            for other in halves:
                home.remove(other)
            together, home = [*halves, name], None
        if home is None:
            home = next((part for part in found if len(part) + len(together) <= most), None)
        if home is None:
            home = []
            found.append(home)
        home += together
    return [tuple(part) for part in found]
