"""The report's text and layout."""

from __future__ import annotations

import datetime
from importlib import resources

from actc.search.record import Record
from actc.search.report import figures
from actc.search.report.comparison import comparison, verdict
from actc.search.report.snippet import snippet
from actc.search.report.wording import code, escaped, figure, table, words
from actc.search.trial import Status, Trial

GALLERY = 12


def page(record: Record) -> str:
    """The whole HTML document."""
    sections = [
        verdict(record),
        comparison(record),
        _progress(record),
        _gallery(record),
        _snippet(record),
        _method(record),
        _all_trials(record),
    ]
    title = f"Activation search: {_task(record)}"
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    # The policy forbids the page to load anything, from anywhere.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escaped(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><p class="kicker">actc search</p><h1>{escaped(title)}</h1></header>
{"".join(section for section in sections if section)}
</main>
</body>
</html>
"""


def _task(record: Record) -> str:
    objective = record.configuration["objective"]
    return str(objective.get("task", objective.get("function", "own objective")))


def _progress(record: Record) -> str:
    if not record.trials:
        return ""
    counts = record.counts()
    stopped = sum(bool(trial.outcome.message) for trial in record.ranked)
    parts = [f"{sum(counts.values())} candidates, no two of them the same function: {counts['done']} trained"]
    if stopped:
        parts[0] += f" ({stopped} of these given up early, at chance level)"
    parts += [f"{counts[status]} {status}" for status in ("diverged", "failed", "timed out", "open") if counts[status]]
    graph = figures.progress(record.trials, record.metric)
    return f"<section><h2>The search</h2><p>{', '.join(parts)}.</p>{graph}</section>"


def _gallery(record: Record) -> str:
    contenders = record.contenders()
    cards = [
        _card(
            contender.expression,
            contender.name if contender.baseline else f"retrained ({contender.name})",
            contender.baseline,
        )
        for contender in contenders
    ]
    shown = {contender.expression for contender in contenders}
    others = [trial for trial in record.ranked if trial.expression not in shown][: max(0, GALLERY - len(cards))]
    cards += [
        _card(trial.expression, f"{figure(trial.score(record.metric), record.metric)} in trial {trial.number}", False)
        for trial in others
    ]
    if not cards:
        return ""
    return (
        "<section><h2>The functions and their derivatives</h2>"
        "<p class='legend'><span class='key solid'></span> f(x) <span class='key dashed'></span> f′(x)</p>"
        f"<div class='gallery'>{''.join(cards)}</div></section>"
    )


def _card(expression: str, caption: str, baseline: bool) -> str:
    graph = figures.curve(expression, figures.MUTED if baseline else figures.FOUND)
    return f"<figure>{graph}<figcaption>{code(expression)}<br><small>{escaped(caption)}</small></figcaption></figure>"


def _snippet(record: Record) -> str:
    winner, best = record.winner(), next(iter(record.ranked), None)
    expression = winner.expression if winner else best.expression if best else None
    if expression is None:
        return ""
    return f"<section><h2>Use it</h2><pre><code>{escaped(snippet(expression))}</code></pre></section>"


def _method(record: Record) -> str:
    from actc.search.objective import description

    configuration = record.configuration
    strategy = ", ".join(f"{name}: {value}" for name, value in configuration["strategy"].items())
    items = [("search", f"{strategy}; seed {configuration['seed']}"), *description(configuration["objective"])]
    outcomes = [trial.outcome for trial in (*record.trials, *record.finals) if trial.status is not Status.OPEN]
    if outcomes:
        start = datetime.datetime.fromtimestamp(min(outcome.started for outcome in outcomes), datetime.UTC)
        spent = _duration(sum(outcome.seconds for outcome in outcomes))
        versions = dict(item for outcome in outcomes for item in outcome.versions.items())
        items += [
            ("time", f"started {start:%Y-%m-%d %H:%M} UTC; {len(outcomes)} trainings, {spent} of training in all"),
            ("device", ", ".join(sorted({outcome.device for outcome in outcomes}))),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ]
    rows = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in items)
    return f"<section><h2>How it was measured</h2><dl>{rows}</dl></section>"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _all_trials(record: Record) -> str:
    if not record.trials:
        return ""
    rows = [_row(trial, record) for trial in record.trials]
    shown = table(["trial", "function", words(record.metric), "seconds"], rows)
    return f"<section><details><summary>All {len(rows)} trials</summary>{shown}</details></section>"


def _row(trial: Trial, record: Record) -> list[str]:
    lines = trial.outcome.message.strip().splitlines()
    remark = f"<br><small>{escaped(lines[-1])}</small>" if lines else ""
    done = trial.status is Status.DONE
    return [
        str(trial.number),
        f"<div class='wrap'>{code(trial.expression)}{remark}</div>",
        figure(trial.score(record.metric), record.metric) if done else f"<span class='bad'>{trial.status}</span>",
        f"{trial.outcome.seconds:.1f}",
    ]
