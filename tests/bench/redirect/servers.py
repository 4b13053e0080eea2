"""The servers under test: how each is started with all links, and what it must answer.

To add one: write a function `start_x(setup) -> Server` and name it in `STARTERS`. The rest of the bench knows a
server only as a process that answers `GET path(n)` with 302 and `location(n)`.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Callable

import links

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
COMPONENTS = REPOSITORY / "guest" / "components"
# Built, not committed.
JAVASCRIPT = REPOSITORY / "guest" / "policies" / "geo-redirect-js"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0
# The origin's limit of one batch.
BATCH_LINKS_MAX = 10_000


class BenchError(Exception):
    """What went wrong, in a sentence for the person who started the bench."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a server may use: a folder of its own, the core it runs on, how many links it holds, what ends it."""

    folder: pathlib.Path
    core: int
    link_count: int
    wayside: pathlib.Path | None
    cleanup: contextlib.ExitStack


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    version: str
    port: int
    process: subprocess.Popen
    # Whether the n-th answer is right: its status, location and body.
    is_right: Callable[[int, int, str, bytes], bool]
    # What it is asked for the n-th time.
    path: Callable[[int], str] = links.path


def redirects_to(location: Callable[[int], str]) -> Callable[[int, int, str, bytes], bool]:
    """302 to the n-th location."""
    return lambda n, status, found, _: status == 302 and found == location(n)


def start_floor(setup: Setup) -> Server:
    binary = setup.folder / "floor"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", binary, HERE / "floor.c"], check=True)
    port = free_port()
    process = spawn(setup, [binary, port])
    wait_for(process, setup.folder, lambda: "ready" in read_log(setup.folder))
    return Server("floor", "epoll, fixed bytes", port, process, redirects_to(lambda _: "https://example.com/landing"))


NGINX_CONF = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    map_hash_max_size 1048576;
    map_hash_bucket_size 128;
    map $uri $target {{
        include {folder}/links.map;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        return 302 $target;
    }}
}}
"""


def start_nginx(setup: Setup) -> Server:
    port = free_port()
    lines = (f"{links.path(n)} {links.target(n)};\n" for n in range(setup.link_count))
    (setup.folder / "links.map").write_text("".join(lines))
    (setup.folder / "nginx.conf").write_text(NGINX_CONF.format(folder=setup.folder, port=port))
    # The worker gives up root and must still reach its folder.
    setup.folder.chmod(0o755)
    process = spawn(setup, ["nginx", "-p", setup.folder, "-e", setup.folder / "error.log", "-c", setup.folder / "nginx.conf"])
    wait_for(process, setup.folder, lambda: answers(port))
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
    return Server("nginx", version.strip().rpartition("/")[2], port, process, redirects_to(links.target))


def start_wayside(setup: Setup) -> Server:
    """Plain links."""
    process, edge, origin = start_dev(setup)
    return Server("wayside", version(setup), edge, process, redirects_to(links.target))


def start_wayside_policy(setup: Setup) -> Server:
    """A sandboxed policy over the whole site that asks for the country and two settings, and no link."""
    place = "https://example.com/landing"
    return start_policy(setup, "wayside-policy", COMPONENTS / "geo-redirect.wasm", {"default": place}, place)


def start_wayside_js(setup: Setup) -> Server:
    """The same policy in JavaScript."""
    component = JAVASCRIPT / "geo-redirect-js.wasm"
    if not component.exists():
        remedy = "npm ci --prefix guest && wayside policy build guest/policies/geo-redirect-js"
        raise BenchError(f"{component.relative_to(REPOSITORY)} is not there, build it first: {remedy}")
    place = "https://example.com/landing"
    return start_policy(setup, "wayside-js", component, {"default": place}, place)


def start_wayside_fresh(setup: Setup) -> Server:
    """A policy that asks for the path's last segment, of which there are too many to remember: it runs each time."""
    program = "ask segment 1 1 decide 4"
    return start_policy(setup, "wayside-fresh", COMPONENTS / "interpreter.wasm", {"program": program}, "https://4.example/")


STREAM_TARGETS = ["cdn-0", "cdn-1", "cdn-2"]


