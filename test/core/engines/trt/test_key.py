from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import (
    Here,
    Machine,
    Profile,
    Recipe,
    differences,
    key_of,
    machine_here,
    network_hash,
)

ORIN = Machine("10.3.0", "Orin", "8.7", "12.6", "linux-aarch64")
RECIPE = Recipe("a" * 64, "mixed")
HERE = Here(ORIN, {"mixed": "a" * 64, "fp32": "b" * 64})

OTHER_MACHINES = [
    ("tensorrt", "10.7.0", "it was built for TensorRT 10.7.0; here is TensorRT 10.3.0."),
    ("gpu", "RTX 4090", "it was built for the GPU RTX 4090; here is the GPU Orin."),
    ("compute_capability", "8.9", "built for compute capability 8.9; here is compute capability"),
    ("cuda", "13.0", "it was built for CUDA 13.0; here is CUDA 12.6."),
    ("platform", "linux-x86_64", "it was built for linux-x86_64; here is linux-aarch64."),
    ("library", "tensorrt-rtx", "for the library tensorrt-rtx; here is the library tensorrt."),
]
OTHER_RECIPES = [
    ("onnx_sha256", "c" * 64),
    ("precision", "fp32"),
    ("profile", Profile(1, 4, 8)),
    ("options", {"level": 5, "workspace_mib": None}),
    ("options", {"level": 3, "workspace_mib": 512}),
]


def test_an_engine_of_this_machine_and_network_fits():
    assert differences(ORIN, RECIPE, HERE) == []


@pytest.mark.parametrize(("field", "value", "sentence"), OTHER_MACHINES)
def test_each_field_of_another_machine_is_named_with_both_values(field, value, sentence):
    (found,) = differences(replace(ORIN, **{field: value}), RECIPE, HERE)
    assert sentence in found


def test_every_field_of_a_machine_is_asked_for():
    assert {field for field, _, _ in OTHER_MACHINES} == set(asdict(ORIN))


def test_all_differences_are_named_at_once():
    other = Machine("11.4.0", "Thor", "11.0", "13.2", "linux-aarch64")
    assert len(differences(other, replace(RECIPE, onnx_sha256="c" * 64), HERE)) == 5


def test_another_network_and_a_precision_that_is_gone_are_named():
    (found,) = differences(ORIN, replace(RECIPE, onnx_sha256="c" * 64), HERE)
    assert "another network: the ONNX file's sha256 was cccccccccccc..., now it is aaa" in found
    (found,) = differences(ORIN, replace(RECIPE, precision="tf32"), HERE)
    assert found == "the model no longer has a tf32 network."


def test_the_key_changes_with_every_field_of_machine_and_recipe():
    keys = [key_of(ORIN, RECIPE)]
    keys += [key_of(replace(ORIN, **{field: value}), RECIPE) for field, value, _ in OTHER_MACHINES]
    keys += [key_of(ORIN, replace(RECIPE, **{field: value})) for field, value in OTHER_RECIPES]
    assert len(set(keys)) == len(keys)
    assert {field for field, _ in OTHER_RECIPES} == set(asdict(RECIPE))
    assert key_of(ORIN, RECIPE) == key_of(replace(ORIN), Recipe("a" * 64, "mixed"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Profile(1, 8, 4), "1 <= min <= opt <= max, got 1, 8 and 4"),
        (lambda: Profile(0, 1, 4), "got 0, 1 and 4"),
        (lambda: Recipe("a", "fp16"), "expected one of mixed, tf32, fp32, got 'fp16'"),
        (lambda: Recipe("a", "fp32", options={"level": 6, "workspace_mib": None}), "0 to 5, got 6"),
        (lambda: Recipe("a", "fp32", options={"level": 3, "workspace_mib": 0}), "1 MiB or more"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused(make, reason):
    with pytest.raises(EngineError, match=reason):
        make()


def test_the_machine_is_what_torch_and_tensorrt_say(gpu):
    found = machine_here()
    assert (found.tensorrt, found.gpu, found.compute_capability, found.cuda) == (
        "10.3.0",
        "Orin",
        "8.7",
        "12.6",
    )


def test_the_hash_of_a_network_covers_the_weights_beside_it(network):
    alone = network_hash(network)
    weights = network.with_name("model.onnx.data")
    weights.write_bytes(b"weights")
    with_weights = network_hash(network)
    weights.write_bytes(b"Weights")
    assert len({alone, with_weights, network_hash(network)}) == 3


def test_a_network_that_the_store_hashed_is_not_read_again_until_it_changes(network):
    from vitpose_ros.models.files import Record, write_record

    found = network.stat()
    record = Record("d" * 64, found.st_size, found.st_mtime_ns)
    write_record(network.parent, network.name, record)
    assert network_hash(network) == "d" * 64
    network.write_bytes(b"something else")
    assert network_hash(network) != "d" * 64
