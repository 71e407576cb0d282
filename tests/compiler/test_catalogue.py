"""The library: every table of the papers is there, and every formula computes what the paper prints."""

from __future__ import annotations

import copy
import keyword
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import erf, erfc, expit, i0e, ndtr

from actc.catalogue import KnownActivation, Result, UnknownActivationError, library, markdown
from actc.catalogue_formulas import GROUPS
from actc.catalogue_results import TABLES, Table
from actc.errors import ActcError
from actc.parsing import parse

ROWS = [pytest.param(row, id=row.name) for row in library.values()]
RESULTS = [result for row in library.values() for result in row.results]
GRID = np.concatenate([np.linspace(-5, 5, 401), [0.0, 1.0, -1.0, 1e-3, -1e-3]])

Array = np.ndarray


def evaluate(row: KnownActivation, x: Array, **parameters: float) -> Array:
    """The row on ``x``, each parameter at its initial value unless given; a gated row gets y = x/2 + 1."""
    inputs = {"x": x, "y": x / 2 + 1}
    values: dict[str, Array | float] = {name: inputs[name] for name in row.expr.variables}
    return np.asarray(row.expr.evaluate(**values, **{**row.initial, **parameters}))


# --- the rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_row_parses_prints_and_computes(row: KnownActivation) -> None:
    assert parse(row.text) is row.expr
    assert parse(str(row.expr)) is row.expr
    assert "x" in row.expr.variables
    assert str(row) == row.text
    assert np.isfinite(evaluate(row, GRID)).all()


@pytest.mark.parametrize("row", ROWS)
def test_initial_values_cover_exactly_the_parameters(row: KnownActivation) -> None:
    assert sorted(row.initial) == list(row.expr.parameters)
    assert (row.per in {"layer", "channel", "neuron"}) if row.initial else (row.per is None)


def test_names_and_aliases_are_unique_identifiers_in_lower_case() -> None:
    names = [name for _, members in GROUPS for row in members for name in (row.name, *row.aliases)]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for name in names:
        assert name.isidentifier() and name == name.lower() and not keyword.iskeyword(name)


def test_no_two_rows_hold_the_same_expression() -> None:
    assert [exprs for exprs in Counter(row.expr for row in library.values()).items() if exprs[1] > 1] == []


@pytest.mark.parametrize("row", ROWS)
def test_source_is_named(row: KnownActivation) -> None:
    assert row.source and not row.source.endswith(".") and not row.note.endswith(".")
    assert "|" not in row.source + row.note + row.text


# --- the mapping ----------------------------------------------------------------------------------------------------


def test_the_mapping() -> None:
    assert library["erfc_softplus_squared"].text == "erfc(softplus(x))**2"
    assert library["swish"] is library["silu"]
    assert "swish" in library and "silu" in library and "nothing" not in library and 3 not in library
    assert "swish" not in list(library)
    assert len(library) == len(list(library)) == len(dict(library)) > 150
    assert library.get("nothing") is None
    assert library["silu"].expr is library["silu"].expr


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    for wanted, near in (("swisch", "swish"), ("Leaky ReLU", "leaky_relu"), ("erfc-softplus-squared", "erfc_softplus")):
        with pytest.raises(UnknownActivationError, match=near) as caught:
            library[wanted]
        assert isinstance(caught.value, KeyError) and isinstance(caught.value, ActcError)
        assert "\n" not in str(caught.value) and not str(caught.value).startswith('"')
    with pytest.raises(KeyError, match="list") as caught_long:
        library["q" * 1_000_000]
    assert len(str(caught_long.value)) < 200


def test_rows_are_frozen_and_survive_pickling_and_copying() -> None:
    row = library["pau"]
    with pytest.raises(AttributeError):
        row.text = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        row.initial["a0"] = 1.0  # type: ignore[index]
    for twin in (pickle.loads(pickle.dumps(row)), copy.deepcopy(row)):
        assert twin == row and hash(twin) == hash(row) and dict(twin.initial) == dict(row.initial)
        assert twin.expr is row.expr


# --- the figures ----------------------------------------------------------------------------------------------------


