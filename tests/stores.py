"""Settings for telemetry stores on the servers of tests."""

from uuid import uuid4

from caudal.common.settings import StoreSettings
from servers.influx import Influx1, Influx2


def store_settings(server: Influx1 | Influx2, **changes: object) -> StoreSettings:
    """Settings for a bucket that nobody else uses."""
    given: dict[str, object] = {"store": "influx", "influx_url": server.url, "influx_bucket": f"bucket_{uuid4().hex}"}
    if isinstance(server, Influx1):
        given |= {"INFLUX_API": "1"}
    else:
        given |= {"influx_org": server.org, "influx_token": server.token}
    return StoreSettings.model_validate(given | changes)
