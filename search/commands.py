"""`actc search run | resume | status | report`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actc.search.errors import StudyError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the subcommands; each sets `handler`, a function of the parsed arguments that returns the exit code.

    Handlers raise `actc.errors.ActcError` for the caller to print.
    """
    commands = parser.add_subparsers(dest="search_command", required=True, metavar="run | resume | status | report")

    def command(name: str, handler: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(handler=handler)
        sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory that holds the study")
        sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return sub

    run = command("run", run_command, "search, retrain the best, write the report; continues the same study if DIR holds it")
    run.add_argument("--task", default="digits", help="what to train on (default: %(default)s)")
    run.add_argument("--strategy", default="random", help="how to propose candidates (default: %(default)s)")
    run.add_argument("--seed", type=_count, default=0, help="the seed of all randomness (default: %(default)s)")
    run.add_argument("--trials", type=_count, default=24, help="how many candidates to train (default: %(default)s)")
    run.add_argument("--finalists", type=_count, default=3, help="how many of the best to retrain, 0 for none (default: %(default)s)")
    run.add_argument("--repeats", type=_count, default=5, help="fresh seeds for each of these (default: %(default)s)")
    resume = command("resume", resume_command, "continue a study where it was left, however it ended")
    resume.add_argument("--trials", type=_count, help="a new number of candidates in all")
    resume.add_argument("--retry-failed", action="store_true", help="try again what failed with an error")
    for parser in (run, resume):
        parser.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="processes (default: one a core, %(default)s)")
        parser.add_argument("--limit", type=float, metavar="SECONDS", help="stop a trial that takes longer")
    command("status", status_command, "what a study has found so far, also while it runs")
    command("report", report_command, "write DIR/report.html anew from what the study has")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _positive(text: str) -> int:
    value = _count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def run_command(arguments: argparse.Namespace) -> int:
    """Start a study, or continue the same one."""
    from actc.search.study import Study

    with Study(arguments.out, task=arguments.task, strategy=arguments.strategy, seed=arguments.seed) as study:
        goal = {name: getattr(arguments, name) for name in ("trials", "finalists", "repeats")}
        return _pursue(study, goal, arguments)


def resume_command(arguments: argparse.Namespace) -> int:
    """Continue a study towards the goal it was started with."""
    from actc.search.study import Study

    with Study.load(arguments.out) as study:
        goal = study.store.value("goal") or {"trials": len(study.trials), "finalists": 3, "repeats": 5}
        if arguments.trials is not None:
            goal["trials"] = arguments.trials
        if arguments.retry_failed:
            study.retry()
        return _pursue(study, goal, arguments)


def status_command(arguments: argparse.Namespace) -> int:
    """Print what there is."""
    from actc.search.record import read

    _print(read(arguments.out).summary(), arguments)
    return 0


def report_command(arguments: argparse.Namespace) -> int:
    """Write the report and nothing else."""
    from actc.search import report

    page = report.write(arguments.out)
    print(json.dumps({"report": str(page)}) if arguments.json else page)
    return 0
