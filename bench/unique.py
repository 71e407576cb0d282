"""What sorting the papers' spaces into classes costs: time, memory, and how both grow.

python bench/unique.py [--four-node] prints a table; with --four-node also the 1,023,516 members of that space.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time

from actc.class_listing import summary
from actc.classes import unique
from actc.spaces import Space


def measured(name: str, space: Space, processes: int = 1, **options: object) -> dict[str, object]:
    """Classes of a space, the seconds that they took, and the most megabytes so far: the peak of this process, and for
    each worker that of the largest one, as if all had been at their peaks at once."""
    start, before = time.perf_counter(), _cpu_seconds()
    classes = unique(space, processes=processes, **options)  # type: ignore[arg-type]
    seconds, cpu = time.perf_counter() - start, _cpu_seconds() - before
    own, worker = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = own + (worker * processes if processes > 1 else 0)
    row = {"space": name, **summary(classes), "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 1)}
    row["peak_MB"] = round(peak)
    row["microseconds_an_expression"] = round(1e6 * seconds / space.count, 1)
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def _cpu_seconds() -> float:
    """Those of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--four-node", action="store_true", help="also the space of 1,023,516 members")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="write the rows there, with the machine they were taken on")
    chosen = parser.parse_args()
    rows = [measured("three-node", Space("aquasurf_three_node"))]
    rows.append(measured("three-node by printed float32 outputs", Space("aquasurf_three_node"), by_outputs=True))
    # Slices of the four-node space by what its innermost slot may hold: cost in proportion to size.
    for share in (3, 9, 27) if chosen.four_node else (3, 9):
        inner = list(Space("unary(x)"))[:share]
        space = Space("binary(unary(inner(x)),unary(x))", inner=[str(e) for e in inner])
        rows.append(measured(f"{share}/27 of a form", space, prove=False, processes=chosen.processes))
    if chosen.four_node:
        rows.append(measured("four-node", Space("aquasurf_four_node"), prove=False, processes=chosen.processes))
    if chosen.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
