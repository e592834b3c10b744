"""An adapter broken on purpose, and the test of the conformance suite that must notice it."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.toy_adapter import ToyProvider

Broken = tuple[type[ToyProvider], str]


def noted_in(broken: list[Broken]) -> Callable[[str], Callable[[type[ToyProvider]], type[ToyProvider]]]:
    """The decorator `caught_by(TEST)`, which notes an adapter there."""

    def caught_by(test: str) -> Callable[[type[ToyProvider]], type[ToyProvider]]:
        def note(adapter: type[ToyProvider]) -> type[ToyProvider]:
            broken.append((adapter, test))
            return adapter

        return note

    return caught_by
