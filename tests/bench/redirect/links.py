"""The links that every server of the bench holds: path and target of the n-th."""

import pathlib
from collections.abc import Callable

HOST = "bench.localhost"


def path(n: int) -> str:
    # Walking n upwards must not walk a server's table in order; an odd multiplier gives each n its own 32 bits.
    return f"/l/{n * 2654435761 % 2**32:08x}"


def target(n: int) -> str:
    return f"https://example.com/landing/{n}"


def write_paths(file: pathlib.Path, count: int, of: Callable[[int], str] = path) -> None:
    file.write_text("".join(of(n) + "\n" for n in range(count)))
