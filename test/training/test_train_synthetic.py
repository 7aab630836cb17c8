"""A run of the training, small, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

WHY = "training needs it: see training/README.md"
torch = pytest.importorskip("torch", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)

import train_synthetic  # noqa: E402
from tiny_vitpose import LAYOUT, SIDE_PX, TrainingForward, make_model  # noqa: E402

SHARD = 8
PLAN = train_synthetic.Plan(
    seed=4,
    steps=4,
    batch=4,
    warm_up=2,
    decay=2,
    calibrate=2,
    width=24,
    layers=2,
    heads=2,
    free_shards=1,
    scene_shards=1,
    bf16=False,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def few_backgrounds(monkeypatch):
    monkeypatch.setattr(train_synthetic, "BACKGROUNDS", 4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_synthetic, "BACKGROUNDS", 4)
        train_synthetic.train(PLAN, out, cache, workers=0, every=2, shard=SHARD)
    return out


def test_steps_on_a_few_hands_lower_the_loss(finished, cache, tmp_path):
    plan = replace(PLAN, steps=1000, batch=8, rate=3e-3)
    samples = train_synthetic.samples_of(
        cache / "train", train_synthetic.Recipe(plan.seed, 1, 1, SHARD), workers=1
    )
    batch = train_synthetic.Crops(plan, samples)[0]
    run = train_synthetic.Run(plan, tmp_path)
    losses = [run.train_step(*batch) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.8 * losses[2]


def test_the_forward_pass_of_the_training_is_the_networks_own():
    torch.manual_seed(0)
    model = make_model(64, width=24, layers=1, heads=2)
    torch.nn.init.normal_(model.head.conv.bias)
    pixels = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            TrainingForward(model)(pixels), model(pixels).heatmaps, rtol=1e-5, atol=1e-5
        )


def test_transformers_reads_the_checkpoint_whole(finished):
    model, report = transformers.VitPoseForPoseEstimation.from_pretrained(
        finished, output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys"))
    with torch.no_grad():
        heatmaps = model.eval()(torch.zeros(2, 3, SIDE_PX, SIDE_PX)).heatmaps
    assert tuple(heatmaps.shape) == (2, len(LAYOUT), SIDE_PX // 4, SIDE_PX // 4)
    assert model.config.id2label[9] == LAYOUT.joints[9]


def test_the_checkpoint_says_how_pixels_are_prepared(finished):
    processor = json.loads((finished / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": SIDE_PX, "width": SIDE_PX}
    assert processor["image_processor_type"] == "VitPoseImageProcessor"


def test_the_log_says_what_made_the_checkpoint(finished):
    log = json.loads((finished / train_synthetic.LOG).read_text())
    assert log["plan"]["seed"] == PLAN.seed and log["plan"]["steps"] == PLAN.steps
    assert [entry["step"] for entry in log["history"]] == [2, 4, 6]
    assert log["history"][-1]["visible_median_percent"] > 0
    assert log["versions"]["torch"] == torch.__version__


def test_an_interrupted_run_ends_as_one_that_was_not(finished, cache, tmp_path, monkeypatch):
    step = train_synthetic.Run.train_step

    def interrupted(run, *tensors):
        if run.step == 3:
            raise KeyboardInterrupt
        return step(run, *tensors)

    with monkeypatch.context() as patch:
        patch.setattr(train_synthetic.Run, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_synthetic.train(PLAN, tmp_path, cache, workers=0, every=2, shard=SHARD)
    train_synthetic.train(PLAN, tmp_path, cache, workers=0, every=2, shard=SHARD)
    whole, pieces = (
        transformers.VitPoseForPoseEstimation.from_pretrained(folder).state_dict()
        for folder in (finished, tmp_path)
    )
    for name, weight in whole.items():
        torch.testing.assert_close(pieces[name], weight, rtol=1e-4, atol=1e-6)


def test_a_folder_of_another_run_is_refused(finished):
    with pytest.raises(ValueError, match="a run with other batch"):
        train_synthetic.Run(replace(PLAN, batch=5), finished)


def test_a_run_is_not_lengthened_after_its_rate_began_to_fall(finished):
    with pytest.raises(ValueError, match="begin to differ"):
        train_synthetic.Run(replace(PLAN, steps=8), finished)


def test_the_rate_rises_stays_and_falls():
    plan = replace(
        PLAN, steps=100, warm_up=10, decay=20, rate=1.0, calibrate=10, calibrate_rate=0.2
    )
    rates = [plan.rate_at(step) for step in (0, 9, 50, 80, 90, 99, 100, 109)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.5, 0.05, 0.2, 0.02])