def test_every_table_of_the_papers_is_represented() -> None:
    printed = Counter(number for table in TABLES for _ in table.results() for number in table.numbers)
    assert printed == {
        "dissertation table 3.1": 28,
        "dissertation table 3.2": 4,
        "dissertation table 3.3": 4,
        "dissertation table 4.2": 90,
        "dissertation table 4.3": 11,
        "dissertation table 4.4": 10,
        "dissertation table 4.5": 42,
        "dissertation table 4.6": 12,
        "dissertation table 4.7": 4,
        "dissertation table 4.8": 19,
        "dissertation table 4.9": 9,
        "dissertation table 4.10": 2,
        "AQuaSurF table 1": 33,
        "dissertation table 6.1": 33,
        "AQuaSurF table 2": 10,
        "dissertation table 6.2": 10,
        "AQuaSurF table 3": 16,
        "GRAFS table 1": 60,
        "GRAFS table 4": 60,
        "GRAFS table 5": 20,
        "GRAFS table 6": 18,
    }


def test_no_figure_is_lost_when_tables_repeat_one() -> None:
    kept = Counter(number for result in RESULTS for number in result.tables)
    assert kept == Counter(number for table in TABLES for _ in table.results() for number in table.numbers)
    original = library["alpha_x_minus_beta_log_sigmoid_gamma"].results[1]
    assert (original.printed, original.runs) == ("71.01±0.64", 10)
    assert original.tables == tuple(f"dissertation table 4.{k}" for k in (2, 4, 5, 8))


def test_equations_of_grafs_are_complete() -> None:
    for equation, family in ((2, "RN"), (3, "ViT"), (4, "GPT")):
        found = [row.source for row in library.values() if row.source.startswith(f"GRAFS equation {equation}")]
        assert found == [f"GRAFS equation {equation}, F_{family}^{k}" for k in range(1, 6)]


def test_figures_are_plausible() -> None:
    datasets = {"CIFAR-10", "CIFAR-100", "SVHN Core", "Imagenette", "ImageNet", "TinyStories"}
    assert {result.dataset for result in RESULTS} == datasets
    for result in RESULTS:
        low, high = {"%": (1, 98), "fraction": (0.01, 0.98), "loss": (1.3, 2)}[result.unit]
        assert low <= result.value <= high, result
        assert (result.spread is not None) == ("±" in result.statistic), result
        assert result.spread is None or 0 <= result.spread <= 35, result
        assert result.runs is None or 1 <= result.runs <= 50, result
        assert ("loss" in result.metric) == (result.unit == "loss")


def test_parametric_results_say_their_granularity() -> None:
    for row in library.values():
        for result in row.results:
            assert (result.per is not None) == bool(row.initial)
    prelu = {(result.per, result.architecture): result for result in library["prelu"].results}
    assert prelu["layer", "ResNet-v1-56"].printed == "71.40±0.59"
    assert prelu["neuron", "ResNet-v1-56"].tables == ("dissertation table 4.2", "dissertation table 4.9")


def best(dataset: str, architecture: str) -> tuple[str, Result]:
    found = [
        (name, result)
        for name, row in library.items()
        for result in row.results
        if (result.dataset, result.architecture) == (dataset, architecture)
    ]
    return max(found, key=lambda pair: pair[1].value)


@pytest.mark.parametrize(
    ("dataset", "architecture", "name", "printed"),
    [
        ("CIFAR-100", "WRN-28-10", "atan_times_min_zero", "74.5"),
        ("CIFAR-100", "WRN-40-4", "sigmoid_times_erf", "72.6"),
        ("CIFAR-100", "WRN-10-4", "log_sigmoid_alpha_times_beta_asinh", "73.20±0.37"),
        ("CIFAR-100", "ResNet-v2-56", "softplus_elu", "75.61±0.42"),
        ("CIFAR-10", "All-CNN-C", "alpha_relu_beta_abs_relu_gamma", "92.77±0.13"),
        ("CIFAR-100", "All-CNN-C", "hard_sigmoid_hard_sigmoid_times_elu", "0.6990"),
        ("CIFAR-100", "ResNet-56", "swish_neg_two_x", "0.7469"),
        ("ImageNet", "MobileViTv2-0.5", "neg_x_times_sigmoid_times_hard_sigmoid", "0.6396"),
        ("Imagenette", "CoAtNet", "erfc_softplus_squared", "0.8907"),
        ("CIFAR-10", "ResNet20", "grafs_resnet_4", "92.148±0.1"),
        ("CIFAR-10", "ViT-tiny", "grafs_vit_5", "92.228±0.195"),
    ],
)
def test_the_papers_winners_win(dataset: str, architecture: str, name: str, printed: str) -> None:
    winner, result = best(dataset, architecture)
    assert (winner, result.printed) == (name, printed)


