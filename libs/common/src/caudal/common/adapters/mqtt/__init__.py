"""The bus over MQTT, on aiomqtt: no other package imports it or paho.

`bus` is what services use; `link` keeps a session connected; `connection` is one connection; `inbox` and `window` are
what that connection owes the broker and is owed by it; `paho` shortens the driver's hot paths.
"""

from caudal.common.adapters.mqtt.bus import MqttBus

__all__ = ["MqttBus"]
