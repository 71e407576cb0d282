"""Which of an expression's equal forms to take: the one in which equal functions meet, the one of the smallest error,
or the one of the fewest instructions.

The last two are chosen by measurement. Forms are compared in float32 at some hundred points with the real values, which
ball arithmetic tells. A function may be cut at up to two places, with a form for each piece: 1 + tanh(x) is best as it
is for x > -1, and as 2*sigmoid(2*x) below.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from actc.accuracy import HOPELESS, Sample, errors_beside, float32_value
from actc.equivalence import bends
from actc.evaluation import nearest_to_ball
from actc.expr import Expr, apply, constant, postorder, symbol
from actc.forms import Form, forms
from actc.operators import OPERATORS
from actc.parsing import parse
from actc.program import Instruction, Program, expand
from actc.rules import simplified

Array = npt.NDArray[np.float64]

#: What the values of ordinary inputs lie between.
ORDINARY = 20.0

#: Operations at all points by which the real value is worked out, some milliseconds, and the fewest and most points.
_WORK, _FEWEST, _MOST = 2500, 32, 512
#: Points at which a choice is checked against the text, and operations at them all; there the real value is that of the
#: form chosen, in float64.
_CHECKED, _CHECKED_WORK = 1 << 14, 1 << 19

#: Effort (:func:`_effort`) and primitive operations of the largest expression that is measured, and operations of all
#: its forms together.
_MOST_EFFORT, _MOST_OPERATIONS, _MOST_TOGETHER = 100, 400, 600

#: Bits of the result, on average, that a piece of its own and a letter of text must be worth.
_PIECE, _LETTER = 0.2, 0.0006
_MOST_PIECES = 3
#: Changes of sign that are looked at.
_MOST_ZEROS = 6
#: Bits that a simpler number for a cut may cost.
_SLACK = 0.01
#: Where the error is larger than that, as beside a zero, it is what rounding happens to leave: a form must be so many
#: times better there, or the same code.
_LARGE, _FAR_BETTER = 4, 4
#: Bits lost by a form where it is out of the question, and the last digit of bits that are added up.
_FORBIDDEN, _GRAIN = 1e6, 2.0**-20

#: Values below are subnormal: a cheap form may lose so many of their bits, as hardware does that takes them for 0.
_SMALLEST_NORMAL, _SUBNORMAL_BITS = 2.0**-126, 23


def simplify(expression: str | Expr, purpose: str = "canonical") -> Expr:
    """A form of the same function, equal over the reals wherever the expression is defined, off isolated points.

    ``purpose`` is what it is for:

    - ``"canonical"``: the form in which equal functions meet as far as the rules reach, compositions by their names.
    - ``"stable"``: the form with the smallest error in floating point, and the expression itself where none is better.
      It is chosen by measuring float32 errors between -20 and 20 and at some far and tiny inputs.
    - ``"cheap"``: the form of the fewest machine instructions whose float32 error is about that of the expression.

    A constant takes its canonical form if balls tell its value. What is too large to be measured, of some hundred
    operations, stays as it is for the last two, and so does what has a constant that only thousands of digits tell,
    such as ``sqrt(2)**2 - 2``.
    Simplifying again for the same purpose changes nothing. Raises ParseError for a text that is no expression,
    ValueError for a purpose that is none of these.

    >>> import actc
    >>> print(actc.simplify("max(x, 0) + 0*x"))
    relu(x)
    >>> print(actc.simplify("cosh(x) - sinh(x)", "stable"))
    exp(-x)
    """
    root = parse(expression)
    if purpose == "canonical":
        return simplified(root)
    if purpose not in ("stable", "cheap"):
        raise ValueError(f"there is no purpose {purpose!r}; it is 'canonical', 'stable' or 'cheap'")
    if not root.symbols:
        # What is computed is one number, however it is written, unless what cancels hides it: silu(9e4) - 9e4.
        form = simplified(root)
        return root if nearest_to_ball(form) is None else form
    if not (_measurable(root) and _measurable(simplified(root))):
        return root
    return _stable(root) if purpose == "stable" else _cheap(root)


def _measurable(expression: Expr) -> bool:
    """Whether it is small enough, and balls tell its constants: those that cancel, or stand on a pole or a jump, take
    thousands of digits."""
    names = [node.name for node in postorder(expression) if node.symbols and node.args]
    return (
        sum(map(_effort_of, names)) <= _MOST_EFFORT
        and sum(map(_operations_of, names)) <= _MOST_OPERATIONS
        and _tells_constants(expression)
        # Others come out of a choice that is made while definitions are written out.
        and _tells_constants(expand(expression))
    )


def _affordable(found: Sequence[Form]) -> list[Form]:
    """Those that can be measured, but for what is too much together; the first is the expression."""
    kept: list[Form] = []
    seen: set[Expr] = set()
    operations = 0
    for form in found:
        # What they share is worked out once.
        fresh = [node for node in postorder(form.expression, known=seen) if node.symbols and node.args]
        more = sum(_operations_of(node.name) for node in fresh)
        if (operations + more <= _MOST_TOGETHER and _measurable(form.expression)) or not kept:
            kept.append(form)
            seen.update(fresh)
            operations += more
    return kept


def _tells_constants(expression: Expr) -> bool:
    whole = [expression, *(a for node in postorder(expression) if node.symbols for a in node.args)]
    return all(nearest_to_ball(c) is not None for c in dict.fromkeys(whole) if c.args and not c.symbols)


def _effort(expression: Expr) -> int:
    """What its value takes in balls, in operations as fast as elementary functions; constants are worked out once."""
    return sum(_effort_of(node.name) for node in postorder(expression) if node.symbols and node.args)


@cache
def _effort_of(name: str) -> int:
    row = OPERATORS[name]
    if row.ball is not None or row.definition is None:
        return row.effort
    return sum(_effort_of(step.name) for step in row.steps if step.args)


@cache
def _operations_of(name: str) -> int:
    """How many primitive operations an operator is written out to."""
    row = OPERATORS[name]
    return 1 if row.definition is None else sum(_operations_of(step.name) for step in row.steps if step.args)


@lru_cache(maxsize=1024)
def _letters(form: Expr) -> int:
    return len(str(form))


# --- the smallest error ----------------------------------------------------------------------------------------------


def _stable(expression: Expr) -> Expr:
    found = _affordable(forms(expression))
    sample = _sample(expression)
    sample.evaluate([form.expression for form in found])
    losses = {form.expression: _losses(form.expression, expression, sample) for form in found}
    pieces = {form.expression: 1 for form in found if form.everywhere}
    if expression.symbols == {"x"}:
        pieces |= {e: n for n, e in _in_pieces(found, _apart(np.array([*losses.values()])), sample.x)}
    prices = {}
    for e, n in pieces.items():
        lost = losses[e] if e in losses else _losses(e, expression, sample)
        prices[e] = _PIECE * n + _LETTER * _letters(e) + float(np.log2(1 + lost).mean())
    bar = _Bar(expression, sample)
    for candidate in sorted(prices, key=prices.__getitem__):
        if prices[candidate] > prices[expression] - _PIECE:
            break
        if bar.cleared(candidate):
            return candidate
    return expression


def _losses(form: Expr, text: Expr, sample: Sample) -> Array:
    """The form's errors: none where the real value is unknown, unless the form alone is undefined there, or the text
    alone, and at more than isolated points."""
    undefined = np.isnan(sample.value(form))
    alone = undefined & ~np.isnan(sample.value(text))
    if np.count_nonzero(more := sample.undefined & ~undefined) > len(more) // 8:
        alone |= more
    return np.where(alone, HOPELESS, np.nan_to_num(sample.errors(form)))


class _Bar:
    """What a form must clear: its error is no greater than the text's, on the sample and at many other points."""

    def __init__(self, text: Expr, sample: Sample) -> None:
        self.text, self.sample = text, sample

    @cached_property
    def _inputs(self) -> dict[str, npt.NDArray[np.float32]]:
        return _checks(self.text)

    @cached_property
    def _defined(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(_float64_value(self.text, self._inputs))

    @cached_property
    def _value(self) -> npt.NDArray[np.float32]:
        return float32_value(self.text, self._inputs)

    def cleared(self, form: Expr) -> bool:
        if not _smaller(*(_losses(e, self.text, self.sample) for e in (form, self.text))):
            return False
        # Most that fail do so at every eighth point.
        return all(self._clears_at(form, step) for step in (8, 1))

    def _clears_at(self, form: Expr, step: int) -> bool:
        inputs = {name: values[::step] for name, values in self._inputs.items()}
        truth = _float64_value(form, inputs)
        if np.any(np.isnan(truth) & self._defined[::step]):
            return False
        ours, theirs = (errors_beside(truth, v) for v in (float32_value(form, inputs), self._value[::step]))
        return _smaller(ours, theirs) and not np.any(_by_chance(ours, theirs))


def _smaller(ours: Array, theirs: Array) -> bool:
    """Whether errors are no greater in the mean, at most, and at most among neighbours, about."""
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    if not known.any() or ours[known].mean() > theirs[known].mean() or ours[known].max() > theirs[known].max():
        return False
    return bool(np.all(_most_by_blocks(ours) <= 2 * _most_by_blocks(theirs) + 1))


def _most_by_blocks(errors: Array) -> Array:
    """The largest error among every 64 neighbours."""
    whole = errors.size - errors.size % 64
    return np.nan_to_num(errors[:whole]).reshape(-1, 64).max(axis=1)


def _by_chance(ours: Array, theirs: Array) -> npt.NDArray[np.bool_]:
    """Where the error is not small, and neither the text's own nor far below it."""
    return (ours > _LARGE) & (ours != theirs) & (ours * _FAR_BETTER > theirs)


def _near_zeros(truth: Array) -> npt.NDArray[np.bool_]:
    """The points beside a change of sign."""
    sign = np.sign(np.nan_to_num(truth))
    changes = sign[1:] * sign[:-1] < 0
    near = np.zeros(truth.shape, dtype=bool)
    near[1:] |= changes
    near[:-1] |= changes
    return near


def _apart(errors: Array) -> Array:
    """The bits lost by each form, out of reach where they are no better than chance."""
    return np.log2(1 + errors) + _FORBIDDEN * _by_chance(errors, errors[0])


def _in_pieces(found: Sequence[Form], bits: Array, x: Array) -> Iterator[tuple[int, Expr]]:
    """For each number of pieces that and the best choice of forms and of the places between, by dynamic programming."""
    n = x.size
    for row, form in zip(bits, found, strict=True):
        row[(x < float(form.low)) | (x > float(form.high))] = _FORBIDDEN
    # Of few digits, so that sums are exact and no rounding breaks a tie.
    bits = np.round(bits / _GRAIN) * _GRAIN
    price = np.round(n * np.array([_PIECE + _LETTER * _letters(f.expression) for f in found]) / _GRAIN) * _GRAIN
    # so_far[i, f]: bits lost by a form at the first i points; least[i, f]: by the best choice that ends with it.
    so_far = np.vstack([np.zeros(len(found)), np.cumsum(bits, axis=1).T])
    least = price + so_far
    nowhere = np.zeros((1, len(found)), dtype=int)
    history = []
    for _ in range(1, _MOST_PIECES):
        # If the last piece begins after j points: what is lost up to there, beyond what its form would have lost.
        begun = (least.min(axis=1, keepdims=True) + price - so_far)[:-1]
        fewest = np.minimum.accumulate(begun)
        better = np.vstack([nowhere, fewest[1:] < fewest[:-1]])
        starts = np.maximum.accumulate(np.arange(n)[:, None] * better)
        history.append((least.argmin(axis=1), np.vstack([nowhere, starts])))
        least = np.vstack([nowhere + math.inf, so_far[1:] + fewest])
        pieces, ends = [int(least[n].argmin())], [n]
        for last, begins in reversed(history):
            ends.append(int(begins[ends[-1], pieces[-1]]))
            pieces.append(int(last[ends[-1]]))
        if all(end > 0 for end in ends):
            yield len(pieces), _joined(found, bits, pieces[::-1], ends[::-1], x)


def _joined(found: Sequence[Form], bits: Array, pieces: Sequence[int], ends: Sequence[int], x: Array) -> Expr:
    """The pieces as one expression. ``ends``: how many points lie before the end of each."""
    result = found[pieces[0]].expression
    for k, (left, right) in enumerate(itertools.pairwise(pieces)):
        low, high = found[right].low, found[left].high
        at_least = False
        if low == high:
            cut, at_least = Fraction(low), bool(x[ends[k]] == float(low))
        else:
            # What is lost if the piece on the left ends elsewhere: it may where that is next to nothing.
            places = np.arange(ends[k - 1] + 1 if k else 1, ends[k + 1])
            lost = np.cumsum(bits[left] - bits[right])[places - 1]
            dear = places[lost > lost[places == ends[k]] + _SLACK * x.size]
            first = max(dear[dear < ends[k]], default=places[0] - 1) + 1
            last = min(dear[dear > ends[k]], default=places[-1] + 1) - 1
            cut = _simplest(Fraction(max(x[first - 1], float(low))), Fraction(min(x[last], float(high))))
        relation = apply("ge" if at_least else "gt", symbol("x"), constant(cut))
        result = apply("where", relation, found[right].expression, result)
    return result


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The number of the fewest binary digits from ``low`` to below ``high``, or ``low`` where that leaves none."""
    if low >= high:
        return low
    for step in (Fraction(2) ** k for k in itertools.count(10, -1)):
        if (number := math.ceil(low / step) * step) < high:
            return number
    raise AssertionError


# --- the fewest instructions -----------------------------------------------------------------------------------------


def _cheap(expression: Expr) -> Expr:
    """The cheapest form, and of that again where it would be looked at otherwise, until nothing is cheaper."""
    while True:
        form = _cheapest(expression)
        if form is expression or _looked_at_alike(form, expression):
            return form
        expression = form


def _looked_at_alike(a: Expr, b: Expr) -> bool:
    return simplified(a) is simplified(b) and _places(a) == _places(b)


def _cheapest(expression: Expr) -> Expr:
    """Of the forms the cheapest that is about as accurate, and of that, until none is cheaper."""
    sample = _sample(expression)
    found = [form.expression for form in _affordable(forms(expression, pieces=False))]
    costs = dict(zip(found, _instructions(found), strict=True))
    sample.evaluate(found)
    bits: dict[Expr, Array] = {}
    chosen, best = None, expression
    while chosen is not best:
        chosen = best
        for form in sorted(costs, key=lambda e: (costs[e], _letters(e))):
            for e in (form, chosen):
                if e not in bits:
                    bits[e] = np.log2(1 + _losses(e, expression, sample))
            allowed = bits[chosen] + 1
            worst = np.where(np.abs(sample.truth) < _SMALLEST_NORMAL, _SUBNORMAL_BITS, allowed + 2)
            if form is chosen or (np.all(bits[form] <= worst) and bits[form].mean() <= allowed.mean()):
                best = form
                break
    return best


def instructions(expression: Expr) -> int:
    """Machine instructions that its value takes, about."""
    return _instructions([expression])[0]


def _instructions(expressions: Sequence[Expr]) -> list[int]:
    program = Program.of(expressions)
    prices = [_price(program, step) for step in program.instructions]
    return [sum(prices[i] for i in _below(program, output)) for output in program.outputs]


def _below(program: Program, output: int) -> set[int]:
    """The steps that an output needs."""
    needed, waiting = set(), [output]
    while waiting:
        if (i := waiting.pop()) not in needed:
            needed.add(i)
            waiting += program.instructions[i].args
    return needed


def _price(program: Program, step: Instruction) -> int:
    if step.op in ("input", "constant"):
        return 0
    exponent = program.instructions[step.args[-1]].value if step.op == "pow" else None
    if exponent is not None and abs(exponent) <= 64 and exponent == int(exponent):
        # Squares and products.
        power = abs(int(exponent))
        return power.bit_length() + power.bit_count() - 2 + (OPERATORS["div"].instructions if exponent < 0 else 0)
    return OPERATORS[step.op].instructions


# --- points ----------------------------------------------------------------------------------------------------------


def _sample(expression: Expr) -> Sample:
    return Sample((expression, simplified(expression)), _places(expression))


@lru_cache(maxsize=8)
def _places(expression: Expr) -> tuple[Fraction, ...]:
    """Values of x for a sample, the same for forms of one function that are about equally large."""
    points = set(_points(min(_MOST, max(_FEWEST, 1 << (_WORK // max(1, _effort(expression))).bit_length()))))
    if expression.symbols == {"x"}:
        form = simplified(expression)
        points.update(b for b in bends(form) if abs(b) <= ORDINARY)
        x = _checks(form)["x"]
        zeros = x[_near_zeros(_float64_value(form, {"x": x}))]
        # More of them are what rounding leaves of something that vanishes.
        points.update(Fraction(float(p)) for p in (zeros if len(zeros) <= 2 * _MOST_ZEROS else ()))
    return tuple(sorted(points, key=float))


@lru_cache(maxsize=8)
def _points(count: int) -> tuple[Fraction, ...]:
    """About so many points: ordinary ones, whole ones, where floor(2**x) jumps, and up to a half tiny and huge ones."""
    rng = random.Random(0)
    far, whole = min(16, count // 8), min(int(ORDINARY), count // 8)
    points = [rng.uniform(-ORDINARY, ORDINARY) for _ in range(count - 4 * far - 2 * whole)]
    for k in (16 * k // far for k in range(far)):
        points += [sign * rng.uniform(1, 2) * scale for scale in (4.0**-k, ORDINARY * 1.5**k) for sign in (1, -1)]
    return tuple(Fraction(float(np.float32(p))) for p in (*range(-whole, whole + 1), *points))


def _checks(expression: Expr) -> dict[str, npt.NDArray[np.float32]]:
    """Many points for the free names and x, in the order of x."""
    steps = len(Program.of([expression]).instructions)
    count = min(_CHECKED, 1 << (_CHECKED_WORK // steps).bit_length())
    return _ordinary(frozenset(expression.symbols), count)


@lru_cache(maxsize=4)
def _ordinary(names: frozenset[str], count: int) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    spread = {name: ORDINARY if name == "x" else 3.0 for name in sorted(names | {"x"})}
    found = {name: rng.uniform(-s, s, count).astype(np.float32) for name, s in spread.items()}
    return {name: values[np.argsort(found["x"])] for name, values in found.items()}


def _float64_value(e: Expr, inputs: dict[str, npt.NDArray[np.float32]]) -> Array:
    return e.evaluate(**{name: inputs[name] for name in e.symbols | {"x"}})
