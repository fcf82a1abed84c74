"""``scripts/simulate``: run seeds, print what fails with its faults and last log lines, replay one, shrink its plan."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext

from tests.sim.nemesis import Fault
from tests.sim.plants import PLANTS, planted
from tests.sim.run import Run, Verdict

LAST_LINES = 40


def main(arguments: list[str] | None = None) -> int:
    """0 when every seed passed (or, with --plant, when one caught the planted bug)."""
    options = parse(arguments)
    if options.list_plants:
        print("\n".join(PLANTS))
        return 0
    with planted(options.plant) if options.plant else nullcontext():
        if options.seed is not None:
            return replay(options)
        return campaign(options)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", default="0..9", metavar="A..B", help="run seeds A to B (default 0..9)")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so many minutes of real time")
    parser.add_argument("--seed", type=int, help="run this one; with -v print every log line")
    parser.add_argument("--short", action="store_true", help="fewer faults, in a few simulated seconds")
    parser.add_argument("--shrink", action="store_true", help="with --seed: look for the fewest faults that still fail")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare the traces")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="plant this bug in the broker; stop when it is caught")
    parser.add_argument("--list-plants", action="store_true", help="name the bugs that can be planted")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every log line, and each seed's faults")
    return parser.parse_args(arguments)


def campaign(options: argparse.Namespace) -> int:
    """Seed after seed, until the last, or the time is up, or a planted bug is caught."""
    first, _, last = options.seeds.partition("..")
    deadline = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    verdicts, failed = 0, []
    simulated = took = 0.0
    for seed in range(int(first), int(last or first) + 1):
        if time.monotonic() > deadline:
            break
        verdict = Run(seed, short=options.short).judge()
        verdicts, simulated, took = verdicts + 1, simulated + verdict.simulated, took + verdict.took
        if options.twice and not verdict.failed and Run(seed, short=options.short).judge().trace != verdict.trace:
            verdict.errors.append("a second run of this seed had another trace")
        print(line(verdict), flush=True)
        if verdict.failed:
            failed.append(seed)
            tell(verdict)
            if options.plant:
                break
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{verdicts} seeds, {len(failed)} failed {failed or ''}: {simulated:.0f} simulated seconds in {took:.0f} s")
    print(f"{simulated / max(took, 0.001):.0f} simulated seconds a second, one core of {os.cpu_count()}, load {load}")
    if options.plant:
        print(f"planted {options.plant}: " + (f"caught by seed {failed[0]}" if failed else "not caught"))
        return 0 if failed else 1
    return 1 if failed else 0


def replay(options: argparse.Namespace) -> int:
    verdict = Run(options.seed, verbose=options.verbose, short=options.short).judge()
    print(line(verdict))
    if verdict.failed or options.verbose:
        tell(verdict)
    if verdict.failed and options.shrink:
        tell(shrink(verdict, short=options.short))
    return 1 if verdict.failed else 0


def shrink(verdict: Verdict, *, short: bool = False) -> Verdict:
    """Leave out one fault after another, as long as it still fails."""
    kept = list(verdict.faults)
    for fault in reversed(verdict.faults):
        fewer: list[Fault] = [each for each in kept if each is not fault]
        attempt = Run(verdict.seed, faults=fewer, short=short).judge()
        if attempt.failed:
            kept, verdict = fewer, attempt
            print(f"fails with {len(kept)} faults", file=sys.stderr)
    return verdict


def line(verdict: Verdict) -> str:
    ended = "FAILED" if verdict.failed else "ok"
    speed = verdict.simulated / max(verdict.took, 0.001)
    return (
        f"seed {verdict.seed}: {ended}, {verdict.summary}, {len(verdict.told)} events, "
        f"{verdict.simulated:.0f} s at {speed:.0f} a second, trace {verdict.trace:08x}"
    )


def tell(verdict: Verdict) -> None:
    """Everything that is needed to understand a failure."""
    _section("scenario", [verdict.scenario])
    _section("plan", map(str, verdict.faults))
    _section("what was done", verdict.told)
    _section("last lines", verdict.lines[-LAST_LINES:])
    _section("errors", verdict.errors[:5])
    _section("stuck", [verdict.stuck] if verdict.stuck else [])
    _section("violations", map(str, verdict.violations[:10]))
    if verdict.failed:
        print(f"replay: scripts/simulate --seed {verdict.seed} -v")


def _section(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        print(f"--- {title}")
        print("\n".join(found))


if __name__ == "__main__":
    sys.exit(main())
