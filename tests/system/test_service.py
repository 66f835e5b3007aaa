"""What a service manager hears of the engine."""

import signal
import socket

from engine import Engine, SCRIPT, until


def test_a_service_is_ready_and_alive_whether_or_not_brokers_are_there(tmp_path):
    nobody = {"bootstrap.servers": "127.0.0.1:1"}
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(0.1)
    heard = []

    def hears(line):
        def look():
            try:
                heard.extend(manager.recv(4096).decode().split("\n"))
            except TimeoutError:
                pass
            return line in heard
        until(f"the service manager hears {line}", look, story=lambda: str(heard))

    engine = Engine(tmp_path / "job", {
        "name": "service", "source": {"topics": ["in"], "kafka": nobody}, "script": {"path": str(SCRIPT)},
        "http": {"user_agent": "millrace-tests/1.0 (tests@example.org)", "endpoint": "http://127.0.0.1:1/w/api.php"},
        "sink": {"topic": "out", "kafka": nobody}, "errors": {"topic": "errors", "emitter_id": "service", "kafka": nobody},
        "limits": {"memory": "512MiB"}})
    engine.start(ready=False, env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"})
    try:
        hears("READY=1")
        hears("WATCHDOG=1")
        heard.clear()
        hears("WATCHDOG=1")  # again and again
        engine.signal(signal.SIGTERM)
        hears("STOPPING=1")
        assert engine.wait() == 0
    finally:
        engine.close()
        manager.close()
