"""Hosts of a network of our own: namespaces on one bridge, each with an address and a cable that can be pulled."""

import ctypes
import os
import shutil
import subprocess

NETWORK = "10.77.0"
CLONE_NEWNET = 0x40000000


class Refused(Exception):
    """This machine lets nobody make network namespaces."""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


class Network:
    """Namespaces, gone again at the end. Nothing of it touches the machine's own network."""

    def __init__(self):
        self.prefix = f"wayside{os.getpid()}"
        self.made: list[str] = []
        self.numbers: dict[str, int] = {}

    def __enter__(self):
        if not shutil.which("ip"):
            raise Refused("there is no `ip`: tests/setup installs iproute2")
        try:
            self.add_namespace("switch")
            run("ip", "-n", self.name("switch"), "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", self.name("switch"), "link", "set", "bridge", "up")
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise Refused(error.stderr.strip()) from error
        return self

    def __exit__(self, *_):
        for name in reversed(self.made):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        self.made.clear()

    def name(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def add_namespace(self, host: str) -> None:
        run("ip", "netns", "add", self.name(host))
        self.made.append(self.name(host))

    def add(self, host: str) -> str:
        """A host; its address."""
        number = len(self.numbers) + 10
        self.numbers[host] = number
        self.add_namespace(host)
        here, switch = self.name(host), self.name("switch")
        run("ip", "-n", switch, "link", "add", self.port(host), "type", "veth", "peer", "name", "eth0", "netns", here)
        run("ip", "-n", switch, "link", "set", self.port(host), "master", "bridge", "up")
        run("ip", "-n", here, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            run("ip", "-n", here, "link", "set", link, "up")
        return self.address(host)

    def address(self, host: str) -> str:
        return f"{NETWORK}.{self.numbers[host]}"

    def port(self, host: str) -> str:
        return f"port{self.numbers[host]}"

    def cable(self, host: str, is_plugged: bool) -> None:
        """Plugs the host's cable in, or pulls it: packets are lost without a word, as in a partition."""
        run("ip", "-n", self.name("switch"), "link", "set", self.port(host), "up" if is_plugged else "down")

    def inside(self, host: str, *command: str) -> list[str]:
        """The command, run on a host; the process that is started becomes it."""
        return ["ip", "netns", "exec", self.name(host), *command]

    def enter(self, host: str) -> None:
        """Moves this thread, and what it starts from now on, to a host."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{self.name(host)}") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "enter a namespace")
