"""Device functions as CPUs compute them best.

In float64 they are those of :mod:`.device`. For float32 they are as accurate as float32 tells. The ones that networks
use most are written for it, in two numbers where one loses digits; all others take their value in float64, by shorter
polynomials, and round it once: on a CPU float64 costs twice as much, and saves what float32 would need to stay exact.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from actc import coefficients

from .lanes import FLOAT32, FLOAT64, INT32, INT64, Code, Language, Value, device_functions

#: What is exact, or rounded once, in either type; and the turns of trigonometric functions, which take long in float64.
_ALIKE = frozenset(
    {"div", "sqrt", "max", "min", "abs", "sign", "floor", "relu", "saturate", "limited", "reciprocal_near"}
    | {"sin", "cos", "tan"}
)


class _Middle:
    """The coefficients for float64, of shorter polynomials: for results that are rounded to float32."""

    def __getattr__(self, name: str) -> Any:
        return getattr(coefficients, f"{name[:-3]}_MIDDLE" if name.endswith("_64") else name)


def _in_float32(function: Callable[..., Value]) -> Callable[..., Value]:
    """A function for float32; for float64 the device function of its name is taken."""

    @functools.wraps(function)
    def either(self: CpuFunctions, *args: Any) -> Value:
        if any(isinstance(a, Value) and a.dtype is FLOAT64 for a in args):
            found: Value = getattr(self.device, function.__name__)(*args)
            return found
        return function(self, *args)

    return either


class _Short:
    """What the device functions for float64 are made of, where results are rounded to float32 and arguments were."""

    def __init__(self, tl: Language, horner: Callable[..., Value]) -> None:
        self.tl, self._horner = tl, horner

    def reciprocal_near(self, y: Value) -> Value:
        """1/y for y from 2^-126 to 2^126; 0 beyond."""
        # A division in float64 takes three times as long as one in float32.
        z = (1.0 / y.to(FLOAT32)).to(FLOAT64)
        # Infinity times 0 would be NaN.
        y = self.tl.minimum(y, 1e300, True)
        return self.tl.fma(self.tl.fma(-y, z, 1.0), z, z)

    def quotient_near(self, x: Value, y: Value) -> Value:
        return x * self.reciprocal_near(y)

    def inverse_root(self, x: Value) -> Value:
        """1/√x for x in float32's range."""
        narrow = x.to(FLOAT32)
        z = (1.0 / self.tl.sqrt(narrow)).to(FLOAT64)
        x = self.tl.minimum(x, 1e300, True)
        return self.tl.fma(self.tl.fma(x * z, -z, 1.0) * 0.5, z, z)

    def exp_within(self, x: Value) -> Value:
        """e^x for x from −700 to 700."""
        tl = self.tl
        t = tl.fma(x, 1.4426950408889634, 6755399441055744.0)
        r = tl.fma(t - 6755399441055744.0, -0.6931471805599453, x)
        y = self._horner(r, (1.0, 1.0, *coefficients.EXP_MIDDLE))
        # The lowest bits of t are the power of two's.
        return y * ((t.to(INT64, bitcast=True) << 52) + 0x3FF0000000000000).to(FLOAT64, bitcast=True)

    def exp(self, x: Value) -> Value:
        return self.exp_within(self.tl.minimum(self.tl.maximum(x, -200.0, True), 200.0, True))

    def scaled_exp(self, factor: Any, x: Value, low: Any) -> Value:
        return factor * self.exp(x)

    def erfc_tail(self, a: Value, factor: Any, square: Value, low: Any) -> Value:
        """factor·erfc(a) for a from 0 to 10.2, given a²."""
        # (1 + 2a)·e^(a²)·erfc(a) is a polynomial in t = (a − 3)/(a + 3); by one division for both.
        tl = self.tl
        three, two = a + 3.0, tl.fma(a, 2.0, 1.0)
        inverse = self.reciprocal_near(three * two)
        t = (a - 3.0) * (two * inverse)
        y = self._horner(t, coefficients.ERFCX_MIDDLE)
        return factor * (three * inverse) * (y * self.exp_within(-square))


