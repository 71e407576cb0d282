"""The formulas of ``actc.library``, grouped by where they come from.

Names follow the formula (``max_swish_zero`` is max{Swish(x), 0}; greek letters stand where the learnable parameters
stand); functions too long for that carry the search that found them and a number in the order of the printed table.
"""

from __future__ import annotations

import math
from typing import Literal

from actc.catalogue import KnownActivation

Granularity = Literal["layer", "channel", "neuron"]

#: CAFE prints log|x + ε| and x1/(x2 + ε) without saying what ε is; this is Keras's default.
_EPSILON = "1e-7"
_EPSILON_NOTE = f"The source does not give ε; {_EPSILON} stands for it"
_UNSTABLE_NOTE = f"Has a pole at x = -ε, where training sometimes failed. {_EPSILON_NOTE}"


def _row(
    name: str,
    text: str,
    source: str,
    per: Granularity | None = None,
    initial: dict[str, float] | None = None,
    aliases: tuple[str, ...] = (),
    note: str = "",
) -> KnownActivation:
    return KnownActivation(name, text, source, per=per, initial=initial or {}, aliases=aliases, note=note)


def _pangaea(
    name: str, text: str, source: str, parameters: str = "", per: Granularity = "channel", note: str = ""
) -> KnownActivation:
    """A PANGAEA function: its parameters multiply edges and start at one (dissertation §4.1.1)."""
    initial = {parameter: 1.0 for parameter in parameters.split()}
    return _row(name, text, f"dissertation {source}", per if initial else None, initial, note=note)


_TORCH = (
    _row("identity", "x", "torch.nn.Identity", aliases=("linear",)),
    _row("relu", "relu(x)", "dissertation §4.7; torch.nn.ReLU"),
    _row("relu6", "relu6(x)", "Krizhevsky 2010; torch.nn.ReLU6"),
    _row("leaky_relu", "leaky_relu(x, 0.01)", "Maas et al. 2013; dissertation §4.7; torch.nn.LeakyReLU"),
    _row(
        "rrelu",
        "leaky_relu(x, 11/48)",
        "Xu et al. 2015, arXiv 1505.00853; torch.nn.RReLU",
        note="As in evaluation: the mean 11/48 of the slope, which training draws from [1/8, 1/3]",
    ),
    _row("elu", "elu(x)", "Clevert et al. 2015, arXiv 1511.07289; dissertation §4.7; torch.nn.ELU"),
    _row("celu", "celu(x)", "Barron 2017, arXiv 1704.07483; torch.nn.CELU"),
    _row("selu", "selu(x)", "Klambauer et al. 2017, arXiv 1706.02515; dissertation §4.7; torch.nn.SELU"),
    _row(
        "gelu",
        "gelu(x)",
        "Hendrycks and Gimpel 2016, arXiv 1606.08415; GRAFS figure 1; torch.nn.GELU",
        note="AQuaSurF table 3 does not say which form it used",
    ),
    _row(
        "gelu_tanh",
        "gelu_tanh(x)",
        "Hendrycks and Gimpel 2016, arXiv 1606.08415; dissertation §4.7; torch.nn.GELU(approximate='tanh')",
        aliases=("gelu_new", "gelu_pytorch_tanh"),
    ),
    _row(
        "silu",
        "silu(x)",
        "Elfwing et al. 2017, arXiv 1702.03118; Ramachandran et al. 2017, arXiv 1710.05941; dissertation §4.7; "
        "torch.nn.SiLU",
        aliases=("swish",),
    ),
    _row("mish", "mish(x)", "Misra 2019, arXiv 1908.08681; dissertation §4.7; torch.nn.Mish"),
    _row("sigmoid", "sigmoid(x)", "dissertation §4.7; torch.nn.Sigmoid", aliases=("logistic",)),
    _row("log_sigmoid", "log_sigmoid(x)", "dissertation table 4.2; torch.nn.LogSigmoid"),
    _row("tanh", "tanh(x)", "dissertation §4.7; torch.nn.Tanh"),
    _row("tanhshrink", "tanhshrink(x)", "torch.nn.Tanhshrink"),
    _row("softplus", "softplus(x)", "dissertation §4.7; torch.nn.Softplus"),
    _row("softsign", "softsign(x)", "dissertation §4.7; torch.nn.Softsign"),
    _row("softshrink", "softshrink(x, 0.5)", "torch.nn.Softshrink"),
    _row("hardshrink", "hardshrink(x, 0.5)", "torch.nn.Hardshrink"),
    _row("hardtanh", "hardtanh(x, -1, 1)", "torch.nn.Hardtanh"),
    _row(
        "hardsigmoid",
        "hardsigmoid(x)",
        "torch.nn.Hardsigmoid",
        note="torch's relu6(x + 3)/6; the papers' own is hard_sigmoid",
    ),
    _row(
        "hardswish",
        "hardswish(x)",
        "Howard et al. 2019, arXiv 1905.02244; torch.nn.Hardswish",
        aliases=("hard_swish",),
    ),
    _row(
        "thresholded_relu",
        "threshold(x, 1, 0)",
        "Konda et al. 2014, arXiv 1402.3337; torch.nn.Threshold(1, 0)",
    ),
)

