from __future__ import annotations

import numpy as np
import openvino
import pytest

from vitpose_ros.engines.bf16 import lower_products, round_to_bf16

try:
    from openvino import opset13 as ops
except ImportError:  # before 2025
    from openvino.runtime import opset13 as ops

SIZE = 64


def network(*factors, branches=1):
    """Products with the factors in turn; the first is there more than once, and summed."""
    x = ops.parameter([-1, SIZE], openvino.Type.f32)
    value = x
    for index, factor in enumerate(factors):
        count = branches if index == 0 else 1
        products = [ops.matmul(value, ops.constant(factor), False, False) for _ in range(count)]
        value = products[0]
        for product in products[1:]:
            value = ops.add(value, product)
    return openvino.Model([ops.result(value)], [x], "net")


def run(model, x):
    core = openvino.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU does not compute in bf16")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(x)[0])


def types_of(model):
    return [(node.get_type_name(), node.get_output_element_type(0).get_type_name())
            for node in model.get_ordered_ops()]  # fmt: skip


@pytest.fixture
def random():
    return lambda *shape, seed=0: (
        np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    )


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # a tie, to the even one below
        (1 + 3 * 2**-8, 1 + 2**-6),  # a tie, to the even one above
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-1 - 2**-8 - 2**-20, -1 - 2**-7),
        (1.999, 2.0),  # the exponent changes
        (0.0, 0.0),
    ],
)
def test_rounding_is_to_the_nearest_with_ties_to_even(value, nearest):
    assert round_to_bf16(np.array([value], np.float32))[0] == nearest


def test_rounding_keeps_8_bits(random):
    values = random(1000)
    assert 2**-9 < np.abs(round_to_bf16(values) / values - 1).max() <= 2**-8


def test_the_factors_are_rounded_to_the_nearest_by_openvino_too(random):
    x, one = random(50, SIZE), np.eye(SIZE, dtype=np.float32)
    model = network(one, one)
    assert lower_products(model) == 1
    assert np.array_equal(run(model, x), round_to_bf16(x))


def test_a_product_is_computed_in_bf16_and_summed_in_float32(random):
    x, first, last = random(50, SIZE), random(SIZE, SIZE, seed=1), random(SIZE, SIZE, seed=2)
    model = network(first, last)
    lower_products(model)
    found = run(model, x)
    product = round_to_bf16(x).astype(np.float64) @ round_to_bf16(first).astype(np.float64)
    expected = round_to_bf16(product.astype(np.float32)) @ last
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-3 * scale
    assert np.abs(found - x @ first @ last).max() > 1e-3 * scale  # float32's are others


def test_the_last_product_and_everything_between_stay_in_float32(random):
    model = network(random(SIZE, SIZE), random(SIZE, SIZE), random(SIZE, SIZE), branches=2)
    assert lower_products(model) == 3
    types = types_of(model)
    assert [kind for name, kind in types if name == "MatMul"] == ["bf16"] * 3 + ["f32"]
    assert {kind for name, kind in types if name in ("Add", "Result", "Parameter")} == {"f32"}


def test_products_of_the_same_input_share_its_rounding(random):
    one, three = (network(random(SIZE, SIZE), random(SIZE, SIZE), branches=n) for n in (1, 3))
    lower_products(one)
    lower_products(three)
    assert types_of(three).count(("Subtract", "f32")) == types_of(one).count(("Subtract", "f32"))


def test_products_of_two_computed_values_stay_in_float32(random):
    x = ops.parameter([-1, SIZE], openvino.Type.f32)
    attention = ops.matmul(x, x, False, True)
    out = ops.matmul(attention, ops.matmul(x, ops.constant(random(SIZE, SIZE)), False, False),
                     False, False)  # fmt: skip
    tail = ops.matmul(out, ops.constant(random(SIZE, SIZE)), False, False)
    assert lower_products(openvino.Model([ops.result(tail)], [x], "net")) == 1


def test_a_network_without_inner_products_is_left_alone(random):
    model = network(random(SIZE, SIZE))
    before = types_of(model)
    assert lower_products(model) == 0
    assert types_of(model) == before
