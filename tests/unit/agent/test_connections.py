"""Threads that keep their connection while requests follow closely."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from lithops_agent import connections
from lithops_agent.connections import ConnectionWorker


class _Client:
    """A client whose requests are single bytes; the worker closes the connection after a ``.``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.near, self.far = socket.socketpair()
        self.connection = SimpleNamespace(sock=self.far)
        self.served = b""
        monkeypatch.setattr(ThreadWorker, "handle", self._handle)

    def _handle(self, connection: Any) -> tuple[bool, Any]:
        request = connection.sock.recv(1)
        self.served += request
        return request not in (b"", b"."), connection


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Client]:
    monkeypatch.setattr(connections, "_NEAR", 0.0)
    client = _Client(monkeypatch)
    yield client
    client.near.close()
    client.far.close()


def _worker(places: int = 1) -> ConnectionWorker:
    worker = ConnectionWorker.__new__(ConnectionWorker)
    worker.alive = True
    worker._may_wait = threading.Semaphore(places)
    return worker


def test_requests_that_follow_closely_are_served_by_the_same_thread(client: _Client) -> None:
    client.near.sendall(b"abc.d")
    assert _worker().handle(client.connection) == (False, client.connection)
    assert client.served == b"abc."


def test_an_idle_connection_is_given_back_and_kept(client: _Client) -> None:
    client.near.sendall(b"ab")
    worker = _worker()
    assert worker.handle(client.connection) == (True, client.connection)
    assert client.served == b"ab"
    assert worker._may_wait.acquire(blocking=False)


def test_a_client_that_hangs_up_is_noticed(client: _Client) -> None:
    client.near.sendall(b"a")
    client.near.shutdown(socket.SHUT_WR)
    assert _worker().handle(client.connection) == (False, client.connection)


def test_when_enough_threads_wait_the_next_one_does_not(client: _Client) -> None:
    client.near.sendall(b"ab")
    assert _worker(places=0).handle(client.connection) == (True, client.connection)
    assert client.served == b"a"


def test_a_worker_that_ends_serves_no_further_request(client: _Client) -> None:
    client.near.sendall(b"ab")
    worker = _worker()
    worker.alive = False
    assert worker.handle(client.connection) == (True, client.connection)
    assert client.served == b"a"
