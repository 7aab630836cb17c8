"""A training run, small, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.keypoints.factory import create_top_down
from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.plan import SIZES, Plan, make_plan
from vitpose_ros.types import Crop, Region

WHY = "training needs it: make test-convert"
torch = pytest.importorskip("torch", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)
pytest.importorskip("onnxscript", reason=WHY)

from vitpose_ros.models.convert.huggingface import open_huggingface  # noqa: E402
from vitpose_ros.train import loop, result  # noqa: E402
from vitpose_ros.train.device import choose_device  # noqa: E402
from vitpose_ros.train.network import SimpleForward, groups, open_start  # noqa: E402
from vitpose_ros.train.run import Job, train  # noqa: E402

pytestmark = [pytest.mark.convert, pytest.mark.timeout(300)]

PLAN = make_plan(True, epochs=2, batch=4, seed=4)
HAND = LAYOUTS["hand21"]


class Quiet:
    """Hears what a run says."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def cut(self, done, of):
        pass

    def step(self, step, steps, per_epoch, loss, seconds):
        assert np.isfinite(loss) and 0 < step <= steps


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The smallest network, on one thread: so its sums have one order."""
    monkeypatch.setitem(SIZES, "tiny", (24, 2, 2, 2, True))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def unconverted(monkeypatch):
    """A run ends with its checkpoint: converting it takes longer than all the rest."""

    def install(checkpoint, target, log, *rest):
        log["result"] = log["baseline"]

    monkeypatch.setattr("vitpose_ros.train.run.install", install)


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


@pytest.fixture
def job(made, tmp_path):
    """A run on 12 hands, judged by 4 others."""
    made("data", count=12)
    made("held", count=4, seed=9)
    return Job(
        data=(tmp_path / "data",),
        validation=(tmp_path / "held",),
        out=tmp_path / "out",
        name="mine",
        start="scratch",
        input_size=(64, 64),
        workers=0,
    )


def from_checkpoint(job, name):
    """A second run, which starts where the first one ended."""
    start = str(job.out / "checkpoint")
    return replace(job, out=job.out.with_name(name), name=name, start=start, input_size=None)


def run(job, store, plan=PLAN):
    return train(job, plan, store, Quiet())


def test_one_command_gives_a_model_that_the_package_runs(job, store, tmp_path, monkeypatch):
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "store"))
    words = ["train", "--data", job.data[0], "--val", job.validation[0], "--from", "scratch"]
    words += ["--out", job.out, "--name", "mine", "--input", "64x64", "--epochs", 1, "--batch", 4]
    assert main([*map(str, words), "--workers", "0", "--quiet", "--amp", "off"]) == 0
    model = ModelStore().get("mine", "hand_keypoints")
    assert model.entry.settings == {"turned": True}
    reader = create_top_down(ModelStore(), "mine", padding=1.0)
    image = np.zeros((90, 90, 3), np.uint8)
    (found,) = reader([Crop(image, Region(45.0, 45.0, 60.0, 60.0))])
    assert found.layout is HAND


def test_the_manifest_and_the_log_say_what_made_the_model(job, store):
    manifest = run(replace(job, licence="MIT"), store)
    log = json.loads((job.out / "training.json").read_text())
    assert manifest.licence == "MIT" and "scratch (tiny)" in manifest.origin
    assert manifest.training["data_sha256"] == log["data_sha256"]
    assert len(manifest.training["data_sha256"]) == 64
    assert manifest.training["plan"]["seed"] == 4
    assert manifest.training["objects"]["train"] == {"objects": 12, "empty": 1}
    assert manifest.check["max_difference"] < 1e-5
    assert [entry["epoch"] for entry in log["history"]] == [1, 2]
    assert {"ap", "error_percent", "loss", "seconds"} <= set(log["history"][0])
    assert log["baseline"]["objects"] == log["result"]["objects"] == 4
    assert log["agreement"]["joint_px"] <= 0.1
    with pytest.raises(TrainError, match="already has another model 'mine'"):
        run(replace(job, out=job.out.with_name("more")), store, replace(PLAN, seed=5))


def test_the_best_epoch_is_kept_even_if_a_worse_one_follows(job, store, unconverted, monkeypatch):
    scores = iter((0.1, 0.5, 0.2))  # the baseline and two epochs
    real = loop.evaluate

    def evaluate(*given):
        return replace(real(*given), ap=next(scores))

    monkeypatch.setattr("vitpose_ros.train.run.evaluate", evaluate)
    kept = []
    save = loop.Run.save

    def saved(one, folder, about):
        kept.append({name: w.clone() for name, w in one.averaged.state_dict().items()})
        save(one, folder, about)

    monkeypatch.setattr(loop.Run, "save", saved)
    run(job, store)
    best = open_huggingface(job.out / "checkpoint", None, layout_named=True).model.state_dict()
    _, first, second = kept
    assert all(torch.equal(best[name], first[name]) for name in best)
    assert not all(torch.equal(best[name], second[name]) for name in best)


@pytest.mark.parametrize("at", [1, 3, 4])
def test_a_resumed_run_ends_bit_by_bit_as_one_that_was_not_interrupted(
    job, store, at, unconverted, monkeypatch
):
    """It is interrupted within the first epoch, at its end, and within the second."""
    monkeypatch.setattr(loop.run_steps, "__defaults__", (lambda: 0.0, 0.0))  # saves each step
    whole = replace(job, out=job.out.with_name("whole"), name="whole")
    run(whole, store)
    step = loop.Run.train_step

    def interrupted(one, *tensors):
        if one.step == at:
            raise KeyboardInterrupt
        return step(one, *tensors)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Run, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(job, store)
    run(replace(job, resume=True), store)
    for name in ("checkpoint/model.safetensors", "checkpoint/config.json"):
        assert (job.out / name).read_bytes() == (whole.out / name).read_bytes()
    histories = [
        json.loads((folder / "training.json").read_text())["history"]
        for folder in (job.out, whole.out)
    ]
    assert histories[0] == histories[1]


def test_a_run_is_resumed_with_its_own_settings_and_data_only(job, store, unconverted, made):
    run(job, store)
    with pytest.raises(TrainError, match=r"already has a run\. Add --resume"):
        run(job, store)
    with pytest.raises(TrainError, match=r"other settings or data: batch 4 \(now 2\)"):
        run(replace(job, resume=True), store, replace(PLAN, batch=2))
    data = made("data", count=12, seed=77)
    (data.folder / "coco.json").write_text(json.dumps(data.content))
    with pytest.raises(TrainError, match="other settings or data: data_sha256"):
        run(replace(job, resume=True), store)
    with pytest.raises(TrainError, match="no run to resume"):
        run(replace(job, resume=True, out=job.out.with_name("none")), store)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_weights(
    job, store, unconverted, monkeypatch
):
    step = loop.Run._loss

    def broken(one, *tensors):
        return step(one, *tensors) * (float("nan") if one.step == 4 else 1)

    monkeypatch.setattr(loop.Run, "_loss", broken)
    with pytest.raises(TrainError, match=r"not finite at step 4 .*lower --lr"):
        run(job, store)
    kept = open_huggingface(job.out / "checkpoint", None, layout_named=True).model
    assert all(weight.isfinite().all() for weight in kept.parameters())
    state = torch.load(job.out / "state.pt", weights_only=True)
    assert state["step"] == 3 and all(w.isfinite().all() for w in state["model"].values())
    assert not (store.root / "mine" / "model.json").exists()


def test_a_batch_that_does_not_fit_into_the_gpu_says_which_one_may(job, store, monkeypatch):
    def full(one, *tensors):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop.Run, "train_step", full)
    with pytest.raises(TrainError, match=r"a batch of 4 crops does not fit .*--batch 2"):
        run(job, store)


def test_a_result_that_is_no_better_than_its_start_is_not_put_into_the_store(
    job, store, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(result, "_check_better", lambda *given: None)
        run(job, store)
    judged = result.evaluate_with

    def worse(*given):
        return replace(judged(*given), ap=-1.0)

    monkeypatch.setattr(result, "evaluate_with", worse)
    again = from_checkpoint(job, "again")
    with pytest.raises(ModelError, match="training did not improve 'checkpoint'"):
        run(again, store, make_plan(False, epochs=1, batch=4))
    assert not (store.root / "again" / "model.json").exists()
    assert (again.out / "checkpoint" / "model.safetensors").is_file()


def test_a_network_that_differs_from_its_checkpoint_is_not_put_into_the_store(
    job, store, monkeypatch
):
    torch_run = result._Torch.run
    monkeypatch.setattr(
        result._Torch,
        "run",
        lambda self, tensors: {k: v + 0.1 for k, v in torch_run(self, tensors).items()},
    )
    with pytest.raises(ModelError, match=r"differs from float32: .*The checkpoint in .* is kept"):
        run(job, store)
    assert not (store.root / "mine" / "model.json").exists()


def test_a_new_feature_pyramid_changes_nothing_before_it_learns(job, store, unconverted):
    run(job, store)
    before = open_huggingface(job.out / "checkpoint", None, layout_named=True).model
    second = from_checkpoint(job, "fpn")
    run(second, store, make_plan(False, epochs=1, batch=4, fpn=True, rate=1e-9))
    network = open_huggingface(second.out / "checkpoint", None, layout_named=True)
    assert network.network["neck"] == "fpn"
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.model(image).heatmaps, before(image).heatmaps)
    with pytest.raises(TrainError, match="already has a feature pyramid"):
        run(from_checkpoint(second, "more"), store, make_plan(False, batch=4, fpn=True))


def test_a_pyramid_learns_and_its_network_runs_in_every_engine_of_the_cpu(job, store):
    from vitpose_ros.engines.openvino import OpenVinoEngine
    from vitpose_ros.engines.torch import TorchEngine

    run(job, store, replace(PLAN, fpn=True))
    network = open_huggingface(job.out / "checkpoint", None, layout_named=True)
    assert network.model.head.neck.expand.weight.abs().max() > 0
    path = store.root / "mine" / "model.onnx"
    image = np.random.default_rng(0).standard_normal((3, 3, 64, 64), np.float32)
    ours, theirs = (
        engine.run({"image": image})["heatmaps"]
        for engine in (TorchEngine(path, "cpu"), OpenVinoEngine(path))
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_frozen_backbone_stays_as_it_is(job, store):
    run(job, store)
    start = job.out / "checkpoint"
    job = replace(
        job, out=job.out.with_name("head"), name="head", start=str(start), input_size=None
    )
    run(job, store, make_plan(False, epochs=4, batch=4, freeze="backbone", rate=2e-2, near=4.0))
    before, after = (
        open_huggingface(folder, None, layout_named=True).model.state_dict()
        for folder in (start, job.out / "checkpoint")
    )
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(equal == name.startswith("backbone.") for name, equal in same.items())


def test_distillation_pulls_the_heatmaps_towards_the_teachers(job, store):
    torch.manual_seed(0)
    teacher = open_start(store, "scratch", HAND, None, (64, 64)).model.eval()
    students = {}
    for taught in (0.0, 0.9):
        torch.manual_seed(1)
        model, kept = (open_start(store, "scratch", HAND, None, (64, 64)).model for _ in range(2))
        kept.load_state_dict(model.state_dict())
        plan = replace(PLAN, taught=taught, near=0.0, rate=1e-3, warm_up=0.01)
        one = loop.Run(plan, model, kept, 60, "cpu", teacher)
        rng = torch.Generator().manual_seed(2)
        pixels = torch.randn(4, 3, 64, 64, generator=rng)
        for _ in range(40):
            one.train_step(pixels, torch.zeros(4, 21, 16, 16), torch.ones(4, 21))
        with torch.no_grad():
            gap = model.eval()(pixels).heatmaps - teacher(pixels).heatmaps
        students[taught] = float(gap.square().mean())
    assert students[0.9] < 0.7 * students[0.0]


@pytest.mark.parametrize(
    ("changes", "plan", "message"),
    [
        ({"start": "mediapipe-hand-full"}, {}, "has no checkpoint, only a network that runs"),
        ({"start": "scratch", "input_size": (60, 64)}, {}, "multiples of 16 px, got 60x64"),
        ({"start": "vitpose-tiny-synthetic"}, {}, "has an input of 128x128 px"),
        ({"start": "vitpose-tiny-synthetic", "size": "b"}, {}, "--size is for --from scratch"),
        ({}, {"distill": "vitpose-tiny-synthetic"}, "128x128 px, the network that learns .* 64x64"),
        ({"name": "vitpose-b"}, {}, "the catalogue already has a model 'vitpose-b'"),
    ],
)
def test_starts_and_settings_that_do_not_fit_are_refused(job, store, changes, plan, message):
    with pytest.raises(TrainError, match=message):
        run(replace(job, **changes), store, replace(PLAN, **plan))
    assert not (job.out / "state.pt").exists()


def test_weights_of_another_network_are_refused_with_their_names(job, store, unconverted):
    run(job, store)
    path = job.out / "checkpoint" / "config.json"
    config = json.loads(path.read_text())
    config["backbone_config"]["hidden_size"] = 48
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="of another shape"):
        open_start(store, str(job.out / "checkpoint"), HAND)


def test_a_head_for_other_joints_begins_anew_and_the_backbone_does_not(job, store):
    start = open_start(store, "vitpose-tiny-synthetic", LAYOUTS["coco17"])
    assert not start.knows and "begins anew" in start.notes[0]
    same = open_start(store, "vitpose-tiny-synthetic", HAND)
    assert same.knows and same.licence == "Apache-2.0" and not same.notes
    weights = [one.model.backbone.state_dict() for one in (start, same)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    image = torch.zeros(1, 3, 128, 128)
    assert tuple(start.model.eval()(image).heatmaps.shape) == (1, 17, 32, 32)


def test_the_forward_pass_of_the_training_is_the_networks_own(store):
    model = open_start(store, "scratch", HAND, None, (64, 96)).model
    torch.nn.init.normal_(model.head.conv.bias)
    pixels = torch.randn(3, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            SimpleForward(model)(pixels), model(pixels).heatmaps, rtol=1e-5, atol=1e-5
        )


def test_layers_further_from_the_head_learn_more_slowly_and_vectors_do_not_decay(store):
    model = open_start(store, "scratch", HAND, None, (64, 64)).model
    found = groups(model, 0.5, 0.1)
    names = {id(weight): name for name, weight in model.named_parameters()}
    scale = {names[id(w)]: group["scale"] for group in found for w in group["params"]}
    decay = {names[id(w)]: group["weight_decay"] for group in found for w in group["params"]}
    assert set(scale) == set(names.values())
    assert scale["head.conv.weight"] == 1 and scale["backbone.layernorm.weight"] == 1
    assert scale["backbone.embeddings.position_embeddings"] == 0.5**3
    layers = (
        {scale[name] for name in scale if ".layer.0." in name},
        {scale[name] for name in scale if ".layer.1." in name},
    )
    assert layers == ({0.25}, {0.5})
    assert decay["head.conv.weight"] == 0.1 and decay["head.conv.bias"] == 0
    assert decay["backbone.embeddings.position_embeddings"] == 0


def test_the_rate_rises_stays_and_falls():
    plan = Plan(rate=1.0, warm_up=0.1, decay=0.2, near=4.0)
    rates = [plan.rate_at(step, 100) for step in (0, 9, 50, 80, 90, 99)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.5, 0.05])
    assert [plan.near_at(step, 100) for step in (79, 80)] == [4.0, 0.0]


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("batch", 0), ("rate", 2.0), ("empty", 1.5)]
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(TrainError, match="expected"):
        Plan(**{field: value})


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert choose_device("auto") == "cpu"
    with pytest.raises(TrainError, match="finds no CUDA device"):
        choose_device("cuda")
    with pytest.raises(TrainError, match="expected auto, cpu, cuda"):
        choose_device("gpu")


def test_a_checkpoint_with_experts_names_the_models_of_the_catalogue(store, tmp_path):
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 64], hidden_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_experts=2, part_features=8, out_indices=[1],
    )  # fmt: skip
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17)
    transformers.VitPoseForPoseEstimation(config).save_pretrained(tmp_path / "plus")
    with pytest.raises(TrainError, match="several experts; start from the model of the catalogue"):
        open_start(store, str(tmp_path / "plus"), LAYOUTS["coco17"])


def test_a_process_that_ended_is_told_apart_from_a_fault_of_the_network(
    job, store, unconverted, monkeypatch
):
    def ended(one, *tensors):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(loop.Run, "train_step", ended)
    with pytest.raises(TrainError, match=r"a process that prepares crops ended .*--resume"):
        run(job, store)
