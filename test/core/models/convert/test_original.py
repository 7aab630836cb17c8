"""The authors' .pth files: every form of them against the authors' own forward pass."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from vitpose_ros.models.catalogue import EXPERTS
from vitpose_ros.models.convert.original import open_original
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError

pytestmark = pytest.mark.convert

ALL = tuple(EXPERTS)
PLUS = {"experts": ALL}


def network(checkpoint, image):
    """What the checkpoint's model gives, before any export."""
    import torch

    with torch.no_grad():
        return checkpoint.model(pixel_values=torch.from_numpy(image)).heatmaps.numpy()


def read(path, expert=None):
    return open_original(path, expert, 192, 256)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("settings", "expert", "layout"),
    [
        pytest.param({"layers": 12}, None, "coco17", id="S"),
        pytest.param({"simple": True}, None, "coco17", id="S-simple"),
        pytest.param(PLUS, "wholebody", None, id="S-plus-wholebody"),
    ],
)
def test_a_converted_pth_gives_the_authors_heatmaps(
    settings, expert, layout, authors, images, run_network, tmp_path
):
    made = authors(**settings)
    path = made.save(tmp_path / "net.pth")
    manifest = convert_checkpoint(
        path, "net", tmp_path / "net", layout=layout, expert=expert, input_size=(192, 256)
    )
    expected = made.heatmaps(images(), expert)
    np.testing.assert_allclose(
        run_network(tmp_path / "net", images()),
        expected,
        rtol=0,
        atol=1e-4 * np.abs(expected).max(),
    )
    assert manifest.layout == (layout or "coco_wholebody133")


@pytest.mark.parametrize("expert", ALL)
def test_each_expert_of_a_plus_checkpoint_comes_with_its_own_head(
    expert, authors, images, tmp_path
):
    made = authors(**PLUS)
    checkpoint = read(made.save(tmp_path / "plus.pth"), expert)
    expected = made.heatmaps(images(1), expert)
    assert checkpoint.joints == expected.shape[1]
    np.testing.assert_allclose(network(checkpoint, images(1)), expected, rtol=0, atol=1e-4)
    assert f"of 6 experts, '{expert}' was folded in" in checkpoint.notes


@pytest.mark.parametrize("expert", ["coco", "aic", "mpii"])
def test_each_head_of_a_multi_task_checkpoint_can_be_taken(expert, authors, images, tmp_path):
    made = authors(others=("aic", "mpii"))
    made.state["backbone.cls_token"] = made.state["backbone.pos_embed"][:, :1]
    checkpoint = read(made.save(tmp_path / "multi.pth"), expert)
    expected = made.heatmaps(images(1), expert)
    assert checkpoint.joints == expected.shape[1]
    np.testing.assert_allclose(network(checkpoint, images(1)), expected, rtol=0, atol=1e-4)
    assert any("cls_token was ignored" in note for note in checkpoint.notes)


def split(made, torch, expert, leftovers):
    """What the authors' tools/model_split.py makes: the expert folded in, with its head."""
    index, state = ALL.index(expert), dict(made.state)
    for name in [name for name in state if ".mlp.fc2." in name]:
        part = state[name.replace(".fc2.", f".experts.{index}.")]
        state[name] = torch.cat([state[name], part])
    heads = [name for name in state if name.startswith("associate_keypoint_heads.")]
    for name in heads:
        if index and name.startswith(f"associate_keypoint_heads.{index - 1}."):
            state["keypoint_head." + name.split(".", 2)[2]] = state[name]
    gone = heads if index or not leftovers else []
    gone += [] if leftovers else [name for name in state if ".experts." in name]
    return {name: weight for name, weight in state.items() if name not in gone}


@pytest.mark.parametrize("expert", ["coco", "wholebody"])
@pytest.mark.parametrize("leftovers", [True, False], ids=["authors", "easy_ViTPose"])
def test_a_split_checkpoint_gives_the_expert_that_was_folded_in(
    expert, leftovers, authors, images, torch, tmp_path
):
    made = authors(**PLUS)
    torch.save({"state_dict": split(made, torch, expert, leftovers)}, tmp_path / "split.pth")
    checkpoint = read(tmp_path / "split.pth")
    expected = made.heatmaps(images(1), expert)
    np.testing.assert_allclose(network(checkpoint, images(1)), expected, rtol=0, atol=1e-4)
    assert checkpoint.expert == (expert if leftovers else None)


