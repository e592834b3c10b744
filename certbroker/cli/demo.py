"""`demo` and `sandbox`: the embedded world, told as a story or kept running.

Each step of the story is the real command line, run against real servers on loopback; a step that does not end as told
ends the demo with exit 1.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from certbroker.cli import main
from certbroker.cli.paper import Paper
from certbroker.errors import UsageError
from certbroker.world import SystemClock, World

if TYPE_CHECKING:
    from certbroker.sandbox.house import Sandbox


class StoryClock(SystemClock):
    """The machine's clock, set forward as the story goes."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._ahead

    def later(self, step: timedelta) -> None:
        self._ahead += step


class Story:
    """Tells what is done, does it, and notices when it did not end as told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._paper = Paper(world)
        self.surprises: list[str] = []

    def say(self, text: str) -> None:
        self._paper.line()
        self._paper.line(f"# {text}")

    def run(self, argv: Sequence[str], ends: int) -> None:
        self._paper.line(f"$ certbroker {' '.join(argv)}")
        code = main(argv, self._world)
        if code != ends:
            self.surprises.append(f"certbroker {' '.join(argv)} ended {code}, not {ends}")


def tell_demo(world: World, keep: str | None) -> int:
    """The main job from nothing to a repaired push. Returns the exit code."""
    from certbroker.broker import home_path
    from certbroker.sandbox.house import Sandbox

    clock = StoryClock()
    began = clock.monotonic()
    with ExitStack() as stack:
        folder = (
            home_path(world, keep)
            if keep
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="certbroker-demo-")))
        )
        house = stack.enter_context(Sandbox(clock=clock, rng=random.Random(world.random.random())))
        house.write(folder)
        inside = replace(
            world,
            clock=clock,
            cwd=folder,
            environ={"PATH": world.environ.get("PATH", ""), "HOME": str(folder), **house.secrets},
        )
        story = Story(inside)
        _tell(story, house, clock)
        paper = Paper(world)
        paper.line()
        seconds = clock.monotonic() - began
        if story.surprises:
            for surprise in story.surprises:
                paper.trouble(f"the demo did not go as told: {surprise}")
            return 1
        paper.line(
            f"The whole main job in {seconds:.0f} s: ordered, proven in DNS, pushed, seen at every edge, renewed, repaired."
        )
        paper.line("Yours: certbroker init example.com '*.example.com' --target fastly --target fly:your-app")
        return 0


def _tell(story: Story, house: Sandbox, clock: StoryClock) -> None:
    from certbroker.testkit.simulator import Fault, Response

    story.say("The file is there; make the store and the vault key.")
    story.run(["init"], 0)
    story.say("Who are we, what may we do, what stands in the way?")
    story.run(["check"], 0)
    story.say("What would be done, and why?")
    story.run(["plan"], 0)
    story.say("One order, proven by DNS; pushed to every target; a TLS handshake with every edge.")
    story.run(["renew"], 0)
    story.say("An hour later cron comes again: nothing to do.")
    clock.later(timedelta(hours=1))
    story.run(["renew"], 0)
    story.say("The next day the CA revokes the certificate and says so by ARI; and one platform answers 503 once.")
    clock.later(timedelta(hours=23))
    house.ca.revoke(house.ca.issued[-1].serial)
    first = next(iter(house.platforms.values()))
    first.faults.append(Fault(Response.html(503, "Service Unavailable"), matches=lambda request: request.write))
    story.run(["renew", "--refresh-ari"], 1)
    story.say("The next run repairs the push; nothing is ordered again.")
    orders = house.ca.new_orders
    story.run(["renew"], 0)
    if house.ca.new_orders != orders:
        story.surprises.append("the repair placed a new order")
    story.say("See it at the edges, and what is known.")
    story.run(["probe", "main"], 0)
    story.run(["status"], 0)


def keep_sandbox(world: World, folder: str, seconds: float | None) -> int:
    """Run the embedded world until it is interrupted (or `seconds` are over); print how to reach it."""
    from certbroker.broker import home_path
    from certbroker.sandbox.house import Sandbox

    place = home_path(world, folder)
    if place.exists() and any(place.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name a new folder: certbroker sandbox --folder DIR")
    paper = Paper(world)
    with Sandbox(clock=world.clock, rng=random.Random(world.random.random())) as house:
        path = house.write(place)
        env = place / "sandbox.env"
        env.write_text("".join(f"export {name}='{value}'\n" for name, value in house.secrets.items()))
        paper.line("The embedded world is up. Its certificates are NOT TRUSTED by anybody; everything is on loopback.")
        paper.line(f"  file         {path}")
        paper.line(f"  ACME CA      {house.urls['ca']}/dir   roots: {place / 'roots.pem'}")
        paper.line(f"  DNS          {house.dns.address} (UDP and TCP)")
        for name, url in house.urls.items():
            if name != "ca":
                paper.line(f"  {name:<12} {url}")
        for address, edge in house.edges.items():
            paper.line(f"  edge         {address} is {edge.address}")
        paper.line()
        paper.line("certbroker:    . " + str(env) + f" && cd {place} && certbroker init && certbroker renew")
        if "fastly" in house.urls:
            paper.line(
                "Fastly client: fastly.Configuration(host="
                + repr(house.urls["fastly"])
                + "), api_token = $FASTLY_TOKEN"
            )
        paper.line("Ends with Ctrl-C.")
        world.stdout.flush()
        waited = 0.0
        try:
            while seconds is None or waited < seconds:
                world.clock.sleep(0.2)
                waited += 0.2
        except KeyboardInterrupt:
            paper.line()
    return 0
