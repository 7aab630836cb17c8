"""What a dataset says about itself, for programs and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vitpose_ros.camera import CameraModel
from vitpose_ros.export.episodes import Episode
from vitpose_ros.export.features import Schema, joints_of, offsets_ms
from vitpose_ros.export.hands import SIDES
from vitpose_ros.types import ZSource
from vitpose_ros.version import version


def coverage(episode: Episode, metric: bool) -> dict[str, float]:
    """By side: the share of frames in which any joint of the hand is valid."""
    return {
        side.name.lower(): float(joints_of(episode.hands[side], metric)[1].any(axis=1).mean())
        for side in SIDES
    }


def sources(episode: Episode) -> dict[str, float]:
    """The shares of where metric positions of measured joints come from."""
    counts: Counter[str] = Counter()
    for hand in episode.hands.values():
        counts.update(ZSource(int(one)).name.lower() for one in hand.z_source[hand.measured])
    whole = sum(counts.values())
    return {name: round(number / whole, 4) for name, number in sorted(counts.items())}


def described(index: int, episode: Episode, camera: CameraModel | None) -> dict[str, Any]:
    """An episode's entry in meta/vitpose_ros.json."""
    frames = episode.frames
    offsets = offsets_ms(episode)
    return {
        "episode_index": index,
        "recording": episode.source,
        "sha256": episode.sha256,
        "start_ns": episode.start_ns,
        "end_ns": episode.end_ns,
        "frames": len(frames),
        "frames_over_gaps": int((~frames.fresh).sum()),
        "image_offset_ms": {
            "mean": round(float(offsets.mean()), 3),
            "max": round(float(offsets.max()), 3),
        },
        "frame_id": episode.frame_id,
        "camera": intrinsics(camera),
        "hand_seen": {name: round(s, 4) for name, s in coverage(episode, False).items()},
        "hand_in_metres": {name: round(s, 4) for name, s in coverage(episode, True).items()},
        "z_source": sources(episode),
        "topics_timed_by_arrival": list(episode.topics.by_arrival) if episode.topics else [],
        "made_by": f"vitpose_ros {version()}",
    }


def intrinsics(camera: CameraModel | None) -> dict[str, Any] | None:
    """A camera's numbers; None where it is not known."""
    if camera is None:
        return None
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "distortion_model": camera.distortion_model,
        "distortion": list(camera.distortion),
        "mirrored": camera.mirrored,
    }


def card(
    schema: Schema,
    tasks: Sequence[str],
    episodes: int,
    frames: int,
    records: Sequence[dict[str, Any]],
) -> str:
    """README.md, with the header that the Hugging Face hub reads."""
    rows = "\n".join(_row(name, feature) for name, feature in schema.features().items())
    listed = "\n".join(f"- {task}" for task in tasks)
    units = "metres, in the camera's optical frame" if schema.metric else "pixels of the image"
    hours = frames / schema.fps / 3600
    recordings = len({record["sha256"] for record in records})
    return f"""---
task_categories:
- robotics
tags:
- LeRobot
- vitpose_ros
- hand-pose
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# Hands, exported by vitpose_ros

LeRobot v3.0: {episodes} episodes, {frames} frames at {schema.fps} per second ({hours:.2f} h), from
{recordings} recordings.

{listed}

## Conventions

- **Hands** are in {units}. Right and left are the person's own. Joints are in the order of
  MediaPipe's landmarks and COCO-WholeBody's hands (`hand21`): wrist, then four per finger from
  thumb to pinky.
- **Optical frame** (REP 103): x to the right, y down, z forward. **Pixels**: u to the right, v
  down, (0, 0) is the centre of the top left pixel.
- **Validity**: `valid.*` is true where a joint was measured in that image. Elsewhere the value is
  predicted or held: in a gap the last one, before the first measurement the first one. A joint that
  an episode never shows stands at the mean of the dataset's valid values; at 0 if there are none.
  There is no NaN.
- **Statistics** (`meta/stats.json`) are of valid values only; where these do not vary, of all.
- **Time**: `timestamp` is frame_index / fps. `stamp_ns` is the image's own stamp, in ns. A frame
  shows the image whose stamp is nearest.
- **Robot** (`observation.state`, `action`): the newest message that is not newer than the image;
  nothing is interpolated.
- **Wrists**: position and quaternion (x, y, z, w) of a frame whose origin is the wrist: z to the
  middle knuckle, x out of the palm, y towards the thumb on a right hand and away from it on a left
  one.

`meta/vitpose_ros.json` has, for each episode, the recording and its SHA-256, the camera's
intrinsics, the coverage of each hand and where its metres come from. `meta/modality.json` is for
GR00T.

## Features

| feature | type | shape | unit, frame | names |
|---|---|---|---|---|
{rows}
"""


def _row(name: str, feature: dict[str, Any]) -> str:
    about = feature.get("info", {})
    meaning = "; ".join(str(about[key]) for key in ("unit", "frame", "axes", "of") if key in about)
    names = feature["names"] or []
    shown = ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])}, ... {names[-1]}"
    shape = " x ".join(map(str, feature["shape"]))
    return f"| `{name}` | {feature['dtype']} | {shape} | {meaning} | {shown} |"