def test_a_line_with_too_few_figures_is_refused() -> None:
    table = Table(("t",), (("a", "d"), ("b", "d")), "relu 1.0", metric="test accuracy", statistic="median", runs=1)
    with pytest.raises(ValueError):
        list(table.results())


# --- the formulas, against numpy written from the papers' tables ----------------------------------------------------


def softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def log_sigmoid(x: Array) -> Array:
    return -np.logaddexp(0, -x)


def swish(x: Array) -> Array:
    return x * expit(x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def leaky(x: Array) -> Array:
    return np.where(x >= 0, x, 0.01 * x)


def elu(x: Array) -> Array:
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


def selu(x: Array) -> Array:
    # Dissertation §4.7 prints nine digits of the constants.
    return 1.05070098 * np.where(x >= 0, x, 1.67326324 * np.expm1(np.minimum(x, 0)))


def hard_sigmoid(x: Array) -> Array:
    return np.clip(0.2 * x + 0.5, 0, 1)


def gelu(x: Array) -> Array:
    return x * ndtr(x)


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softsign(x: Array) -> Array:
    return x / (np.abs(x) + 1)


def elish(x: Array) -> Array:
    return np.where(x >= 0, x, np.expm1(x)) / (1 + np.exp(-x))


def mish(x: Array) -> Array:
    return x * np.tanh(softplus(x))


A, B, C = 1.3, 0.7, 1.6  # away from one, so that a misplaced parameter shows

FORMULAS: dict[str, Callable[[Array], Array]] = {
    # CAFE, tables 3.1 and 3.3
    "atan_times_min_zero": lambda x: np.where(x < 0, x * np.arctan(x), 0),
    "tanh_times_min_zero": lambda x: np.where(x < 0, x * np.tanh(x), 0),
    "erf_times_min_zero": lambda x: np.where(x < 0, x * erf(x), 0),
    "sigmoid_times_erf": lambda x: erf(x) / (1 + np.exp(-x)),
    "cafe_loss_1": lambda x: np.where(x < 0, np.exp(erf(x)) * np.arctan(x**3) * np.abs(x), 0),
    "cafe_loss_2": lambda x: np.where(x < 0, np.arctan(x**3) * np.abs(x), 0),
    "cafe_loss_3": lambda x: np.where(x < 0, np.cos(1) * np.arctan(x**3) * np.arctan(x) * -x, 0),
    "cafe_accuracy_1": lambda x: np.where(x < 0, np.arcsinh(x), 0),
    "cafe_accuracy_2": lambda x: np.minimum(
        np.cos(np.log(1 + np.e)), np.exp(-((np.where(x > 0, x, 0) + np.exp(1 / (1 + np.exp(-x)))) ** 2))
    ),
    "cafe_accuracy_3": lambda x: np.where(
        x < 0, relu(np.log(np.abs(np.minimum(x, 0) + 1e-7)) / (1 + np.exp(-erf(x)))), 0
    ),
    "cafe_random_1": lambda x: np.exp(np.minimum(np.tanh(x), 0)) * (relu(x) + 1e-7),
    "cafe_random_2": lambda x: (
        np.arctan(np.minimum(np.sinh(np.sin(x)), np.arctan(relu(x)))) * -np.tanh(np.sin(x) * np.arcsinh(x))
    ),
    "cafe_random_3": lambda x: -np.where(x > 0, np.minimum(x, x**2), 0),
    # PANGAEA, table 4.2
    "log_sigmoid_alpha_times_beta_asinh": lambda x: log_sigmoid(A * x) * B * np.arcsinh(x),
    "log_sigmoid_alpha_times_asinh": lambda x: log_sigmoid(A * x) * np.arcsinh(x),
    "neg_swish_swish_alpha": lambda x: -swish(swish(A * x)),
    "alpha_x_minus_beta_log_sigmoid_gamma": lambda x: A * x - B * log_sigmoid(C * x),
    "alpha_x_minus_log_sigmoid_beta": lambda x: A * x - log_sigmoid(B * x),
    "max_swish_zero": lambda x: np.where(x > 0, swish(x), 0),
    "softplus_elu": lambda x: softplus(elu(x)),
    "min_log_sigmoid_alpha_log_sigmoid_beta": lambda x: np.minimum(log_sigmoid(x), A * log_sigmoid(B * x)),
    "selu_swish": lambda x: selu(swish(x)),
    "max_swish_alpha_log_sigmoid_relu": lambda x: np.maximum(swish(x), A * log_sigmoid(relu(x))),
    "min_swish_alpha_elu_relu_beta": lambda x: np.minimum(swish(x), A * relu(B * x)),
    "log_sigmoid": log_sigmoid,
    # tables 4.3 and 4.4
    "alpha_swish": lambda x: A * swish(x),
    "softplus_times_atan_alpha": lambda x: softplus(x) * np.arctan(A * x),
    "relu_alpha_asinh_beta_sigmoid_times_selu_gamma": lambda x: A * np.arcsinh(B * expit(x)) * selu(C * x),
    "cosh_one_times_swish": lambda x: (np.e + 1 / np.e) / 2 * swish(x),
    "expm1_one_times_swish": lambda x: (np.e - 1) * swish(x),
    "relu_swish": lambda x: np.where(x > 0, swish(x), 0),
    "log_sigmoid_times_asinh": lambda x: log_sigmoid(x) * np.arcsinh(x),
    "neg_swish_swish": lambda x: -swish(swish(x)),
    "x_minus_log_sigmoid": lambda x: x - log_sigmoid(x),
    # table 4.5
    "alpha_relu_beta": lambda x: A * relu(B * x),
    "alpha_elish_beta": lambda x: A * elish(B * x),
    "alpha_elu_beta": lambda x: A * elu(B * x),
    "alpha_gelu_beta": lambda x: A * gelu_tanh(B * x),
    "alpha_hard_sigmoid_beta": lambda x: A * hard_sigmoid(B * x),
    "alpha_leaky_relu_beta": lambda x: A * leaky(B * x),
    "alpha_mish_beta": lambda x: A * mish(B * x),
    "alpha_selu_beta": lambda x: A * selu(B * x),
    "alpha_sigmoid_beta": lambda x: A * expit(B * x),
    "alpha_softplus_beta": lambda x: A * softplus(B * x),
    "alpha_softsign_beta": lambda x: A * softsign(B * x),
    "alpha_swish_beta": lambda x: A * swish(B * x),
    "alpha_tanh_beta": lambda x: A * np.tanh(B * x),
    # tables 4.7 and 4.8, figure 4.6
    "alpha_relu_beta_abs_relu_gamma": lambda x: np.where(x > 0, A * B * C * x, 0),
    "alpha_swish_times_cosh_beta": lambda x: A * swish(x) * np.cosh(B),
    "selu_alpha_tanh_beta": lambda x: selu(A * np.tanh(B * x)),
    "abs_alpha": lambda x: A * np.abs(x),
    "max_swish_alpha_log_sigmoid_beta": lambda x: np.maximum(swish(A * x), log_sigmoid(B * x)),
    "max_swish_x": lambda x: np.where(x > 0, x, swish(x)),
    "max_x_alpha_log_sigmoid_selu": lambda x: np.maximum(x, A * log_sigmoid(selu(x))),
    "max_alpha_max_and_max_relu_asinh": lambda x: np.maximum(
        A * np.maximum(B * relu(np.arcsinh(x)), x), np.maximum(C * relu(np.arcsinh(x)), x)
    ),
    "max_min_alpha_x_elu_zero": lambda x: np.where(x > 0, min(A, 1) * x, 0),
    "alpha_max_beta_relu_swish_over_gamma_x": lambda x: A * np.maximum(B * relu(swish(x) / C), x),
    "max_relu_swish_alpha_beta_x": lambda x: np.maximum(relu(swish(A * x)), B * x),
    "max_swish_alpha_x": lambda x: np.maximum(swish(A * x), x),
    "max_swish_asinh_alpha_beta": lambda x: np.maximum(swish(x), np.arcsinh(A * B * x)),
    "max_swish_asinh_alpha": lambda x: np.maximum(swish(x), np.arcsinh(A * x)),
    "alpha_max_beta_swish_gamma_swish": lambda x: A * np.maximum(B * swish(C * x), swish(x)),
    "alpha_x_minus_beta_swish_gamma": lambda x: A * x - B * swish(C * x),
    "elu_elu_alpha_plus_log_sigmoid_zero": lambda x: elu(elu(A * x) - np.log(2)),
    "max_alpha_swish_beta_softplus": lambda x: np.maximum(A * swish(B * x), softplus(x)),
    "alpha_square": lambda x: A * x * x,
    "bessel_i0e_abs_plus_alpha_abs": lambda x: i0e(x) + A * np.abs(x),
    # dissertation §4.7
    "elish": elish,
    "elu": elu,
    "gelu_tanh": gelu_tanh,
    "hard_sigmoid": hard_sigmoid,
    "leaky_relu": leaky,
    "mish": mish,
    "selu": selu,
    "sigmoid": expit,
    "softplus": softplus,
    "softsign": softsign,
    "silu": swish,
    "prelu": lambda x: np.where(x >= 0, x, A * x),
    "pswish": lambda x: x * expit(B * x),
    # AQuaSurF, tables 1 to 3
    "hard_sigmoid_hard_sigmoid_times_elu": lambda x: hard_sigmoid(hard_sigmoid(x)) * elu(x),
    "sigmoid_softsign_times_elu": lambda x: expit(softsign(x)) * elu(x),
    "swish_over_selu_one": lambda x: swish(x) / 1.05070098,
    "swish_neg_two_x": lambda x: -2 * x / (1 + np.exp(2 * x)),
    "selu_sinh_expm1_atan": lambda x: selu(np.sinh(np.exp(np.arctan(x)) - 1)),
    "x_times_erfc_elu": lambda x: x * erfc(elu(x)),
    "neg_x_times_sigmoid_times_hard_sigmoid": lambda x: -swish(x) * hard_sigmoid(x),
    "elu_swish_neg": lambda x: elu(-x / (1 + np.exp(x))),
    "swish_times_erfc_bessel_i0e": lambda x: swish(x) * erfc(i0e(x)),
    "erfc_softplus_squared": lambda x: erfc(np.log(1 + np.exp(x))) ** 2,
    "min_softplus_squared_neg_x": lambda x: np.minimum(np.log(1 + np.exp(x)) ** 2, -x),
    "asinh_elu_swish": lambda x: np.arcsinh(elu(swish(x))),
    # GRAFS, equations 2 to 4
    "grafs_resnet_1": lambda x: 0.4739 * np.where(x > 0, x, 1e-4 * x) + 0.5261 * gelu(x),
    "grafs_resnet_2": lambda x: 0.5163 * leaky(0.4945 * relu(x) + 0.5055 * gelu(x)) + 0.4837 * gelu(x),
    "grafs_resnet_3": lambda x: 0.4865 * gelu(0.4873 * relu(x) + 0.5127 * gelu(x)) + 0.5135 * gelu(x),
    "grafs_resnet_4": lambda x: 0.4756 * relu(x) + 0.5244 * gelu(x),
    "grafs_resnet_5": lambda x: 0.4591 * leaky(0.5267 * leaky(x) + 0.4733 * gelu(x)) + 0.5409 * gelu(x),
    "grafs_vit_1": lambda x: 0.6601 * gelu(swish(x) * gelu(x)) + 0.3399 * x**2,
    "grafs_vit_2": lambda x: 0.7322 * swish(0.2822 * x**2 + 0.7178 * gelu(x)) + 0.2678 * x**2,
    "grafs_vit_3": lambda x: 0.7319 * gelu(swish(x) * gelu(x)) + 0.2681 * x**2,
    "grafs_vit_4": lambda x: 0.6778 * gelu(swish(x) * gelu(x)) + 0.3222 * x**2,
    "grafs_vit_5": lambda x: 0.3139 * x**2 + 0.5431 * gelu(x),
    "grafs_gpt_1": lambda x: 0.4953 * leaky(x) * gelu(x) + 0.5047 * relu(x),
    "grafs_gpt_2": lambda x: np.where(x > 0, (0.4689 * gelu(x) + 0.5311) * x, 0),
    "grafs_gpt_3": lambda x: (0.4662 * np.sinh(x) + 0.5338) * gelu(x),
    "grafs_gpt_4": lambda x: np.where(x > 0, 0.4781 * x**2 + 0.5219 * x, 0),
    "grafs_gpt_5": lambda x: np.where(x > 0, 0.4828 * x**2 + 0.5172 * x, 0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_is_the_papers(name: str) -> None:
    greek = {"alpha": A, "beta": B, "gamma": C}
    row = library[name]
    found = evaluate(row, GRID, **{parameter: greek[parameter] for parameter in row.initial})
    np.testing.assert_allclose(found, FORMULAS[name](GRID), rtol=1e-8, atol=1e-12)


def test_every_discovered_function_is_checked_against_its_formula() -> None:
    papers = ("CAFE", "PANGAEA", "AQuaSurF", "GRAFS")
    discovered = {row.name for heading, rows in GROUPS for row in rows if heading.startswith(papers)}
    assert len(discovered) == 13 + 53 + 12 + 15
    assert discovered - set(FORMULAS) == set()


# --- the learnable baselines ----------------------------------------------------------------------------------------


def test_pau_is_the_printed_rational_and_starts_near_leaky_relu() -> None:
    pau = library["pau"]
    assert len(pau.initial) == 6 + 4
    x = np.linspace(-3, 3, 601)
    assert np.abs(evaluate(pau, x) - leaky(x)).max() < 0.07
    a = [pau.initial[f"a{k}"] for k in range(6)]
    b = [0.0] + [pau.initial[f"b{k}"] for k in range(1, 5)]
    expected = np.polynomial.polynomial.polyval(x, a) / (1 + np.abs(np.polynomial.polynomial.polyval(x, b)))
    np.testing.assert_allclose(evaluate(pau, x), expected, rtol=1e-12)


def test_splash_starts_as_relu_and_has_its_fixed_hinges() -> None:
    splash = library["splash"]
    assert len(splash.initial) == 2 * 4
    np.testing.assert_array_equal(evaluate(splash, GRID), relu(GRID))
    hinges = (0, 1, 2, 2.5)
    plus, minus = (0.5, -1.0, 2.0, 3.0), (0.25, 1.5, -2.0, 0.75)
    values = {f"a_plus_{s + 1}": a for s, a in enumerate(plus)} | {f"a_minus_{s + 1}": a for s, a in enumerate(minus)}
    expected = sum(
        (p * relu(GRID - h) + m * relu(-GRID - h) for p, m, h in zip(plus, minus, hinges, strict=True)), np.zeros(1)
    )
    np.testing.assert_allclose(evaluate(splash, GRID, **values), expected, rtol=1e-12, atol=1e-12)


def test_apl_starts_as_relu_and_has_seven_hinges() -> None:
    apl = library["apl"]
    assert len(apl.initial) == 2 * 7
    np.testing.assert_array_equal(evaluate(apl, GRID), relu(GRID))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(size=7)
    values = {f"a{s + 1}": a[s] for s in range(7)} | {f"b{s + 1}": b[s] for s in range(7)}
    expected = relu(GRID) + (a[:, None] * relu(b[:, None] - GRID)).sum(axis=0)
    np.testing.assert_allclose(evaluate(apl, GRID, **values), expected, rtol=1e-9, atol=1e-12)


def test_initial_values_that_the_papers_give() -> None:
    assert dict(library["prelu"].initial) == {"alpha": 0.25} and library["prelu"].per == "neuron"
    assert library["pswish"].per == "channel" and library["apl"].per == "neuron"
    assert library["pau"].per == library["splash"].per == "layer"
    for heading, rows in GROUPS:
        if heading.startswith("PANGAEA"):
            assert {value for row in rows for value in row.initial.values()} == {1.0}


# --- the well-known ones --------------------------------------------------------------------------------------------


def test_rows_named_after_torch_functions_are_torch_s() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "log_sigmoid": functional.logsigmoid,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "thresholded_relu": lambda x: functional.threshold(x, 1, 0),
        "identity": torch.nn.Identity(),
    }
    x = torch.from_numpy(GRID)
    for name in (row.name for row in GROUPS[0][1]):
        function = functions.get(name) or getattr(functional, name)
        np.testing.assert_allclose(evaluate(library[name], GRID), function(x).numpy(), rtol=1e-9, atol=1e-12)


def test_gated_rows_use_x_as_the_gate() -> None:
    x, y = np.meshgrid(np.linspace(-9, 9, 37), np.linspace(-9, 9, 37))
    clipped = np.minimum(x, 7)
    expected = {
        "glu": expit(x) * y,
        "reglu": relu(x) * y,
        "geglu": gelu(x) * y,
        "geglu_tanh": gelu_tanh(x) * y,
        "swiglu": swish(x) * y,
        "swiglu_clamped": clipped * expit(1.702 * clipped) * (np.clip(y, -7, 7) + 1),
        "bilinear": x * y,
        "gated_tanh": np.tanh(x) * expit(y),
        "maxout": np.where(x > y, x, y),
    }
    for name, value in expected.items():
        assert library[name].expr.variables == ("x", "y")
        np.testing.assert_allclose(library[name].expr.evaluate(x=x, y=y), value, rtol=1e-12, atol=1e-14)


OTHERS: dict[str, Callable[[Array], Array]] = {
    "squared_relu": lambda x: np.where(x > 0, x * x, 0),
    "star_relu": lambda x: 0.8944 * np.where(x > 0, x * x, 0) - 0.4472,
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "e_swish": lambda x: 1.375 * swish(x),
    "flatten_t_swish": lambda x: np.where(x > 0, swish(x), 0) - 0.2,
    "tanhexp": lambda x: x * np.tanh(np.exp(x)),
    "serf": lambda x: x * erf(np.log(1 + np.exp(x))),
    "logish": lambda x: x * np.log(1 + expit(x)),
    "smish": lambda x: x * np.tanh(np.log(1 + expit(x))),
    "phish": lambda x: x * np.tanh(gelu(x)),
    "snake": lambda x: x + (1 - np.cos(2 * x)) / 2,
    "symlog": lambda x: np.where(x < 0, -np.log(1 - np.minimum(x, 0)), np.log(1 + relu(x))),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "isrlu": lambda x: np.where(x < 0, x * (1 + x * x) ** -0.5, x),
    "laplace": lambda x: ndtr((x - np.sqrt(0.5)) / np.sqrt(1 / (4 * np.pi))),
    "xielu": lambda x: np.where(x > 0, 0.8 * x**2 + 0.5 * x, 0.8 * (np.exp(np.minimum(x, 0)) - 1) - 0.3 * x),
    "step": lambda x: (x > 0).astype(float),
    "hard_elish": lambda x: np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1) * np.clip((x + 1) / 2, 0, 1),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_well_known_ones(name: str) -> None:
    np.testing.assert_allclose(evaluate(library[name], GRID), OTHERS[name](GRID), rtol=1e-9, atol=1e-12)


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "library.md"
    command = "python -c \"from actc.catalogue import markdown; print(markdown(), end='')\" > docs/library.md"
    assert page.read_text(encoding="utf-8") == markdown(), f"write it again: {command}"
