"""`caudal demo`: a platform of its own, the meter's journey through it, the figures, and where to look next."""

import asyncio
import json
from datetime import UTC, datetime

from caudal.cli.demo.run import Demo
from caudal.cli.demo.scenario import POINT, Scenario, scenario
from caudal.cli.demo.show import show
from caudal.cli.local.platform import LocalPlatform
from caudal.cli.local.terminal import Terminal
from caudal.cli.local.up import introduce


async def demonstrate(platform: LocalPlatform, terminal: Terminal, *, once: bool, as_json: bool) -> int:
    """Run the demo; 0 if the platform did all it had to, 1 if not. Without `once` it goes on until cancelled."""
    plan = scenario(datetime.now(UTC))
    terminal.say("Caudal is starting…")
    async with platform:
        introduce(platform, terminal)
        _explain(plan, terminal)
        outcome = await Demo(platform, plan, terminal).run()
        shortcomings = outcome.shortcomings(plan.journey)
        if as_json:
            print(json.dumps(outcome.as_dict()), flush=True)
            for words in shortcomings:
                terminal.say(f"[bold red]Not as it should be:[/] {words}")
        else:
            show(outcome, shortcomings)
        if not once:
            _point_on(platform, plan, terminal)
            await asyncio.get_running_loop().create_future()
    return 1 if shortcomings else 0


def _explain(plan: Scenario, terminal: Terminal) -> None:
    made = plan.journey
    terminal.say(
        f"\nA meter with 0.1 pulses per litre counts the real flow of a pipeline branch, March to May 2022: "
        f"{made.readings:,} readings,\nmoved by {plan.days:,} whole days, the most that leaves none in the future: "
        f"{plan.first_at:%Y-%m-%d %H:%M} to {plan.last_at:%Y-%m-%d %H:%M} UTC.\n"
        f"It loses power once and counts from 0 again, shows a single 0, repeats {made.duplicates} messages, lets "
        f"{made.out_of_order} be overtaken,\nbrings {made.late} (a whole day) a day late, and sends {made.unreadable} "
        "unreadable payloads.\n"
    )


def _point_on(platform: LocalPlatform, plan: Scenario, terminal: Terminal) -> None:
    day = f"from={plan.first_at:%Y-%m-%dT00:00:00Z}&to={plan.last_at:%Y-%m-%dT23:59:59Z}"
    terminal.say("\n[bold]Where to look next[/]  (log in with the address and password above)")
    terminal.say(f"  {platform.url}/docs")
    terminal.say(
        f"  daily volume     {platform.url}/api/telemetry/data/?point={POINT}&variables=total&every=1d&{day}"
        "&function=increase"
    )
    terminal.say(f"  as they came     {platform.url}/api/telemetry/raw/?point={POINT}")
    terminal.say(f"  the unreadable   {platform.url}/api/telemetry/rejected/")
    terminal.say("Ctrl-C ends it.")
