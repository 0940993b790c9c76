"""`python -m providers FILE`: stand-ins for the six providers until Ctrl-C; FILE tells where each is and how."""

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from providers.fleet import described, open_fleet


def main() -> None:
    """Serve until told to stop."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    with ExitStack() as stack:
        cases, _ = open_fleet(stack)
        Path(sys.argv[1]).write_text(json.dumps(described(cases), indent=2), encoding="utf-8")
        print(f"{sys.argv[1]} is written; Ctrl-C ends the stand-ins", flush=True)
        signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    main()
