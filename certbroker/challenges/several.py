"""Several calls at a time, heard in the order in which they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T")


def as_they_come(
    pool: ThreadPoolExecutor, act: Callable[[R], T], items: Mapping[int, R]
) -> Iterator[list[tuple[int, Future[T]]]]:
    """`act` on all, several at a time; whatever is done when somebody looks, together, under the items' numbers."""
    tasks = {pool.submit(act, item): index for index, item in items.items()}
    left = set(tasks)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        yield [(tasks[task], task) for task in done]
