"""The proxy does the harm that it is told to do, and none else."""

import socket
import threading
import time

import pytest

import proxy as proxies


@pytest.fixture
def echo():
    """A server that sends back what it gets; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass

    def accept():
        try:
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
        except OSError:
            pass
    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.fixture
def route(echo):
    proxy = proxies.Proxy()
    port = proxy.open(echo)
    yield proxy, port
    proxy.close()


def talk(connection, data=b"hello", seconds=20):
    connection.settimeout(seconds)
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        got += piece
    return got


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_what_nobody_harms_passes_unchanged(route):
    data = bytes(range(256)) * 4000
    with connect(route[1]) as connection:
        assert talk(connection, data) == data


def test_a_delay_is_paid_in_both_directions(route):
    proxy, port = route
    with connect(port) as connection:
        proxy.do(port, "delay", seconds=0.2)
        began = time.monotonic()
        assert talk(connection) == b"hello"
        assert time.monotonic() - began >= 0.4
        proxy.do(port, "ok")
        assert talk(connection) == b"hello"


def test_a_cut_resets_what_is_open_and_what_comes(route):
    proxy, port = route
    with connect(port) as connection:
        talk(connection)
        proxy.do(port, "cut")
        with pytest.raises(ConnectionResetError):
            talk(connection)
    with pytest.raises(ConnectionResetError), connect(port) as connection:
        talk(connection)
    proxy.do(port, "ok")
    with connect(port) as connection:
        assert talk(connection) == b"hello"


def test_a_cut_after_some_bytes_lets_no_more_through(route):
    proxy, port = route
    proxy.do(port, "cut", bytes=1000)
    with connect(port) as connection, pytest.raises(OSError):
        talk(connection, b"x" * 5000)
    proxy.do(port, "ok")


@pytest.mark.parametrize("way", ["up", "down", "both"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_hole_holds_everything_until_it_is_mended(route, way, reset):
    proxy, port = route
    with connect(port) as connection:
        talk(connection)
        proxy.do(port, "hole", way=way)
        with pytest.raises(TimeoutError):
            talk(connection, seconds=0.3)
        proxy.do(port, "ok", reset=reset)
        if reset:
            with pytest.raises(ConnectionResetError):
                talk(connection)
        else:
            connection.settimeout(20)
            assert connection.recv(100) == b"hello"
