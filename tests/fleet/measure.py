"""Visitors, and what they were told: requests sent, failed and answered with what is no longer so."""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import itertools
import pathlib
import subprocess
import threading
import time

from servers import HOST, Fleet, FleetError

# Links that every edge holds before the first phase.
HELD = 1_000
# How long a changed link may go on leading where it led before, in seconds, counted from the acknowledgement.
VISIBLE_S = 1.0
# How long a visitor waits, in seconds.
PATIENCE_S = 2.0
# How often a visitor asks each edge for something it does not hold, and how often a link changes, in seconds.
MISSING_EVERY_S = 0.05
CHANGE_EVERY_S = 0.25


@dataclasses.dataclass
class Counts:
    """Of one phase, over all edges."""

    held: int = 0
    held_failed: int = 0
    missing: int = 0
    missing_failed: int = 0
    slowest_s: float = 0.0
    changes: int = 0
    refused: int = 0
    read: int = 0
    stale: int = 0


def ask(address: str, path: str, patience_s: float) -> str | None:
    """Where an edge leads; none when it did not say in time."""
    connection = http.client.HTTPConnection(address, 8080, timeout=patience_s)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Host": HOST})
            answer = connection.getresponse()
            return answer.getheader("location") if answer.status == 302 else None
        except OSError:
            return None


class Phase:
    """Load on `edges` for some seconds, counted."""

    # Paths that no edge has been asked for yet.
    fresh = itertools.count()

    def __init__(self, fleet: Fleet, edges: list[str], seconds: float, slack: float):
        self.fleet, self.edges, self.seconds = fleet, edges, seconds
        self.patience_s, self.visible_s = PATIENCE_S * slack, VISIBLE_S * slack
        self.counts = Counts()
        self.lock = threading.Lock()
        # What the changing link leads to: the version, and when it was acknowledged.
        self.acknowledged: list[tuple[int, float]] = []

    def run(self) -> Counts:
        self.until = time.monotonic() + self.seconds
        jobs = [(self.change,)]
        jobs += [(job, edge) for edge in self.edges for job in (self.held, self.missing, self.read)]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            # A visitor who gives up counts nothing: what stopped him is told.
            for ended in [pool.submit(*job) for job in jobs]:
                ended.result()
        return self.counts

    def add(self, **more: int) -> None:
        with self.lock:
            for name, value in more.items():
                setattr(self.counts, name, getattr(self.counts, name) + value)

    def held(self, edge: str) -> None:
        script = pathlib.Path(__file__).with_name("held.lua")
        command = ["wrk", "-t1", "-c2", f"-d{max(1, round(self.seconds))}s", f"--timeout={self.patience_s:.0f}s", "-s", script]
        command += [f"http://{self.fleet.hosts[edge]}:8080/", "--", str(HELD)]
        done = subprocess.run(command, capture_output=True, text=True)
        result = [line.split() for line in done.stdout.splitlines() if line.startswith("result ")]
        if not result:
            raise FleetError(f"wrk failed: {done.stdout}{done.stderr}")
        self.add(held=int(result[0][1]), held_failed=int(result[0][2]))

    def missing(self, edge: str) -> None:
        while time.monotonic() < self.until:
            number = next(self.fresh)
            began = time.monotonic()
            location = ask(self.fleet.hosts[edge], f"/missing/{number}", self.patience_s)
            took = time.monotonic() - began
            with self.lock:
                self.counts.slowest_s = max(self.counts.slowest_s, took)
            self.add(missing=1, missing_failed=int(location != f"https://there.example/{number}"))
            time.sleep(MISSING_EVERY_S)

    def change(self) -> None:
        """Changes a link through whichever origin takes it."""
        urls = itertools.cycle([url for region in self.fleet.REGIONS for url in self.fleet.urls(region)])
        url = next(urls)
        while time.monotonic() < self.until:
            version = time.time_ns()
            link = {"site": "fleet", "path": "/changing", "target": f"https://there.example/{version}"}
            if self.fleet.send(url, "PUT", "/v1/links", link, timeout=self.patience_s) in (200, 201):
                with self.lock:
                    self.acknowledged.append((version, time.monotonic()))
                self.add(changes=1)
            else:
                self.add(refused=1)
                url = next(urls)
            time.sleep(CHANGE_EVERY_S)

    def read(self, edge: str) -> None:
        """Sees whether the changing link leads where it was last said to lead."""
        while time.monotonic() < self.until:
            began = time.monotonic()
            with self.lock:
                due = [version for version, at in self.acknowledged if at < began - self.visible_s]
            location = ask(self.fleet.hosts[edge], "/changing", self.patience_s)
            version = int(location.rsplit("/", 1)[1]) if location else None
            if due and version is not None:
                self.add(read=1, stale=int(version < due[-1]))
            time.sleep(MISSING_EVERY_S)
