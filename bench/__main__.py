"""`scripts/bench`: run the rows on each engine in turn, print a table (and, with --json, a document).

Medians over --rounds; the engines alternate within a round, because the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from bench.engines import JARS, Cluster
from bench.rows import ROWS, Figures, Row

Results = dict[str, dict[str, list[Figures]]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--engines", default="kops,apache", help="kops, apache, or both (default)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load runs")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    engines = [name for name in options.engines.split(",") if usable(name)]
    rows = [row for row in ROWS if options.only in row.name]
    results: Results = defaultdict(lambda: defaultdict(list))
    run = asyncio.run
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        print("uvloop is not installed: the client is slower", file=sys.stderr)
    for _ in range(options.rounds):
        for brokers in (1, 3):
            for engine in engines:
                run(measure(engine, brokers, [r for r in rows if r.brokers == brokers], options.seconds, results))
    print(table(results, engines))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def usable(engine: str) -> bool:
    """Apache's engine needs Java and the jars that scripts/interop-setup brings."""
    if engine == "apache" and (shutil.which("java") is None or not JARS.is_dir()):
        print(f"no Apache Kafka: java or {JARS} is missing (scripts/interop-setup)", file=sys.stderr)
        return False
    return True


async def measure(engine: str, brokers: int, rows: list[Row], seconds: float, results: Results) -> None:
    """Start one cluster, run the rows that want this many brokers, stop it."""
    if not rows:
        return
    cluster = Cluster(engine, brokers)
    try:
        await cluster.start()
        results[f"start: ZooKeeper + {brokers} broker(s) ready"][engine].append({"s": cluster.ready_seconds})
        for row in rows:
            print(f"{engine}: {row.name}", file=sys.stderr)
            results[row.name][engine].append(await row.measure(cluster, seconds))
        results[f"memory after the loads ({brokers} broker(s) + ZooKeeper)"][engine].append({"MB": cluster.memory_mb()})
    finally:
        cluster.stop()


def table(results: Results, engines: list[str]) -> str:
    """Markdown: a line per figure, the median of each engine, and the ratio of the first to the second."""
    header = ["case", "figure", *engines, *([f"{engines[0]}/{engines[1]}"] if len(engines) == 2 else [])]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, by_engine in results.items():
        figures = next(iter(by_engine.values()))[0]
        for figure in figures:
            medians = [statistics.median(f[figure] for f in by_engine[e]) if by_engine[e] else None for e in engines]
            cells = [name, figure, *("-" if m is None else f"{m:,.2f}" for m in medians)]
            if len(engines) == 2:
                ours, theirs = medians
                cells.append(f"{ours / theirs:.2f}" if ours is not None and theirs else "-")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
