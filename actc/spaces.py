"""Families of expressions: described by a schema, counted in closed form and indexed without being held in memory."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from actc.arguments import refused, whole
from actc.errors import ExpressionError
from actc.expr import VARIABLES, Expr, apply, hidden, symbol
from actc.operators import OPERATORS, is_operator, suggestion
from actc.parsing import parse, parse_schema

if TYPE_CHECKING:
    import numpy as np

#: AQuaSurF appendix B, table 4, which is PANGAEA's table 4.1.
AQUASURF_UNARY = (
    "0", "1", "x", "-x", "abs(x)", "reciprocal(x)", "square(x)", "exp(x)", "sigmoid(x)",
    "erf(x)", "erfc(x)", "sinh(x)", "cosh(x)", "tanh(x)", "asinh(x)", "atan(x)", "expm1(x)", "log(sigmoid(x))",
    "relu(x)", "elu(x)", "selu(x)", "swish(x)", "softplus(x)", "softsign(x)", "hard_sigmoid(x)", "i0e(x)", "i1e(x)",
)  # fmt: skip
AQUASURF_BINARY = ("x + y", "x - y", "x * y", "x / y", "x ** y", "max(x, y)", "min(x, y)")
AQUASURF_N_ARY = ("sum_n", "prod_n", "max_n", "min_n")

#: CAFE §3.1.1, with ϵ as in the library's entries.
CAFE_UNARY = (
    "0", "1", "x", "-x", "abs(x)", "square(x)", "cube(x)", "sqrt(x)", "exp(x)", "exp(-x**2)", "log(1 + exp(x))",
    "log(abs(x + 1e-7))", "sin(x)", "sinh(x)", "asinh(x)", "cos(x)", "cosh(x)", "tanh(x)", "atanh(x)", "max(x, 0)",
    "min(x, 0)", "sigmoid(x)", "erf(x)", "sinc_unnormalized(x)",
)  # fmt: skip
CAFE_BINARY = ("x + y", "x - y", "x * y", "x / (y + 1e-7)", "max(x, y)", "min(x, y)")

#: GRAFS figure 1.
GRAFS_UNARY = (
    "x", "-x", "square(x)", "cube(x)", "sqrt(x)", "exp(x)", "abs(x)", "gamma", "gamma*x", "x + gamma", "sigmoid(x)",
    "log(1 + exp(x))", "sinh(x)", "tanh(x)", "asinh(x)", "atan(x)", "erf(x)", "min(0, x)", "max(0, x)", "gelu(x)",
    "silu(x)", "elu(x)", "leaky_relu(x)",
)  # fmt: skip
GRAFS_BINARY = (
    "x + y", "x - y", "x * y", "max(x, y)", "min(x, y)", "sigmoid(x)*y", "sigmoid(gamma)*x + (1 - sigmoid(gamma))*y",
    "left(x, y)", "right(x, y)",
)  # fmt: skip

#: What a slot of a schema stands for, unless a space says otherwise.
SLOTS: Mapping[str, Sequence[str]] = {"unary": AQUASURF_UNARY, "binary": AQUASURF_BINARY, "n_ary": AQUASURF_N_ARY}

#: Names of learnable parameters in the order in which they are put in: PANGAEA §4.1.1.
PARAMETERS = ("alpha", "beta", "gamma")
_PARAMETERS_REMEDY = f"write a whole number from 0 to {len(PARAMETERS)}"

_CAFE = {"unary": CAFE_UNARY, "binary": CAFE_BINARY}
_COATNET_BASELINES = (
    "elish(x) | elu(x) | gelu(x) | hard_sigmoid(x) | leaky_relu(x) | mish(x) | relu(x) | selu(x) | sigmoid(x) | "
    "softplus(x) | softsign(x) | swish(x) | tanh(x)"
)


def _trees(nodes: int) -> Iterator[str]:
    """Schemas of ``nodes`` unary and binary nodes in which every input passes a unary one first: PANGAEA §4.9."""
    if nodes == 1:
        yield "unary(x)"
    elif nodes > 1:
        yield from (f"unary({tree})" for tree in _trees(nodes - 1))
        for left in range(1, nodes - 1):
            yield from (f"binary({a},{b})" for a in _trees(left) for b in _trees(nodes - 1 - left))


#: The spaces of the papers: schema and slots.
NAMED: Mapping[str, Mapping[str, Any]] = {
    # CAFE §3.1.1, eq. 3.1
    "cafe_s1": {"schema": "binary(unary(x),unary(x))", **_CAFE},
    "cafe_s2": {"schema": "binary(unary(binary(unary(x),unary(x))),unary(binary(unary(x),unary(x))))", **_CAFE},
    # PANGAEA §4.9, eq. 4.12
    "pangaea": {"schema": " | ".join(tree for n in range(1, 8) for tree in _trees(n)), "parameters": 3},
    # AQuaSurF appendix B
    "aquasurf_three_node": {"schema": "binary(unary(x),unary(x))"},
    "aquasurf_four_node": {
        "schema": "binary(unary(unary(x)),unary(x)) | binary(unary(x),unary(unary(x))) | "
        "n-ary(unary(x),unary(x),unary(x)) | unary(binary(unary(x),unary(x))) | unary(unary(unary(unary(x))))"
    },
    # ELiSH, GELU, leaky ReLU and Mish are new; the fifth that the text adds, hard sigmoid, was there. The count that it
    # gives also holds the thirteen functions of table 3.
    "aquasurf_coatnet": {
        "schema": f"binary(unary(unary(x)),unary(x)) | unary(unary(unary(x))) | {_COATNET_BASELINES}",
        "unary": (*AQUASURF_UNARY, "elish(x)", "gelu(x)", "leaky_relu(x)", "mish(x)"),
    },
    # GRAFS figure 1
    "grafs_cell": {
        "schema": "binary(unary(binary(unary(x),unary(x))),unary(x))",
        "unary": GRAFS_UNARY,
        "binary": GRAFS_BINARY,
    },
}


class Space:
    """A finite family of expressions in x, an immutable sequence that builds each member when it is asked for.

    ``schema`` is a text: calls of slots such as ``unary(...)``, operators, ``x`` and numbers; ``|`` joins families.
    It may also be the name of a paper's space, one of :data:`NAMED`. A slot stands for each of the texts given for it,
    over ``x`` for one argument and ``x, y`` for two, or for variadic operators by name; ``unary``, ``binary`` and
    ``n-ary`` are those of the AQuaSurF paper unless given. With ``parameters`` = p, each member is followed by those
    with one to p learnable factors ``alpha``, ``beta``, ``gamma`` on its edges (PANGAEA §4.1.1).

    Members are counted with the last slot running fastest. ``len(space)``, ``space[k]`` (negative k counts from the
    end), slices, iteration and ``space.sample`` need neither time nor memory that grows with the space;
    ``space.count`` is its size where ``len`` cannot hold it. ``expression in space`` and ``space.index`` look for an
    expression or text by its spelling, one member after another, as a list does. The same function may occur under many
    texts: see :func:`actc.unique`.

    Raises ParseError, with a caret, for a text that is no schema, ExpressionError for a slot that cannot be filled, and
    ArgumentError for arguments of another type.

    >>> space = Space("binary(unary(x),unary(x))")
    >>> len(space), str(space[2 * 27 * 27 + 2 * 27 + 10])
    (5103, 'x*erfc(x)')
    >>> [str(e) for e in space[1500:1502]], space.index("x*erfc(x)")
    (['1*atan(x)', '1*expm1(x)'], 1522)
    >>> len(Space("pangaea"))
    10339202744514
    >>> [str(e) for e in Space("gate(x)*y | gate(x)", gate=["tanh(x)", "sigmoid(x)"])]
    ['tanh(x)*y', 'sigmoid(x)*y', 'tanh(x)', 'sigmoid(x)']
    """

    def __init__(self, schema: str, *, parameters: int = 0, **slots: Sequence[str]) -> None:
        if not isinstance(schema, str):
            raise refused("schema", schema, f"write a text such as 'binary(unary(x),unary(x))', or {', '.join(NAMED)}")
        #: The schema text or name, as given.
        self.name = schema
        parameters = whole("parameters", parameters, _PARAMETERS_REMEDY, least=0)
        if parameters > len(PARAMETERS):
            raise refused("parameters", parameters, _PARAMETERS_REMEDY)
        if schema in NAMED:
            if parameters or slots:
                raise ExpressionError(f"the space {schema!r} is its paper's; write its schema out to change it")
            settings = dict(NAMED[schema])
            schema, parameters, slots = settings.pop("schema"), settings.pop("parameters", 0), settings
        elif schema.isidentifier() and schema not in VARIABLES:
            raise ExpressionError(f"there is no space named {schema!r}{suggestion(schema, NAMED)}: {', '.join(NAMED)}")
        for slot, texts in slots.items():
            if is_operator(slot) or not slot.isidentifier() or slot in VARIABLES:
                raise ExpressionError(f"a slot needs a name that is no operator's or variable's, and {slot!r} is none")
            remedy = f"write a list of texts, as in {slot}=['relu(x)', 'tanh(x)']"
            if isinstance(texts, (str, Expr)) or not isinstance(texts, Iterable):
                raise refused(slot, texts, remedy)
            slots[slot] = tuple(texts)
            for text in slots[slot]:
                if not isinstance(text, (str, Expr)):
                    raise refused(slot, text, remedy)
        filling = {**SLOTS, **slots}
        #: The families that ``|`` joins, in order.
        self.families = tuple(
            Family(_node(_schema(part, filling.keys()), filling), parameters) for part in schema.split("|")
        )
        self._ends = list(itertools.accumulate(family.count for family in self.families))

    @property
    def count(self) -> int:
        """The number of members."""
        return self._ends[-1]

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, index: SupportsIndex) -> Expr: ...

    @overload
    def __getitem__(self, index: slice) -> Members: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Expr | Members:
        """Member ``index``, or the members of a slice; raises IndexError outside the space."""
        if isinstance(index, slice):
            return Members(self, range(self.count))[index]
        number = whole("index", index, "write a whole number or a slice; index() finds an expression's")
        place = number + self.count if number < 0 else number
        if not 0 <= place < self.count:
            raise IndexError(f"index {number} is outside the {self.count:,} members of {self.name}")
        family = bisect.bisect_right(self._ends, place)
        return self.families[family][place - (self._ends[family] - self.families[family].count)]

    def index(self, member: str | Expr) -> int:
        """The first place of an expression or text with that spelling. Raises ValueError where there is none."""
        return self[:].index(member)

    def __contains__(self, member: str | Expr) -> bool:
        return member in self[:]

    def __iter__(self) -> Iterator[Expr]:
        return itertools.chain.from_iterable(self.families)

    def sample(self, rng: np.random.Generator) -> Expr:
        """A member, every one as likely as any other.

        >>> import numpy as np
        >>> str(Space("aquasurf_four_node").sample(np.random.default_rng(0)))
        'erfc(softplus(sigmoid(i1e(x))))'
        """
        if not hasattr(rng, "bytes"):
            raise refused("rng", rng, "write a generator of numpy, as in numpy.random.default_rng(0)")
        # More random bits than the count has by 64: the bias is below 2^-64.
        size = self.count.bit_length() // 8 + 9
        return self[int.from_bytes(rng.bytes(size), "big") % self.count]

    def __repr__(self) -> str:
        return f"actc.Space({self.name!r})"


class Members(Sequence[Expr]):
    """Some members of a space, built when they are asked for."""

    def __init__(self, space: Space, places: Sequence[int] | np.ndarray) -> None:
        self._space, self._places = space, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Expr: ...

    @overload
    def __getitem__(self, index: slice) -> Members: ...

    def __getitem__(self, index: int | slice) -> Expr | Members:
        if isinstance(index, slice):
            return Members(self._space, self._places[index])
        number = whole("index", index, "write a whole number or a slice; index() finds an expression's")
        if not -len(self) <= number < len(self):
            raise IndexError(f"index {number} is outside these {len(self):,} of the members of {self._space.name}")
        return self._space[int(self._places[number])]

    def index(self, member: Any, start: int = 0, stop: int | None = None) -> int:
        """The first place of an expression or text with that spelling. Raises ValueError where there is none."""
        wanted = parse(member)
        for place in range(len(self._places))[start:stop]:
            if self[place] is wanted:
                return place
        raise ValueError(f"{wanted} is not among the {self!r}; actc.unique tells which are the same function")

    def count(self, member: Any) -> int:
        """How many have the spelling of an expression or text."""
        wanted = parse(member)
        return sum(found is wanted for found in self)

    def __contains__(self, member: Any) -> bool:
        wanted = parse(member)
        return any(found is wanted for found in self)

    def __repr__(self) -> str:
        return f"<{len(self):,} members of {self._space!r}>"


@dataclass(frozen=True)
class Node:
    """A place of a schema: every one of ``options``, expressions over :data:`PLACES`, of the members of ``parts``."""

    options: tuple[Expr, ...]
    parts: tuple[Node, ...] = ()

    @functools.cached_property
    def count(self) -> int:
        """The number of members."""
        return len(self.options) * math.prod(part.count for part in self.parts)

    @functools.cached_property
    def edges(self) -> int:
        """The values that flow in a member: of this node and of all below it."""
        return 1 + sum(part.edges for part in self.parts)

    def member(self, index: int, factors: Sequence[Expr | None]) -> Expr:
        """Member ``index``, the value of every place multiplied by its factor, if it has one; places in the order of
        reading."""
        starts = list(itertools.accumulate((part.edges for part in self.parts), initial=1))
        args: list[Expr] = []
        for part, start in zip(reversed(self.parts), reversed(starts[:-1]), strict=True):
            index, place = divmod(index, part.count)
            args.insert(0, part.member(place, factors[start : start + part.edges]))
        result = filled(self.options[index], tuple(args))
        return result if factors[0] is None else apply("mul", factors[0], result)


@dataclass(frozen=True)
class Family:
    """The members of one schema without ``|``, with up to ``parameters`` learnable factors on their edges."""

    root: Node
    parameters: int

    @functools.cached_property
    def _placements(self) -> list[int]:
        """How many ways there are to place 0, 1, … parameters."""
        return [math.comb(self.root.edges, size) for size in range(self.parameters + 1)]

    @functools.cached_property
    def count(self) -> int:
        """The number of members: PANGAEA eq. 4.12."""
        return self.root.count * sum(self._placements)

    def __getitem__(self, index: int) -> Expr:
        index, placement = divmod(index, sum(self._placements))
        factors: list[Expr | None] = [None] * self.root.edges
        for name, edge in zip(PARAMETERS, self._edges(placement), strict=False):
            factors[edge] = symbol(name)
        return self.root.member(index, factors)

    def __iter__(self) -> Iterator[Expr]:
        return (self[index] for index in range(self.count))

    def _edges(self, placement: int) -> tuple[int, ...]:
        """The edges of placement number ``placement``: fewer parameters first, then in lexicographic order."""
        size = 0
        while placement >= self._placements[size]:
            placement -= self._placements[size]
            size += 1
        return next(itertools.islice(itertools.combinations(range(self.root.edges), size), placement, None))


#: The arguments of a slot's options.
PLACES = tuple(map(hidden, range(16)))


def filled(option: Expr, args: tuple[Expr, ...]) -> Expr:
    """The option applied to arguments."""
    if option.args == PLACES[: len(args)]:
        return option.with_args(args)
    return option.substitute({place.name: arg for place, arg in zip(PLACES, args, strict=False)})


def _schema(text: str, slots: Collection[str]) -> Expr:
    """The schema of a text without ``|``. Raises ExpressionError where a name in it can only be meant otherwise."""
    schema = parse_schema(text.replace("n-ary", "n_ary"), slots)
    for name in sorted(schema.symbols):
        if name in slots:
            word = name.replace("n_ary", "n-ary")
            raise ExpressionError(f"the slot {word!r} has no arguments; write them, as in unary(x) or binary(x,x)")
        if name in NAMED:
            raise ExpressionError(f"{name!r} is a space and no schema; take it alone, as in Space({name!r})")
    return schema


def _node(schema: Expr, texts: Mapping[str, Sequence[str]]) -> Node:
    parts = tuple(_node(arg, texts) for arg in schema.args)
    if schema.name not in texts or schema.kind != "apply":
        return Node((schema.with_args(PLACES[: len(parts)]),), parts)
    options = tuple(_option(text, len(parts)) for text in texts[schema.name])
    if not options:
        raise ExpressionError(f"the slot {schema.name!r} is empty; fill it with one text or more")
    used = frozenset().union(*(option.symbols for option in options))
    most = max((i + 1 for i, place in enumerate(PLACES) if place.name in used), default=1)
    if most != len(parts):
        raise ExpressionError(
            f"the schema calls {schema.name!r} with {len(parts)} arguments, and it is filled with functions of {most}"
        )
    return Node(options, parts)


def _option(text: str, arity: int) -> Expr:
    """An option of a slot that is called with ``arity`` arguments."""
    if text in OPERATORS and OPERATORS[text].variadic:
        return apply(text, *PLACES[:arity])
    return parse(text).substitute(dict(zip(VARIABLES, PLACES, strict=False)))
