"""Adapters broken on purpose, one way each: the conformance suite must notice every one."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from certbroker.errors import ProviderError
from certbroker.testkit.conformance import ProviderConformance
from tests.conformance import broken_changing, broken_managing, broken_telling
from tests.conformance.toy_adapter import ToyProvider, toy_rig

BROKEN = [*broken_changing.BROKEN, *broken_telling.BROKEN, *broken_managing.BROKEN]
"""Each with the test of the suite that must fail."""


def run(test: str, adapter: type[ToyProvider], caplog: pytest.LogCaptureFixture) -> list[str]:
    """The suite's test on that adapter, with each of its parameters; what it complained about."""
    method = getattr(ProviderConformance(), test)
    tables = []
    for mark in getattr(method, "pytestmark", []):
        names, rows = mark.args[0], list(mark.args[1])
        tables.append([{names: row} if isinstance(names, str) else dict(zip(names, row, strict=True)) for row in rows])
    new_rig = functools.partial(toy_rig, adapter)
    complaints = []
    for choice in itertools.product(*tables):
        arguments: dict[str, Any] = {name: value for table in choice for name, value in table.items()}
        known: dict[str, Callable[[], Any]] = {"rig": new_rig, "new_rig": lambda: new_rig, "caplog": lambda: caplog}
        for name in inspect.signature(method).parameters:
            if name in known:
                arguments[name] = known[name]()
        try:
            method(**arguments)
        except (AssertionError, ProviderError, pytest.fail.Exception) as complaint:
            complaints.append(str(complaint).splitlines()[0] if str(complaint) else type(complaint).__name__)
    return complaints


@pytest.mark.parametrize(("adapter", "test"), BROKEN, ids=[adapter.__name__ for adapter, _ in BROKEN])
def test_the_suite_notices(adapter: type[ToyProvider], test: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(test, adapter, caplog), f"{adapter.__name__} passed {test}"


def test_the_honest_toy_is_not_complained_about(caplog: pytest.LogCaptureFixture) -> None:
    """Run the same way: so it is the break that is noticed, not the way of running."""
    for test in sorted({test for _, test in BROKEN}):
        assert run(test, ToyProvider, caplog) == [], test


def test_every_promise_of_the_suite_has_been_seen_broken() -> None:
    tests = {name for name in dir(ProviderConformance) if name.startswith("test_")}
    unbroken = {"test_declares_what_it_is", "test_inspect_of_an_empty_place_is_empty"}
    assert tests - {test for _, test in BROKEN} == unbroken
