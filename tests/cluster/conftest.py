"""Fixtures of clusters, and those of sessions, with small outboxes: a node's 32 MB are for outages, not for tests."""

import pytest

from curricular.cluster import follower

from ..sessions.conftest import base, directory, fork
from .clusters import Cluster

__all__ = ["base", "directory", "fork"]


@pytest.fixture
def folder(base):
    return base / "journal"


@pytest.fixture
def cluster(folder):
    cluster = Cluster(folder)
    yield cluster
    cluster.end()


@pytest.fixture(autouse=True)
def small_outboxes(base, monkeypatch):
    monkeypatch.setattr(follower, "OUTBOX_WORDS", 2**15)
    yield
    for path in list(follower._held):
        follower.close_node(path)
