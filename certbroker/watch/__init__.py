"""The keyless watcher: what the broker said should be served is looked at from elsewhere, and whoever is to know is told.

Nothing in this room knows a vault, a store, a file of settings or an account: an inventory is all it is given. See README.md.
"""
