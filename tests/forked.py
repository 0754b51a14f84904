"""Ranks as forks of one process, which has imported what all of them need; no torchrun, which takes seconds more."""

import faulthandler
import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path

LIMIT = 500  # seconds, after which a rank that waits for others says where; what tests ask takes ten
ROOT = Path(__file__).parent.parent


def run_ranks(script, place, ports):
    """Run a script that forks; how each of its ranks ended, and what was said on standard error."""
    sockets = [socket.socket() for _ in range(ports)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    free = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    told = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1"}
    words = [sys.executable, script, place, *free]
    done = subprocess.run(words, env=told, capture_output=True, text=True, check=False, timeout=600)
    return [int(each) for each in done.stdout.split()], done.stderr


def fork_ranks(count, work):
    """Call work(place, ports, rank) in so many children; print how each ended."""
    place, *ports = sys.argv[1:]
    os.environ["WORLD_SIZE"] = str(count)
    children = []
    for rank in range(count):
        children.append(os.fork())
        if not children[-1]:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            os.environ["RANK"] = str(rank)
            try:
                work(Path(place), ports, rank)
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
    print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
