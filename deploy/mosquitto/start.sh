#!/bin/sh
# Writes the services' accounts from the environment, keeps those of devices and clients, and becomes mosquitto.
set -eu
umask 077
config=${MOSQUITTO_CONFIG:-/mosquitto/config}
data=${MOSQUITTO_DATA:-/mosquitto/data}
passwords=$data/passwords
made=$data/passwords.new

printf 'ingest:%s\nprocessor:%s\ngateway-api:%s\n' \
    "${MQTT_PASSWORD_INGEST:?is not set}" \
    "${MQTT_PASSWORD_PROCESSOR:?is not set}" \
    "${MQTT_PASSWORD_GATEWAY_API:?is not set}" >"$made"
mosquitto_passwd -U "$made"
if [ -e "$passwords" ]; then
    grep -v -E '^(ingest|processor|gateway-api):' "$passwords" >>"$made" || true
fi
mv "$made" "$passwords"

if [ "$(id -u)" = 0 ] && id mosquitto >/dev/null 2>&1; then
    chown -R mosquitto "$data"
fi
exec mosquitto -c "$config/mosquitto.conf"