_BASELINES = (
    _row("elish", "elish(x)", "Basirat and Roth 2018, arXiv 1808.00783; dissertation §4.7"),
    _row("hard_sigmoid", "hard_sigmoid(x)", "dissertation §4.7", note="max{0, min{1, 0.2x + 0.5}}, not torch's"),
    _row(
        "prelu",
        "prelu(x, alpha)",
        "He et al. 2015, arXiv 1502.01852; dissertation §4.7, table 4.9; torch.nn.PReLU",
        per="neuron",
        initial={"alpha": 0.25},
        note="torch.nn.PReLU has one parameter for all or one a channel",
    ),
    _row(
        "pswish",
        "x * sigmoid(beta * x)",
        "Ramachandran et al. 2017, arXiv 1710.05941; dissertation §4.7",
        per="channel",
        initial={"beta": 1.0},
        aliases=("parametric_swish",),
        note="The dissertation gives no initial value; at 1 it is Swish",
    ),
    _row(
        "apl",
        "relu(x) + " + " + ".join(f"a{s}*relu(b{s} - x)" for s in range(1, 8)),
        "Agostinelli et al. 2014, arXiv 1412.6830; dissertation §4.7 with S = 7",
        per="neuron",
        initial={f"a{s}": 0.0 for s in range(1, 8)} | {f"b{s}": float(s - 4) for s in range(1, 8)},
        note="The dissertation gives no initial values; these make it ReLU and keep the seven hinges apart",
    ),
    _row(
        "pau",
        "(a0 + a1*x + a2*x**2 + a3*x**3 + a4*x**4 + a5*x**5) / (1 + abs(b1*x + b2*x**2 + b3*x**3 + b4*x**4))",
        "Molina et al. 2019, arXiv 1907.06732; dissertation §4.7, initial values from §A.2.2",
        per="layer",
        initial={
            "a0": 0.02979246,
            "a1": 0.61837738,
            "a2": 2.32335207,
            "a3": 3.05202660,
            "a4": 1.48548002,
            "a5": 0.25103717,
            "b1": 1.14201226,
            "b2": 4.39322834,
            "b3": 0.87154450,
            "b4": 0.34720652,
        },
        aliases=("pade_activation_unit",),
        note="Starts near leaky_relu(x, 0.01)",
    ),
    _row(
        "splash",
        "a_plus_1*relu(x) + a_minus_1*relu(-x)"
        " + a_plus_2*relu(x - 1) + a_minus_2*relu(-x - 1)"
        " + a_plus_3*relu(x - 2) + a_minus_3*relu(-x - 2)"
        " + a_plus_4*relu(x - 2.5) + a_minus_4*relu(-x - 2.5)",
        "Tavakoli et al. 2020, arXiv 2006.08947; dissertation §4.7 with S = 7",
        per="layer",
        initial={f"a_{side}_{s}": float((side, s) == ("plus", 1)) for s in range(1, 5) for side in ("plus", "minus")},
        note="Starts as ReLU; the hinges 0, 1, 2 and 2.5 are fixed",
    ),
)

