"""What is done to a server: every link checked, wrk driven against it, its CPU and memory read."""

import concurrent.futures
import dataclasses
import os
import pathlib
import socket
import subprocess
import time

import links
from servers import BenchError, Server, process_tree

HERE = pathlib.Path(__file__).resolve().parent
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CHECK_CONNECTIONS = 16
# Requests sent before their answers are read, while links are checked.
CHECK_WINDOW = 32
ANSWER_SECONDS_MAX = 30.0
SERVED_SECONDS_MAX = 60.0
SETTLE_SECONDS_MAX = 60.0


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run of wrk against one server."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.requests * 1e6


def drive(server: Server, connections: int, seconds: float, core: int, paths: pathlib.Path, offset: float) -> Sample:
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-s", HERE / "walk.lua", f"http://127.0.0.1:{server.port}/", "--", paths, links.HOST, str(offset)]
    before = cpu_seconds(server)
    run = subprocess.run(command, capture_output=True, text=True)
    used = cpu_seconds(server) - before
    result = [line.split() for line in run.stdout.splitlines() if line.startswith("result ")]
    if run.returncode or not result:
        raise BenchError(f"wrk failed against {server.name}:\n{run.stdout}{run.stderr}")
    _, requests, took, p50, p99, errors = result[0]
    if int(errors) or not int(requests):
        raise BenchError(f"{server.name}: {errors} of {requests} requests failed:\n{run.stdout}")
    return Sample(int(requests), float(took), used, float(p50), float(p99))


def check_links(server: Server, numbers: range) -> None:
    """Requests each of the links and looks at status, location and body: what is measured must be right."""
    per_worker = -(-len(numbers) // CHECK_CONNECTIONS)
    parts = [numbers[first : first + per_worker] for first in range(0, len(numbers), per_worker)]
    with concurrent.futures.ThreadPoolExecutor(CHECK_CONNECTIONS) as pool:
        for _ in pool.map(lambda part: check_part(server, part), parts):
            pass


def check_part(server: Server, numbers: range) -> None:
    with socket.create_connection(("127.0.0.1", server.port), ANSWER_SECONDS_MAX) as connection:
        answers = connection.makefile("rb")
        for first in range(0, len(numbers), CHECK_WINDOW):
            window = numbers[first : first + CHECK_WINDOW]
            heads = (f"GET {server.path(n)} HTTP/1.1\r\nHost: {links.HOST}\r\n\r\n" for n in window)
            connection.sendall("".join(heads).encode())
            for n in window:
                status, location, body = read_answer(answers)
                if not server.is_right(n, status, location, body):
                    raise BenchError(f"{server.name}: {server.path(n)} gave {status} to {location!r}: {body[:200]!r}")


def read_answer(answers) -> tuple[int, str, bytes]:
    """Status, location and body of the next answer."""
    first = answers.readline().split()
    if len(first) < 2:
        raise BenchError("the server closed a connection where an answer was due")
    fields = {}
    while (line := answers.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.lower()] = value.strip()
    body = answers.read(int(fields.get("content-length", 0)))
    return int(first[1]), fields.get("location", ""), body


def wait_until_served(server: Server) -> None:
    """Links were loaded a moment ago and must have reached the server, as must a policy, compiled: seconds for a large one."""
    deadline = time.monotonic() + SERVED_SECONDS_MAX
    while True:
        try:
            return check_part(server, range(1))
        except BenchError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def settle(server: Server) -> None:
    """Waits until the server has nothing left to do from its start: it uses less than 2 % of a core."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        before = cpu_seconds(server)
        time.sleep(1.0)
        if cpu_seconds(server) - before <= 0.02:
            return
    raise BenchError(f"{server.name} is still busy {SETTLE_SECONDS_MAX:.0f} s after its start")


def cpu_seconds(server: Server) -> float:
    """User and system time of the server's processes, all threads."""
    return sum(ticks(pid) for pid in process_tree(server.process.pid)) / TICKS_PER_SECOND


def ticks(pid: int) -> int:
    # The second field, the name, may hold spaces; it ends at the last parenthesis. Fields 14 and 15 are the times.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_mib(server: Server) -> float:
    """Resident memory, pages shared between the server's processes counted once for each."""
    pages = (int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in process_tree(server.process.pid))
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
