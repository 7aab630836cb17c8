"""Run by LeRobot's own Python (see test_judge.py): loads a dataset and tells what is in it.

python judge.py WHAT DATASET RESULT.npz
"""

# mypy: ignore-errors

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERA = "observation.images.camera"
COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def load(root: Path, **options) -> LeRobotDataset:
    return LeRobotDataset("local/judged", root=root, video_backend="pyav", **options)


def everything(dataset: LeRobotDataset, prefix: str = "") -> dict[str, np.ndarray]:
    """Every item, stacked."""
    items = [dataset[i] for i in range(len(dataset))]
    found = {}
    for name, value in items[0].items():
        values = [item[name] for item in items]
        is_tensor = isinstance(value, torch.Tensor)
        found[prefix + name] = np.stack([v.numpy() for v in values]) if is_tensor else values
    return found


def items(root: Path) -> dict[str, np.ndarray]:
    """All items with windows over time, one episode by itself, a batch, and all statistics."""
    fps = load(root).fps
    deltas = {
        CAMERA: [-1 / fps, 0.0],
        "observation.hand_right": [-1 / fps, 0.0, 1 / fps],
        "stamp_ns": [0.0, 2 / fps],
    }
    dataset = load(root, delta_timestamps=deltas)
    found = everything(dataset)
    found |= everything(load(root, episodes=[1]), "episode1/")
    batch = next(iter(torch.utils.data.DataLoader(load(root), batch_size=5)))
    found["batch/stamp_ns"] = batch["stamp_ns"].numpy()
    for feature, stats in dataset.meta.stats.items():
        for name, value in stats.items():
            found[f"stats/{feature}/{name}"] = np.asarray(value)
    found["episodes"] = np.array(dataset.num_episodes)
    found["features"] = np.array(list(dataset.meta.features))
    return found


def tools(root: Path) -> dict[str, np.ndarray]:
    """What LeRobot's own tools make of it: a merge, a deletion, and episodes recorded after it."""
    from lerobot.datasets.dataset_tools import delete_episodes, merge_datasets

    work = root.parent / "tools"
    shutil.copytree(root, work / "copy")
    first, second = load(root), load(work / "copy")
    merged = merge_datasets([first, second], output_repo_id="local/m", output_dir=work / "merged")
    kept = delete_episodes(first, [0], output_dir=work / "kept", repo_id="local/k")
    growing = LeRobotDataset.resume("local/judged", root=work / "copy")
    blank = {
        name: np.zeros(one["shape"], np.uint8 if one["dtype"] == "video" else one["dtype"])
        for name, one in growing.meta.features.items()
        if name not in COUNTERS
    }
    for _ in range(3):
        growing.add_frame({**blank, "task": "wave"})
    growing.save_episode()
    growing.finalize()
    grown = load(work / "copy")
    found = {"grown": np.array([len(grown), grown.num_episodes])}
    for name, dataset in (("merged", merged), ("kept", kept)):
        found[name] = np.stack([dataset[i]["stamp_ns"].numpy() for i in range(len(dataset))])
        numbers = [v.ravel() for s in dataset.meta.stats.values() for v in s.values()]
        found[f"{name}/stats"] = np.concatenate(numbers)
    return found


def training(root: Path) -> dict[str, np.ndarray]:
    """A step of training: an ACT policy of LeRobot's, with its own normalization."""
    from lerobot.configs.types import FeatureType
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.utils.feature_utils import dataset_to_policy_features

    torch.manual_seed(1)
    torch.set_num_threads(1)
    dataset = load(root, delta_timestamps={"action": [i / 30 for i in range(4)]})
    features = dataset_to_policy_features(dataset.meta.features)
    out = {name: one for name, one in features.items() if one.type is FeatureType.ACTION}
    given = {name: one for name, one in features.items() if name not in out}
    config = ACTConfig(
        input_features=given,
        output_features=out,
        chunk_size=4,
        n_action_steps=4,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        pretrained_backbone_weights=None,
        device="cpu",
    )
    policy = ACTPolicy(config)
    prepare, _ = make_pre_post_processors(config, dataset_stats=dataset.meta.stats)
    batch = prepare(next(iter(torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True))))
    loss, _ = policy.forward(batch)
    loss.backward()
    inputs = [batch[name].abs().max().item() for name in (*given, *out)]
    return {
        "loss": np.array(loss.item()),
        "inputs": np.array(inputs),
        "names": np.array(list(features)),
    }


if __name__ == "__main__":
    what = {"items": items, "tools": tools, "training": training}[sys.argv[1]]
    np.savez(sys.argv[3], **what(Path(sys.argv[2])))
