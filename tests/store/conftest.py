from tests.store.fixtures import clock, store, url

__all__ = ["clock", "store", "url"]
