"""Sorting expressions into classes of equal functions: the papers' space, symmetries, streams, spaces by parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import mpmath
import numpy as np
import pytest

import actc
from actc.classes import Classes, EquivalenceClass, Symmetries, outputs, unique
from actc.errors import ArgumentError
from actc.expr import Expr
from actc.parsing import parse
from actc.spaces import Space

#: Both signs, tiny arguments, both sides of every kink of the papers' unary functions; and no further out than where
#: mpmath still tells erfc from 2, since a negative base has a power at 2 and none beside it.
MAGNITUDES = ("1e-6", "0.003", "0.4", "1.7", "2.4999", "2.5001", "6.1", "9.7")
POINTS = [mpmath.mpf(p) * sign for p in MAGNITUDES for sign in (1, -1)]


@pytest.fixture(scope="module")
def classes() -> list[EquivalenceClass]:
    return unique(Space("aquasurf_three_node"))


def values(e: Expr) -> list[mpmath.mpf]:
    return [e.evaluate_mp(40, **({"x": x} if e.symbols else {})) for x in POINTS]


def alike(a: mpmath.mpf, b: mpmath.mpf) -> bool:
    if mpmath.isnan(a) or mpmath.isnan(b):
        return bool(mpmath.isnan(a) and mpmath.isnan(b))
    if mpmath.isinf(a) or mpmath.isinf(b):
        return bool(a == b)
    with mpmath.workdps(50):
        return bool(a == b or abs(a - b) <= abs(a) * mpmath.mpf(10) ** -37)


ALL = dict.fromkeys(("up_to_sign", "up_to_reflection", "up_to_scale"), True)


def as_sets(found: Sequence[EquivalenceClass]) -> set[frozenset[Expr]]:
    return {frozenset(c.members) for c in found}


def test_the_papers_space(classes: list[EquivalenceClass]) -> None:
    """2,791 functions, where the paper counts 2,913 by comparing printed float32 values: every one of the 2,312 joined
    members by a proof."""
    assert sum(len(c.members) for c in classes) == 5_103
    assert len(classes) == 2_791
    assert {v for c in classes for v in c.verdicts} == {"proved"}


def test_members_of_a_class_agree(classes: list[EquivalenceClass]) -> None:
    """A sample of joined members against mpmath, which shares no code with the proofs."""
    rng = np.random.default_rng(0)
    joined = [(c, k) for c in classes for k in range(1, len(c.members))]
    for place in rng.choice(len(joined), 120, replace=False):
        c, k = joined[place]
        first, member = c.representative, c.members[k]
        for x, a, b in zip(POINTS, values(first), values(member), strict=True):
            assert alike(a, b), (str(first), str(member), x, a, b)


def test_classes_differ(classes: list[EquivalenceClass]) -> None:
    """No two of a sample of classes have the same values: nothing was split."""
    rng = np.random.default_rng(1)
    chosen = [classes[i].representative for i in rng.choice(len(classes), 250, replace=False)]
    seen = {tuple(mpmath.nstr(v, 20) for v in values(e)): e for e in chosen}
    assert len(seen) == len(chosen)


def test_a_space_is_sorted_as_its_members_one_by_one() -> None:
    unary, binary = ["x", "-x", "relu(x)", "exp(x)"], ["x*y", "max(x, y)"]
    space = Space("binary(unary(unary(x)),unary(x)) | unary(x)", unary=unary, binary=binary)
    together, one_by_one = unique(space), unique(list(space))
    assert as_sets(together) == as_sets(one_by_one)
    assert [c.representative for c in together] == [c.representative for c in one_by_one]
    assert len(as_sets(together)) == len(together)


def test_processes_change_nothing() -> None:
    space = Space("n-ary(unary(x),unary(x),unary(x))", unary=["x", "-x", "relu(x)", "0", "tanh(x)"])
    alone, both = unique(space), unique(space, processes=2)
    assert [list(c.members) for c in alone] == [list(c.members) for c in both]
    assert sum(len(c.members) for c in alone) == space.count == 4 * 5**3


def test_parameters_of_a_space() -> None:
    space = Space("unary(x)", unary=["x", "relu(x)", "max(x, 0)"], parameters=1)
    found = [list(map(str, c.members)) for c in unique(space)]
    assert ["relu(x)", "max(x, 0)"] in found
    assert ["alpha*relu(x)", "alpha*max(x, 0)"] in found
    assert sum(map(len, found)) == space.count == 9


@pytest.mark.parametrize(
    ("symmetry", "texts", "count"),
    [
        # What is 0 at the points that tell most functions apart, and what float64 does not hold.
        ({"up_to_sign": True}, ["relu(x - 50)", "-relu(x - 50)", "relu(-x - 50)"], 2),
        ({"up_to_reflection": True}, ["relu(x - 50)", "relu(-x - 50)", "-relu(x - 50)"], 2),
        ({"up_to_reflection": True}, ["x**2 + relu(x - 50)", "x**2 + relu(-x - 50)", "x**2"], 2),
        (ALL, ["where(x > 50, 1, 0)", "where(x < -50, -2, 0)", "3*sign(relu(-x - 50))", "relu(x - 50)"], 2),
        (ALL, ["beta*relu(x - 50)", "-beta*relu(x - 50)", "beta*relu(-x - 50)/3", "beta**2*relu(x - 50)"], 2),
        ({"up_to_sign": True}, ["exp(exp(exp(exp(x + 9))))", "-exp(exp(exp(exp(x + 9))))"], 1),
        ({"up_to_scale": True}, ["min(0, elu(x))", "min(0, selu(x))"], 1),
        ({"up_to_scale": True}, ["where(x > 9, exp(exp(x)), 0)", "where(x > 9, 1, 0)", "where(x > 9, 2, 0)"], 2),
        ({"up_to_scale": True}, ["relu(selu(elu(selu(x))))", "relu(x)", "relu(1e-40*x)", "relu(pi*x)"], 2),
        ({"up_to_scale": True}, ["relu(x)", "relu(1e40*pi*x)", "relu(1e-200*pi*x)", "relu(1e200*x)/7"], 2),
        ({}, ["relu(x)", "-relu(x)", "relu(-x)", "2*relu(x)", "-max(0, x)"], 4),
        ({"up_to_sign": True}, ["relu(x)", "-relu(x)", "relu(-x)", "2*relu(x)", "-2*max(x, 0)"], 3),
        ({"up_to_reflection": True}, ["relu(x)", "-relu(x)", "relu(-x)", "max(-x, 0)"], 2),
        ({"up_to_scale": True}, ["relu(x)", "3*relu(x)", "-relu(x)", "max(x, 0)/7"], 2),
        (ALL, ["relu(x)", "-relu(x)/2"], 1),
        ({"up_to_sign": True}, ["sinh(x)", "cosh(x) - exp(x)", "0", "-(x - x)"], 2),
        ({"up_to_scale": True}, ["2*sigmoid(x)", "expm1(x)/sinh(x)", "max(0, selu(x))", "relu(x)", "pi*relu(x)"], 3),
        ({"up_to_scale": True}, ["0*log(x)", "1/0", "2/0", "0/0"], 3),
        ({"up_to_reflection": True}, ["x**2", "abs(x)", "tanh(x)", "-tanh(x)"], 3),
    ],
)
def test_symmetries(symmetry: dict[str, bool], texts: list[str], count: int) -> None:
    found = unique(texts, **symmetry)  # type: ignore[arg-type]
    assert len(found) == count
    assert sorted(str(m) for c in found for m in c.members) == sorted(str(parse(t)) for t in texts)


def test_values_beyond_all_digits_join_nothing() -> None:
    tower = parse("2**(2**(2**(2**(2**(2**(2**(x + 40)))))))")
    for _ in range(500):
        tower = 2**tower
    assert len(unique([tower, tower + 1, -tower, tower * 1])) == 3


def test_up_to_sign_in_the_papers_space() -> None:
    signs = unique(Space("aquasurf_three_node"), up_to_sign=True, prove=False)
    plain = unique(Space("aquasurf_three_node"), prove=False)
    # A class up to sign is made of one class or of two that are negatives.
    assert len(plain) / 2 < len(signs) < len(plain) == 2_791
    for c in itertools.islice((c for c in signs if len(c.members) > 1), 60):
        a, b, minus = values(c.members[0]), values(c.members[-1]), values(-c.members[-1])
        assert all(map(alike, a, b)) or all(map(alike, a, minus))


def test_streams_are_not_held() -> None:
    """What is kept does not grow with the number of expressions."""

    def many() -> Iterator[Expr]:
        for k in range(3_000):
            yield parse(f"max(x, {k % 3}) + {k}*0")

    classes = Classes()
    numbers = [classes.place(e)[0] for e in many()]
    assert len(classes) == 3 and numbers[:4] == [0, 1, 2, 0]


def test_the_papers_own_identity() -> None:
    """By printed float32 values: relu and max are one, but so are functions that differ beyond 5 only, while rounding
    tells apart what is equal."""
    assert outputs(parse("relu(x)")) == outputs(parse("max(x, 0)"))
    assert len(unique(["max(x, 6)", "0*x + 6"], by_outputs=True)) == 1
    assert len(unique(["max(x, 6)", "0*x + 6"])) == 2
    assert len(unique(["x + tanh(x) - tanh(x)", "x"], by_outputs=True)) == 2
    assert len(unique(["x + tanh(x) - tanh(x)", "x"])) == 1


def test_public_names_and_bad_input() -> None:
    assert [str(c.representative) for c in actc.unique(["max(x,0)", "relu(x)", "x"])] == ["max(x, 0)", "x"]
    assert actc.unique([]) == []
    assert Symmetries() == Symmetries(False, False, False)
    with pytest.raises(actc.ParseError, match="unknown operator"):
        actc.unique(["x", "foo(x)"])


@pytest.mark.parametrize("expressions", ["relu(x)", parse("x"), 3, None])
def test_what_is_no_list_of_expressions(expressions: object) -> None:
    with pytest.raises(ArgumentError, match=r"expressions=.*: write a list of texts or expressions, or a Space"):
        unique(expressions)  # type: ignore[arg-type]


def test_arguments_of_another_type() -> None:
    for options, problem in (({"processes": 1.5}, "processes=1.5: write"), ({"up_to_sign": "no"}, "up_to_sign='no'")):
        with pytest.raises(ArgumentError, match=problem):
            unique(["x"], **options)


def test_values_at_jumps_join_as_in_pairs() -> None:
    """What digits never decide is sorted as :func:`actc.equivalent` says of pairs."""
    texts = ["1", "floor(sin(x)**2 + cos(x)**2)", "2", "floor(1 + sin(x)**2 + cos(x)**2)", "where(x < 50, 1, 2)"]
    assert [list(map(str, c.members)) for c in unique(texts)] == [texts[:2], texts[2:4], texts[4:]]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("0", "where(sqrt(x) > sqrt(where(x >= 1, x, x)), x, 0)"),
        ("1", "floor(sin(relu(x))**2 + cos(relu(x))**2)"),
        ("0", "where(x > 0, sin(x)**2 + cos(x)**2 > 1, 0)"),
        ("0", "sqrt(2*x) > sqrt(2)*sqrt(x)"),
        ("x > 0", "log(2*x) == log(2) + log(x)"),
        ("x", "x**(sin(x)**2 + cos(x)**2)"),
    ],
)
def test_what_is_known_of_half_the_line_meets_its_equal(a: str, b: str) -> None:
    assert len(unique([a, b])) == len(unique([b, a])) == 1


def test_near_identities_are_not_joined() -> None:
    texts = ["floor(beta)", "floor(beta + 1e-9)", "x*(1 + 1e-50)", "x", "max(x**2 - 2*x + 1, 1e-30)", "(x - 1)**2"]
    assert len(unique(texts)) == len(texts)


def test_negated_minima_are_maxima() -> None:
    found = unique(["max(x, 1/x)", "-min(-1/x, -x)", "max(erf(x), sinh(x))", "-min(-sinh(x), -erf(x))"])
    assert [c.verdicts for c in found] == [["proved"] * 2] * 2


def test_outputs_are_those_of_functions_of_x_as_they_are() -> None:
    with pytest.raises(ArgumentError, match="leave out up_to_sign"):
        unique(["x"], by_outputs=True, up_to_sign=True)
    with pytest.raises(ArgumentError, match="has other names"):
        unique(["x*beta"], by_outputs=True)


def test_values_near_zero_are_told_apart_without_proofs() -> None:
    assert len(unique(["exp(-exp(x**2 + 9))", "0", "0*x"], prove=False)) == 2