def start_wayside_steer(setup: Setup) -> Server:
    """Steering manifests of a session that plays, of three targets of which one signs by RSA."""
    process, edge = start_streams(setup)
    path = f"/.wayside/steer/film?session={begin_session(edge)}&_HLS_pathway=cdn-0&_HLS_throughput=5000000"

    def is_right(_: int, status: int, __: str, body: bytes) -> bool:
        return status == 200 and len(json.loads(body)["PATHWAY-PRIORITY"]) == len(STREAM_TARGETS)

    return Server("wayside-steer", version(setup), edge, process, is_right, lambda _: path)


def start_wayside_signed(setup: Setup) -> Server:
    """302 to a target that signs by RSA."""
    process, edge = start_streams(setup)

    def is_right(_: int, status: int, location: str, __: bytes) -> bool:
        return status == 302 and location.startswith("https://cdn-0.example/film/") and "Signature=" in location

    return Server("wayside-signed", version(setup), edge, process, is_right, lambda n: f"/video/one/{n}.ts")


def start_streams(setup: Setup) -> tuple[subprocess.Popen, int]:
    """The site with an asset on three targets, and one on the target that signs: the process, and its edge's port."""
    key = (REPOSITORY / "host/stream/tests/keys/rsa-2048.pem").read_text()
    process, edge, origin = start_dev(setup, {"WAYSIDE_SECRET_DEFAULT__BENCH": key})
    origin.send("PUT", "/v1/sites/bench", {"hosts": [links.HOST], "streams": "/video"})
    for name in STREAM_TARGETS:
        signing = {"scheme": "cloudfront", "secret": "bench", "key_pair_id": "K1"} if name == "cdn-0" else None
        target = {"name": name, "region": "eu", "urls": [f"https://{name}.example/"], "signing": signing}
        origin.send("POST", "/v1/targets", target)
    origin.send("POST", "/v1/assets", {"site": "bench", "id": "film"})
    one = {"site": "bench", "id": "one", "pathways": [{"target": "cdn-0", "folder": "film"}]}
    origin.send("POST", "/v1/assets", one)
    return process, edge


def begin_session(edge: int) -> str:
    """A session of the asset, as soon as the edge knows it."""
    deadline = time.monotonic() + START_SECONDS_MAX
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", edge, timeout=60)) as player:
        while True:
            player.request("GET", "/.wayside/play/film", headers={"Host": links.HOST})
            answer = player.getresponse()
            text = answer.read()
            if answer.status == 200:
                return json.loads(text)["session"]
            if time.monotonic() > deadline:
                raise BenchError(f"wayside-steer: the asset is not served: {answer.status}")
            time.sleep(0.05)


def start_policy(setup: Setup, name: str, component: pathlib.Path, settings: dict, location: str) -> Server:
    process, edge, origin = start_dev(setup)
    origin.send("POST", "/v1/policies/bench", component.read_bytes(), "application/wasm")
    binding = {"site": "bench", "prefix": "/", "policy": "bench", "on_failure": "closed", "settings": settings}
    origin.send("PUT", "/v1/bindings", binding)
    return Server(name, version(setup), edge, process, redirects_to(lambda _: location))


def start_dev(setup: Setup, variables: dict[str, str] | None = None) -> tuple[subprocess.Popen, int, "Origin"]:
    """`wayside dev` with a site that holds all links: the process, its edge's port, and its origin."""
    if setup.wayside is None:
        raise BenchError("no wayside binary was built")
    data = setup.folder / "data"
    any_port = "127.0.0.1:0"
    command = [setup.wayside, "dev", "--listen", any_port, "--admin", any_port, "--origin", any_port]
    process = spawn(setup, [*command, "--threads", "1", "--data", data], variables)
    wait_for(process, setup.folder, lambda: re.search(r"^ready", read_log(setup.folder), re.MULTILINE))
    edge, port = (bound_port(read_log(setup.folder), half) for half in ("edge", "origin"))
    origin = Origin(port, (data / "token").read_text().strip())
    origin.send("POST", "/v1/sites", {"name": "bench", "hosts": [links.HOST]})
    for first in range(0, setup.link_count, BATCH_LINKS_MAX):
        batch = range(first, min(first + BATCH_LINKS_MAX, setup.link_count))
        items = [{"path": links.path(n), "target": links.target(n), "status": 302} for n in batch]
        origin.send("POST", "/v1/links/batch", {"site": "bench", "links": items})
    return process, edge, origin


