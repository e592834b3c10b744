"""Certificates that other programs keep, with their private keys: files and folders to one pair.

Reads what it is pointed to and writes nothing; knows no store and no network. What a pair is good for is judged elsewhere.
"""

from certbroker.adopt.accounts import KEEPING_ACCOUNTS, FoundAccount, find_account
from certbroker.adopt.pair import Pair
from certbroker.adopt.place import Place
from certbroker.adopt.sources import KINDS, read

__all__ = ["KEEPING_ACCOUNTS", "KINDS", "FoundAccount", "Pair", "Place", "find_account", "read"]
