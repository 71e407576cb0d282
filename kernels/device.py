"""Device functions: every operator that Triton does not write itself, as ``triton.jit`` functions by its name.

``exp(x)`` and so on are the accurate ones, for float32 and float64; ``fast_exp(x)`` and so on take and return float32,
for results that are stored in 16 bits. Arguments are tensors of one type. Polynomials (:mod:`actc.coefficients`) and
bit arithmetic take the place of libdevice: so the functions run in Triton's interpreter, on AMD's GPUs, and on NVIDIA's
at a fraction of its instructions. Of NVIDIA's own they use reciprocals, roots and powers of two, in the fast functions
logarithms and tanh too. ``pow_by_x(x, y)`` and so on are partial derivatives. Where a function takes ``negative``,
``near`` and the like, that is what is known of its arguments (:mod:`.ranges`). NaN, infinities and signed zeros are
those of the rows' numpy functions.
"""

# Triton reads annotations as its own.
# mypy: allow-untyped-defs, allow-incomplete-defs

import triton
import triton.language as tl

from actc import coefficients

#: Read when this module is imported, as Triton itself reads it when a function is decorated.
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)

EXP = tl.constexpr(coefficients.EXP_64)
EXP_WIDE = tl.constexpr((coefficients.EXP_WIDE_32, coefficients.EXP_WIDE_64))
LOG = tl.constexpr((coefficients.LOG_32, coefficients.LOG_64))
SIN = tl.constexpr((coefficients.SIN_32, coefficients.SIN_64))
COS = tl.constexpr((coefficients.COS_32, coefficients.COS_64))
ASIN = tl.constexpr((coefficients.ASIN_32, coefficients.ASIN_64))
ATAN = tl.constexpr((coefficients.ATAN_32, coefficients.ATAN_64))
TANH = tl.constexpr((coefficients.TANH_32, coefficients.TANH_64))
SINH = tl.constexpr((coefficients.SINH_32, coefficients.SINH_64))
ASINH = tl.constexpr((coefficients.ASINH_32, coefficients.ASINH_64))
ERF = tl.constexpr((coefficients.ERF_32, coefficients.ERF_64))
ERF_TAIL = tl.constexpr((coefficients.ERF_TAIL_32, coefficients.ERF_TAIL_WIDE_64))
ERFCX = tl.constexpr((coefficients.ERFCX_32, coefficients.ERFCX_WIDE_64))
I0E_NEAR = tl.constexpr((coefficients.I0E_NEAR_32, coefficients.I0E_NEAR_64))
I0E_FAR = tl.constexpr((coefficients.I0E_FAR_32, coefficients.I0E_FAR_64))
I1E_NEAR = tl.constexpr((coefficients.I1E_NEAR_32, coefficients.I1E_NEAR_64))
I1E_FAR = tl.constexpr((coefficients.I1E_FAR_32, coefficients.I1E_FAR_64))
SLOPE_NEAR = tl.constexpr((coefficients.SLOPE_NEAR_32, coefficients.SLOPE_NEAR_64))
SLOPE_FAR = tl.constexpr((coefficients.SLOPE_FAR_32, coefficients.SLOPE_FAR_64))
I1E_SLOPE_NEAR = tl.constexpr((coefficients.I1E_SLOPE_NEAR_32, coefficients.I1E_SLOPE_NEAR_64))
I1E_SLOPE_FAR = tl.constexpr((coefficients.I1E_SLOPE_FAR_32, coefficients.I1E_SLOPE_FAR_64))
LOG2 = tl.constexpr((coefficients.LOG2_32, coefficients.LOG2_64))
ASINH_FAST = tl.constexpr(coefficients.ASINH_FAST)
ASIN_FAST = tl.constexpr(coefficients.ASIN_FAST)
ATANH_WIDE_FAST = tl.constexpr(coefficients.ATANH_WIDE_FAST)
ATAN_FAST = tl.constexpr(coefficients.ATAN_FAST)
ERFC_FAST = tl.constexpr(coefficients.ERFC_FAST)
ERF_FAST = tl.constexpr(coefficients.ERF_FAST)
ERF_TAIL_BINARY_FAST = tl.constexpr(coefficients.ERF_TAIL_BINARY_FAST)
EXPM1_FAST = tl.constexpr(coefficients.EXPM1_FAST)
I0E_FAST = tl.constexpr(coefficients.I0E_FAST)
I1E_FAST = tl.constexpr(coefficients.I1E_FAST)
I1E_SLOPE_FAST = tl.constexpr(coefficients.I1E_SLOPE_FAST)
LOG1P_FAST = tl.constexpr(coefficients.LOG1P_FAST)
LOG1P_UNIT_FAST = tl.constexpr(coefficients.LOG1P_UNIT_FAST)
SINH_FAST = tl.constexpr(coefficients.SINH_FAST)
SIN_WIDE_FAST = tl.constexpr(coefficients.SIN_WIDE_FAST)
SLOPE_FAST = tl.constexpr(coefficients.SLOPE_FAST)
TANH_FAST = tl.constexpr(coefficients.TANH_FAST)
TAN_FAST = tl.constexpr(coefficients.TAN_FAST)
#: 2/π in words of 32 and of 64 bits, after 34 and 66 zeros.
TWO_OVER_PI_32 = tl.constexpr(coefficients.words(coefficients.TWO_OVER_PI, 32, 8))
TWO_OVER_PI_64 = tl.constexpr(coefficients.words(coefficients.TWO_OVER_PI, 64, 20))

INF = tl.constexpr(float("inf"))
#: Half a unit in the last place of 1 in float64: exponents off from an even number by less are one less 1.
EVEN = tl.constexpr(2**-54)


# --- what the others are made of ---------------------------------------------------------------------------------


@tl.core.builtin
def on_nvidia(_semantic=None):
    """Whether the kernel is compiled for one of NVIDIA's GPUs."""
    return tl.constexpr(_semantic.builder.options.backend_name == "cuda")


# Tables are passed on as they are: a tuple that is taken out of one is no constant any more in Triton 3.6.
@triton.constexpr_function
def length(table):
    return len(table)


@triton.constexpr_function
def item(table, i):
    return table[i]


@triton.jit
def counted(count: tl.constexpr, reach: tl.constexpr):
    """0, 1, …, count − 1; of 64 bits where ``reach`` needs these."""
    i = tl.arange(0, count)
    return i.to(tl.int64) if reach >= 2147483648 else i


@triton.jit
def remainder(i, n: tl.constexpr, reach: tl.constexpr):
    """i modulo n for i of 64 bits; of 64 bits where ``reach`` needs these."""
    return i % n if reach >= 2147483648 else (i % n).to(tl.int32)


@triton.jit
def typed(c: tl.constexpr, x):
    """The number ``c`` in x's type: Triton 3.6 rounds those that ``tl.fma`` is given to float32."""
    return tl.full((), c, x.dtype)


@triton.jit
def horner(t, c: tl.constexpr):
    """The polynomial with coefficients ``c``, lowest first."""
    y = tl.fma(t, typed(item(c, length(c) - 1), t), typed(item(c, length(c) - 2), t))
    for i in tl.static_range(length(c) - 3, -1, -1):
        y = tl.fma(y, t, typed(item(c, i), t))
    return y


@triton.jit
def polynomial(t, pair: tl.constexpr):
    """By the first coefficients of the pair in float32, by the second in float64."""
    return horner(t, item(pair, 1)) if t.dtype == tl.float64 else horner(t, item(pair, 0))


