"""``scripts/soak NAME --minutes M --seed S``: run one soak, print what it measured. Exit 1 for a fault."""

import argparse
import sys
import time

from tests.soak.table import SOAKS, Wish


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("name", nargs="?", default="dashboard", choices=SOAKS, help="which (default: dashboard)")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="decides the order of faults")
    parser.add_argument("--list", action="store_true", help="name the soaks there are")
    options = parser.parse_args(arguments)
    if options.list:
        for name, soak in SOAKS.items():
            print(f"{name:>16}  {soak.words}")
        return 0
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    verdict = SOAKS[options.name].run(Wish(options.minutes, options.seed, say))
    for name, value in verdict.figures.items():
        print(f"{name:>28}  {value}")
    for fault in verdict.faults:
        print(f"FAULT  {fault}")
    print(f"{options.name}: {'failed' if verdict.faults else 'ok'}, {(time.monotonic() - began) / 60:.1f} minutes")
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
