"""One driver each; outside a service's own adapters, the only importers of these libraries."""
