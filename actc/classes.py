"""Many expressions sorted into classes of equal functions."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

import numpy as np

from actc.arguments import flag, refused, whole
from actc.bends import points
from actc.enclosures import precision
from actc.equivalence import NUMERIC, PROVED, comparable, difference, disagreement, proved, sampler, settled
from actc.errors import ArgumentError
from actc.expr import Expr, apply
from actc.normal_form import digest, expr_of, leading_coefficient, sum_of
from actc.operators import OPERATORS
from actc.parsing import parse
from actc.program import Program
from actc.rules import canonical
from actc.samples import POINTS, Sampler, Token
from actc.spaces import PLACES, Family, Members, Node, Space, filled


@functools.cache
def _core() -> Sampler:
    """At the points that decide which others a function is compared with."""
    return Sampler(POINTS[:8])


@functools.cache
def _rest() -> Sampler:
    """At the points at which it is compared with them."""
    return Sampler(POINTS[8:])


@functools.lru_cache(maxsize=1024)
def _whole_fingerprint(form: Expr) -> tuple[Token, ...]:
    """At all of them; a class that many are compared with is asked for it again and again."""
    found = _core().fingerprint(form) + _rest().fingerprint(form)
    if "?" not in found:
        return found
    put = settled(form)
    return _core().fingerprint(put) + _rest().fingerprint(put)


@dataclass(frozen=True)
class Symmetries:
    """What counts as the same function as f(x): with ``sign`` -f(x), with ``reflection`` f(-x), with ``scale`` c·f(x)
    for rational c > 0."""

    sign: bool = False
    reflection: bool = False
    scale: bool = False

    def representative(self, form: Expr) -> Expr:
        """A normal form that stands for all that count as this one; of those that :meth:`turned` gives the first."""
        if self.scale and (size := abs(leading_coefficient(sum_of(form)))):
            form = expr_of({p: c / size for p, c in sum_of(form).items()})
        return next(self.turned(form))

    def turned(self, form: Expr) -> Iterator[Expr]:
        """The form negated and reflected so that its values at the points are greatest; several where they are then
        the same, as those of relu(x - 50) and its negative, which are 0.

        The values decide and not the spelling, so that equal functions are turned the same way.
        """
        if not (self.sign or self.reflection):
            yield form
            return
        signs = (1, -1) if self.sign else (1,)
        turned = [form, canonical(form.substitute({"x": -parse("x")}))] if self.reflection else [form]
        found = [([_signed(t, s) for t in _whole_fingerprint(f)], s, f) for f in turned for s in signs]
        greatest = max(values for values, _, _ in found)
        for values, sign, f in found:
            if values == greatest:
                yield f if sign > 0 else canonical(apply("neg", f))

    def bucket(self, form: Expr) -> bytes:
        """What the normal forms that stand for equal functions have in common."""
        found: Sequence[Token] = _core().fingerprint(form)
        if "?" in found:
            found = _core().fingerprint(settled(form))
        if self.scale:
            numbers = [t if isinstance(t, float) and math.isfinite(t) else 0.0 for t in found]
            size = next((abs(n) for n in numbers if n), 1.0)
            # Few digits: what is left of rounding must not tell equal functions apart.
            found = [float(f"{n / size:.6g}") if n else t for n, t in zip(numbers, found, strict=True)]
        return hashlib.blake2b(repr(found).encode(), digest_size=12).digest()

    def scaled(self, form: Expr, other: Expr) -> Iterator[Expr]:
        """The second normal form times the numbers that may make it the first one; for others than ``scale`` that is
        1."""
        quotient = _quotient(form, other, POINTS) if self.scale else None
        if quotient is None:
            yield other
            if self.scale and difference(_whole_fingerprint(form), _whole_fingerprint(other)) is None:
                quotient = _quotient(form, other, points(form, other))
        if quotient is not None and (factor := _rational(quotient)) is not None:
            yield canonical(apply("mul", factor, other))


def _signed(token: Token, sign: int) -> tuple[float, str]:
    """A key that orders values times a sign, those too large and too small for float64 too."""
    if isinstance(token, float):
        return sign * token, ""
    if token in ("nan", "?"):
        return -math.inf, token
    text = token if sign > 0 else token.removeprefix("-") if token.startswith("-") else f"-{token}"
    return float(text), text


#: Digits of a quotient, the bits of the values that tell them, and how many digits numerator and denominator may have
#: together to be told from a number that is not rational: those of powers of SELU's constants, which have 32.
_DIGITS, _FINEST, _TOLD = 300, 1280, 280


def _quotient(form: Expr, other: Expr, at: tuple[Fraction, ...]) -> Any:
    """A ball around the quotient of the values at the first of the points that both have and that tells its digits."""
    fine = sampler(at)
    for point, a, b in zip(at, fine.values(form), fine.values(other), strict=True):
        if a.is_finite() and b.is_finite() and not a.contains(0) and not b.contains(0):
            (a,), (b,) = (_finest(point).values(e) for e in (form, other))
            with precision(_FINEST):
                quotient = a / b
            if quotient.is_finite() and quotient.rel_accuracy_bits() > _DIGITS * math.log2(10):
                return quotient
    return None


def _rational(quotient: Any) -> Fraction | None:
    """The positive rational number of few digits in a ball, if there is one."""
    with precision(_FINEST):
        large = 1 / quotient if quotient < 1 else quotient
    if not 0 < large < 10**_TOLD:
        return None
    exact = Fraction(large.str(_DIGITS, radius=False))
    simple = exact.limit_denominator(10 ** (_TOLD // 2))
    if abs(simple - exact) > exact / 10 ** (_DIGITS - 2) or simple.numerator * simple.denominator > 10**_TOLD:
        return None
    return simple if large is quotient else 1 / simple


@functools.lru_cache(maxsize=64)
def _finest(point: Fraction) -> Sampler:
    return Sampler((point,), bits=_FINEST)


class Classes:
    """Expressions sorted into classes one after another.

    What is kept is a digest of every normal form and, of each class, how to get one of its normal forms: memory grows
    with the number of functions and not with that of expressions.
    """

    def __init__(self, symmetries: Symmetries = Symmetries(), *, numeric: bool = True, prove: bool = True) -> None:
        self.symmetries, self._numeric, self._prove = symmetries, numeric, prove
        self._numbers: dict[bytes, tuple[int, str]] = {}
        self._buckets: dict[bytes, list[int]] = {}
        self._heads: list[Callable[[], Expr]] = []

    def __len__(self) -> int:
        return len(self._heads)

    def form(self, number: int) -> Expr:
        """A normal form of the class."""
        return self._heads[number]()

    def place(self, expression: Expr) -> tuple[int, str]:
        """The number of the expression's class, a new one if need be, and on what ground it is there: ``"proved"`` or
        ``"numeric"``."""
        form = canonical(expression)
        name = digest(form)
        if name not in self._numbers:
            turned = self.symmetries.representative(form)
            self._numbers[name] = self.enter(digest(turned), self.symmetries.bucket(turned), lambda: turned)
        return self._numbers[name]

    def enter(self, name: bytes, bucket: bytes, form: Callable[[], Expr]) -> tuple[int, str]:
        """As ``place``, for a normal form that stands for all that count as it: its digest, its bucket, and how to get
        it."""
        if name not in self._numbers:
            self._numbers[name] = self._entered(form, self._buckets.setdefault(bucket, []))
        return self._numbers[name]

    def _entered(self, form: Callable[[], Expr], bucket: list[int]) -> tuple[int, str]:
        for number in bucket:
            if (verdict := self._verdict(form(), self.form(number))) is not None:
                return number, verdict
        bucket.append(len(self._heads))
        self._heads.append(form)
        return bucket[-1], PROVED

    def _verdict(self, form: Expr, head: Expr) -> str | None:
        turned = self.symmetries.turned(form)
        pairs = ((one, other) for one in turned for other in self.symmetries.scaled(one, head))
        return next(filter(None, itertools.starmap(self._compared, pairs)), None)

    def _compared(self, form: Expr, other: Expr) -> str | None:
        if form is other:
            return PROVED
        found, wanted = _whole_fingerprint(form), _whole_fingerprint(other)
        if difference(found, wanted) is not None:
            return None
        if self._prove and proved(form, other):
            return PROVED
        joined = self._numeric and comparable(found, wanted)
        if joined and self._prove:
            joined = disagreement(settled(form), settled(other)) is None
        elif joined and 0.0 in found:
            # Values near 0 have one fingerprint.
            joined = not any(each.apart(form, other) for each in (_core(), _rest()))
        return NUMERIC if joined else None


@dataclass(frozen=True)
class EquivalenceClass:
    """Expressions that are one function: ``verdicts`` tells of each of ``members`` whether that is ``"proved"`` or
    ``"numeric"``."""

    members: Sequence[Expr]
    verdicts: Sequence[str]

    @property
    def representative(self) -> Expr:
        """The first member."""
        return self.members[0]


def unique(
    expressions: Iterable[str | Expr],
    *,
    up_to_sign: bool = False,
    up_to_reflection: bool = False,
    up_to_scale: bool = False,
    prove: bool = True,
    by_outputs: bool = False,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> list[EquivalenceClass]:
    """The classes of equal functions among texts and expressions, in the order of their first members.

    ``up_to_sign`` also counts -f(x) as f(x), ``up_to_reflection`` f(-x), ``up_to_scale`` c·f(x) for rational c > 0.
    Without ``prove``, what the rules leave apart is joined if a few dozen values agree, and called numeric. The members
    of a :class:`Space` are not written out: they are sorted by the classes of their parts, in as many ``processes`` as
    asked for, and built when they are looked at. ``progress`` is told how many expressions are sorted so far.

    ``by_outputs`` takes the definition of the AQuaSurF paper instead: equal are those whose float32 values at 1,000
    normally distributed points print alike. Functions that differ elsewhere become one, and rounding tells equal ones
    apart. It knows functions of x alone, and none of the symmetries.

    Raises ParseError for a text that is no expression, and ArgumentError for what is no list of expressions.

    >>> [str(c.representative) for c in unique(["max(x,0)", "relu(x)", "-relu(x)"], up_to_sign=True)]
    ['max(x, 0)']
    """
    if isinstance(expressions, (str, Expr)) or not isinstance(expressions, Iterable):
        raise refused("expressions", expressions, "write a list of texts or expressions, or a Space")
    processes = whole("processes", processes, "write a whole number of 1 or more", least=1)
    prove, by_outputs = flag("prove", prove), flag("by_outputs", by_outputs)
    symmetries = Symmetries(
        flag("up_to_sign", up_to_sign),
        flag("up_to_reflection", up_to_reflection),
        flag("up_to_scale", up_to_scale),
    )
    if by_outputs and symmetries != Symmetries():
        raise ArgumentError(
            "values by outputs are compared as they are; leave out up_to_sign, up_to_reflection and up_to_scale"
        )
    classes = Classes(symmetries, prove=prove)
    if isinstance(expressions, Space) and not by_outputs:
        return _classes_of(expressions, *_SpaceSorter(classes, processes, progress).sort(expressions))
    members: list[list[Expr]] = []
    verdicts: list[list[str]] = []
    seen: dict[str, int] = {}
    for done, expression in enumerate(map(parse, expressions), start=1):
        if by_outputs and not expression.symbols <= {"x"}:
            raise ArgumentError(f"outputs are those of functions of x alone, and {expression} has other names")
        if by_outputs:
            number, verdict = seen.setdefault(outputs(expression), len(seen)), NUMERIC
        else:
            number, verdict = classes.place(expression)
        if number == len(members):
            members.append([])
            verdicts.append([])
        members[number].append(expression)
        verdicts[number].append(verdict)
        progress(done)
    return [EquivalenceClass(m, v) for m, v in zip(members, verdicts, strict=True)]


def paper_points(seed: int = 0) -> np.ndarray:
    """1,000 float32 points drawn from N(0, 1) and truncated to [-5, 5]: dissertation A.4.1."""
    return np.clip(np.random.default_rng(seed).standard_normal(1000), -5, 5).astype(np.float32)


_PAPER_POINTS = paper_points()


def outputs(expression: Expr) -> str:
    """The float32 values of a function of x at the papers' points, printed: what they take for its identity
    (dissertation A.4.1)."""
    return " ".join(map(str, float32_values(expression, _PAPER_POINTS).tolist()))


def float32_values(expression: Expr, points: np.ndarray) -> np.ndarray:
    """The values of a function of x at float32 points, rounded to float32 after every step."""
    program = Program.of([expression])
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for step in program.instructions:
            if step.op == "input":
                values.append(points)
            elif step.op == "constant":
                values.append(np.float32(step.value or 0.0))
            else:
                numpy = OPERATORS[step.op].numpy
                assert numpy is not None
                values.append(np.float32(numpy(*(values[a] for a in step.args))))
    return np.broadcast_to(values[program.outputs[0]], points.shape)


# --- spaces ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A part of a schema: the class of each of its members, and a normal form of each class."""

    numbers: np.ndarray
    forms: Sequence[Expr]


