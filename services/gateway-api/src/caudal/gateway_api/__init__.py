"""The only door: identity, the catalog, and questions to the ledger and the telemetry store over HTTP.

What decides about readings lives in the processor, what reads payloads in ingest; here is who may ask for what.
"""