_CAFE = (
    _row("atan_times_min_zero", "atan(x) * min(x, 0)", "dissertation tables 3.1 and 3.2", aliases=("cafe_best_s1",)),
    _row("tanh_times_min_zero", "tanh(x) * min(x, 0)", "dissertation tables 3.1 and 3.3"),
    _row("erf_times_min_zero", "min(x, 0) * erf(x)", "dissertation table 3.1"),
    _row("sigmoid_times_erf", "sigmoid(x) * erf(x)", "dissertation table 3.3"),
    _row(
        "cafe_loss_1",
        "exp(min(erf(x), 0) - max(x, 0)) * min(atan(x**3) * max(abs(x), 0), 0)",
        "dissertation table 3.1, evolution with loss-based fitness",
    ),
    _row(
        "cafe_loss_2",
        "exp(max(min(erf(x), 0), max(x, 0))) * min(atan(x**3) * max(abs(x), 0), 0)",
        "dissertation table 3.1, evolution with loss-based fitness",
    ),
    _row(
        "cafe_loss_3",
        "-(atan(x**3) * cos(1)) * -(atan(min(x, 0)) * max(abs(x), 0))",
        "dissertation tables 3.1 and 3.2, evolution with loss-based fitness",
        aliases=("cafe_best_s2",),
    ),
    _row(
        "cafe_accuracy_1",
        "min(exp(-min(sinh(x)**2, 0**2)**2), min(min(erf(softplus(x)), asinh(x)), 0))",
        "dissertation table 3.1, evolution with accuracy-based fitness",
    ),
    _row(
        "cafe_accuracy_2",
        "min(cos(max(min(x, 0)**3, softplus(1))), exp(-(abs(max(x, 0)) + exp(sigmoid(x)))**2))",
        "dissertation table 3.1, evolution with accuracy-based fitness",
    ),
    _row(
        "cafe_accuracy_3",
        f"max(max(log(abs(min(x, 0) + {_EPSILON})) * sigmoid(erf(x)), 0), 0)",
        "dissertation table 3.1, evolution with accuracy-based fitness",
        note=_UNSTABLE_NOTE,
    ),
    _row(
        "cafe_random_1",
        f"min(max(log(abs(x + {_EPSILON}))**3, -log(abs(x + {_EPSILON}))), 0)"
        f" + exp(min(tanh(x), 0) + log(abs(max(x, 0) + {_EPSILON})))",
        "dissertation table 3.1, random search",
        note=_UNSTABLE_NOTE,
    ),
    _row(
        "cafe_random_2",
        "atan(min(sinh(sin(x)), atan(max(x, 0)))) * tanh(-sin(x) * asinh(x))",
        "dissertation table 3.1, random search",
    ),
    _row(
        "cafe_random_3",
        f"max(min(x**3, 0) / (max(sin(x), 0) + {_EPSILON}), 0) - min(x**2, max(x, 0))",
        "dissertation table 3.1, random search",
        note=_EPSILON_NOTE,
    ),
)

