"""`actc search run | resume | status | report`."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actc.search.record import Record
    from actc.search.study import Study
    from actc.search.trial import Trial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the subcommands; each sets `handler`, a function of the parsed arguments that returns the exit
    code.

    Handlers raise `actc.errors.ActcError` for the caller to print.
    """
    commands = parser.add_subparsers(dest="search_command", required=True, metavar="run | resume | status | report")

    def command(name: str, handler: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(handler=handler)
        sub.add_argument("--out", type=_directory, required=True, metavar="DIR", help="the study's directory")
        sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return sub

    run = command(
        "run", run_command, "search, retrain the best, write the report; continues the same study if DIR holds it"
    )
    run.add_argument("--task", default="digits", help="what to train on (default: %(default)s)")
    run.add_argument("--strategy", default="random", help="how to propose candidates (default: %(default)s)")
    run.add_argument("--seed", type=_count, default=0, help="the seed of all randomness (default: %(default)s)")
    run.add_argument("--trials", type=_count, default=80, help="how many candidates to train (default: %(default)s)")
    run.add_argument(
        "--finalists", type=_count, default=3, help="how many of the best to retrain, 0 for none (default: %(default)s)"
    )
    run.add_argument("--repeats", type=_count, default=5, help="fresh seeds for each of these (default: %(default)s)")
    resume = command("resume", resume_command, "continue a study where it was left, however it ended")
    resume.add_argument("--trials", type=_count, help="a new number of candidates in all")
    resume.add_argument("--retry-failed", action="store_true", help="try again what failed with an error")
    for parser in (run, resume):
        parser.add_argument(
            "--workers",
            type=_positive,
            default=os.cpu_count() or 1,
            help="processes (default: one a core, %(default)s)",
        )
        parser.add_argument("--limit", type=_seconds, metavar="SECONDS", help="stop a trial that takes longer")
    command("status", status_command, "what a study has found so far, also while it runs")
    command("report", report_command, "write DIR/report.html anew from what the study has")


def _directory(text: str) -> Path:
    if not text:
        # A variable of the shell that is not set; Path would take it for the current directory.
        raise argparse.ArgumentTypeError("must name a directory, '.' for this one")
    return Path(text)


def _count(text: str, least: int = 0) -> int:
    if not text.strip().isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more, not {text!r}")
    return int(text)


def _positive(text: str) -> int:
    return _count(text, least=1)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
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

    record = read(arguments.out)
    if arguments.json:
        print(json.dumps(record.summary()))
    else:
        _print_summary(record)
    return 0


def report_command(arguments: argparse.Namespace) -> int:
    """Write the report and nothing else."""
    from actc.search import report

    page = report.write(arguments.out)
    print(json.dumps({"report": str(page)}) if arguments.json else page)
    return 0


def _pursue(study: Study, goal: Mapping[str, int], arguments: argparse.Namespace) -> int:
    """Search, retrain the best, write the report; each part goes on where it was left."""
    from actc.search import report
    from actc.search.console import Display, interrupted
    from actc.search.execution import processes
    from actc.search.final import contenders
    from actc.search.record import read
    from actc.search.trial import Status

    study.store.set_value("goal", goal)
    display = Display(silent=arguments.json)
    executor = processes(arguments.workers)
    metric, final_metric = study.configuration["metric"], study.configuration["final_metric"]
    started = time.monotonic()

    def finished(trials: Iterable[Trial]) -> list[Trial]:
        return [trial for trial in trials if trial.status is not Status.OPEN]

    try:
        before = finished(study.trials)
        display.say(
            f"{goal['trials']} trials in {arguments.out}, {arguments.workers} at a time; {len(before)} are there "
            "already"
        )
        if len(before) < max(goal["trials"], len(study.trials)):
            with display.stage("search", goal["trials"], metric, before, keep_best=True) as watch:
                study.run(goal["trials"], executor, slots=arguments.workers, limit=arguments.limit, on_trial=watch)
        if goal["finalists"] and goal["repeats"] and study.best is not None:
            functions = contenders(study.trials, metric, goal["finalists"])
            texts = {text for text, _ in functions}
            before = [trial for trial in finished(study.finals) if trial.expression in texts]
            total = len(functions) * goal["repeats"]
            if len(before) < total:
                with display.stage("final comparison", total, final_metric, before, keep_best=False) as watch:
                    study.retrain(
                        functions,
                        goal["repeats"],
                        executor,
                        slots=arguments.workers,
                        limit=arguments.limit,
                        on_trial=watch,
                    )
    except KeyboardInterrupt:
        interrupted(arguments.out)
        return 130
    study.store.set_value("seconds", (study.store.value("seconds") or 0.0) + time.monotonic() - started)
    page = report.write(arguments.out)
    if arguments.json:
        print(json.dumps({**read(arguments.out).summary(), "report": str(page)}))
    else:
        _print_summary(read(arguments.out))
        print(f"report: {page}")
    return 0


def _print_summary(record: Record) -> None:
    from actc.search.console import described
    from actc.search.trial import Status

    counts = ", ".join(f"{count} {status}" for status, count in record.counts().items() if count)
    print(f"{record.directory}: {counts or 'no trials yet'}")
    for place, trial in enumerate(record.ranked[:5], start=1):
        print(f"  {place}. {described(trial, record.metric)}")
    contenders = record.contenders()
    if contenders:
        print(f"final comparison, {record.final_metric}, mean and 95 % confidence interval:")
    for contender in contenders:
        figure = "no result" if contender.estimate is None else str(contender.estimate)
        lost = f", {contender.lost} runs without a result" if contender.lost else ""
        print(f"  {figure}  {contender.name}: {contender.expression}{lost}")
    failed = [trial for trial in (*record.trials, *record.finals) if trial.status is Status.FAILED]
    for trial in failed:
        print(f"{trial.stage} trial {trial.number} ({trial.expression}) failed:\n{trial.outcome.message.rstrip()}")