@dataclass(frozen=True)
class _Cells:
    """Options of a node applied to normal forms of its parts: some cells of a table, for a process to work on.

    ``start`` is the place of the first part's first form in the whole table; ``symmetric`` are the options whose
    arguments may change places, which are worked out for arguments in order only.
    """

    options: Sequence[Expr]
    forms: Sequence[Sequence[Expr]]
    start: int
    symmetric: Sequence[bool]
    symmetries: Symmetries

    def places(self) -> Iterator[tuple[int, ...]]:
        """The cells as places in the whole table: option, then a form of each part."""
        ranges = [range(len(forms)) for forms in self.forms]
        if ranges:
            ranges[0] = range(self.start, self.start + len(self.forms[0]))
        for option, symmetric in enumerate(self.symmetric):
            for index in itertools.product(*ranges):
                if not symmetric or all(i <= j for i, j in itertools.pairwise(index)):
                    yield option, *index

    def form(self, place: tuple[int, ...]) -> Expr:
        """The normal form at a place."""
        option, *index = place
        if index:
            index[0] -= self.start
        whole = filled(self.options[option], tuple(forms[i] for forms, i in zip(self.forms, index, strict=True)))
        return self.symmetries.representative(canonical(whole))

    def keys(self) -> list[tuple[bytes, bytes]]:
        """Digest and bucket of every cell's form."""
        buckets: dict[bytes, bytes] = {}
        found = []
        for place in self.places():
            form = self.form(place)
            name = digest(form)
            if name not in buckets:
                buckets[name] = self.symmetries.bucket(form)
            found.append((name, buckets[name]))
        return found