_PANGAEA = (
    _pangaea(
        "log_sigmoid_alpha_times_beta_asinh",
        "log_sigmoid(alpha*x) * (beta*asinh(x))",
        "table 4.2, specialized for WRN-10-4",
        "alpha beta",
    ),
    _pangaea(
        "log_sigmoid_alpha_times_asinh",
        "log_sigmoid(alpha*x) * asinh(x)",
        "table 4.2, specialized for WRN-10-4",
        "alpha",
    ),
    _pangaea("neg_swish_swish_alpha", "-silu(silu(alpha*x))", "table 4.2, specialized for WRN-10-4", "alpha"),
    _pangaea(
        "alpha_x_minus_beta_log_sigmoid_gamma",
        "alpha*x - beta*log_sigmoid(gamma*x)",
        "table 4.2, specialized for ResNet-v1-56",
        "alpha beta gamma",
    ),
    _pangaea(
        "alpha_x_minus_log_sigmoid_beta",
        "alpha*x - log_sigmoid(beta*x)",
        "table 4.2, specialized for ResNet-v1-56",
        "alpha beta",
    ),
    _pangaea("max_swish_zero", "max(silu(x), 0)", "table 4.2, specialized for ResNet-v1-56"),
    _pangaea("softplus_elu", "softplus(elu(x))", "table 4.2, specialized for ResNet-v2-56"),
    _pangaea(
        "min_log_sigmoid_alpha_log_sigmoid_beta",
        "min(log_sigmoid(x), alpha*log_sigmoid(beta*x))",
        "table 4.2, specialized for ResNet-v2-56",
        "alpha beta",
    ),
    _pangaea("selu_swish", "selu(silu(x))", "table 4.2, specialized for ResNet-v2-56"),
    _pangaea(
        "max_swish_alpha_log_sigmoid_relu",
        "max(silu(x), alpha*log_sigmoid(relu(x)))",
        "table 4.2, general",
        "alpha",
    ),
    _pangaea(
        "min_swish_alpha_elu_relu_beta",
        "min(silu(x), alpha*elu(relu(beta*x)))",
        "table 4.2, general",
        "alpha beta",
    ),
    _pangaea("alpha_swish", "alpha*silu(x)", "table 4.3, random search", "alpha"),
    _pangaea("softplus_times_atan_alpha", "softplus(x) * atan(alpha*x)", "table 4.3, random search", "alpha"),
    _pangaea(
        "relu_alpha_asinh_beta_sigmoid_times_selu_gamma",
        "relu(alpha*asinh(beta*sigmoid(x))) * selu(gamma*x)",
        "table 4.3, random search",
        "alpha beta gamma",
    ),
    _pangaea("cosh_one_times_swish", "cosh(1) * silu(x)", "table 4.3, nonparametric evolution"),
    _pangaea("expm1_one_times_swish", "expm1(1) * silu(x)", "table 4.3, nonparametric evolution"),
    _pangaea("relu_swish", "relu(silu(x))", "table 4.3, nonparametric evolution"),
    _pangaea("log_sigmoid_times_asinh", "log_sigmoid(x) * asinh(x)", "table 4.4"),
    _pangaea("neg_swish_swish", "-silu(silu(x))", "table 4.4"),
    _pangaea("x_minus_log_sigmoid", "x - log_sigmoid(x)", "table 4.4"),
    *(
        _pangaea(f"alpha_{name}_beta", f"alpha*{operator}(beta*x)", f"table {tables}", "alpha beta")
        for name, operator, tables in (
            ("relu", "relu", "4.5, figure 4.6"),
            ("elish", "elish", "4.5"),
            ("elu", "elu", "4.5"),
            ("gelu", "gelu_tanh", "4.5"),
            ("hard_sigmoid", "hard_sigmoid", "4.5"),
            ("leaky_relu", "leaky_relu", "4.5"),
            ("mish", "mish", "4.5"),
            ("selu", "selu", "4.5"),
            ("sigmoid", "sigmoid", "4.5"),
            ("softplus", "softplus", "4.5"),
            ("softsign", "softsign", "4.5"),
            ("swish", "silu", "4.5, table 4.7"),
            ("tanh", "tanh", "4.5"),
        )
    ),
    _pangaea("alpha_relu_beta_abs_relu_gamma", "alpha*relu(beta*abs(relu(gamma*x)))", "table 4.7", "alpha beta gamma"),
    _pangaea("alpha_swish_times_cosh_beta", "alpha*silu(x) * cosh(beta)", "table 4.7", "alpha beta"),
    _pangaea("selu_alpha_tanh_beta", "selu(alpha*tanh(beta*x))", "figure 4.6", "alpha beta"),
    _pangaea("abs_alpha", "abs(alpha*x)", "figure 4.6", "alpha"),
    _pangaea(
        "max_swish_alpha_log_sigmoid_beta",
        "max(silu(alpha*x), log_sigmoid(beta*x))",
        "figure 4.6",
        "alpha beta",
    ),
    _pangaea("max_swish_x", "max(silu(x), x)", "table 4.8, per-layer run"),
    _pangaea(
        "max_x_alpha_log_sigmoid_selu",
        "max(x, alpha*log_sigmoid(selu(x)))",
        "table 4.8, per-layer run",
        "alpha",
        per="layer",
    ),
    _pangaea(
        "max_alpha_max_and_max_relu_asinh",
        "max(alpha*max(beta*relu(asinh(x)), x), max(gamma*relu(asinh(x)), x))",
        "table 4.8, per-layer run",
        "alpha beta gamma",
        per="layer",
    ),
    _pangaea(
        "max_min_alpha_x_elu_zero",
        "max(min(alpha*x, elu(x)), 0)",
        "table 4.8, additional per-channel run 1",
        "alpha",
    ),
    _pangaea(
        "alpha_max_beta_relu_swish_over_gamma_x",
        "alpha*max(beta*relu(div_no_nan(silu(x), gamma)), x)",
        "table 4.8, additional per-channel run 1",
        "alpha beta gamma",
        note="The search space divides by divide_no_nan (§4.1.1)",
    ),
    _pangaea(
        "max_relu_swish_alpha_beta_x",
        "max(relu(silu(alpha*x)), beta*x)",
        "table 4.8, additional per-channel run 1",
        "alpha beta",
    ),
    _pangaea("max_swish_alpha_x", "max(silu(alpha*x), x)", "table 4.8, additional per-channel run 2", "alpha"),
    _pangaea(
        "max_swish_asinh_alpha_beta",
        "max(silu(x), asinh(alpha*beta*x))",
        "table 4.8, additional per-channel run 2",
        "alpha beta",
    ),
    _pangaea(
        "max_swish_asinh_alpha",
        "max(silu(x), asinh(alpha*x))",
        "table 4.8, additional per-channel run 2",
        "alpha",
    ),
    _pangaea(
        "alpha_max_beta_swish_gamma_swish",
        "alpha*max(beta*silu(gamma*x), silu(x))",
        "table 4.8, per-neuron run",
        "alpha beta gamma",
        per="neuron",
    ),
    _pangaea(
        "alpha_x_minus_beta_swish_gamma",
        "alpha*x - beta*silu(gamma*x)",
        "table 4.8, per-neuron run",
        "alpha beta gamma",
        per="neuron",
    ),
    _pangaea(
        "elu_elu_alpha_plus_log_sigmoid_zero",
        "elu(elu(alpha*x) + log_sigmoid(0))",
        "table 4.8, per-neuron run",
        "alpha",
        per="neuron",
    ),
    _pangaea(
        "max_alpha_swish_beta_softplus",
        "max(alpha*silu(beta*x), softplus(x))",
        "table 4.8, random sample",
        "alpha beta",
        per="layer",
    ),
    _pangaea("alpha_square", "alpha*x**2", "table 4.8, random sample", "alpha"),
    _pangaea(
        "bessel_i0e_abs_plus_alpha_abs",
        "bessel_i0e(abs(x)) + alpha*abs(x)",
        "table 4.8, random sample",
        "alpha",
        per="neuron",
    ),
)