def test_another_expert_than_the_one_folded_in_is_refused(authors, torch, tmp_path):
    state = split(authors(**PLUS), torch, "aic", leftovers=True)
    torch.save({"state_dict": state}, tmp_path / "split.pth")
    with pytest.raises(
        ModelError, match="contains only the expert 'aic', already folded in; got 'm"
    ):
        read(tmp_path / "split.pth", "mpii")


def test_leftover_experts_that_none_was_folded_from_are_refused(authors, torch, tmp_path):
    state = split(authors(**PLUS), torch, "aic", leftovers=True)
    state["backbone.blocks.1.mlp.fc2.weight"] = state["backbone.blocks.1.mlp.fc2.weight"] + 1
    torch.save({"state_dict": state}, tmp_path / "split.pth")
    with pytest.raises(ModelError, match="its data set cannot be determined"):
        read(tmp_path / "split.pth")


def mmpose1(state):
    """The same network in the words of MMPose 1.x, whose position embeddings have no extra slot."""
    words = (
        ("backbone.patch_embed.proj.", "backbone.patch_embed.projection."),
        (".norm1.", ".ln1."),
        (".norm2.", ".ln2."),
        (".mlp.fc1.", ".ffn.layers.0.0."),
        (".mlp.fc2.", ".ffn.layers.1."),
        ("backbone.last_norm.", "backbone.ln1."),
        ("backbone.blocks.", "backbone.layers."),
        ("keypoint_head.", "head."),
    )
    renamed = {}
    for name, weight in state.items():
        for old, new in words:
            name = name.replace(old, new)
        renamed[name] = weight
    position = renamed["backbone.pos_embed"]
    renamed["backbone.pos_embed"] = position[:, 1:] + position[:, :1]
    return renamed


@pytest.mark.parametrize("simple", [False, True], ids=["classic", "simple"])
def test_a_checkpoint_of_mmpose_1_gives_the_same_heatmaps(simple, authors, images, torch, tmp_path):
    made = authors(simple=simple)
    torch.save({"meta": {}, "state_dict": mmpose1(made.state)}, tmp_path / "net.pth")
    np.testing.assert_allclose(
        network(read(tmp_path / "net.pth"), images(1)), made.heatmaps(images(1)), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda state: state, id="bare"),
        pytest.param(lambda state: {f"module.{k}": v for k, v in state.items()}, id="parallel"),
        pytest.param(lambda state: {k: v.half() for k, v in state.items()}, id="half"),
        pytest.param(
            lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
            id="without-counters",
        ),
        pytest.param(
            lambda state: {"meta": {"hook_msgs": {"best_score": np.float64(0.7)},
                                    "dataset_meta": {"sigmas": np.array([0.026, 0.025]),
                                                     "flip_indices": [0, 2, 1],
                                                     "colours": np.zeros((2, 3), np.uint8)}},
                           "state_dict": state, "optimizer": {"state": {}}},
            id="with-numbers-of-numpy",
        ),
    ],
)  # fmt: skip
def test_weights_are_found_however_they_were_packed(pack, authors, images, torch, tmp_path):
    made = authors(layers=1)
    torch.save(pack(made.state), tmp_path / "net.pth")
    given = network(read(tmp_path / "net.pth"), images(1))
    np.testing.assert_allclose(given, made.heatmaps(images(1)), rtol=0, atol=5e-2)
    assert given.dtype == np.float32


class Evil:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_that_needs_to_run_code_is_refused_and_runs_nothing(how, authors, torch, tmp_path):
    content = {"state_dict": authors(layers=1).state, "meta": Evil(tmp_path / "owned")}
    if how == "torch":
        torch.save(content, tmp_path / "net.pth")
    else:
        (tmp_path / "net.pth").write_bytes(pickle.dumps({"meta": Evil(tmp_path / "owned")}))
    with pytest.raises(ModelError, match=r"is a pickle that needs to run code.*is refused"):
        read(tmp_path / "net.pth")
    assert not (tmp_path / "owned").exists()


