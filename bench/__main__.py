"""`scripts/bench`: run the rows on each engine in turn, print a table (and, with --json, keep the figures).

Medians over --rounds; the engines alternate within a round, because the machine's speed drifts. A whole round takes
some ten minutes; with --add, rows that were measured one by one end in one file. `--report FILE` prints the table of
figures that were kept, and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

import bench.rows

# isort: split
import bench.clients

# isort: split
import bench.life

# isort: split
import bench.churn  # noqa: F401 - these four register their rows, which are measured in this order
from bench.awake import awake
from bench.client import delete_topics
from bench.engines import JARS, Cluster
from bench.report import LOADED, STARTED, Results, put_into, table
from bench.row import ROWS, Figures, Row

ROW_SECONDS = 180.0
"""A row that takes longer is given up, with its cluster."""


def main() -> int:
    options = parsed()
    if options.list:
        print("\n".join(dict.fromkeys(row.name for row in ROWS)))
        return 0
    if options.report:
        text = table(json.loads(options.report.read_text()))
        if options.into:
            options.into.write_text(put_into(options.into.read_text(), text))
        print(text)
        return 0
    engines = [name for name in options.engines.split(",") if usable(name)]
    rows = [row for row in ROWS if any(text in row.name for text in options.only or [""])]
    results: Results = defaultdict(lambda: defaultdict(list))
    if options.add and options.json.exists():
        for name, by_engine in json.loads(options.json.read_text()).items():
            results[name].update(by_engine)
    run = asyncio.run
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        print("uvloop is not installed: the client is slower", file=sys.stderr)
    with awake(options.awake):
        for _ in range(options.rounds):
            for brokers, cluster in dict.fromkeys((row.brokers, row.cluster) for row in rows):
                together = [row for row in rows if (row.brokers, row.cluster) == (brokers, cluster)]
                for engine in engines:
                    run(measure(engine, brokers, together, options.seconds, results))
                if options.json:
                    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--engines", default="kops,apache", help="kops, apache, or both (default)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load runs, after as long a warm-up")
    parser.add_argument("--awake", action="store_true", help="keep the processors of a virtual machine from halting")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="rows whose name contains this; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="name all rows, measure nothing")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--add", action="store_true", help="keep what is in the --json file, as rounds before this one")
    parser.add_argument("--report", type=Path, help="print the table of the figures in this file, measure nothing")
    parser.add_argument("--into", type=Path, help="with --report: put the table into this page, between its marks")
    options = parser.parse_args()
    if options.add and not options.json:
        parser.error("--add needs --json FILE")
    return options


def usable(engine: str) -> bool:
    """Apache's engine needs Java and the jars that scripts/interop-setup brings."""
    if engine == "apache" and (shutil.which("java") is None or not JARS.is_dir()):
        print(f"no Apache Kafka: java or {JARS} is missing (scripts/interop-setup)", file=sys.stderr)
        return False
    return True


async def measure(engine: str, brokers: int, rows: list[Row], seconds: float, results: Results) -> None:
    """Start one cluster, run the rows that share it, stop it. A row that fails is left out, and named on stderr."""
    left = list(rows)
    while left:
        cluster = Cluster(engine, brokers)
        doing = "start"
        try:
            await cluster.start()
            if len(left) == len(rows):
                results[STARTED.format(brokers)][engine].append({"s": cluster.ready_seconds})
                told(engine, f"{brokers} broker(s) ready", {"s": cluster.ready_seconds}, cluster.ready_seconds)
            while left:
                row = left.pop(0)
                doing, began = row.name, time.perf_counter()
                figures = await asyncio.wait_for(row.measure(cluster, seconds), ROW_SECONDS)
                results[row.name][engine].append(figures)
                told(engine, row.name, figures, time.perf_counter() - began)
                await asyncio.wait_for(tidy(cluster), ROW_SECONDS)
            if rows[0].cluster == "loads":
                loaded = {"MB": cluster.memory_mb()}
                results[LOADED.format(brokers)][engine].append(loaded)
                told(engine, "memory after the loads", loaded, 0)
        except Exception as error:  # noqa: BLE001 - one row must not cost the others, which go on in a new cluster
            print(f"{engine}: {doing}: FAILED: {error!r}", file=sys.stderr, flush=True)
            left = [] if doing == "start" else left
        finally:
            cluster.stop()


def told(engine: str, name: str, figures: Figures, seconds: float) -> None:
    shown = ", ".join(f"{value:.4g} {figure}" for figure, value in figures.items())
    print(f"{engine:6} {name}: {shown} ({seconds:.0f} s)", file=sys.stderr, flush=True)


async def tidy(cluster: Cluster) -> None:
    """Delete what the row has made: its pages must not be written to the disk while the next row is measured."""
    if cluster.topics:
        await delete_topics(cluster.port, cluster.topics)
        cluster.topics.clear()
        await asyncio.sleep(1.5)


if __name__ == "__main__":
    sys.exit(main())
