"""The bench's table: medians over the rounds, and ratios of servers measured in the same round."""

from statistics import median

from load import Sample

# What a server may cost, as a multiple of a reference's CPU a request.
GOALS = [
    ("wayside", "nginx", 1.15),
    ("wayside", "floor", 1.6),
    ("wayside-policy", "wayside", 1.10),
    ("wayside-js", "wayside", 1.10),
    ("wayside-steer", "wayside", 1.5),
    ("wayside-signed", "wayside", 1.3),
]

Samples = dict[tuple[str, int], list[Sample]]


def table(samples: Samples, resident: dict[str, float]) -> str:
    names = list(dict.fromkeys(name for name, _ in samples))
    references = [name for name in ("nginx", "floor") if name in names]
    head = ["server", "conns", "CPU µs/req", "min–max", *(f"× {name}" for name in references)]
    rows = [[*head, "req/s", "p50 ms", "p99 ms", "core", "RSS MiB"]]
    for (name, connections), runs in sorted(samples.items(), key=lambda item: (item[0][1], names.index(item[0][0]))):
        cost = [run.cpu_us for run in runs]
        rows.append(
            [
                name,
                str(connections),
                f"{median(cost):.2f}",
                f"{min(cost):.2f}–{max(cost):.2f}",
                *(f"{ratio(samples, name, reference, connections):.2f}" for reference in references),
                f"{median(run.requests / run.seconds for run in runs):,.0f}",
                f"{median(run.p50_ms for run in runs):.2f}",
                f"{median(run.p99_ms for run in runs):.2f}",
                f"{median(run.cpu_seconds / run.seconds for run in runs):.0%}",
                f"{resident[name]:.0f}",
            ]
        )
    return align(rows)


def goals(samples: Samples) -> str:
    lines = []
    for name, reference, goal in GOALS:
        for connections in sorted({connections for known, connections in samples if known == name}):
            if (reference, connections) in samples:
                reached = ratio(samples, name, reference, connections)
                verdict = "reached" if reached <= goal else "MISSED"
                lines.append(f"{name} / {reference} at {connections}: {reached:.2f}, goal {goal}: {verdict}")
    return "\n".join(lines)


def ratio(samples: Samples, name: str, reference: str, connections: int) -> float:
    # Neighbours of one round saw the same machine; medians of whole columns may not have.
    pairs = zip(samples[name, connections], samples[reference, connections])
    return median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs)


def align(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])) for row in rows)
    return "\n".join(row[0].ljust(widths[0]) + "  " + line for row, line in zip(rows, lines))
