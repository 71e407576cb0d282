"""The report's text and layout."""

from __future__ import annotations

import datetime
import html
from collections.abc import Iterable, Sequence

from actc.search.record import Contender, Duel, Record
from actc.search.report import figures
from actc.search.report.snippet import snippet
from actc.search.report.style import STYLE
from actc.search.trial import Status, Trial

LEVEL = 0.05
GALLERY = 12


def page(record: Record) -> str:
    """The whole HTML document."""
    sections = [
        _verdict(record),
        _comparison(record),
        _progress(record),
        _gallery(record),
        _snippet(record),
        _method(record),
        _all_trials(record),
    ]
    title = f"Activation search: {_task(record)}"
    # The policy forbids the page to load anything, from anywhere.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><p class="kicker">actc search</p><h1>{_text(title)}</h1></header>
{"".join(section for section in sections if section)}
</main>
</body>
</html>
"""


def _task(record: Record) -> str:
    objective = record.configuration["objective"]
    return str(objective.get("task", objective.get("function", "own objective")))


def _text(text: object) -> str:
    return html.escape(str(text))


def _code(text: str) -> str:
    # Long expressions may break after an operator or a comma, nowhere else.
    escaped = _text(text)
    for mark in (" * ", " + ", " - ", " / ", ", ", "*", "/"):
        escaped = escaped.replace(mark, f"{mark}<wbr>")
    return f"<code>{escaped}</code>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Cells are HTML already."""
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in zip(head, row, strict=True)) + "</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _figure(value: float, metric: str) -> str:
    return f"{100 * value:.2f} %" if metric.endswith("accuracy") else f"{value:.4g}"


def _difference(value: float, metric: str) -> str:
    return f"{100 * value:+.2f}" if metric.endswith("accuracy") else f"{value:+.3g}"


def _points(metric: str) -> str:
    return " points" if metric.endswith("accuracy") else ""


def _p(value: float) -> str:
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _verdict(record: Record) -> str:
    """What came out, in a few sentences that claim no more than the tests do."""
    winner = record.winner()
    if winner is None or winner.estimate is None:
        best = next(iter(record.ranked), None)
        if best is None:
            return "<section class='card'><p>No trial has finished yet.</p></section>"
        return (
            f"<section class='card'><h2>Best so far</h2><p class='winner'>{_code(best.expression)}</p>"
            f"<p>{_figure(best.score(record.metric), record.metric)} {_text(_words(record.metric))} in trial {best.number + 1}. "
            "The best functions have not been retrained yet, and the best of many single runs is partly lucky.</p></section>"
        )
    verdicts = "".join(f"<li>{_sentence(duel, record.final_metric)}</li>" for duel in record.duels() if duel.found == winner)
    interval = ""
    if winner.estimate.count > 1:
        low, high = (_figure(value, record.final_metric) for value in (winner.estimate.low, winner.estimate.high))
        interval = f", 95 % confidence interval {low} to {high}"
    return (
        "<section class='card'><h2>The function found</h2>"
        f"<p class='winner'>{_code(winner.expression)}</p>"
        f"<p><strong>{_figure(winner.estimate.mean, record.final_metric)}</strong> {_text(_words(record.final_metric))}, mean of "
        f"{winner.estimate.count} trainings with fresh seeds{interval}.</p>"
        f"<ul class='verdicts'>{verdicts}</ul></section>"
    )


def _sentence(duel: Duel, metric: str) -> str:
    name, comparison = _text(duel.baseline.name), duel.comparison
    figures_ = (
        f"{_difference(comparison.difference, metric)}{_points(metric)}, 95 % interval {_difference(comparison.low, metric)} to "
        f"{_difference(comparison.high, metric)}, p = {_p(duel.adjusted)}"
    ).replace("p = &lt;", "p &lt;")
    if duel.adjusted >= LEVEL:
        return f"<b class='even'>Not told apart from {name}</b> <span>{figures_}</span>"
    return (
        f"<b class='better'>Better than {name}</b> <span>{figures_}</span>"
        if comparison.difference > 0
        else f"<b class='worse'>Worse than {name}</b> <span>{figures_}</span>"
    )


def _comparison(record: Record) -> str:
    contenders = record.contenders()
    if not contenders:
        return ""
    metric = record.final_metric
    rows = [
        [
            _code(contender.expression) if not contender.baseline else f"{_text(contender.name)} {_code(contender.expression)}",
            "-" if contender.estimate is None else _figure(contender.estimate.mean, metric),
            _interval(contender, metric),
            f"{len(contender.values)} of {len(contender.runs)}",
        ]
        for contender in sorted(contenders, key=lambda contender: contender.estimate.mean if contender.estimate else 0.0, reverse=True)
    ]
    duels = record.duels()
    tests = [
        [
            _code(duel.found.expression),
            _text(duel.baseline.name),
            _difference(duel.comparison.difference, metric),
            f"{_difference(duel.comparison.low, metric)} to {_difference(duel.comparison.high, metric)}",
            _p(duel.comparison.p),
            f"<strong>{_p(duel.adjusted)}</strong>" if duel.adjusted < LEVEL else _p(duel.adjusted),
        ]
        for duel in duels
    ]
    tested = (
        f"<h3>Against the usual functions</h3>{_table(['found', 'against', 'difference' + _points(metric), '95 % interval', 'p', 'p, Holm'], tests, 'tests')}"
        f"<p class='note'>Welch's two-sided t-test (unequal variances) for each of the {len(duels)} pairs. The intervals and "
        f"the column p are of each pair alone; the last column is corrected for {len(duels)} comparisons by Holm's method, so that the "
        "chance of even one false alarm among them stays below 5 % where it is below 0.05.</p>"
        if duels
        else ""
    )
    return (
        f"<section><h2>Retrained with fresh seeds</h2>{figures.intervals(contenders, metric)}"
        f"{_table(['function', _words(metric), '95 % interval', 'runs'], rows, 'finals')}{tested}{_caveat(record)}</section>"
    )


