"""Spaces: counts against the papers' and against enumeration, members by index, the language of schemas."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest

from actc.errors import ActcError, ArgumentError, ExpressionError, ParseError
from actc.parsing import parse
from actc.spaces import AQUASURF_BINARY, AQUASURF_UNARY, NAMED, Node, Space

#: PANGAEA table 4.11, printed; the last row counts one of the five arrangements of 3 binary and 4 unary nodes.
TABLE_4_11 = [108, 5_832, 427_923, 31_177_872, 2_210_558_364, 152_059_087_566, 10_015_741_690_785]


def test_counts_are_those_of_the_papers() -> None:
    assert Space("cafe_s1").count == 3_456
    assert Space("cafe_s2").count > 41 * 10**9
    assert Space("binary(unary(x),unary(x))").count == Space("aquasurf_three_node").count == 5_103
    assert Space("aquasurf_four_node").count == 1_023_516
    assert Space("aquasurf_coatnet").count == 238_341


def test_pangaea_table_by_its_own_text() -> None:
    families = Space("pangaea").families
    rows = [sum(f.count for f in families if _nodes(f.root) == n) for n in range(1, 8)]
    assert rows[:6] == TABLE_4_11[:6]
    # eq. 4.12 for an arrangement of 3 binary and 4 unary nodes with 11 edges; there are five such trees, not one.
    one = 27**4 * 7**3 * sum(math.comb(11, i) for i in range(4))
    assert rows[6] == TABLE_4_11[6] + 4 * one == 10_184_901_486_849
    assert Space("pangaea").count == sum(rows) == 10_339_202_744_514


def _nodes(node: Node) -> int:
    """Unary and binary nodes; x is none."""
    return sum(map(_nodes, node.parts)) + bool(node.parts)


def test_members_by_brute_force() -> None:
    """Every member of a small space with parameters, against nested loops."""
    space = Space("binary(unary(x), x)", parameters=2, unary=["tanh(x)", "-x"], binary=["x*y", "x - y"])
    expected = []
    for binary, unary in itertools.product(("({})*({})", "({}) - ({})"), ("tanh({})", "-({})")):
        for size in range(3):
            for edges in itertools.combinations(range(4), size):
                names = dict(zip(edges, ("alpha", "beta"), strict=False))
                put = [f"{names[i]}*({{}})" if i in names else "{}" for i in range(4)]
                left = put[1].format(unary.format(put[2].format("x")))
                expected.append(parse(put[0].format(binary.format(left, put[3].format("x")))))
    assert list(space) == expected
    assert len(space) == len(expected) == 2 * 2 * (1 + 4 + 6)


@pytest.mark.parametrize("name", NAMED)
def test_index_and_iteration_agree(name: str) -> None:
    space = Space(name)
    first = list(itertools.islice(space, 300))
    assert first == [space[k] for k in range(len(first))]
    assert space[-1] is space[space.count - 1]
    for k in (space.count, -space.count - 1):
        with pytest.raises(IndexError, match="outside"):
            space[k]


def test_order_counts_the_last_slot_fastest() -> None:
    space = Space("binary(unary(x),unary(x))")
    n, m = len(AQUASURF_UNARY), len(AQUASURF_BINARY)
    for k in (0, 1, 26, 27, 729, 1_000, 5_102):
        binary, left, right = k // n**2 % m, k // n % n, k % n
        text = AQUASURF_BINARY[binary]
        parts = {"x": parse(AQUASURF_UNARY[left]), "y": parse(AQUASURF_UNARY[right])}
        assert space[k] is parse(text).substitute(parts)


def test_huge_spaces_cost_nothing() -> None:
    start = time.process_time()
    space = Space("binary(" * 6 + "unary(x)" + ",unary(x))" * 6, parameters=3)
    assert space.count > 10**16
    assert space[space.count // 3].symbols >= {"x"}
    assert time.process_time() - start < 5
    with pytest.raises(OverflowError):
        len(Space("binary(" * 20 + "unary(x)" + ",unary(x))" * 20))


def test_samples_are_uniform_and_reproducible() -> None:
    space = Space("unary(x) | binary(unary(x),unary(x))", unary=["x", "-x", "exp(x)"], binary=["x + y", "x*y"])
    draws = [space.sample(np.random.default_rng(seed)) for seed in range(2)]
    assert draws == [space.sample(np.random.default_rng(seed)) for seed in range(2)]
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(space, 0)
    assert len(counts) == 3 + 2 * 9
    for _ in range(4200):
        counts[space.sample(rng)] += 1
    # Pearson's statistic of 20 degrees of freedom exceeds 45.3 once in a thousand.
    assert sum((c - 200) ** 2 / 200 for c in counts.values()) < 45.3


def test_slots_parameters_and_operators_in_schemas() -> None:
    assert [str(e) for e in Space("x*gate(x + 1)", gate=["sigmoid(x)", "tanh(beta*x)"])] == [
        "x*sigmoid(x + 1)",
        "x*tanh(beta*(x + 1))",
    ]
    assert [str(e) for e in Space("n-ary(x, x, 2)")][:2] == ["sum_n(x, x, 2)", "prod_n(x, x, 2)"]
    assert [str(e) for e in Space("relu(unary(x))", unary=["x", "-x"])] == ["relu(x)", "relu(-x)"]


@pytest.mark.parametrize(
    ("schema", "options", "problem"),
    [
        ("binary(unary(x)", {}, "never closed"),
        ("unray(x)", {}, "did you mean 'unary'"),
        ("unary(x,x)", {}, "with 2 arguments, and it is filled with functions of 1"),
        ("binary(x)", {}, "with 1 argument"),
        ("unary()", {}, "one or more parts"),
        ("", {}, "empty"),
        ("unary(x) |", {}, "empty"),
        ("pangea", {}, "did you mean 'pangaea'"),
        ("unary(x)", {"tanh": ["x"]}, "no operator"),
        ("x(x)", {"x": ["relu(x)"]}, "or variable's, and 'x' is none"),
        ("unary(unary)", {}, r"'unary' has no arguments; write them, as in unary\(x\)"),
        ("unary(x) | n-ary", {}, "'n-ary' has no arguments"),
        ("gate(gate)", {"gate": ["relu(x)"]}, "'gate' has no arguments"),
        ("cafe_s1 | unary(x)", {}, r"'cafe_s1' is a space and no schema; take it alone, as in Space\('cafe_s1'\)"),
        ("unary(x)", {"unary": []}, "empty"),
        ("pangaea", {"parameters": 1}, "is its paper's"),
        ("unary(" * 400 + "x" + ")" * 400, {}, "nested"),
        ("unary(x).__class__", {}, "attribute"),
    ],
)
def test_bad_schemas(schema: str, options: dict[str, object], problem: str) -> None:
    with pytest.raises((ParseError, ExpressionError), match=problem) as caught:
        Space(schema, **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, ActcError)


@pytest.mark.parametrize(
    ("schema", "options", "problem"),
    [
        (3, {}, "schema=3: write a text such as 'binary"),
        (parse("x"), {}, "write a text such as"),
        ("unary(x)", {"parameters": 1.5}, "parameters=1.5: write a whole number from 0 to 3"),
        ("unary(x)", {"parameters": 4}, "parameters=4: write a whole number from 0 to 3"),
        ("unary(x)", {"unary": "relu(x)"}, "unary='relu.x.': write a list of texts, as in unary="),
        ("unary(x)", {"unary": 3}, "unary=3: write a list of texts"),
        ("unary(x)", {"unary": ["x", 5]}, "unary=5: write a list of texts"),
    ],
)
def test_arguments_of_another_type(schema: object, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ArgumentError, match=problem):
        Space(schema, **options)  # type: ignore[arg-type]


def test_slices_and_places_as_of_any_sequence() -> None:
    space = Space("binary(unary(x),unary(x))", unary=["x", "-x", "exp(x)"], binary=["x + y", "x*y"])
    members = list(space)
    for chosen in (slice(3, 6), slice(None), slice(None, None, -1), slice(-4, None, 3), slice(9, 2)):
        assert list(space[chosen]) == members[chosen] and len(space[chosen]) == len(members[chosen])
    assert list(space[2:12][1:9:3]) == members[2:12][1:9:3] and space[np.int64(4)] is members[4]
    assert space.index("-x*exp(x)") == space.index(parse("-x*exp(x)")) == members.index(parse("-x*exp(x)"))
    assert "-x*exp(x)" in space and members[5] in space[5:6] and members[5] not in space[6:] and "tanh(x)" not in space
    assert list(reversed(space)) == members[::-1]
    with pytest.raises(ValueError, match="not among the <18 members"):
        space.index("tanh(x)")
    for index in (1.0, "a", True, None):
        with pytest.raises(ArgumentError, match="write a whole number or a slice"):
            space[index]  # type: ignore[index]
    for generator in (3, None):
        with pytest.raises(ArgumentError, match=r"numpy.random.default_rng\(0\)"):
            space.sample(generator)  # type: ignore[arg-type]


def test_slices_look_for_texts_as_the_space_does() -> None:
    space = Space("binary(unary(x),unary(x))")
    some = space[1500:1530]
    assert (some.index("x*erfc(x)"), some.count("x*erfc(x)"), "x*erfc(x)" in some) == (22, 1, True)
    assert (some.count(space[1500]), some.count("erfc(x)*x"), "erfc(x)*x" in some) == (1, 0, False)
    assert Space("unary(x) | unary(x)")[:].count("relu(x)") == 2


def test_a_place_outside_a_slice_is_named_with_its_size() -> None:
    some = Space("unary(x)")[5:9]
    for place in (4, 99, -5):
        with pytest.raises(IndexError, match=rf"^index {place} is outside these 4 of the members of unary\(x\)$"):
            some[place]
    assert some[-4] is some[0]


def test_slices_of_huge_spaces_cost_nothing() -> None:
    space = Space("pangaea")
    few = space[10**12 :: 3 * 10**12]
    assert all(space[space.index(e)] is e for e in space[40:43])
    assert list(few) == [space[k] for k in range(10**12, space.count, 3 * 10**12)]
