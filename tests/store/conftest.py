from tests.store.fixtures import clock, other_url, store, url

__all__ = ["clock", "other_url", "store", "url"]
