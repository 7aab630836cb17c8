from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.recording import HandRecording, Recording, record
from vitpose_ros.factory import load_pipeline
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Result
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

SIZE = (160, 120)
RATE_HZ = 5.0


def joints(uv, layout=HAND21):
    count = len(layout)
    state = np.full(count, JointState.ABSENT if np.isnan(uv).any() else JointState.VISIBLE)
    return Keypoints(
        layout, uv.astype(np.float32), np.full(count, 0.8, np.float32), state.astype(np.uint8)
    )


class Played:
    """Knows the truth, and tells it with the hands the other way round and some px off. What it
    publishes is nowhere near: a recording is of what the networks say.
    """

    models = ("played",)

    def __init__(self, script):
        self.scene, self.resets, self.stamps = Scene(script, 3, *SIZE), 0, []

    def reset(self):
        self.resets += 1
        self.first_ns = None

    def __call__(self, frame):
        self.stamps.append(frame.stamp_ns)
        self.first_ns = self.first_ns or frame.stamp_ns
        hands = self.scene.truth((frame.stamp_ns - self.first_ns) * 1e-9)
        found = [self.instance(hand, 10 + i) for i, hand in enumerate(hands)][::-1]
        body = joints(np.full((17, 2), 50.0), COCO17)
        lost = joints(np.full((21, 2), np.nan))
        extra = [
            Instance(body, 0.9, "played"),
            Instance(found[0].keypoints, 0.1, "played", lost, track_state=TrackState.LOST),
        ]
        if len(self.stamps) == 2:
            found = found[:1]  # the right hand is not seen in the second image
        return Result((*extra, *found), self.models, False, {})

    def instance(self, hand, track_id):
        raw = joints(hand.uv + 1.0)
        away = replace(raw, uv=raw.uv + np.float32(500))
        return Instance(away, 0.7, "played", raw, side=hand.side, side_score=0.9, track_id=track_id)


@pytest.fixture(scope="module")
def played():
    pipeline, seen = Played("cross"), []
    made = record(pipeline, ["cross"], [3], RATE_HZ, SIZE, lambda *news: seen.append(news))
    return pipeline, made, seen


def test_each_true_hand_is_noted_with_the_raw_joints_of_the_found_one(played):
    _, made, _ = played
    assert [hand.side for hand in made.hands] == [Side.RIGHT, Side.LEFT]
    for hand, track_id in zip(made.hands, (10, 11), strict=True):
        seen = hand.found
        np.testing.assert_allclose((hand.uv - hand.true_uv)[seen], 1.0, atol=1e-4)
        assert set(hand.track_id[seen]) == {track_id}
        assert set(hand.found_side[seen]) == {hand.side}
        np.testing.assert_allclose(hand.presence[seen], 0.7)


def test_a_hand_that_is_not_seen_is_missing_not_zero(played):
    right = played[1].hands[0]
    assert right.found.tolist() == [True, False] + [True] * (len(right.found) - 2)
    assert np.isnan(right.uv[1]).all() and np.isnan(right.shape_xyz[1]).all()
    assert np.isnan(right.presence[1])
    assert right.keypoints(1) is None and right.keypoints(0) is not None


def test_what_goes_into_the_smoother_is_what_was_seen(played):
    given = played[1].hands[1].keypoints(4)
    np.testing.assert_array_equal(given.uv, played[1].hands[1].uv[4])
    np.testing.assert_allclose(given.score, 0.8)
    assert set(given.state.tolist()) == {JointState.VISIBLE}


def test_the_truth_is_that_of_the_scene_at_the_stamps(played):
    _, made, _ = played
    scene = Scene("cross", 3, *SIZE)
    assert made.duration_s == pytest.approx(scene.duration_s, abs=1 / RATE_HZ)
    for image in (0, 7):
        for hand, true in zip(made.hands, scene.truth(image / RATE_HZ), strict=True):
            np.testing.assert_array_equal(hand.true_uv[image], true.uv)
            np.testing.assert_array_equal(hand.true_xyz[image], true.xyz)
            assert hand.time_s[image] == pytest.approx(image / RATE_HZ)


def test_progress_is_reported_for_every_image(played):
    pipeline, _, seen = played
    assert [done for done, _, _ in seen] == list(range(1, len(pipeline.stamps) + 1))
    assert seen[-1] == (len(pipeline.stamps), len(pipeline.stamps), "cross, seed 3")


def test_scenes_are_apart_in_time_and_begin_anew():
    pipeline = Played("still")
    made = record(pipeline, ["still"], [0, 1], RATE_HZ, SIZE)
    assert pipeline.resets == 2 and len(made.scenes()) == 2
    (first, _), (second, _) = (scene.hands for scene in made.scenes())
    assert second.stamp_ns[0] - first.stamp_ns[-1] > 5e9
    assert np.all(np.diff(pipeline.stamps) > 0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"scripts": ["juggle"]}, "unknown script 'juggle'"),
        ({"scripts": []}, "at least one of each"),
        ({"rate_hz": 0.0}, "1 or more images per second"),
        ({"rate_hz": float("nan")}, "1 or more images per second"),
        ({"size": (10, 10)}, "at least 64x64 px"),
    ],
)
def test_what_cannot_be_rendered_is_refused(words, text):
    with pytest.raises(ValueError, match=text):
        record(Played("still"), **{"scripts": ["still"], "size": SIZE, **words})


def test_a_saved_recording_is_the_same_when_loaded(make_recording, tmp_path):
    made = make_recording(unseen=slice(5, 9))
    made.save(tmp_path / "new" / "r.npz")
    again = Recording.load(tmp_path / "new" / "r.npz")
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "r.npz"]
    assert replace(again, hands=()) == replace(made, hands=())
    for one, other in zip(again.hands, made.hands, strict=True):
        for field in fields(HandRecording):
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            np.testing.assert_array_equal(ours, theirs)
            assert type(ours) is type(theirs)


@pytest.mark.parametrize("content", [None, b"", b"no zip", "npz"])
def test_a_file_that_is_no_recording_is_said_so(tmp_path, content):
    path = tmp_path / "r.npz"
    if content == "npz":
        np.savez(path, other=np.zeros(3))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=r"r\.npz is no recording of this version"):
        Recording.load(path)


def test_a_recording_of_another_format_is_refused(make_recording, tmp_path, monkeypatch):
    monkeypatch.setattr("vitpose_ros.bench.recording._FORMAT", 0)
    make_recording().save(tmp_path / "r.npz")
    monkeypatch.undo()
    with pytest.raises(BenchError, match="its format is 0, not 3"):
        Recording.load(tmp_path / "r.npz")


def test_parts_are_taken_by_script(make_recording):
    made = make_recording(("reach", "grasp", "still"))
    assert [hand.script for hand in made.of("still", "reach").hands] == ["reach", "still"]
    assert made.of("leave").hands == ()


def test_the_real_networks_are_recorded(monkeypatch):
    monkeypatch.setattr("vitpose_ros.bench.recording.STILL_S", 1.0)
    try:
        pipeline = load_pipeline(ModelStore(), threads=1)
    except ModelError as error:
        pytest.skip(str(error))
    made = record(pipeline, ["still"], [0], rate_hz=20.0)
    assert made.models == ("mediapipe-palm-full", "mediapipe-hand-full")
    for hand in made.hands:
        assert hand.found.all()
        away = np.linalg.norm(hand.uv - hand.true_uv, axis=-1) / 90.0
        assert 0.0 < np.median(away) < 0.1
        assert np.isfinite(hand.shape_xyz).all() and hand.presence.min() > 0.5
