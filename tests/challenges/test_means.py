"""Where a proof stands, by its method."""

from __future__ import annotations

import pytest

from certbroker.challenges import Means
from certbroker.challenges.means import account_label
from certbroker.model import Method

ACCOUNT = "https://example.com/acme/acct/ExampleAccount"


def test_the_label_of_an_account_is_that_of_the_draft() -> None:
    """draft-ietf-acme-dns-account-label section 3.1 gives this example."""
    assert account_label(ACCOUNT) == "_ujmmovf2vn55tgye"


def test_the_label_follows_the_account_byte_for_byte() -> None:
    assert account_label(ACCOUNT) != account_label(ACCOUNT + "/")
    assert account_label(ACCOUNT) != account_label(ACCOUNT.lower())


@pytest.mark.parametrize(
    ("means", "name", "owner"),
    [
        (Means(), "www.example.org", "_acme-challenge.www.example.org"),
        (Means(), "*.example.org", "_acme-challenge.example.org"),
        (Means(Method.DNS_ACCOUNT_01, ACCOUNT), "*.example.org", "_ujmmovf2vn55tgye._acme-challenge.example.org"),
    ],
)
def test_a_wildcard_is_proven_at_its_base(means: Means, name: str, owner: str) -> None:
    assert means.owner(name) == owner
