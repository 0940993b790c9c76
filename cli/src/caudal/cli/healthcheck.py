"""Whether the service of this container is ready: `python -m caudal.cli.healthcheck` ends with 0 if so.

Standard library only, since it is run every few seconds.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def main() -> int:
    """Ask the port that the service's own environment names: its API's if it has one, else its health port."""
    port = os.environ.get("CAUDAL_API_PORT") or os.environ.get("CAUDAL_HEALTH_PORT", "0")
    url = f"http://127.0.0.1:{port}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            print(answer.read(4096).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            print(error.read(4096).decode(errors="replace"))
        return 1
    except OSError as error:
        print(f"{url}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
