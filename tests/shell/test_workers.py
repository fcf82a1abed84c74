"""The processes that a broker has for work that computes."""

import subprocess
import sys
import time

import psutil

PROGRAM = """
import asyncio, os, time
from broker.host.workers import RealWorkers

async def main():
    print(await RealWorkers().compute(os.getpid), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def lives(process: psutil.Process) -> bool:
    """Not if it is gone, nor if only its status is left for somebody to fetch."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_ends_when_its_broker_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as broker:
        try:
            assert broker.stdout is not None
            worker = psutil.Process(int(broker.stdout.readline()))
        finally:
            broker.kill()
    deadline = time.monotonic() + 30
    while lives(worker):
        assert time.monotonic() < deadline, "it goes on without a broker"
        time.sleep(0.02)
