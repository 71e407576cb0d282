"""The report's outcome: the winner, and how it compares."""

from __future__ import annotations

from actc.search.record import Contender, Duel, Record
from actc.search.report import figures
from actc.search.report.wording import (
    MINUS,
    NARROW,
    between,
    code,
    difference,
    escaped,
    figure,
    p_value,
    points,
    table,
    words,
)

LEVEL = 0.05


def verdict(record: Record) -> str:
    """What came out, in a few sentences that claim no more than the tests do."""
    winner = record.winner()
    if winner is None or winner.estimate is None:
        best = next(iter(record.ranked), None)
        if best is None:
            return "<section class='card'><p>No trial has finished yet.</p></section>"
        return (
            f"<section class='card'><h2>Best so far</h2><p class='winner'>{code(best.expression)}</p>"
            f"<p>{figure(best.score(record.metric), record.metric)} {escaped(words(record.metric))} in trial "
            f"{best.number}. The best functions have not been retrained yet, and the best of many single runs is "
            "partly lucky.</p></section>"
        )
    verdicts = "".join(
        f"<li>{_sentence(duel, record.final_metric)}</li>" for duel in record.duels() if duel.found == winner
    )
    interval = ""
    if winner.estimate.count > 1:
        bounds = between(winner.estimate.low, winner.estimate.high, record.final_metric)
        interval = f", 95{NARROW}% confidence interval {bounds}"
    return (
        "<section class='card'><h2>The function found</h2>"
        f"<p class='winner'>{code(winner.expression)}</p>"
        f"<p><strong>{figure(winner.estimate.mean, record.final_metric)}</strong> "
        f"{escaped(words(record.final_metric))}, mean of {winner.estimate.count} trainings with fresh "
        f"seeds{interval}.</p><ul class='verdicts'>{verdicts}</ul>{_reading(record)}</section>"
    )


def _reading(record: Record) -> str:
    """What the verdicts mean, for a reader who does not know statistics."""
    parts = []
    if record.metric != record.final_metric:
        parts.append(
            f"It was chosen by its {escaped(words(record.metric))}, so that its {escaped(words(record.final_metric))} "
            "is no lucky pick; another function of the table below may have the higher one."
        )
    if record.duels():
        parts.append(
            "Training the same network again with other random seeds changes the outcome a little. “Better” and "
            "“worse” stand where the difference is larger than such chance explains, “not told apart” where it is not."
        )
    return f"<p class='note'>{' '.join(parts)}</p>" if parts else ""


def _sentence(duel: Duel, metric: str) -> str:
    name, result = escaped(duel.baseline.name), duel.comparison
    low, high = (difference(bound, metric) for bound in (result.low, result.high))
    sign = "" if duel.adjusted < 0.001 else "= "
    figures_ = (
        f"{difference(result.difference, metric)}{points(metric)}, 95{NARROW}% interval {low} … {high}, "
        f"p {sign}{p_value(duel.adjusted)} (Holm)"
    )
    if duel.adjusted >= LEVEL:
        return f"<b class='even'>Not told apart from {name}</b> <span>{figures_}</span>"
    return (
        f"<b class='better'>Better than {name}</b> <span>{figures_}</span>"
        if result.difference > 0
        else f"<b class='worse'>Worse than {name}</b> <span>{figures_}</span>"
    )


def comparison(record: Record) -> str:
    """The retrained functions, and what can be told apart."""
    contenders = record.contenders()
    if not contenders:
        return ""
    metric = record.final_metric
    ranked = sorted(
        contenders, key=lambda contender: contender.estimate.mean if contender.estimate else 0.0, reverse=True
    )
    rows = [
        [
            f"{escaped(contender.name)} {code(contender.expression)}"
            if contender.baseline
            else code(contender.expression),
            "none" if contender.estimate is None else figure(contender.estimate.mean, metric),
            _interval(contender, metric),
            f"{len(contender.values)}{NARROW}/{NARROW}{len(contender.runs)}",
        ]
        for contender in ranked
    ]
    shown = table(["function", words(metric), "95 % interval", "runs"], rows)
    return (
        f"<section><h2>Retrained with fresh seeds</h2>{figures.intervals(contenders, metric)}"
        f"{shown}{_tests(record)}{_caveat(record)}</section>"
    )


def _tests(record: Record) -> str:
    duels, metric = record.duels(), record.final_metric
    if not duels:
        return ""
    rows: list[list[str]] = []
    for duel in duels:
        heading = [code(duel.found.expression)]
        if duel.baseline == duels[0].baseline:
            rows.append(heading)
        low, high = (difference(bound, metric) for bound in (duel.comparison.low, duel.comparison.high))
        adjusted = p_value(duel.adjusted)
        rows.append(
            [
                f"{MINUS} {escaped(duel.baseline.name)}",
                difference(duel.comparison.difference, metric),
                f"{low} … {high}",
                p_value(duel.comparison.p),
                f"<strong>{adjusted}</strong>" if duel.adjusted < LEVEL else adjusted,
            ]
        )
    head = ["difference", points(metric).strip() or "means", "95 % interval", "p", "p (Holm)"]
    return (
        f"<h3>Against the usual functions</h3>{table(head, rows)}"
        f"<p class='note'>Welch's two-sided t-test (unequal variances) for each of the {len(duels)} pairs. The "
        f"intervals and the column p are of each pair alone; the last column is corrected for the {len(duels)} "
        f"comparisons by Holm's method: calling only those pairs different where it is below {LEVEL} keeps the "
        f"chance of even one false alarm below {LEVEL:.0%}.</p>"
    )


def _interval(contender: Contender, metric: str) -> str:
    if contender.estimate is None or contender.estimate.count < 2:
        return "none"
    return between(contender.estimate.low, contender.estimate.high, metric)


def _caveat(record: Record) -> str:
    parts = [
        "The intervals (Student's t) say how far the mean could move with other seeds, on the same split of the data."
    ]
    if record.metric != record.final_metric:
        parts.append(
            "The functions were chosen on the validation split; the test split was looked at for this comparison only."
        )
    if any(contender.lost for contender in record.contenders()):
        parts.append("Runs that diverged or failed count in no mean: see the column “runs”.")
    return f"<p class='note'>{' '.join(parts)}</p>"
