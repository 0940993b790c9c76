"""`caudal demo`: a platform of its own, the meter's journey through it, the figures, and where to look next."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime

import structlog

from caudal.cli.demo.run import Demo
from caudal.cli.demo.scenario import POINT, Scenario, scenario
from caudal.cli.demo.show import show
from caudal.cli.local.platform import LocalPlatform
from caudal.cli.local.terminal import Terminal
from caudal.cli.local.up import introduce


async def demonstrate(platform: LocalPlatform, terminal: Terminal, *, once: bool, as_json: bool) -> int:
    """Run the demo; 0 if the platform did all it had to, 1 if not. Without `once` it goes on until cancelled."""
    _keep_quiet()
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
        if once:
            terminal.say("\nTo look around in it, run it without --once.")
        else:
            _point_on(platform, plan, terminal)
            await asyncio.get_running_loop().create_future()
    return 1 if shortcomings else 0


def _keep_quiet() -> None:
    """Let the meter's connection to the bus speak of trouble only, and beside the result."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _explain(plan: Scenario, terminal: Terminal) -> None:
    made = plan.journey
    first, last = (f"{at:%Y-%m-%d %H:%M}" for at in (plan.first_at, plan.last_at))
    terminal.say(
        f"""
A meter with 0.1 pulses per litre counts the real flow of a pipeline branch, March to May 2022:
{made.readings:,} readings, moved by {plan.days:,} whole days, the most that leaves none in the future:
{first} to {last} UTC.
It loses power once and counts from 0 again, shows a single 0, repeats {made.duplicates} messages,
lets {made.out_of_order} be overtaken, brings a whole day ({made.late} readings) a day late, and sends
{made.unreadable} unreadable payloads.
"""
    )


def _point_on(platform: LocalPlatform, plan: Scenario, terminal: Terminal) -> None:
    assert platform.admin is not None
    credentials = json.dumps({"email": platform.admin.email, "password": platform.admin.password})
    span = f"from={plan.first_at:%Y-%m-%dT00:00:00Z}&to={plan.last_at:%Y-%m-%dT23:59:59Z}"
    telemetry = f"{platform.url}/api/telemetry"
    terminal.say(
        f"""
[bold]Where to look next[/]
  every call, to be tried out   {platform.url}/docs
  a token for the calls below   TOKEN=$(curl -s {platform.url}/api/auth/login --json '{credentials}' | cut -d'"' -f4)
  volume by day                 curl -H "Authorization: Bearer $TOKEN" \
'{telemetry}/data/?point={POINT}&variables=total&every=1d&function=increase&{span}'
  readings as they came         curl -H "Authorization: Bearer $TOKEN" '{telemetry}/raw/?point={POINT}'
  what could not be read        curl -H "Authorization: Bearer $TOKEN" '{telemetry}/rejected/'
Ctrl-C ends it.""",
    )