_AQUASURF = (
    _row(
        "hard_sigmoid_hard_sigmoid_times_elu",
        "hard_sigmoid(hard_sigmoid(x)) * elu(x)",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row(
        "sigmoid_softsign_times_elu",
        "sigmoid(softsign(x)) * elu(x)",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row(
        "swish_over_selu_one",
        "silu(x) / selu(1)",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row("swish_neg_two_x", "silu(-2*x)", "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)"),
    _row(
        "selu_sinh_expm1_atan",
        "selu(sinh(expm1(atan(x))))",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row("x_times_erfc_elu", "x * erfc(elu(x))", "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)"),
    _row(
        "neg_x_times_sigmoid_times_hard_sigmoid",
        "-x * sigmoid(x) * hard_sigmoid(x)",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row("elu_swish_neg", "elu(silu(-x))", "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)"),
    _row(
        "swish_times_erfc_bessel_i0e",
        "silu(x) * erfc(bessel_i0e(x))",
        "AQuaSurF tables 1 and 2 (dissertation tables 6.1 and 6.2)",
    ),
    _row("erfc_softplus_squared", "erfc(softplus(x))**2", "AQuaSurF table 3"),
    _row("min_softplus_squared_neg_x", "min(softplus(x)**2, -x)", "AQuaSurF table 3"),
    _row("asinh_elu_swish", "asinh(elu(silu(x)))", "AQuaSurF table 3"),
)

_GRAFS = (
    _row("grafs_resnet_1", "0.4739*leaky_relu(leaky_relu(x)) + 0.5261*gelu(x)", "GRAFS equation 2, F_RN^1"),
    _row(
        "grafs_resnet_2",
        "0.5163*leaky_relu(0.4945*relu(x) + 0.5055*gelu(x)) + 0.4837*gelu(x)",
        "GRAFS equation 2, F_RN^2",
    ),
    _row(
        "grafs_resnet_3",
        "0.4865*gelu(0.4873*relu(x) + 0.5127*gelu(x)) + 0.5135*gelu(x)",
        "GRAFS equation 2, F_RN^3",
    ),
    _row("grafs_resnet_4", "0.4756*relu(x) + 0.5244*gelu(x)", "GRAFS equation 2, F_RN^4"),
    _row(
        "grafs_resnet_5",
        "0.4591*leaky_relu(0.5267*leaky_relu(x) + 0.4733*gelu(x)) + 0.5409*gelu(x)",
        "GRAFS equation 2, F_RN^5",
    ),
    _row("grafs_vit_1", "0.6601*gelu(silu(x)*gelu(x)) + 0.3399*x**2", "GRAFS equation 3, F_ViT^1"),
    _row("grafs_vit_2", "0.7322*silu(0.2822*x**2 + 0.7178*gelu(x)) + 0.2678*x**2", "GRAFS equation 3, F_ViT^2"),
    _row("grafs_vit_3", "0.7319*gelu(silu(x)*gelu(x)) + 0.2681*x**2", "GRAFS equation 3, F_ViT^3"),
    _row("grafs_vit_4", "0.6778*gelu(silu(x)*gelu(x)) + 0.3222*x**2", "GRAFS equation 3, F_ViT^4"),
    _row(
        "grafs_vit_5",
        "0.3139*x**2 + 0.5431*gelu(x)",
        "GRAFS equation 3, F_ViT^5",
        note="The weights as printed; unlike the other mixtures' they do not add up to one",
    ),
    _row("grafs_gpt_1", "0.4953*leaky_relu(x)*gelu(x) + 0.5047*relu(x)", "GRAFS equation 4, F_GPT^1"),
    _row("grafs_gpt_2", "(0.4689*gelu(x) + 0.5311)*relu(x)", "GRAFS equation 4, F_GPT^2"),
    _row("grafs_gpt_3", "(0.4662*sinh(x) + 0.5338)*gelu(x)", "GRAFS equation 4, F_GPT^3"),
    _row("grafs_gpt_4", "0.4781*relu(x)**2 + 0.5219*relu(x)", "GRAFS equation 4, F_GPT^4"),
    _row("grafs_gpt_5", "0.4828*relu(x)**2 + 0.5172*relu(x)", "GRAFS equation 4, F_GPT^5"),
)

_GATED = (
    _row(
        "glu",
        "sigmoid(x) * y",
        "Dauphin et al. 2016, arXiv 1612.08083; Shazeer 2020, arXiv 2002.05202, §2",
        note="x is the gate, as in the others; torch.nn.GLU takes the gate from the second half",
    ),
    _row("reglu", "relu(x) * y", "Shazeer 2020, arXiv 2002.05202, §2"),
    _row("geglu", "gelu(x) * y", "Shazeer 2020, arXiv 2002.05202, §2"),
    _row("geglu_tanh", "gelu_tanh(x) * y", "Shazeer 2020, arXiv 2002.05202, §2, with GELU's tanh form"),
    _row("swiglu", "silu(x) * y", "Shazeer 2020, arXiv 2002.05202, §2"),
    _row(
        "swiglu_clamped",
        "g = min(x, 7); g * sigmoid(1.702*g) * (clamp(y, -7, 7) + 1)",
        "OpenAI 2025, gpt-oss model card, arXiv 2508.10925",
    ),
    _row(
        "bilinear",
        "x * y",
        "Shazeer 2020, arXiv 2002.05202, §2; Chen et al. 2022, arXiv 2204.04676",
        aliases=("simple_gate",),
    ),
    _row(
        "gated_tanh",
        "tanh(x) * sigmoid(y)",
        "van den Oord et al. 2016, arXiv 1606.05328",
        aliases=("gtu",),
    ),
    _row(
        "maxout",
        "max(x, y)",
        "Goodfellow et al. 2013, arXiv 1302.4389, with two pieces; Wu et al. 2015, arXiv 1511.02683",
        aliases=("max_feature_map",),
    ),
)

_WELL_KNOWN = (
    _row("squared_relu", "relu(x)**2", "So et al. 2021 (Primer), arXiv 2109.08668", aliases=("relu2", "relu_squared")),
    _row(
        "star_relu",
        "scale*relu(x)**2 + bias",
        "Yu et al. 2022, arXiv 2210.13452",
        per="layer",
        initial={"scale": 0.8944, "bias": -0.4472},
    ),
    _row("quick_gelu", "x * sigmoid(1.702*x)", "Hendrycks and Gimpel 2016, arXiv 1606.08415; CLIP"),
    _row("clipped_gelu", "clamp(gelu(x), -10, 10)", "Wu et al. 2020, arXiv 2004.09602", aliases=("gelu_10",)),
    _row("hard_elish", "hard_elish(x)", "Basirat and Roth 2018, arXiv 1808.00783"),
    _row("e_swish", "1.375 * x * sigmoid(x)", "Alcaide 2018, arXiv 1801.07145, with β = 1.375"),
    _row("flatten_t_swish", "relu(x)*sigmoid(x) - 0.2", "Chieng et al. 2018, arXiv 1812.06247, with T = -0.2"),
    _row("tanhexp", "x * tanh(exp(x))", "Liu and Di 2020, arXiv 2003.09855", aliases=("telu",)),
    _row("serf", "x * erf(softplus(x))", "Nag and Bhattacharyya 2021, arXiv 2108.09598"),
    _row("logish", "x * log1p(sigmoid(x))", "Zhu et al. 2021, Logish"),
    _row("smish", "x * tanh(log1p(sigmoid(x)))", "Wang et al. 2022, Smish"),
    _row("phish", "x * tanh(gelu(x))", "Naveen 2022, Phish"),
    _row("lisht", "x * tanh(x)", "Roy et al. 2019, arXiv 1901.05894"),
    _row("growing_cosine", "x * cos(x)", "Noel et al. 2021, arXiv 2108.12943", aliases=("gcu",)),
    _row(
        "snake",
        "x + sin(alpha*x)**2/alpha",
        "Liu et al. 2020, arXiv 2006.08195",
        per="channel",
        initial={"alpha": 1.0},
    ),
    _row("siren", "sin(30*x)", "Sitzmann et al. 2020, arXiv 2006.09661, with frequency 30"),
    _row("sine", "sin(x)", "well known"),
    _row("gaussian", "exp(-x**2)", "well known"),
    _row("exponential", "exp(x)", "well known"),
    _row("square", "x**2", "well known"),
    _row("absolute_value", "abs(x)", "well known"),
    _row("step", "where(x > 0, 1, 0)", "well known", aliases=("heaviside",)),
    _row("sign", "sign(x)", "well known"),
    _row("atan", "atan(x)", "dissertation §3.1.1", aliases=("arctan",)),
    _row("asinh", "asinh(x)", "dissertation table 4.1", aliases=("arcsinh",)),
    _row("symlog", "sign(x) * log1p(abs(x))", "Hafner et al. 2023, arXiv 2301.04104"),
    _row("bent_identity", "x + (sqrt(x**2 + 1) - 1)/2", "well known"),
    _row("squareplus", "(x + sqrt(x**2 + 4))/2", "Barron 2021, arXiv 2112.11687, with b = 4"),
    _row("shifted_softplus", "softplus(x) - log(2)", "Schütt et al. 2017 (SchNet), arXiv 1706.08566"),
    _row("nlrelu", "log1p(relu(x))", "Liu et al. 2019, arXiv 1908.03682, with β = 1"),
    _row("isru", "x / sqrt(1 + x**2)", "Carlile et al. 2017, arXiv 1710.09967, with its parameter 1"),
    _row("isrlu", "where(x < 0, x / sqrt(1 + x**2), x)", "Carlile et al. 2017, arXiv 1710.09967, with its parameter 1"),
    _row("lecun_tanh", "1.7159 * tanh(2/3 * x)", "LeCun et al. 1998, Efficient BackProp"),
    _row("penalized_tanh", "where(x > 0, tanh(x), 0.25*tanh(x))", "Xu et al. 2016, arXiv 1602.05980"),
    _row(
        "laplace",
        "(1 + erf((x - sqrt(1/2)) * sqrt(2*pi)))/2",
        "Ma et al. 2022 (Mega), arXiv 2209.10655, with mean √(1/2) and variance 1/(4π)",
    ),
    _row(
        "xielu",
        "p = softplus(alpha_p); n = 0.5 + softplus(alpha_n); 0.5*x + where(x > 0, p*x**2, n*(expm1(min(x, 0)) - x))",
        "Huang and Schlag 2024, arXiv 2411.13010",
        per="layer",
        initial={"alpha_p": math.log(math.expm1(0.8)), "alpha_n": math.log(math.expm1(0.3))},
        note="Both slopes start at 0.8",
    ),
)

#: (heading, rows), in the order in which the library iterates.
GROUPS: tuple[tuple[str, tuple[KnownActivation, ...]], ...] = (
    ("torch.nn's", _TORCH),
    ("Baselines of the dissertation (§4.7)", _BASELINES),
    ("CAFE (dissertation chapter 3)", _CAFE),
    ("PANGAEA (dissertation chapter 4)", _PANGAEA),
    ("AQuaSurF", _AQUASURF),
    ("GRAFS", _GRAFS),
    ("Gated, of two inputs", _GATED),
    ("Others", _WELL_KNOWN),
)
