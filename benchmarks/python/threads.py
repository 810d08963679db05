"""Measures sync hits on Redis: `threads.py TABLE SUBJECT PORT SIZE THREADS SECONDS`.

Prints the CPU time of the whole process per call, in µs.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from libraries import subject
from subjects import Source, is_product

#: The entries that are read in turn.
NAMES = [f"4711-{number}" for number in range(100)]


def main() -> None:
    table, name, port, size, threads, seconds = sys.argv[1:]
    source = Source(int(size))
    calls = subject(table, name).open(int(port), source)
    for entry in NAMES:
        (calls.store or calls.call)(entry)
    if not all(is_product(calls.call(entry)) for entry in NAMES):
        raise SystemExit("the read value differs from the written one")
    made = source.calls
    # As many rounds as take the given time, based on their cost after warm-up.
    cost(calls.call, int(threads), 2)
    each_round = cost(calls.call, int(threads), 4) * len(NAMES) * int(threads)
    gc.collect()
    cpu = cost(calls.call, int(threads), max(4, int(float(seconds) / each_round)))
    if source.calls != made:
        raise SystemExit(f"{source.calls - made} calls were misses")
    print(json.dumps({"cpu": cpu * 1e6}))


def cost(call: Callable[[str], Any], threads: int, rounds: int) -> float:
    """Returns the CPU time of a call, in seconds: each thread reads all entries, several times."""
    started, finished = threading.Barrier(threads + 1), threading.Barrier(threads + 1)

    def work(first: int) -> None:
        names = NAMES[first:] + NAMES[:first]
        # The connection of the thread is not measured.
        call(names[0])
        started.wait()
        for _ in range(rounds):
            for name in names:
                call(name)
        finished.wait()

    workers = [threading.Thread(target=work, args=(number * 7,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    cpu = time.process_time()
    started.wait()
    finished.wait()
    cpu = time.process_time() - cpu
    for worker in workers:
        worker.join()
    return cpu / threads / rounds / len(NAMES)


main()
