"""What runs on the hosts: Postgres and its replica, origins, gateways before them, edges."""

import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

from hosts import Network

START_MAX_S = 60
DATABASE_USER = "postgres"
HOST = "fleet.example"


class FleetError(Exception):
    """Something is not as it must be for the test to mean anything."""


def wait_for(what: str, is_so, seconds: float = START_MAX_S) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            raise FleetError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Program:
    """A process on a host, with its log; ended with the fleet."""

    def __init__(self, fleet: "Fleet", host: str, name: str, command: list[str], variables: dict[str, str] | None = None):
        self.fleet, self.host, self.name = fleet, host, name
        self.command = fleet.network.inside(host, *command)
        self.variables = {**os.environ, **(variables or {})}
        self.log = fleet.folder / f"{name}.log"
        self.process: subprocess.Popen | None = None

    def start(self) -> "Program":
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=self.variables
            )
        self.fleet.programs.append(self)
        return self

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(by)
            self.process.wait(START_MAX_S)

    def lives(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise FleetError(f"{self.name} ended: {self.log.read_text()[-2000:]}")
        return True

    def tell(self, line: str) -> None:
        print(line, file=self.process.stdin, flush=True)


class Fleet:
    """Two regions, each with a database and two origins behind a gateway; three edges; a host for clients."""

    REGIONS = {"one": ("database-one", ["origin-11", "origin-12"]), "two": ("database-two", ["origin-21", "origin-22"])}
    EDGES = {"edge-1": ("one", "two"), "edge-2": ("one", "two"), "edge-3": ("two", "one")}

    def __init__(self, network: Network, folder: pathlib.Path, binary: pathlib.Path):
        self.network, self.folder, self.binary = network, folder, binary
        self.programs: list[Program] = []
        self.hosts = {"clients": network.add("clients")}
        for region, (database, origins) in self.REGIONS.items():
            for host in (database, *origins, f"gateway-{region}"):
                self.hosts[host] = network.add(host)
        for edge in self.EDGES:
            self.hosts[edge] = network.add(edge)
        self.token = ""
        self.primary = self.replica = None

    def region(self, name: str) -> list[str]:
        database, origins = self.REGIONS[name]
        return [database, *origins, f"gateway-{name}"]

    def start(self) -> None:
        self.primary = self.start_primary()
        self.replica = self.start_replica()
        self.origins = {}
        for region, (_, origins) in self.REGIONS.items():
            for host in origins:
                self.origins[host] = self.origin(host, region).start()
                wait_for(f"{host} answers", lambda: self.origins[host].lives() and self.is_well(host, 7070, "/healthz"))
        self.token = (self.folder / "origin-11" / "token").read_text().strip()
        self.gateways = {region: self.gateway(region).start() for region in self.REGIONS}
        for region in self.REGIONS:
            gateway = self.gateways[region]
            wait_for(f"the gateway of {region}", lambda: gateway.lives() and "ready" in gateway.log.read_text())

    def stop(self) -> None:
        for program in reversed(self.programs):
            # Only Postgres has something to tidy up; this is its word for a fast end.
            program.end(signal.SIGINT if program in (self.primary, self.replica) else signal.SIGKILL)

    # -- databases

    def as_database_user(self, *command: str) -> list[str]:
        return ["setpriv", f"--reuid={DATABASE_USER}", f"--regid={DATABASE_USER}", "--init-groups", "--", *command]

    def tool(self, name: str) -> str:
        found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), None)
        if not found:
            raise FleetError(f"there is no {name}: tests/setup installs Postgres")
        return found

    def own(self, name: str) -> pathlib.Path:
        path = self.folder / name
        path.mkdir(mode=0o700)
        user = pwd.getpwnam(DATABASE_USER)
        os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def postgres(self, host: str, data: pathlib.Path) -> Program:
        options = {"listen_addresses": self.hosts[host], "unix_socket_directories": "", "max_connections": "200"}
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        program = Program(self, host, host, self.as_database_user(self.tool("postgres"), "-D", str(data), *flags)).start()
        ask = self.network.inside(host, self.tool("pg_isready"), "-q", "-h", self.hosts[host])
        wait_for(f"{host} answers", lambda: program.lives() and subprocess.run(ask).returncode == 0)
        return program

    def start_primary(self) -> Program:
        data = self.own("database-one")
        make = self.as_database_user(self.tool("initdb"), "-A", "trust", "-U", "wayside", "-D", str(data))
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd="/")
        with open(data / "pg_hba.conf", "a") as allowed:
            allowed.write("host all all 10.77.0.0/24 trust\nhost replication all 10.77.0.0/24 trust\n")
        primary = self.postgres("database-one", data)
        create = [self.tool("createdb"), "-h", self.hosts["database-one"], "-U", "wayside", "wayside"]
        subprocess.run(self.network.inside("database-one", *create), check=True)
        return primary

    def start_replica(self) -> Program:
        data = self.own("database-two")
        copy = [self.tool("pg_basebackup"), "-R", "-h", self.hosts["database-one"], "-U", "wayside", "-D", str(data)]
        subprocess.run(self.network.inside("database-two", *self.as_database_user(*copy)), check=True, cwd="/")
        return self.postgres("database-two", data)

    # -- origins and what stands before them

    def origin(self, host: str, region: str) -> Program:
        url = lambda database: f"postgres://wayside@{self.hosts[database]}/wayside"
        variables = {
            "WAYSIDE__ORIGIN__DATA": str(self.folder / host),
            "WAYSIDE__ORIGIN__LISTEN": f"{self.hosts[host]}:7070",
            "WAYSIDE__ORIGIN__STORE": url("database-one"),
            "WAYSIDE__LOG__FORMAT": "json",
        }
        if region != "one":
            variables["WAYSIDE__ORIGIN__REPLICA"] = url("database-two")
        return Program(self, host, host, [str(self.binary), "origin"], variables)

    def gateway(self, region: str) -> Program:
        _, origins = self.REGIONS[region]
        routes = [f"{7071 + number}={self.hosts[origin]}:7070" for number, origin in enumerate(origins)]
        command = ["python3", str(pathlib.Path(__file__).with_name("gateway.py")), *routes]
        return Program(self, f"gateway-{region}", f"gateway-{region}", command)

    def urls(self, region: str) -> list[str]:
        _, origins = self.REGIONS[region]
        return [f"http://{self.hosts[f'gateway-{region}']}:{7071 + number}" for number in range(len(origins))]

    # -- edges

    def edge(self, host: str, hedge: bool = True) -> Program:
        regions = ", ".join(
            f"{{ name = {json.dumps(region)}, origins = {json.dumps(self.urls(region))} }}" for region in self.EDGES[host]
        )
        config = self.folder / f"{host}.toml"
        (self.folder / "node-token").write_text(self.token)
        config.write_text(
            f"""
[edge]
listen = "{self.hosts[host]}:8080"
threads = 1
data = "{self.folder / host}"
[admin]
listen = "{self.hosts[host]}:9090"
[upstream]
regions = [{regions}]
hedge = {str(hedge).lower()}
token_file = "{self.folder / 'node-token'}"
ejection_s = 2
failback_step_s = 1
[log]
format = "json"
"""
        )
        return Program(self, host, host, [str(self.binary), "edge", "--config", str(config)])

    def start_edge(self, host: str, hedge: bool = True) -> Program:
        edge = self.edge(host, hedge).start()
        wait_for(f"{host} is ready", lambda: edge.lives() and self.is_well(host, 9090, "/readyz"))
        return edge

    # -- asking (from the clients' host)

    def is_well(self, host: str, port: int, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.hosts[host]}:{port}{path}", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def metrics(self, host: str) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.hosts[host]}:9090/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def status(self, host: str) -> dict:
        with urllib.request.urlopen(f"http://{self.hosts[host]}:9090/status", timeout=10) as answer:
            return json.load(answer)

    def send(self, url: str, method: str, path: str, body: dict | list, timeout: float = 10) -> int:
        """The status of a request to an origin's API, as the default tenant."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Wayside-Tenant": "default",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0
