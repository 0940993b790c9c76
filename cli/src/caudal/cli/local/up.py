"""`caudal up`: the platform until somebody ends it."""

import asyncio

from caudal.cli.local.broker import BrokerKind
from caudal.cli.local.platform import LocalPlatform
from caudal.cli.local.ports import LOOPBACK
from caudal.cli.local.terminal import Terminal


async def serve(platform: LocalPlatform, terminal: Terminal) -> None:
    """Run `platform` until cancelled."""
    terminal.say("Caudal is starting…")
    try:
        async with platform:
            introduce(platform, terminal)
            terminal.say("Ctrl-C ends it.")
            await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        # Only then: what is refused to start never ran, and what refuses it may be another one that runs on.
        terminal.say("Caudal has ended; nothing of it is running any more.")
        raise


def introduce(platform: LocalPlatform, terminal: Terminal) -> None:
    """Say where everything is, and the password once: when this start made it up."""
    broker = "mosquitto" if platform.broker_kind is BrokerKind.MOSQUITTO else "embedded, its queues in memory only"
    terminal.say(f"[bold green]Caudal is ready[/] after {platform.seconds:.1f} s")
    terminal.say(f"  API      {platform.url}      its pages: {platform.url}/docs")
    terminal.say(f"  broker   mqtt://{LOOPBACK}:{platform.mqtt_port}  ({broker})")
    terminal.say(f"  data     {platform.folder.path}")
    if platform.admin:
        shown = f"password {platform.admin.password}  (shown this once)"
        chosen = "with the password that was set in CAUDAL_ADMIN_PASSWORD"
        terminal.say(f"  login    {platform.admin.email}  {shown if platform.admin.is_made_up else chosen}")