def test_missing_and_unexpected_keys_are_listed(authors, torch, tmp_path):
    state = dict(authors().state)
    del state["backbone.blocks.1.norm2.bias"], state["keypoint_head.deconv_layers.4.running_var"]
    state["backbone.blocks.1.gamma"] = state["keypoint_head.extra.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ModelError) as caught:
        read(tmp_path / "net.pth")
    missing, unexpected = str(caught.value).split("missing: ")[1].split("; unexpected: ")
    assert missing == ("backbone.encoder.layer.1.layernorm_after.bias, head.batchnorm2.running_var")
    assert unexpected.startswith("backbone.blocks.1.gamma, keypoint_head.extra.bias.")


@pytest.mark.parametrize(
    ("expert", "spoil", "complaint"),
    [
        ("coco", lambda s: s.pop("backbone.pos_embed"), "missing: .*position_embeddings"),
        ("coco", lambda s: s.pop("keypoint_head.final_layer.weight"), "missing: head.conv.weight"),
        ("aic", lambda s: s.pop("backbone.blocks.0.mlp.experts.1.bias"), "missing: .*experts.1"),
        (
            "aic",
            lambda s: s.pop("associate_keypoint_heads.0.final_layer.bias"),
            "missing: head.conv.bias",
        ),
        (
            "coco",
            lambda s: s["backbone.last_norm.bias"].fill_(float("nan")),
            "not finite: backbone.layernorm.bias",
        ),
        (
            "coco",
            lambda s: s.update({"backbone.last_norm.bias": s["backbone.last_norm.bias"][:9]}),
            r"of another shape: backbone.layernorm.bias \(9,\) instead of \(384,\)",
        ),
        (
            "coco",
            lambda s: s.update({"backbone.pos_embed": s["backbone.pos_embed"][:, :101]}),
            "position embeddings are for 100 patches; an input of 192x256 px has 192",
        ),
    ],
)
def test_weights_that_are_not_the_networks_are_refused(expert, spoil, complaint, authors, tmp_path):
    made = authors(experts=("coco", "aic", "mpii"))
    spoil(made.state)
    with pytest.raises(ModelError, match=complaint):
        read(made.save(tmp_path / "net.pth"), expert)


def test_a_width_whose_attention_heads_nobody_said_is_refused(authors, tmp_path):
    path = authors(width=96, attention_heads=3, layers=1).save(tmp_path / "net.pth")
    with pytest.raises(ModelError, match="the width 96 is none of ViTPose's"):
        read(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"state_dict": {"stem.conv.weight": 1}}, "it has no weights with names"),
        ([1, 2, 3], "it has no weights with names"),
        ({}, "is not a ViTPose checkpoint"),
    ],
)
def test_another_architecture_is_refused(content, complaint, torch, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(ModelError, match=complaint):
        read(tmp_path / "net.pth")


def test_weights_of_another_network_are_named(torch, tmp_path):
    torch.save({"stem.conv.weight": torch.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(ModelError, match=r"not a ViTPose checkpoint.*it has stem\.conv\.weight"):
        read(tmp_path / "net.pth")


def test_a_file_that_was_cut_short_is_refused(authors, tmp_path):
    path = authors(layers=1).save(tmp_path / "net.pth")
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="cannot be read as a PyTorch checkpoint"):
        read(path)


def test_an_expert_must_be_named_where_there_are_several(authors, tmp_path):
    path = authors(**PLUS, layers=1).save(tmp_path / "plus.pth")
    with pytest.raises(ModelError, match=r"with 6 experts.*--expert\. Accepted: coco, aic, mpii"):
        read(path)


@pytest.mark.parametrize(
    ("settings", "options", "complaint"),
    [
        ({}, {}, "has 17 joints, but does not say which; .*coco17, ap10k17, apt36k17"),
        ({}, {"layout": "mpii16"}, "has 17 joints, but the layout 'mpii16' has 16"),
        ({"joints": 18}, {"layout": "coco17"}, "has 18 joints, but the layout 'coco17' has 17"),
        (PLUS, {"expert": "ap10k", "layout": "coco17"}, "'ap10k' has the layout ap10k17, not c"),
        ({"joints": 19}, {}, "Layouts with that number: none"),
        ({}, {"layout": "coco18"}, "unknown layout 'coco18'; known are hand21"),
    ],
)
def test_a_layout_that_is_not_the_networks_is_refused(
    settings, options, complaint, authors, tmp_path
):
    path = authors(**{"layers": 1} | settings).save(tmp_path / "net.pth")
    with pytest.raises(ModelError, match=complaint):
        convert_checkpoint(path, "net", tmp_path / "net", **options)
    assert not (tmp_path / "net").exists()
