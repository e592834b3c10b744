"""certbroker: one owner keeps the private key; every origin serves it, proven at the edge."""

__version__ = "0.1.0"
