"""The ledger: raw readings in, a trustworthy series out, projected into the telemetry store.

Parsing of payloads does not belong here (ingest), nor do queries over HTTP (gateway-api).
"""