class _SpaceSorter:
    """Sorts a space's members by the classes of their parts: equal parts give equal wholes, so that one normal form of
    each class of the parts will do."""

    #: Forms of the first part in one piece of work.
    PIECE = 64

    def __init__(self, classes: Classes, processes: int, progress: Callable[[int], None]) -> None:
        self._classes, self._progress = classes, progress
        self._executor = ProcessPoolExecutor(processes, get_context("spawn")) if processes > 1 else None
        self._parts: dict[Node, _Part] = {}
        self._before = 0

    def sort(self, space: Space) -> tuple[np.ndarray, np.ndarray]:
        """The class of each member, and whether that was proved."""
        try:
            found = [self._family(family) for family in space.families]
        finally:
            if self._executor is not None:
                self._executor.shutdown(cancel_futures=True)
        return np.concatenate([n for n, _ in found]), np.concatenate([v for _, v in found])

    def _family(self, family: Family) -> tuple[np.ndarray, np.ndarray]:
        if family.parameters:
            placed = [self._classes.place(member) for member in family]
            found = np.array([n for n, _ in placed], dtype=np.int32), np.array([v == PROVED for _, v in placed])
        else:
            found = self._sorted(family.root, self._classes, outermost=True)
        self._before += family.count
        self._progress(self._before)
        return found

    def _part(self, node: Node) -> _Part:
        if node not in self._parts:
            inner = Classes(numeric=False)
            numbers, _ = self._sorted(node, inner)
            self._parts[node] = _Part(numbers, [inner.form(n) for n in range(len(inner))])
        return self._parts[node]

    def _sorted(self, node: Node, classes: Classes, outermost: bool = False) -> tuple[np.ndarray, np.ndarray]:
        parts = [self._part(part) for part in node.parts]
        shape = (len(node.options), *(len(part.forms) for part in parts))
        table, proofs = np.empty(shape, dtype=np.int32), np.ones(shape, dtype=bool)
        same = len(set(node.parts)) == 1
        symmetric = [same and _symmetric(option, len(parts)) for option in node.options]
        pieces = []
        for start in range(0, shape[1] if parts else 1, self.PIECE):
            forms = [part.forms for part in parts]
            if parts:
                forms[0] = forms[0][start : start + self.PIECE]
            pieces.append(_Cells(node.options, forms, start, symmetric, classes.symmetries))
        run = map if self._executor is None else self._executor.map
        for done, (piece, keys) in enumerate(zip(pieces, run(_Cells.keys, pieces), strict=True), start=1):
            for place, (name, bucket) in zip(piece.places(), keys, strict=True):
                number, verdict = classes.enter(name, bucket, functools.partial(piece.form, place))
                table[place], proofs[place] = number, verdict == PROVED
            if outermost:
                self._progress(self._before + node.count * done // len(pieces))
        for option in np.flatnonzero(symmetric):
            for index in np.ndindex(*shape[1:]):
                first = (option, *sorted(index))
                table[option, *index], proofs[option, *index] = table[first], proofs[first]
        places = np.ix_(np.arange(len(node.options)), *(part.numbers for part in parts))
        return table[places].reshape(-1), proofs[places].reshape(-1)


class _Grounds(Sequence[str]):
    """The verdicts of a class's members."""

    def __init__(self, certain: np.ndarray) -> None:
        self._certain = certain

    def __len__(self) -> int:
        return len(self._certain)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Grounds(self._certain[index])
        return PROVED if self._certain[index] else NUMERIC


def _classes_of(space: Space, numbers: np.ndarray, certain: np.ndarray) -> list[EquivalenceClass]:
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    groups = sorted(np.split(order, ends), key=lambda places: int(places[0]))
    return [EquivalenceClass(Members(space, places), _Grounds(certain[places])) for places in groups]


def _symmetric(option: Expr, arity: int) -> bool:
    """Whether the order of an option's arguments means nothing."""
    form = canonical(option)
    turned = [[*range(1, arity), 0], [1, 0, *range(2, arity)]] if arity > 1 else []
    return bool(turned) and all(
        canonical(filled(option, tuple(PLACES[i] for i in order))) is form for order in turned
    )
