"""Fixtures of the followers' tests."""

import pytest
from follow_support import Journal, Site


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def site(journal: Journal) -> Site:
    return Site(journal)
