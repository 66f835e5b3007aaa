"""A TCP proxy that does harm as it is told: delays, cuts and swallows what goes between the engine and its peers.

Runs in a process of its own (`python3 proxy.py`); the class Proxy starts and steers it, one JSON object per line.
Each route leads from a port of the proxy to one of 127.0.0.1, and passes bytes on faithfully until told otherwise:

  delay    each piece waits for `seconds`, up to twice as long with `jitter`
  cut      every connection is reset now, and new ones live for at most `bytes` more bytes (0: they are refused)
  hole     nothing passes, `way` up (to the peer), down or both; TCP stays open, as when a cable is out
  ok       passes again: what was held back is passed on, or with `reset` its connections are reset instead
"""

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

PIECE = 65536


class Route:
    def __init__(self, target):
        self.target, self.links = target, set()
        self.random = random.Random(target)
        self.open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.change({"do": "ok"})

    def change(self, order):
        do = order["do"]
        self.seconds = order.get("seconds", 0.0) if do == "delay" else 0.0
        self.jitter = order.get("jitter", False)
        self.bytes = order.get("bytes", 0) if do == "cut" else None
        held = [link for link in self.links if link.held]
        for link in self.links:
            link.left = None
        for way, event in self.open.items():
            if do == "hole" and order.get("way", "both") in (way, "both"):
                event.clear()
            elif order.get("reset"):
                pass
            else:
                event.set()
        if do == "cut":
            held = list(self.links)
        if do == "cut" or order.get("reset"):
            for link in held:
                link.reset()
            for event in self.open.values():
                event.set()

    async def serve(self, reader, writer):
        link = Link(self, reader, writer)
        self.links.add(link)
        try:
            await link.run()
        finally:
            self.links.discard(link)


class Link:
    """One connection and the one that goes on from it."""

    def __init__(self, route, reader, writer):
        self.route, self.reader, self.writer, self.far = route, reader, writer, None
        self.left = route.random.randrange(1, route.bytes + 1) if route.bytes else None
        self.held, self.dead = False, False

    async def run(self):
        if self.route.bytes == 0:
            return self.reset()
        try:
            reader, self.far = await asyncio.open_connection("127.0.0.1", self.route.target)
        except OSError:
            return self.reset()
        if self.dead:
            return self.reset()
        for writer in (self.writer, self.far):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(self.pump("up", self.reader, self.far), self.pump("down", reader, self.writer))
        self.close()

    async def pump(self, way, reader, writer):
        route = self.route
        try:
            while data := await reader.read(PIECE):
                if not route.open[way].is_set():
                    self.held = True
                    await route.open[way].wait()
                    self.held = False
                if route.seconds:
                    await asyncio.sleep(route.seconds * (1 + route.random.random() * route.jitter))
                if self.left is not None:
                    data, self.left = data[:self.left], self.left - len(data)
                if self.dead:
                    return
                writer.write(data)
                await writer.drain()
                if self.left is not None and self.left <= 0:
                    return self.reset()
            if not route.open[way].is_set():
                self.held = True
                await route.open[way].wait()
                self.held = False
            writer.write_eof()
        except OSError:
            self.close()

    def writers(self):
        return [writer for writer in (self.writer, self.far) if writer]

    def reset(self):
        """RST on both sides, at once."""
        self.dead = True
        for writer in self.writers():
            sock = writer.get_extra_info("socket")
            if sock and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self):
        self.dead = True
        for writer in self.writers():
            writer.close()


async def main():
    routes, loop = {}, asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)  # connections die here for a living
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order, answer = json.loads(line), {}
        if order["do"] == "open":
            route = Route(order["target"])
            server = await asyncio.start_server(route.serve, "127.0.0.1", 0, backlog=512)
            port = server.sockets[0].getsockname()[1]
            routes[port] = route
            answer = {"port": port}
        else:
            routes[order["port"]].change(order)
        print(json.dumps(answer), flush=True)


class Proxy:
    """A running proxy, from the tests' side."""

    def __init__(self):
        import kafka
        self.lock = threading.Lock()
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1, preexec_fn=kafka.die_with_parent)

    def _order(self, **order):
        with self.lock:
            self.process.stdin.write(json.dumps(order) + "\n")
            answer = self.process.stdout.readline()
        assert answer, "the TCP proxy died"
        return json.loads(answer)

    def open(self, target):
        """The port of a new route to this port."""
        return self._order(do="open", target=target)["port"]

    def do(self, port, what, **how):
        self._order(do=what, port=port, **how)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