class CpuFunctions:
    """The device functions, recording into ``code``, by their names."""

    def __init__(self, code: Code) -> None:
        self.tl = Language(code)
        self.device = device_functions(self.tl, coefficients)
        self._short = short = _Short(self.tl, self.device.horner)
        instead = {name: getattr(short, name) for name in vars(_Short) if not name.startswith("_")}
        self._middle = device_functions(self.tl, _Middle(), **instead)

    def __getattr__(self, name: str) -> Callable[..., Value]:
        exact = getattr(self.device, name)
        if name in _ALIKE:
            return exact
        short = getattr(self._middle, name)

        def rounded_once(*args: Any, **known: Any) -> Value:
            if any(isinstance(a, Value) and a.dtype is FLOAT64 for a in args):
                return exact(*args, **known)
            wide = (a.to(FLOAT64) if isinstance(a, Value) else a for a in args)
            return short(*wide, **known).to(FLOAT32)

        return rounded_once

    # --- what the others are made of ------------------------------------------------------------------------------

    def _reduced(self, x: Value) -> tuple[Value, Value, Value]:
        """n, r and q with e^x = 2^n·(1 + r + q), q much smaller than r; n as an integer."""
        tl = self.tl
        t = tl.fma(x, 1.4426950408889634, 12582912.0)
        n = t - 12582912.0
        # The first part of log 2 has so few bits that its product with n is exact; what rounding takes from the
        # second difference is kept.
        high = tl.fma(n, -0.693145751953125, x)
        r = tl.fma(n, -1.42860677e-06, high)
        low = tl.fma(n, -1.42860677e-06, high - r)
        q = tl.fma(r * r, self.device.horner(r, coefficients.EXP_32), low)
        return t.to(INT32, bitcast=True) - 0x4B400000, r, q

    def _mantissa(self, x: Value) -> tuple[Value, Value]:
        """n and m with e^x = 2^n·m; n as an integer."""
        n, r, q = self._reduced(x)
        s = 1.0 + r
        return n, s + ((r - (s - 1.0)) + q)

    def _expm1_parts(self, s: Value, a: Value, missed: Value, r: Value, q: Value) -> tuple[Value, Value]:
        """s·(r + q) + a + missed in two numbers, the first of which is the sum in float32."""
        b = s * r
        high = a + b
        low = self.tl.fma(s, q, (b - (high - a)) + missed)
        total = high + low
        return total, low - (total - high)

    def _below(self, a: Value) -> Value:
        """−|a|, where it tells: e to the power of what is less is 0."""
        return self.tl.maximum(-self.tl.abs(a), -110.0, True)

    def _log1p_of_exp(self, t: Value) -> Value:
        """log(1 + e^−|t|)."""
        tl = self.tl
        w = self.exp(self._below(t))
        large = w > 0.5
        y = self.device.log_of_rest(tl.where(large, tl.fma(w, 0.5, -0.5), w))
        # log 2 in two numbers.
        return tl.where(large, (y + -1.9046542e-09) + 0.6931471824645996, y)

    # --- for float32 ----------------------------------------------------------------------------------------------

    @_in_float32
    def exp(self, x: Value) -> Value:
        n, m = self._mantissa(self.device.limited(x, -104.0, 89.0))
        return self.tl.scaled(m, n)

    @_in_float32
    def expm1(self, x: Value) -> Value:
        tl = self.tl
        n, r, q = self._reduced(self.device.limited(x, -50.0, 89.0))
        # By halves, as 2^n may be beyond the range.
        s = tl.scaled(1.0, n - 1)
        a = s - 0.5
        y, _ = self._expm1_parts(s, a, (s - a) - 0.5, r, q)
        return tl.where(tl.abs(x) < 1e-30, x, y + y)

    @_in_float32
    def tanh(self, x: Value) -> Value:
        tl = self.tl
        n, r, q = self._reduced(tl.maximum(-2.0 * tl.abs(x), -40.0, True))
        # −(e^−2a − 1)/(e^−2a + 1), and what the quotient lacks.
        s = tl.scaled(1.0, n)
        a = s - 1.0
        above, above_low = self._expm1_parts(s, a, s - (a + 1.0), r, q)
        below = above + 2.0
        below_low = (above - (below - 2.0)) + above_low
        inverse = 1.0 / below
        y = above * inverse
        rest = tl.fma(-y, below, above) + tl.fma(-y, below_low, above_low)
        return self.device.with_sign(tl.abs(tl.fma(rest, inverse, y)), x)

    @_in_float32
    def sigmoid(self, x: Value) -> Value:
        e = self.exp(self._below(x))
        return self.tl.where(x < 0, e, 1.0) / (1.0 + e)

    @_in_float32
    def silu(self, x: Value) -> Value:
        # x/(1 + e^-x), where e^-x may be beyond the range: by a part of its power of two.
        tl = self.tl
        n, m = self._mantissa(self.device.limited(-x, -110.0, 200.0))
        part = tl.minimum(n, 64)
        return x / (1.0 + tl.scaled(m, part)) * tl.scaled(1.0, part - n)

    @_in_float32
    def silu_by_x(self, x: Value) -> Value:
        # s·(1 + x·(1 − s)) for s = sigmoid(x), by e = e^−|x|, whose power of two comes last where it is a factor.
        tl = self.tl
        n, m = self._mantissa(self._below(x))
        e = tl.scaled(m, n)
        inverse = 1.0 / (1.0 + e)
        left = x < 0
        slope = tl.fma(x, tl.where(left, inverse, e * inverse), 1.0) * tl.where(left, m * inverse, inverse)
        return slope * tl.scaled(1.0, tl.where(left, n, 0))

    @_in_float32
    def mish(self, x: Value) -> Value:
        # tanh(softplus(x)) = w(w + 2)/(w(w + 2) + 2), w = e^x; to the right it is 1 long before w² leaves the range.
        tl = self.tl
        within = tl.maximum(x, -110.0, True)
        n, m = self._mantissa(tl.minimum(within, 30.0, True))
        w, scale = tl.scaled(m, n), tl.scaled(1.0, n)
        k = tl.fma(w, m, 2.0 * m)
        y = tl.scaled(within * (k / tl.fma(k, scale, 2.0)), n)
        return tl.where(x == -math.inf, math.nan, y)

    @_in_float32
    def erfc(self, x: Value) -> Value:
        tl = self.tl
        # Beyond, it is 0 in float32.
        a = tl.minimum(tl.abs(x), 10.2, True).to(FLOAT64)
        tail = self._short.erfc_tail(a, 1.0, a * a, 0.0)
        return tl.where(x < 0, 2.0 - tail, tail).to(FLOAT32)

    @_in_float32
    def gelu(self, x: Value) -> Value:
        # x/2·erfc(a/√2) for a = |x|, as in float64; e^(−a²/2) with what the square lacks.
        tl = self.tl
        a = tl.minimum(tl.abs(x), 14.4, True)
        half = a * a * -0.5
        n, r, q = self._reduced(half)
        m = (1.0 + r) + tl.fma(tl.fma(a, a * -0.5, -half), 1.0 + r, q)
        b = a * 0.7071067811865476
        three, two = b + 3.0, tl.fma(b, 2.0, 1.0)
        inverse = 1.0 / (three * two)
        t = tl.fma(two * inverse, -6.0, 1.0)
        t = tl.fma(tl.fma(-b, t, tl.fma(t + 1.0, -3.0, b)), two * inverse, t)
        y = self.device.horner(t, coefficients.ERFCX_32)
        tail = tl.scaled((0.5 * a) * (three * inverse) * (y * m), n)
        return tl.where(x < 0, tl.where(x == -math.inf, math.nan, -tail), x - tail)

    @_in_float32
    def asinh(self, x: Value) -> Value:
        tl = self.tl
        a = tl.abs(x)
        b = tl.minimum(a, 1e9)
        squared = tl.fma(b.to(FLOAT64), b.to(FLOAT64), 1.0)
        root = tl.where(a < 1e9, squared * self._short.inverse_root(squared), a.to(FLOAT64))
        y = self._middle.log_finite(a.to(FLOAT64) + root, 0.0).to(FLOAT32)
        near = tl.fma(a * a * a, -0.16666667, a)
        y = tl.where(a < 0.0009765625, near, tl.where(a < math.inf, y, a))
        return self.device.with_sign(y, x)

    @_in_float32
    def softplus(self, x: Value, beta: Value) -> Value:
        tl = self.tl
        t = beta * x
        g = self.exp(self._below(0.5 * t))
        rest = tl.where((tl.abs(beta) < 1) & (tl.abs(t) > 80), g * (g / beta), self._log1p_of_exp(t) / beta)
        return tl.where(t > 0, x, 0.0) + rest

    @_in_float32
    def log_sigmoid(self, x: Value) -> Value:
        return self.min(x, 0.0) - self._log1p_of_exp(x)


@functools.cache
def names() -> frozenset[str]:
    """What CpuFunctions has."""
    return frozenset(vars(device_functions(Language(Code(1, False)), coefficients)))
