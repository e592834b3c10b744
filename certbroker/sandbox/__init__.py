"""The embedded world: a CA, a DNS, the platforms' simulators and edges that really terminate TLS. Loopback only."""