def _interval(contender: Contender, metric: str) -> str:
    if contender.estimate is None or contender.estimate.count < 2:
        return "-"
    return f"{_figure(contender.estimate.low, metric)} to {_figure(contender.estimate.high, metric)}"


def _caveat(record: Record) -> str:
    parts = ["The intervals (Student's t) say how far the mean could move with other seeds, on the same split of the data."]
    if _task(record) != record.configuration["objective"].get("function"):
        parts.append(
            "The functions were chosen on the validation split; the test split was looked at for this comparison only, and the "
            "function at the head of this page was chosen among the retrained ones by validation accuracy, not by these figures."
        )
    if any(contender.lost for contender in record.contenders()):
        parts.append("Runs that diverged or failed count in no mean: see the column “runs”.")
    return f"<p class='note'>{' '.join(parts)}</p>"


def _progress(record: Record) -> str:
    if not record.trials:
        return ""
    counts = record.counts()
    stopped = sum(bool(trial.outcome.message) for trial in record.ranked)
    parts = [f"{sum(counts.values())} candidates, no two of them the same function: {counts['done']} trained"]
    if stopped:
        parts[0] += f" ({stopped} of these given up early, at chance level)"
    parts += [f"{counts[status]} {status}" for status in ("diverged", "failed", "timed out", "open") if counts[status]]
    return f"<section><h2>The search</h2><p>{', '.join(parts)}.</p>{figures.progress(record.trials, record.metric)}</section>"


def _gallery(record: Record) -> str:
    contenders = record.contenders()
    cards = [
        _card(contender.expression, contender.name if contender.baseline else f"retrained ({contender.name})", contender.baseline)
        for contender in contenders
    ]
    shown = {contender.expression for contender in contenders}
    others = [trial for trial in record.ranked if trial.expression not in shown][: max(0, GALLERY - len(cards))]
    cards += [
        _card(trial.expression, f"{_figure(trial.score(record.metric), record.metric)} in trial {trial.number + 1}", False) for trial in others
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
    return f"<figure>{graph}<figcaption>{_code(expression)}<br><small>{_text(caption)}</small></figcaption></figure>"


def _snippet(record: Record) -> str:
    winner, best = record.winner(), next(iter(record.ranked), None)
    expression = winner.expression if winner else best.expression if best else None
    if expression is None:
        return ""
    return f"<section><h2>Use it</h2><pre><code>{_text(snippet(expression))}</code></pre></section>"


def _method(record: Record) -> str:
    from actc.search.objective import description

    objective, trials = record.configuration["objective"], [*record.trials, *record.finals]
    finished = [trial for trial in trials if trial.status is not Status.OPEN]
    strategy = record.configuration["strategy"]
    items = [("search", ", ".join(f"{name}: {value}" for name, value in strategy.items()) + f"; seed {record.configuration['seed']}")]
    items += description(objective) if "task" in objective else [("objective", objective["function"])]
    if finished:
        start = datetime.datetime.fromtimestamp(min(trial.outcome.started for trial in finished if trial.outcome.started), datetime.UTC)
        seconds = sum(trial.outcome.seconds for trial in finished)
        versions = dict(item for trial in finished for item in trial.outcome.versions.items())
        items += [
            ("time", f"started {start:%Y-%m-%d %H:%M} UTC; {len(finished)} trainings, {_duration(seconds)} of training in all"),
            ("device", ", ".join(sorted({trial.outcome.device for trial in finished if trial.outcome.device}))),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ]
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in items)
    return f"<section><h2>How it was measured</h2><dl>{rows}</dl></section>"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _all_trials(record: Record) -> str:
    if not record.trials:
        return ""
    rows = [_row(trial, record) for trial in record.trials]
    table = _table(["trial", "function", _words(record.metric), "seconds", "remark"], rows, "trials")
    return f"<section><details><summary>All {len(rows)} trials</summary>{table}</details></section>"


def _row(trial: Trial, record: Record) -> list[str]:
    done = trial.status is Status.DONE
    lines = trial.outcome.message.strip().splitlines()
    return [
        str(trial.number + 1),
        _code(trial.expression),
        _figure(trial.score(record.metric), record.metric) if done else f"<span class='bad'>{trial.status}</span>",
        f"{trial.outcome.seconds:.1f}",
        _text(lines[-1] if lines else ""),
    ]