@triton.jit
def bits(x):
    return x.to(tl.int64, bitcast=True) if x.dtype == tl.float64 else x.to(tl.int32, bitcast=True)


@triton.jit
def number(i):
    return i.to(tl.float64, bitcast=True) if i.dtype == tl.int64 else i.to(tl.float32, bitcast=True)


@triton.jit
def with_sign(y, x):
    """y, if it is positive, with the sign of x, that of a zero too."""
    if x.dtype == tl.float64:
        z = number(bits(y) | (bits(x) & -0x8000000000000000))
    else:
        z = number(bits(y) | (bits(x) & -0x80000000))
    return z


@triton.jit
def limited(x, low: tl.constexpr, high: tl.constexpr):
    """x between two numbers; NaN stays."""
    # tl.clamp between -a and a does not compile for float64 and sm_90 (Triton 3.9: no fmin.nan.xorsign.abs).
    x = tl.maximum(x, low, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(x, high, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def by_instruction(asm: tl.constexpr, x):
    """One of NVIDIA's instructions."""
    return tl.inline_asm_elementwise(asm, "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def widened(x):
    """A number of 16 bits in float32."""
    # Where LLVM sees the conversion it compares in bfloat16 instead, at several instructions a comparison.
    if not INTERPRETED and on_nvidia() and x.dtype == tl.bfloat16 and x.type.is_block():
        asm: tl.constexpr = "shl.b32 $0, $2, 16; and.b32 $1, $2, 0xffff0000;"
        y = tl.inline_asm_elementwise(asm, "=f,=f,r", [x], dtype=tl.float32, is_pure=True, pack=2)
    else:
        y = x.to(tl.float32)
    return y


@triton.jit
def narrowed(x):
    """The bfloat16 number nearest to x."""
    # LLVM would convert both sides of a choice, one at a time.
    x = tl.to_tensor(x)
    if not INTERPRETED and on_nvidia() and x.dtype == tl.float32 and x.type.is_block():
        asm: tl.constexpr = "cvt.rn.bf16x2.f32 $0, $2, $1;"
        y = tl.inline_asm_elementwise(asm, "=r,f,f", [x], dtype=tl.bfloat16, is_pure=True, pack=2)
    else:
        y = x.to(tl.bfloat16)
    return y


@triton.jit
def exp2_normal(x):
    """2^x, for which numbers below the normal range are 0."""
    return by_instruction("ex2.approx.ftz.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tl.exp2(x)


@triton.jit
def reciprocal_near(x):
    """1/x to one unit in the last place, for x from 2^-126 to 2^126; 0 beyond."""
    if not INTERPRETED and on_nvidia() and x.dtype == tl.float32:
        y = by_instruction("rcp.approx.ftz.f32 $0, $1;", x)
    else:
        y = 1 / x
    return y


@triton.jit
def inverse_root(x):
    """1/√x for normal x."""
    if not INTERPRETED and on_nvidia() and x.dtype == tl.float32:
        y = by_instruction("rsqrt.approx.ftz.f32 $0, $1;", x)
    else:
        y = 1 / tl.sqrt(x) if x.dtype == tl.float64 else tl.rsqrt(x)
    return y


@triton.jit
def root_near(x):
    """√x to about one unit in the last place, for x from 2^-126 to 2^126."""
    return tl.sqrt(x) if x.dtype == tl.float64 else x * inverse_root(x)


@triton.jit
def quotient_near(x, y):
    """x/y to little more than half a unit, for finite x and y from 2^-126 to 2^126; -0 becomes 0."""
    inverse = reciprocal_near(y)
    z = x * inverse
    return tl.fma(tl.fma(-y, z, x), inverse, z)


@triton.jit
def exp_reduced(x):
    """n and r with x = n·log 2 + r, |r| ≤ log(2)/2; n as an integer."""
    # Adding 1.5·2^23 rounds to a whole number, which the lowest bits of the sum then hold. The first part of log 2 has
    # so few bits that its product with n is exact, fused or not.
    if x.dtype == tl.float64:
        t = tl.fma(x, typed(1.4426950408889634, x), 6755399441055744.0)
        n = t - 6755399441055744.0
        near = tl.fma(n, typed(-6.93147180369123816490e-01, n), x)
        r = tl.fma(n, typed(-1.90821492927058770002e-10, n), near)
        i = bits(t) - 0x4338000000000000
    else:
        t = tl.fma(x, 1.4426950408889634, 12582912.0)
        n = t - 12582912.0
        r = tl.fma(n, -1.42860677e-06, tl.fma(n, -0.693145751953125, x))
        i = bits(t) - 0x4B400000
    return i, r


@triton.jit
def expm1_of_rest(r):
    """e^r − 1 in float64, for |r| ≤ log(2)/2."""
    return tl.fma(r * r, horner(r, EXP), r)


@triton.jit
def power_of_two(i):
    """2^i, a normal number."""
    return number((i << 52) + 4607182418800017408) if i.dtype == tl.int64 else number((i << 23) + 1065353216)


@triton.jit
def times_power_of_two(y, i):
    """y·2^i, rounded once where it is below the normal range."""
    half = i >> 1
    return y * power_of_two(half) * power_of_two(i - half)


@triton.jit
def exp_split(x, most: tl.constexpr):
    """f and s with e^x = 2^f·s in float32: s a power of two, as near to e^x as one from e^-87 to e^most is."""
    # As libdevice does it, so that the error is that of its exponential. Adding 1.5·2^23 + 127 rounds to a whole number
    # and leaves the exponent's bits of s at the end.
    within = tl.maximum(x, -87.0)
    if most < INF:
        within = tl.minimum(within, most)
    t = tl.fma(within, 1.4426950408889634, 12583039.0)
    n = t - 12583039.0
    f = tl.fma(x, 1.925963033500011e-08, tl.fma(x, 1.4426950216293335, -n))
    return f, number(bits(t) << 23)


@triton.jit
def scaled_exp(factor, x, low):
    """factor·e^(x + low), where low is what x lacks; for infinite factors and x too."""
    if x.dtype == tl.float64:
        # To where the two powers of two are 0 or infinite themselves.
        i, r = exp_reduced(limited(x, -1418.2, 1419.5))
        y = times_power_of_two(factor * (1 + expm1_of_rest(r + low)), i)
    else:
        f, s = exp_split(x, 88.0)
        y = factor * exp2_normal(tl.fma(low, 1.4426950408889634, f)) * s
    return y


@triton.jit
def exp_within(x):
    """e^x where that is a normal number."""
    if x.dtype == tl.float64:
        i, r = exp_reduced(x)
        y = (1 + expm1_of_rest(r)) * power_of_two(i)
    else:
        f, s = exp_split(x, INF)
        y = exp2_normal(f) * s
    return y


@triton.jit
def log_of_rest(f):
    """log(1 + f) for f from -1/4 to 1/2."""
    return tl.fma(f * f, polynomial(f, LOG), f)


@triton.jit
def split(x, shift=0.0):
    """e + shift and f with x = 2^e·(1 + f), for normal finite x > 0; f from -1/4 to 1/2, exactly."""
    if x.dtype == tl.float64:
        i = (bits(x) - 0x3FE8000000000001) & -0x10000000000000
        e = tl.fma(i.to(tl.float64), 2.220446049250313e-16, shift)
    else:
        i = (bits(x) - 0x3F400001) & -0x800000
        e = tl.fma(i.to(tl.float32), 1.1920928955078125e-07, shift)
    return e, number(bits(x) - i) - 1


@triton.jit
def log_finite(x, shift):
    """log x + shift·log 2 for normal finite x > 0."""
    e, f = split(x, shift)
    return tl.fma(e, typed(0.6931471805599453, e), log_of_rest(f))


@triton.jit
def log1p_finite(x, shift):
    """log(1 + x) + shift·log 2 for finite x > -1."""
    # 1 + x = 2^e·(1 + f), but f from x itself, whose digits 1 + x has lost: x·2^-e + (2^-e − 1).
    u = 1 + x
    if x.dtype == tl.float64:
        i = (bits(u) - 0x3FE8000000000001) & -0x10000000000000
        e = tl.fma(i.to(tl.float64), 2.220446049250313e-16, shift)
        scale = number(0x4010000000000000 - i)
    else:
        i = (bits(u) - 0x3F400001) & -0x800000
        e = tl.fma(i.to(tl.float32), 1.1920928955078125e-07, shift)
        scale = number(0x40800000 - i)
    # By 4·2^-e, which is normal for every e.
    f = tl.fma(x * scale, 0.25, tl.fma(scale, 0.25, -1.0))
    return tl.fma(e, typed(0.6931471805599453, e), log_of_rest(f))


@triton.jit
def log1p_unit(x):
    """log(1 + x) for 0 ≤ x ≤ 1."""
    large = x > 0.5
    y = log_of_rest(tl.where(large, tl.fma(x, 0.5, -0.5), x))
    return tl.where(large, y + 0.6931471805599453, y)


@triton.jit
def odd_polynomial(x, pair: tl.constexpr):
    """x + x³·P(x²)."""
    u = x * x
    return tl.fma(x * u, polynomial(u, pair), x)


# --- arithmetic and choice ---------------------------------------------------------------------------------------


@triton.jit
def div(x, y):
    """x/y rounded to the nearest."""
    return x / y if x.dtype == tl.float64 else tl.div_rn(x, y)


@triton.jit
def sqrt(x):
    """The root rounded to the nearest."""
    return tl.sqrt(x) if x.dtype == tl.float64 else tl.sqrt_rn(x)


@triton.jit
def max(x, y):
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def min(x, y):
    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def abs(x):
    return tl.abs(x)


@triton.jit
def sign(x):
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, tl.where(x == 0, 0.0, x)))


@triton.jit
def floor(x):
    return tl.floor(x)


@triton.jit
def relu(x):
    return tl.where(x < 0, 0.0, x)


@triton.jit
def saturate(x):
    if x.dtype == tl.float64:
        y = limited(x, -1.7976931348623157e308, 1.7976931348623157e308)
    else:
        y = limited(x, -3.4028234663852886e38, 3.4028234663852886e38)
    return y


@triton.jit
def hypot(x, y, moderate: tl.constexpr = False):
    """``moderate``: whether y is known to be from 2^-40 to 2^40."""
    if moderate:
        a = tl.abs(x)
        # Beyond, y is not seen any more.
        h = tl.where(a < (1e150 if x.dtype == tl.float64 else 4e18), sqrt(tl.fma(a, a, y * y)), a)
    else:
        h = hypot_scaled(x, y)
    return h


@triton.jit
def hypot_scaled(x, y):
    x, y = tl.broadcast(x, y)
    a = tl.abs(x)
    b = tl.abs(y)
    # Scaled by a power of two near the larger, so that no square leaves the range.
    if x.dtype == tl.float64:
        e = tl.maximum(bits(a), bits(b)) & 0x7FF0000000000000
        e = tl.minimum(tl.maximum(e, 0x10000000000000), 0x7FD0000000000000)
        s = number(0x7FE0000000000000 - e)
    else:
        e = tl.minimum(tl.maximum(tl.maximum(bits(a), bits(b)) & 0x7F800000, 0x800000), 0x7E800000)
        s = number(0x7F000000 - e)
    p = a * s
    q = b * s
    h = sqrt(tl.fma(p, p, q * q)) * number(e)
    return tl.where((a == INF) | (b == INF), INF, h)


# --- exponentials and logarithms ---------------------------------------------------------------------------------


@triton.jit
def exp(x):
    if x.dtype == tl.float64:
        i, r = exp_reduced(limited(x, -800.0, 800.0))
        y = times_power_of_two(1 + expm1_of_rest(r), i)
    else:
        f, s = exp_split(x, 88.0)
        y = exp2_normal(f) * s
    return y


@triton.jit
def expm1(x):
    near = tl.abs(x) < 0.5
    # Up to where i is the largest exponent and the result beyond the range.
    i, r = exp_reduced(limited(x, -50.0, 710.0 if x.dtype == tl.float64 else 89.0))
    # Not reduced where the two terms below would cancel.
    i = tl.where(near, 0, i)
    r = tl.where(near, x, r)
    p = tl.fma(r * r, polynomial(r, EXP_WIDE), r)
    # 2^i·(e^r − 1) + (2^i − 1), by halves, since 2^i itself may be beyond the range. What rounding adds to 2^i/2 − 1/2
    # is half a unit for one i: it is taken from p.
    s = power_of_two(i - 1)
    if x.dtype == tl.float64:
        q = tl.where(i == 54, p - 5.551115123125783e-17, p)
    else:
        q = tl.where(i == 25, p - 2.9802322387695312e-08, p)
    y = tl.fma(s, q, s - 0.5)
    return tl.where(near, with_sign(p, x), y + y)


@triton.jit
def log(x):
    if x.dtype == tl.float64:
        small = x < 2.2250738585072014e-308
        y = log_finite(tl.where(small, x * 18014398509481984.0, x), tl.where(small, -54.0, 0.0))
    else:
        small = x < 1.1754943508222875e-38
        y = log_finite(tl.where(small, x * 16777216.0, x), tl.where(small, -24.0, 0.0))
    y = tl.where(x < INF, y, x)
    return tl.where(x > 0, y, tl.where(x == 0, -INF, float("nan")))


@triton.jit
def log1p(x):
    y = tl.where(x < INF, log1p_finite(x, 0.0), x)
    y = tl.where(x > -1, y, tl.where(x == -1, -INF, float("nan")))
    return tl.where(x == 0, x, y)


@triton.jit
def log2_pair(x):
    """log2 x in two numbers, since an exponent magnifies what a single one has lost."""
    # x = 2^e·(1 + f), log(1 + f) = 2·atanh(t/2) = t + t³·P(t²), t = f/(1 + f/2).
    if x.dtype == tl.float64:
        small = x < 2.2250738585072014e-308
        x = tl.where(small, x * 18014398509481984.0, x)
        i = (bits(x) - 0x3FE6A09E667F3BCD) & -0x10000000000000
        e = tl.fma(i.to(tl.float64), 2.220446049250313e-16, tl.where(small, -54.0, 0.0))
        binary = typed(1.4426950408889634, x)
        binary_low = typed(2.0355273740931033e-17, x)
    else:
        small = x < 1.1754943508222875e-38
        x = tl.where(small, x * 16777216.0, x)
        i = (bits(x) - 0x3F3504F3) & -0x800000
        e = tl.fma(i.to(tl.float32), 1.1920928955078125e-07, tl.where(small, -24.0, 0.0))
        binary = typed(1.4426950216293335, x)
        binary_low = typed(1.925963033500011e-08, x)
    f = number(bits(x) - i) - 1
    d = tl.fma(f, 0.5, 1.0)
    inverse = reciprocal_near(d)
    t = f * inverse
    t_low = tl.fma(-t, tl.fma(f, 0.5, 1 - d), tl.fma(-t, d, f)) * inverse
    u = t * t
    # Of 1 + f from √½ to √2, so that e − high is exact.
    high = tl.fma(t, binary, e)
    low = tl.fma(t, binary_low, tl.fma(t, binary, e - high))
    # 1 + t²/4 is about how steep the logarithm is.
    low = tl.fma(t_low * binary, tl.fma(u, 0.25, 1.0), low)
    low = tl.fma(t * u, polynomial(u, LOG2), low)
    if x.dtype == tl.float64:
        end = tl.where((x > 0) & (x < INF), 0.0, tl.where(x > 0, x, tl.where(x == 0, -INF, float("nan"))))
    else:
        end = log2_normal(x)
    return tl.where(tl.abs(end) < INF, high, end), low


@triton.jit
def times_power(factor, x, y, less: tl.constexpr = 0):
    """factor·x^(y − less), that exponent not rounded; 1 is a power of anything, and every power of 1."""
    high, low = log2_pair(x)
    exponent = y - less if less > 0 else y
    product = exponent * (high + low)
    q = tl.where(tl.minimum(tl.abs(exponent), tl.abs(high)) == 0, 0.0, product)
    # Adding 1.5·2^52 or 1.5·2^23 + 127 rounds to a whole number, which the lowest bits of the sum then hold.
    if x.dtype == tl.float64:
        # To where the two powers of two are 0 or infinite themselves.
        q = limited(q, -2046.0, 2048.0)
        t = q + 6755399441055744.0
        n = t - 6755399441055744.0
        beyond = q - n
    else:
        t = tl.minimum(tl.maximum(q, -126.0), 127.0) + 12583039.0
        n = t - 12583039.0
        beyond = q
    f = tl.fma(exponent, low, tl.fma(exponent, high, -n))
    if less > 0:
        f = tl.fma(y - (exponent + less), high, f)
    f = tl.where(tl.abs(product) < 2000, f, beyond)
    if x.dtype == tl.float64:
        e = 1 + expm1_of_rest(f * 0.6931471805599453)
        z = times_power_of_two(factor * e, bits(t) - 0x4338000000000000)
    else:
        z = factor * exp2_normal(f) * number(bits(t) << 23)
    return z


@triton.jit
def above_even(y, short: tl.constexpr):
    """|y| less the even number below: 0 for even, 1 for odd numbers; NaN for infinities. ``short``: |y| ≤ 1."""
    a = tl.abs(y)
    return a if short else tl.fma(tl.floor(a * 0.5), -2.0, a)


@triton.jit
def powered(x, rest):
    """Of what the power is taken for the base x, given the exponent's ``above_even``: |x|, but x itself, which gives
    NaN, where that is below 0 and the exponent is no whole number."""
    # Where rest − rest² is not 0 and a is finite; as one comparison, since of several LLVM makes a selection each.
    a = tl.abs(x)
    return tl.where(tl.abs(tl.fma(-rest, rest, rest)) * INF > a, x, a)


@triton.jit
def with_sign_where(condition, y, x):
    """y, with its sign changed where the condition holds and x has one."""
    if x.dtype == tl.float64:
        z = number(bits(y) ^ (bits(x) & -0x8000000000000000))
    else:
        z = number(bits(y) ^ (bits(x) & -0x80000000))
    return tl.where(condition, z, y)


@triton.jit
def pow(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    """``negative``: whether x may be below 0 or -0; ``short``: whether y is known to be from -1 to 1."""
    x, y = tl.broadcast(x, y)
    if negative:
        rest = above_even(y, short)
        # No power of -1 hides that y is NaN.
        base = tl.where(y != y, x, powered(x, rest))
        z = with_sign_where(rest == 1, times_power(1.0, base, y), x)
    else:
        z = times_power(1.0, x, y)
    return z


@triton.jit
def pow_by_x(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    """y·x^(y − 1); y itself below the normal range may be rounded."""
    x, y = tl.broadcast(x, y)
    if negative:
        rest = above_even(y, short)
        z = with_sign_where(rest < EVEN, times_power(y, powered(x, rest), y, 1), x)
    else:
        z = times_power(y, x, y, 1)
    # A slope of 0 has no sign.
    return tl.where(y == 0, 0.0, z)


@triton.jit
def pow_by_y(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    """x^y·log x; 0 for x = 0 and y ≥ 0."""
    x, y = tl.broadcast(x, y)
    high, low = log2_pair(x)
    natural = tl.fma(high, typed(0.6931471805599453, high), low * 0.6931471805599453)
    z = times_power(natural, x, y)
    if negative:
        # NaN for all below 0, but -0 has odd powers.
        z = with_sign_where(above_even(y, short) == 1, z, x)
    return tl.where((x == 0) & (y >= 0), 0.0, z)


# --- trigonometric -----------------------------------------------------------------------------------------------


@triton.jit
def quarter_turns(x):
    """For x ≥ π/4 the multiple of π/2 nearest to x, modulo 4, and the distance from it in units of π·2^-65.

    Payne and Hanek's way: of 2/π only those bits are multiplied by x that tell the product modulo 4.
    """
    if x.dtype == tl.float64:
        i = bits(x)
        first = (i >> 52) - 1022
        m = (((i & 0xFFFFFFFFFFFFF) | 0x10000000000000) << 11).to(tl.uint64)
        index = first >> 6
        shift = (first & 63).to(tl.uint64)
        w0 = word(index, 0, 16, TWO_OVER_PI_64)
        w1 = word(index, 1, 16, TWO_OVER_PI_64)
        w2 = word(index, 2, 16, TWO_OVER_PI_64)
        w3 = word(index, 3, 16, TWO_OVER_PI_64)
        a1 = ((w1 << shift) | ((w2 >> 1) >> (63 - shift))) * m
        middle = a1 + tl.umulhi((w2 << shift) | ((w3 >> 1) >> (63 - shift)), m)
        a0 = ((w0 << shift) | ((w1 >> 1) >> (63 - shift))) * m
        high = a0 + tl.umulhi((w1 << shift) | ((w2 >> 1) >> (63 - shift)), m) + (middle < a1).to(tl.uint64)
        distance = ((high << 2) | (middle >> 62)).to(tl.int64, bitcast=True).to(tl.float64)
        distance = tl.fma((middle << 2).to(tl.float64), 5.421010862427522e-20, distance)
    else:
        i = bits(x)
        first = (i >> 23) - 126
        m = (((i & 0x7FFFFF) | 0x800000) << 8).to(tl.uint32, bitcast=True).to(tl.uint64)
        index = first >> 5
        shift = (first & 31).to(tl.uint64)
        w0 = word(index, 0, 4, TWO_OVER_PI_32)
        w1 = word(index, 1, 4, TWO_OVER_PI_32)
        w2 = word(index, 2, 4, TWO_OVER_PI_32)
        w3 = word(index, 3, 4, TWO_OVER_PI_32)
        a0 = (((w0 << 32) | w1) << shift) >> 32
        a1 = (((w1 << 32) | w2) << shift) >> 32
        a2 = (((w2 << 32) | w3) << shift) >> 32
        high = ((a0 * m) << 32) + a1 * m + ((a2 * m) >> 32)
        distance = (high << 2).to(tl.int64, bitcast=True).to(tl.float32)
    q = ((high >> 61) + 1) >> 1
    return q.to(tl.int32), distance


@triton.jit
def word(index, offset: tl.constexpr, most: tl.constexpr, table: tl.constexpr):
    """``table[index + offset]`` for an index from 0 to ``most``."""
    w = tl.full(index.shape, item(table, offset), tl.uint64)
    for i in tl.static_range(1, most + 1):
        w = tl.where(index == i, tl.full(index.shape, item(table, offset + i), tl.uint64), w)
    return w


@triton.jit
def sine_and_cosine(x):
    """Quarter turns q, and of what is left after them the sine and the cosine; x ≥ 0."""
    q, distance = quarter_turns(x)
    small = x < 0.785398
    # π·2^-65 in two numbers, and so the product with it: r + low.
    if x.dtype == tl.float64:
        r = distance * 8.515303950216386e-20
        missed = tl.fma(distance, typed(8.515303950216386e-20, distance), -r)
        low = tl.fma(distance, typed(3.319411800407449e-36, distance), missed)
    else:
        r = distance * 8.515304187176306e-20
        low = tl.fma(distance, -2.36959920011902e-27, tl.fma(distance, 8.515304187176306e-20, -r))
    r = tl.where(small, x, r)
    low = tl.where(small, 0.0, low)
    u = r * r
    cosine = 1 + tl.fma(-r, low, tl.fma(u * u, polynomial(u, COS), -0.5 * u))
    sine = r + tl.fma(cosine, low, r * u * polynomial(u, SIN))
    return tl.where(small, 0, q), sine, cosine


@triton.jit
def sin(x):
    a = tl.abs(x)
    q, s, c = sine_and_cosine(a)
    y = tl.where((q & 1) != 0, c, s)
    y = tl.where(((q & 2) != 0) != (x < 0), -y, y)
    return tl.where(x == 0, x, tl.where(a < INF, y, float("nan")))


@triton.jit
def cos(x):
    a = tl.abs(x)
    q, s, c = sine_and_cosine(a)
    y = tl.where((q & 1) != 0, s, c)
    y = tl.where(((q + 1) & 2) != 0, -y, y)
    return tl.where(a < INF, y, float("nan"))


@triton.jit
def tan(x):
    a = tl.abs(x)
    q, s, c = sine_and_cosine(a)
    odd = (q & 1) != 0
    y = quotient_near(tl.where(odd, -c, s), tl.where(odd, s, c))
    return tl.where(x == 0, x, tl.where(a < INF, tl.where(x < 0, -y, y), float("nan")))


@triton.jit
def quarter_turn_minus(times: tl.constexpr, x, y):
    """π/2 − times·(x + y), y much smaller than x; ``times`` is a power of two."""
    # π/2 in two numbers.
    if x.dtype == tl.float64:
        z = tl.fma(x, -times, typed(1.5707963267948966, x)) - tl.fma(y, times, typed(-6.123233995736766e-17, x))
    else:
        z = tl.fma(x, -times, 1.5707963705062866) - tl.fma(y, times, 4.3711390001862426e-08)
    return z


@triton.jit
def half_angle(a):
    """For 0 ≤ a ≤ 1 whether a > 1/2; if so, asin √((1 − a)/2), which is half of acos a, else asin a: in two
    numbers, and in one."""
    large = a > 0.5
    u = tl.where(large, tl.fma(a, -0.5, 0.5), a * a)
    z = tl.where(large, sqrt(u), a)
    p = polynomial(u, ASIN)
    return large, z, z * u * p, tl.fma(z * u, p, z)


@triton.jit
def asin(x):
    large, z, rest, angle = half_angle(tl.abs(x))
    return with_sign(tl.where(large, quarter_turn_minus(2.0, z, rest), angle), x)


@triton.jit
def acos(x):
    large, z, rest, angle = half_angle(tl.abs(x))
    z = tl.where(x < 0, -z, z)
    rest = tl.where(x < 0, -rest, rest)
    far = tl.where(x < 0, tl.fma(angle, -2.0, typed(3.141592653589793, x)), 2 * angle)
    return tl.where(large, far, quarter_turn_minus(1.0, z, rest))


@triton.jit
def atan(x):
    a = tl.abs(x)
    large = a > 1
    z = tl.where(large, reciprocal_near(a), a)
    u = z * z
    p = polynomial(u, ATAN)
    return with_sign(tl.where(large, quarter_turn_minus(1.0, z, z * u * p), tl.fma(z * u, p, z)), x)


# --- hyperbolic --------------------------------------------------------------------------------------------------


@triton.jit
def tanh(x):
    a = tl.abs(x)
    far = tl.fma(reciprocal_near(exp_within(2 * limited(a, 0.0, 20.0)) + 1), -2.0, 1.0)
    return with_sign(tl.where(a < 0.6, odd_polynomial(a, TANH), far), x)


@triton.jit
def sinh(x):
    a = tl.abs(x)
    e = scaled_exp(0.5, a, 0.0)
    return with_sign(tl.where(a < 1, odd_polynomial(a, SINH), tl.fma(reciprocal_near(e), -0.25, e)), x)


@triton.jit
def cosh(x):
    e = scaled_exp(0.5, tl.abs(x), 0.0)
    return tl.fma(reciprocal_near(e), 0.25, e)


@triton.jit
def asinh(x):
    a = tl.abs(x)
    # Beyond, a² may overflow, and √(a² + 1) is a to the last digit. By halves, as 2a may overflow too.
    root = tl.where(a < 1073741824.0, root_near(tl.fma(a, a, 1.0)), a)
    far = log_finite(tl.fma(a, 0.5, 0.5 * root), 1.0)
    far = tl.where(a < INF, far, a)
    return with_sign(tl.where(a < 1, odd_polynomial(a, ASINH), far), x)


@triton.jit
def acosh(x):
    t = x - 1
    huge = x > 1073741824.0
    y = log1p_finite(tl.where(huge, t, t + sqrt(tl.fma(t, t, 2 * t))), tl.where(huge, 1.0, 0.0))
    return tl.where(x < 1, float("nan"), tl.where(x < INF, y, x))


@triton.jit
def atanh(x):
    a = tl.abs(x)
    return with_sign(0.5 * log1p(div(2 * a, 1 - a)), x)


# --- special functions -------------------------------------------------------------------------------------------


@triton.jit
def erf(x):
    a = tl.abs(x)
    u = a * a
    # 1 from there on, to the last digit.
    b = limited(a, 0.0, 6.0) if x.dtype == tl.float64 else limited(a, 0.0, 4.0)
    far = 1 - exp_within(polynomial(b, ERF_TAIL))
    return with_sign(tl.where(a < 1, tl.fma(a, polynomial(u, ERF), a), far), x)


@triton.jit
def erfc_tail(a, factor, square, low):
    """factor·erfc(a) for 0 ≤ a ≤ 30, where a² is square + low."""
    # (a − 3)/(a + 3), near -1 to the last digit.
    inverse = reciprocal_near(a + 3)
    t = tl.fma(inverse, -6.0, 1.0)
    t = tl.fma(tl.fma(-a, t, tl.fma(t + 1, -3.0, a)), inverse, t)
    return scaled_exp(factor * quotient_near(polynomial(t, ERFCX), tl.fma(a, 2.0, 1.0)), -square, -low)


@triton.jit
def erfc(x):
    a = limited(tl.abs(x), 0.0, 30.0)
    square = a * a
    tail = erfc_tail(a, 1.0, square, tl.fma(a, a, -square))
    return tl.where(x < 0, 2 - tail, tail)


@triton.jit
def i0e(x):
    a = tl.abs(x)
    near = polynomial(a * a, I0E_NEAR) * exp_within(-limited(a, 0.0, 8.0))
    far = polynomial(tl.fma(reciprocal_near(a), 16.0, -1.0), I0E_FAR) * inverse_root(a)
    return tl.where(a < 8, near, far)


@triton.jit
def i1e(x):
    a = tl.abs(x)
    near = polynomial(a * a, I1E_NEAR) * exp_within(-limited(a, 0.0, 8.0)) * a
    far = polynomial(tl.fma(reciprocal_near(a), 16.0, -1.0), I1E_FAR) * inverse_root(a)
    return with_sign(tl.where(a < 8, near, far), x)


@triton.jit
def i0e_minus_i1e(x):
    a = tl.abs(x)
    near = polynomial(tl.fma(a, 0.25, -1.0), SLOPE_NEAR) * exp_within(-0.5 * limited(a, 0.0, 8.0))
    inverse = reciprocal_near(a)
    far = polynomial(tl.fma(inverse, 16.0, -1.0), SLOPE_FAR) * inverse_root(a) * inverse
    return tl.where(a < 8, near, far)


@triton.jit
def i0e_by_x(x):
    """-0 at 0, as −sign(x)·(i0e − i1e) is."""
    return tl.where(x == 0, -0.0, with_sign(i0e_minus_i1e(x), -x))


@triton.jit
def i1e_slope(x):
    a = tl.abs(x)
    near = polynomial(tl.fma(a, 0.25, -1.0), I1E_SLOPE_NEAR) * exp_within(-0.5 * limited(a, 0.0, 8.0))
    inverse = reciprocal_near(a)
    far = polynomial(tl.fma(inverse, 16.0, -1.0), I1E_SLOPE_FAR) * inverse_root(a) * inverse
    return tl.where(a < 8, near, far)


# --- activations -------------------------------------------------------------------------------------------------


@triton.jit
def sigmoid(x):
    e = exp(-tl.abs(x))
    return quotient_near(tl.where(x < 0, e, 1.0), 1 + e)


@triton.jit
def softplus(x, beta):
    # x apart from the rest: beta·x may be beyond the range.
    x, beta = tl.broadcast(x, beta)
    t = beta * x
    a = tl.abs(t)
    rest = log1p_unit(exp(-a)) / beta
    # A small beta magnifies an exponential below the normal range: as a square its root keeps the digits.
    g = exp(-0.5 * a)
    rest = tl.where((tl.abs(beta) < 1) & (a > 80), g * (g / beta), rest)
    return tl.where(beta > 0, max(x, 0.0), min(x, 0.0)) + rest


@triton.jit
def log_sigmoid(x):
    return min(x, 0.0) - log1p_unit(exp(-tl.abs(x)))


@triton.jit
def silu(x):
    # Factors of e^(x/2): e^x alone would lose its digits below the normal range before x multiplies it.
    g = exp(-0.5 * tl.abs(x))
    return tl.where(x < 0, x * g * g, x) * reciprocal_near(tl.fma(g, g, 1.0))


@triton.jit
def silu_by_x(x):
    # (1 + x/(1 + e^x))/(1 + e^-x), in factors of e^(x/2) as above.
    g = exp(-0.5 * tl.abs(x))
    w = g * g
    # At most 1, lest x leaves the range.
    inverse = tl.minimum(reciprocal_near(1 + w), 1.0)
    z = tl.fma(x, tl.where(x < 0, inverse, w * inverse), 1.0)
    return tl.where(x < 0, z * g * g, z) * inverse


@triton.jit
def gelu(x):
    a = limited(tl.abs(x), 0.0, 40.0)
    square = a * a
    tail = erfc_tail(a * 0.7071067811865476, 0.5 * a, 0.5 * square, 0.5 * tl.fma(a, a, -square))
    return tl.where(x < 0, tl.where(x == -INF, float("nan"), -tail), x - tail)


@triton.jit
def mish(x):
    # tanh(softplus(x)) = n/(n + 2), n = e^x(e^x + 2); to the right divided through by e^2x, w = e^-|x|.
    g = exp(-0.5 * tl.abs(x))
    w = g * g
    above = tl.where(x < 0, x * g * g * (w + 2), x * tl.fma(w, 2.0, 1.0))
    below = tl.where(x < 0, tl.fma(w, w + 2, 2.0), tl.fma(w, tl.fma(w, 2.0, 2.0), 1.0))
    return above * reciprocal_near(below)


# --- fast ones, for results that are stored in 16 bits -----------------------------------------------------------

#: Largest relative error of a fast function in float32, over all numbers of 16 bits. Stored in bfloat16 the result is
#: off by at most half a unit in the last place and 2^8 times this, in float16 half and 2^11 times this. Below the
#: normal range of the stored type it is the error over the smallest normal number: cos(177.5), 1.5e-5, is off by 7.9e-5
#: of itself. About their irrational zeros, 1.545 and -1.278, it is that of i1e_slope and silu_by_x over |x·f′(x)|, and
#: the logarithms near 1 and the powers are accurate for a number 2^-21 from x. For tanh, where NVIDIA promises 2^-11 of
#: its instruction, Juffa measured 1.12e-5 over all numbers (forums.developer.nvidia.com/t/173291).
FAST_ERROR = {
    "exp": 2**-16,
    "expm1": 2**-16,
    "log": 2**-18,
    "log1p": 2**-15,
    "pow": 2**-14,
    "pow_by_x": 2**-14,
    "pow_by_y": 2**-14,
    "sqrt": 2**-21,
    "div": 2**-21,
    "div_by_x": 2**-21,
    "div_by_y": 2**-21,
    "hypot": 2**-20,
    "sin": 2**-14,
    "cos": 2**-14,
    "tan": 2**-14,
    "asin": 2**-14,
    "acos": 2**-14,
    "atan": 2**-14,
    "sinh": 2**-16,
    "cosh": 2**-16,
    "tanh": 2**-16,
    "asinh": 2**-16,
    "acosh": 2**-16,
    "atanh": 2**-16,
    "erf": 2**-14,
    "erfc": 2**-15,
    "i0e": 2**-15,
    "i1e": 2**-14,
    "i0e_by_x": 2**-14,
    "i0e_minus_i1e": 2**-14,
    "i1e_slope": 2**-14,
    "sigmoid": 2**-16,
    "log_sigmoid": 2**-16,
    "softplus": 2**-16,
    "silu": 2**-16,
    "silu_by_x": 2**-15,
    "gelu": 2**-15,
    "mish": 2**-16,
}


@triton.jit
def exp4_near(x):
    """4^x: a square, since the instruction for 2^x has no results below the normal range."""
    y = exp2_normal(x)
    return y * y


@triton.jit
def log2_near(x):
    return by_instruction("lg2.approx.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tl.log2(x)


@triton.jit
def log2_normal(x):
    """log2 x, for which x below the normal range is 0."""
    return by_instruction("lg2.approx.ftz.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tl.log2(x)


@triton.jit
def fast_exp(x):
    return exp4_near(x * 0.7213475204444817)


@triton.jit
def fast_expm1(x):
    near = x * horner(x, EXPM1_FAST)
    return tl.where(tl.abs(x) < 0.5, near, exp2_normal(x * 1.4426950408889634) - 1)


@triton.jit
def fast_log(x):
    return log2_near(x) * 0.6931471805599453


@triton.jit
def fast_log1p(x):
    near = x * horner(x, LOG1P_FAST)
    return tl.where(tl.abs(x) < 0.25, near, log2_normal(1 + x) * 0.6931471805599453)


@triton.jit
def above_even_near(y, short: tl.constexpr):
    """As ``above_even``, but by either of the even numbers beside y, and 0 for infinities and NaN."""
    # From 2^24 on all are even. Adding 2^23 rounds to a whole number.
    a = tl.abs(y) if short else tl.minimum(tl.abs(y), 16777216.0)
    return a if short else tl.abs(tl.fma(tl.fma(a, 0.5, 8388608.0) - 8388608.0, -2.0, a))


@triton.jit
def root_of_power(half, y, unless, shift: tl.constexpr = 0.0):
    """√(x^y)·2^shift, given log2 √x; 2^shift where that or ``unless`` is 0, whatever the others are."""
    one = tl.minimum(tl.abs(unless), tl.abs(half)) == 0
    return exp2_normal(tl.where(one, shift, tl.fma(y, half, shift)))


@triton.jit
def fast_pow(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    """As ``pow``, but that -1 to the power of NaN is 1."""
    x, y = tl.broadcast(x, y)
    if negative:
        rest = above_even_near(y, short)
        root = root_of_power(0.5 * log2_near(powered(x, rest)), y, y)
        z = with_sign_where(rest == 1, root * root, x)
    else:
        root = root_of_power(0.5 * log2_near(x), y, y)
        z = root * root
    return z


@triton.jit
def fast_pow_by_x(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    x, y = tl.broadcast(x, y)
    # Where y is 0 so is the slope, and where it is 1 the power; products in this order, for powers beyond the range.
    unless = y * (y - 1)
    if negative:
        rest = above_even_near(y, short)
        root = root_of_power(0.5 * log2_near(powered(x, rest)), y - 1, unless)
        z = with_sign_where((rest < EVEN) & (tl.abs(y) < INF), y * root * root, x)
    else:
        root = root_of_power(0.5 * log2_near(x), y - 1, unless)
        z = y * root * root
    return z


@triton.jit
def fast_pow_by_y(x, y, negative: tl.constexpr = True, short: tl.constexpr = False):
    x, y = tl.broadcast(x, y)
    half = 0.5 * log2_near(x)
    # 2^(2·shift) is 2·log 2, for the natural logarithm of x itself.
    root = root_of_power(half, y, y, 0.23561681352755118)
    z = half * root * root
    if negative:
        z = with_sign_where(above_even_near(y, short) == 1, z, x)
    # The sum is -∞ for x = 0 and y ≥ 0.
    return tl.where(half + root == -INF, 0.0, z)


@triton.jit
def fast_sqrt(x):
    return by_instruction("sqrt.approx.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tl.sqrt(x)


@triton.jit
def sqrt_normal(x):
    """√x, for which x below the normal range is 0."""
    return by_instruction("sqrt.approx.ftz.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tl.sqrt(x)


@triton.jit
def fast_div(x, y, above: tl.constexpr = False):
    """``above``: whether y is known to be 2^-124 or more."""
    # Quarters, since the reciprocal of the largest is below the normal range.
    return (x * 0.25) * reciprocal_near(y * 0.25) if above else x / y


@triton.jit
def reciprocal_split(y, near: tl.constexpr):
    """s and r with 1/y = s·r, neither beyond the range; s a power of two, 1 if y is known to be ``near`` 1: from 2^-126
    to 2^126."""
    # About 1/√y.
    s = 1.0 if near else number(0x5F000000 - ((bits(y) >> 1) & 0x3F800000))
    return s, reciprocal_near(y * s)


@triton.jit
def fast_div_by_x(x, y, near: tl.constexpr = False):
    s, r = reciprocal_split(y, near)
    return s * r


@triton.jit
def fast_div_by_y(x, y, near: tl.constexpr = False):
    s, r = reciprocal_split(y, near)
    return x * s * r * s * -r


@triton.jit
def fast_hypot(x, y, moderate: tl.constexpr = False):
    if moderate:
        a = tl.abs(x)
        h = tl.where(a < 4e18, sqrt_normal(tl.fma(a, a, y * y)), a)
    else:
        h = hypot_scaled_near(x, y)
    return h


@triton.jit
def hypot_scaled_near(x, y):
    x, y = tl.broadcast(x, y)
    a = tl.abs(x)
    b = tl.abs(y)
    e = tl.minimum(tl.maximum(tl.maximum(bits(a), bits(b)) & 0x7F800000, 0x800000), 0x7E800000)
    s = number(0x7F000000 - e)
    p = a * s
    q = b * s
    h = sqrt_normal(tl.fma(p, p, q * q)) * number(e)
    return tl.where((a == INF) | (b == INF), INF, h)


@triton.jit
def odd_short(x, c: tl.constexpr):
    """x + x³·P(x²)."""
    u = x * x
    return tl.fma(x * u, horner(u, c), x) if length(c) > 1 else tl.fma(x * u, item(c, 0), x)


@triton.jit
def quarter_turns_short(x):
    """x·2/π modulo 4 in units of 2^-30, for x ≥ π/4: as ``quarter_turns``, with fewer of 2/π's digits."""
    i = bits(x)
    first = (i >> 23) - 126
    m = (((i & 0x7FFFFF) | 0x800000) << 8).to(tl.uint32, bitcast=True).to(tl.uint64)
    index = first >> 5
    shift = (first & 31).to(tl.uint64)
    w0 = word(index, 0, 4, TWO_OVER_PI_32)
    w1 = word(index, 1, 4, TWO_OVER_PI_32)
    w2 = word(index, 2, 4, TWO_OVER_PI_32)
    a0 = (((w0 << 32) | w1) << shift) >> 32
    a1 = (((w1 << 32) | w2) << shift) >> 32
    return ((((a0 * m) << 32) + a1 * m) >> 32).to(tl.uint32)


@triton.jit
def sine_of_quarters(turns, a, small, sign):
    """The sine of so many quarter turns, where ``small`` of a; its sign changed where ``sign`` is negative."""
    # All but a half turn or none is left to the polynomial: π/2 at most.
    r = (turns << 1).to(tl.int32, bitcast=True).to(tl.float32) * 7.314590396335798e-10
    y = odd_short(tl.where(small, a, r), SIN_WIDE_FAST)
    half = tl.where(small, 0, (turns + 0x40000000).to(tl.int32, bitcast=True))
    return number(bits(y) ^ ((half ^ sign) & -0x80000000))


@triton.jit
def fast_sin(x):
    a = tl.abs(x)
    y = sine_of_quarters(quarter_turns_short(a), a, a < 0.785398, bits(x))
    return tl.where(a < INF, y, float("nan"))


@triton.jit
def fast_cos(x):
    a = tl.abs(x)
    y = sine_of_quarters(quarter_turns_short(a) + 0x40000000, 1.5707963267948966 - a, a < 0.785398, 0)
    return tl.where(a < INF, y, float("nan"))


@triton.jit
def fast_tan(x):
    a = tl.abs(x)
    turns = quarter_turns_short(a)
    small = a < 0.785398
    r = (turns << 2).to(tl.int32, bitcast=True).to(tl.float32) * 3.657295198167899e-10
    y = odd_short(tl.where(small, a, r), TAN_FAST)
    odd = ((turns + 0x20000000) & 0x40000000) != 0
    y = tl.where(odd & ~small, -reciprocal_near(y), y)
    y = number(bits(y) ^ (bits(x) & -0x80000000))
    return tl.where(a < INF, y, float("nan"))


@triton.jit
def fast_asin(x):
    a = tl.abs(x)
    large = a > 0.5
    p = odd_short(tl.where(large, sqrt_normal(tl.fma(a, -0.5, 0.5)), a), ASIN_FAST)
    return with_sign(tl.where(large, tl.fma(p, -2.0, 1.5707963267948966), p), x)


@triton.jit
def fast_acos(x):
    a = tl.abs(x)
    large = a > 0.5
    p = odd_short(tl.where(large, sqrt_normal(tl.fma(a, -0.5, 0.5)), a), ASIN_FAST)
    p = tl.where(x < 0, -p, p)
    far = tl.where(x < 0, tl.fma(p, 2.0, 3.141592653589793), 2 * p)
    return tl.where(large, far, 1.5707963267948966 - p)


@triton.jit
def fast_atan(x):
    a = tl.abs(x)
    large = a > 1
    p = odd_short(tl.where(large, reciprocal_near(a), a), ATAN_FAST)
    return with_sign(tl.where(large, 1.5707963267948966 - p, p), x)


@triton.jit
def fast_sinh(x):
    a = tl.abs(x)
    e = exp2_normal(tl.fma(a, 1.4426950408889634, -1.0))
    far = tl.fma(reciprocal_near(e), -0.25, e)
    return with_sign(tl.where(a < 1, odd_short(a, SINH_FAST), far), x)


@triton.jit
def fast_cosh(x):
    e = exp2_normal(tl.fma(tl.abs(x), 1.4426950408889634, -1.0))
    return tl.fma(reciprocal_near(e), 0.25, e)


@triton.jit
def fast_tanh(x):
    return by_instruction("tanh.approx.f32 $0, $1;", x) if not INTERPRETED and on_nvidia() else tanh_by_exp(x)


@triton.jit
def tanh_by_exp(x):
    a = tl.abs(x)
    far = tl.fma(reciprocal_near(exp2_normal(a * 2.8853900817779268) + 1), -2.0, 1.0)
    return with_sign(tl.where(a < 0.6, odd_short(a, TANH_FAST), far), x)


@triton.jit
def fast_asinh(x):
    a = tl.abs(x)
    # Halves, since 2a may be beyond the range; and so may a².
    root = tl.where(a < 1e9, sqrt_normal(tl.fma(a, a, 1.0)), a)
    far = tl.fma(log2_normal(tl.fma(a, 0.5, 0.5 * root)), 0.6931471805599453, 0.6931471805599453)
    return with_sign(tl.where(a < 1, odd_short(a, ASINH_FAST), far), x)


@triton.jit
def fast_acosh(x):
    t = x - 1
    huge = x > 1e9
    far = log2_normal(tl.where(huge, x, x + sqrt_normal(tl.fma(t, t, 2 * t))))
    y = tl.where(huge, far + 1, far) * 0.6931471805599453
    return tl.where(x < 1, float("nan"), y)


@triton.jit
def fast_atanh(x):
    a = tl.abs(x)
    far = log2_normal((1 + a) * reciprocal_near(1 - a)) * 0.34657359027997264
    return with_sign(tl.where(a < 0.5, odd_short(a, ATANH_WIDE_FAST), far), x)


@triton.jit
def fast_erf(x):
    a = tl.abs(x)
    far = 1 - exp2_normal(horner(limited(a, 0.0, 4.0), ERF_TAIL_BINARY_FAST))
    return with_sign(tl.where(a < 1, tl.fma(a, horner(a * a, ERF_FAST), a), far), x)


@triton.jit
def erfc_by_exp(a, square):
    """erfc a for a ≥ 0, given a²."""
    q = reciprocal_near(tl.fma(a, 0.45, 1.0))
    return q * horner(q, ERFC_FAST) * exp4_near(square * -0.7213475204444817)


@triton.jit
def fast_erfc(x):
    a = tl.abs(x)
    tail = erfc_by_exp(a, a * a)
    return tl.where(x < 0, 2 - tail, tail)


@triton.jit
def fast_gelu(x):
    half = 0.5 * erfc_by_exp(tl.abs(x) * 0.7071067811865476, x * x * 0.5)
    return x * tl.where(x < 0, half, 1 - half)


@triton.jit
def whole_range(a):
    """For a ≥ 0: q = 1/(1 + a/4), √q, and (4 − a)/(4 + a), in which a function of all of them is a polynomial."""
    root = inverse_root(tl.fma(a, 0.25, 1.0))
    q = root * root
    return q, root, tl.fma(q, 2.0, -1.0)


@triton.jit
def fast_i0e(x):
    _q, root, t = whole_range(tl.abs(x))
    return horner(t, I0E_FAST) * root


@triton.jit
def fast_i1e(x):
    q, root, t = whole_range(tl.abs(x))
    return horner(t, I1E_FAST) * (root * (limited(x, -3.4028234663852886e38, 3.4028234663852886e38) * q))


@triton.jit
def fast_i0e_minus_i1e(x):
    q, root, t = whole_range(tl.abs(x))
    return horner(t, SLOPE_FAST) * (root * q)


@triton.jit
def fast_i0e_by_x(x):
    return tl.where(x == 0, -0.0, with_sign(fast_i0e_minus_i1e(x), -x))


@triton.jit
def fast_i1e_slope(x):
    q, root, t = whole_range(tl.abs(x))
    return horner(t, I1E_SLOPE_FAST) * (root * q)


@triton.jit
def fast_sigmoid(x):
    e = exp4_near(tl.abs(x) * -0.7213475204444817)
    return tl.where(x < 0, e, 1.0) * reciprocal_near(1 + e)


@triton.jit
def fast_silu(x):
    return x * fast_sigmoid(x)


@triton.jit
def fast_silu_by_x(x):
    w = exp4_near(tl.abs(x) * -0.7213475204444817)
    inverse = reciprocal_near(1 + w)
    below = tl.where(x < 0, 1.0, w) * inverse
    return tl.fma(x, below, 1.0) * (tl.where(x < 0, w, 1.0) * inverse)


@triton.jit
def log1p_of_exp(x):
    """e = e^-|x| and log(1 + e)/e."""
    e = exp4_near(tl.abs(x) * -0.7213475204444817)
    return e, horner(e, LOG1P_UNIT_FAST)


@triton.jit
def fast_softplus(x, beta):
    x, beta = tl.broadcast(x, beta)
    t = beta * x
    a = tl.abs(t)
    e, ratio = log1p_of_exp(t)
    g = exp2_normal(a * -0.7213475204444817)
    small = (tl.abs(beta) < 1) & (a > 80)
    quotient = tl.where(small, g, ratio) / beta
    return tl.fma(tl.where(small, g, e), quotient, tl.where(beta > 0, max(x, 0.0), min(x, 0.0)))


@triton.jit
def fast_log_sigmoid(x):
    e, ratio = log1p_of_exp(x)
    return tl.fma(-e, ratio, min(x, 0.0))


@triton.jit
def fast_mish(x):
    # tanh(softplus(x)) = n/(n + 2), n = w(w + 2), w = e^x; to the right it is 1 long before w² leaves the range.
    w = exp4_near(tl.minimum(x, 30.0) * 0.7213475204444817)
    n = w * (w + 2)
    return x * (n * reciprocal_near(n + 2))
