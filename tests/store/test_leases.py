from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from certbroker.errors import LeaseHeld
from certbroker.store import Lease, Store
from tests.clock import TestClock


def test_one_holder_at_a_time_and_the_next_one_has_a_higher_fence(store: Store) -> None:
    with store.lease("certificate/main", "run 1") as lease:
        assert lease.fence == 1
        lease.check()
        lease.extend()
        with pytest.raises(LeaseHeld) as held:
            store.lease("certificate/main", "run 2")
        assert held.value.holder == "run 1"
        assert 100 < held.value.seconds <= 120
        assert [(row.name, row.holder, row.fence) for row in store.leases()] == [("certificate/main", "run 1", 1)]
        with store.lease("certificate/other", "run 2"):
            assert len(store.leases()) == 2
    assert store.leases() == []
    with store.lease("certificate/main", "run 2") as lease:
        assert lease.fence == 2


def expire(store: Store, name: str) -> Lease:
    """Held by somebody whose process stands still."""
    lease = store.lease(name, "paused", seconds=-1)
    store._forget(lease)  # and no heart that beats for it
    return lease


def test_a_paused_holder_that_lost_its_lease_is_told_and_changes_nothing(store: Store) -> None:
    paused = expire(store, "certificate/main")
    assert store.leases() == []
    taken = store.lease("certificate/main", "quick")
    assert taken.fence == paused.fence + 1
    with pytest.raises(LeaseHeld, match="being worked on by quick"):
        paused.check()
    with pytest.raises(LeaseHeld):
        paused.extend()
    paused.release()
    taken.check()
    assert [row.holder for row in store.leases()] == ["quick"]


def test_a_lease_that_ran_out_and_nobody_took_is_still_ours(store: Store) -> None:
    lease = expire(store, "certificate/main")
    lease.seconds = 60
    lease.check()
    assert [row.fence for row in store.leases()] == [lease.fence]


def test_a_lease_that_was_given_back_stays_so_even_if_a_heartbeat_comes_late(store: Store) -> None:
    lease = store.lease("certificate/main", "run 1")
    lease.release()
    with pytest.raises(LeaseHeld, match="nobody"):
        lease.extend()
    assert store.leases() == []


def test_the_heart_beats_while_the_holder_is_busy(store: Store) -> None:
    lease = store.lease("certificate/main", "busy", seconds=0.3)
    [first] = store.leases()
    deadline = time.monotonic() + 30
    while True:
        found = store.leases()
        if found and found[0].expires > first.expires:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert found[0].fence == lease.fence


def test_a_failure_inside_gives_the_lease_back_and_is_told(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lease("certificate/main", "run 1"):
        raise ZeroDivisionError
    assert store.leases() == []


def test_of_many_threads_one_wins(store: Store) -> None:
    start, won, lost = threading.Barrier(12), list[Lease](), list[str]()

    def take(holder: str) -> None:
        start.wait()
        try:
            won.append(store.lease("certificate/main", holder))
        except LeaseHeld as held:
            lost.append(held.holder)

    threads = [threading.Thread(target=take, args=(f"thread {n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == [won[0].holder] * 11


RACER = """
import sys
from certbroker.errors import LeaseHeld
from certbroker.store import Store
from certbroker.world import SystemClock
store = Store.open(sys.argv[1], SystemClock())
print("ready", flush=True)
sys.stdin.readline()
for n in range(20):
    try:
        lease = store.lease(f"certificate/{n}", sys.argv[2])
        print(n, flush=True)
    except LeaseHeld:
        pass
store.close()
"""


def test_of_two_processes_that_open_and_race_each_lease_has_one_winner(url: str, clock: TestClock) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, f"process {n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(word) for racer in racers for word in racer.communicate()[0].split()]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(won) == list(range(20))
    with Store.open(url, clock) as store:
        assert {row.fence for row in store.leases()} == {1}
