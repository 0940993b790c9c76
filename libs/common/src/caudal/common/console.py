"""The command line of a service: what we know by name is told in one line."""

import sys
from collections.abc import Callable

from pydantic import ValidationError

from caudal.common.domain.errors import CaudalError


def run(command: Callable[[], object]) -> None:
    """Run it; an error of ours, or a setting or option that cannot be used, ends it with a sentence and code 1."""
    try:
        command()
    except CaudalError as error:
        sys.exit(f"Nothing was done: {error}")
    except ValidationError as error:
        found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        sys.exit(f"Nothing was done: {'; '.join(found)}")
