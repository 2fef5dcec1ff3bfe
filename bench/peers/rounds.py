"""What all peers share: one task line in, their name out, then one measured round for each further line."""

import json
import sys
import time


def task():
    """What bench/measure.ts asks for."""
    return json.loads(sys.stdin.readline())


def serve(name, work, clear=lambda: None):
    """Answers each line with one round of `work() -> (count, found)`, timed; `clear()` follows outside the time."""
    print(json.dumps({"name": name}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        count, found = work()
        seconds = time.perf_counter() - start
        clear()
        print(json.dumps({"rate": count / seconds, **({"found": found} if found else {})}), flush=True)
