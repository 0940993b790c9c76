"""InfluxDB as telemetry store: 2.x through influxdb-client and, with `INFLUX_API=1`, 1.x; queries in InfluxQL.

A variable whose code means something else in InfluxQL (`time`, `point`, `provider`) is stored in a field with a `~`
behind its name.
"""
