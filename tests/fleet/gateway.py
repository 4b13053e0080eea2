"""Forwards TCP connections, and spoils them when told to: what the netem of some kernels would do.

Arguments: FROM_PORT=TO_ADDRESS:PORT, any number. Lines on standard input say what to do from then on:
`delay MILLISECONDS` (each piece of data waits, in each direction) and `reset PERCENT` (of the pieces end their
connection with a reset).
"""

import asyncio
import contextlib
import random
import socket
import struct
import sys

PIECE_BYTES = 64 * 1024
# A connection closed with this set is reset.
ABRUPTLY = struct.pack("ii", 1, 0)


class Gateway:
    def __init__(self):
        self.delay_s = 0.0
        self.reset = 0.0

    async def main(self, routes: list[str]) -> None:
        for route in routes:
            port, _, to = route.partition("=")
            address, _, to_port = to.rpartition(":")
            await asyncio.start_server(self.route(address, int(to_port)), "0.0.0.0", int(port))
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            word, value = line.split()
            if word == "delay":
                self.delay_s = float(value) / 1000
            else:
                self.reset = float(value) / 100

    def route(self, address: str, port: int):
        async def accept(reader, writer):
            try:
                there_reader, there_writer = await asyncio.open_connection(address, port)
            except OSError:
                abort(writer)
                return
            await asyncio.gather(self.pump(reader, there_writer, writer), self.pump(there_reader, writer, there_writer))

        return accept

    async def pump(self, reader, writer, other) -> None:
        """Moves what comes to the other side; the delay is a pipe's, so that pieces follow each other closely."""
        waiting: asyncio.Queue = asyncio.Queue()
        writing = asyncio.create_task(self.write(waiting, writer))
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if random.random() < self.reset:
                    abort(writer)
                    abort(other)
                    break
                waiting.put_nowait((loop.time() + self.delay_s, piece))
        waiting.put_nowait((loop.time(), b""))
        await writing

    async def write(self, waiting: asyncio.Queue, writer) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due, piece = await waiting.get()
                await asyncio.sleep(max(0, due - loop.time()))
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
        writer.close()


def abort(writer) -> None:
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
    writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(Gateway().main(sys.argv[1:]))