def version(setup: Setup) -> str:
    printed = subprocess.run([setup.wayside, "--version"], capture_output=True, text=True).stdout
    return printed.strip().rpartition(" ")[2]


WORKERD_CONF = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
    services = [(name = "links", worker = .links)],
    sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "links")],
);
const links :Workerd.Worker = (
    modules = [
        (name = "worker.js", esModule = embed "worker.js"),
        (name = "links.json", json = embed "links.json"),
    ],
    compatibilityDate = "2026-01-01",
);
"""

WORKERD_WORKER = """\
import links from "links.json";
const targets = new Map(Object.entries(links));
export default {
    fetch(request) {
        const target = targets.get(new URL(request.url).pathname);
        return target
            ? new Response(null, { status: 302, headers: { location: target } })
            : new Response(null, { status: 404 });
    },
};
"""


def start_workerd(setup: Setup) -> Server:
    """Cloudflare's runtime, the links in a Map of JavaScript."""
    binary = HERE / "node_modules" / ".bin" / "workerd"
    if not binary.exists():
        raise BenchError(f"workerd is not there, install it first: npm ci --prefix {HERE.relative_to(REPOSITORY)}")
    port = free_port()
    held = {links.path(n): links.target(n) for n in range(setup.link_count)}
    (setup.folder / "links.json").write_text(json.dumps(held))
    (setup.folder / "worker.js").write_text(WORKERD_WORKER)
    (setup.folder / "config.capnp").write_text(WORKERD_CONF.format(port=port))
    process = spawn(setup, [binary, "serve", setup.folder / "config.capnp"])
    wait_for(process, setup.folder, lambda: answers(port))
    printed = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    return Server("workerd", printed.strip().rpartition(" ")[2], port, process, redirects_to(links.target))


STARTERS: dict[str, Callable[[Setup], Server]] = {
    "floor": start_floor,
    "nginx": start_nginx,
    "workerd": start_workerd,
    "wayside": start_wayside,
    "wayside-policy": start_wayside_policy,
    "wayside-js": start_wayside_js,
    "wayside-fresh": start_wayside_fresh,
    "wayside-steer": start_wayside_steer,
    "wayside-signed": start_wayside_signed,
}


class Origin:
    """The API of a running origin, with a token that may write."""

    def __init__(self, port: int, token: str):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Wayside-Tenant": "default"}

    def send(self, method: str, path: str, body: dict | bytes, kind: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body)
        self.connection.request(method, path, data, {**self.headers, "Content-Type": kind})
        response = self.connection.getresponse()
        text = response.read().decode(errors="replace")
        if response.status not in (200, 201, 204):
            raise BenchError(f"the origin answered {method} {path} with {response.status}: {text[:500]}")


def bound_port(log: str, half: str) -> int:
    found = re.search(rf"^{half}\s+http://127\.0\.0\.1:(\d+)", log, re.MULTILINE)
    if not found:
        raise BenchError(f"wayside dev did not print the address of its {half}:\n{log}")
    return int(found[1])


def spawn(setup: Setup, command: list, variables: dict[str, str] | None = None) -> subprocess.Popen:
    # taskset replaces itself with the server: the process id is the server's own.
    pinned = ["taskset", "-c", str(setup.core), *map(str, command)]
    with open(setup.folder / "log", "wb") as log:
        process = subprocess.Popen(pinned, cwd=setup.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | (variables or {}))
    setup.cleanup.callback(stop, process)
    return process


def wait_for(process: subprocess.Popen, folder: pathlib.Path, ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not ready():
        if process.poll() is not None:
            raise BenchError(f"{folder.name} ended with {process.returncode} at its start:\n{read_log(folder)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{folder.name} was not ready after {START_SECONDS_MAX:.0f} s:\n{read_log(folder)}")
        time.sleep(0.05)


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_log(folder: pathlib.Path) -> str:
    return (folder / "log").read_text(errors="replace")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_tree(root: int) -> list[int]:
    """The process and all that came from it: nginx's worker is a child of the one we started."""
    found = [root]
    for pid in found:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
            found += map(int, children.split())
    return found
