"""The table of stages: what is timed, that it adds up, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vitpose_ros.bench import stages
from vitpose_ros.bench.stages import NETWORK, Stopwatch, measure_stages
from vitpose_ros.cli.main import main
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Frame


def frames(count, image=None):
    scene = Scene("still")
    for number in range(count):
        shown = scene.render(number / 30).image if image is None else image
        yield Frame(shown, 1 + number * 33_000_000)


@pytest.fixture
def pipeline(model_path):
    def load(view="egocentric", **models):
        for name in filter(None, vars(Models(**models)).values()):
            model_path(name)
        return load_pipeline(ModelStore(), Models(**models), view=view)

    return load


def test_stages_add_up_to_the_image_and_a_network_is_part_of_its_stage(pipeline):
    rows = {row.name: row for row in measure_stages(pipeline(), frames(20))}
    whole = rows.pop("whole image")
    outer = [row.mean_ms for name, row in rows.items() if not name.endswith(NETWORK)]
    assert sum(outer) == pytest.approx(whole.mean_ms, rel=1e-6)
    for name in ("palms", "hand joints"):
        if name in rows:
            assert 0 < rows[name + NETWORK].mean_ms < rows[name].mean_ms
    assert rows["hand joints"].share_of_images == 1.0
    assert rows["rest"].mean_ms > 0


def test_results_are_those_of_a_pipeline_that_is_not_timed(pipeline):
    timed, plain = pipeline(), pipeline()
    stages._wrap(timed, Stopwatch())
    for frame in frames(4):
        found, wanted = (p(frame).instances for p in (timed, plain))
        assert len(found) == len(wanted) > 0
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one.keypoints.uv, other.keypoints.uv)


def test_bodies_and_top_down_models_have_their_rows(pipeline):
    image = np.zeros((240, 320, 3), np.uint8)
    made = pipeline("third_person")
    rows = {row.name: row for row in measure_stages(made, frames(12, image))}
    assert rows["persons" + NETWORK].share_of_images == 1.0
    assert 0 < rows["persons" + NETWORK].mean_ms < rows["persons"].mean_ms
    rows = measure_stages(pipeline(hand_model="vitpose-tiny-synthetic"), frames(12))
    assert "hand joints" + NETWORK in {row.name for row in rows}


def test_a_stage_counts_the_images_in_which_it_ran():
    images = [{"a": 0.002, "whole image": 0.01}, {"whole image": 0.01}]
    row = stages._stage("a", images)
    assert (row.share_of_images, row.median_ms, row.mean_ms) == (0.5, 2.0, 1.0)


def test_several_runs_in_an_image_are_summed():
    times = iter((0.0, 1.0, 5.0, 7.0))
    watch = Stopwatch(lambda: next(times))
    call = watch.timed("a", lambda: None)
    call()
    call()
    assert watch.now == {"a": 3.0}


def test_too_few_images_are_refused(pipeline):
    with pytest.raises(ValueError, match="expected more than 10 images"):
        measure_stages(pipeline(), frames(10))


def test_the_command_prints_a_table(model_path, capsys):
    for name in filter(None, vars(Models()).values()):
        model_path(name)
    assert main(["bench", "stages", "--images", "20", "--preset", "balanced"]) == 0
    out = capsys.readouterr().out
    assert "preset balanced: " in out and "since " in out
    for row in ("plan", "hand joints", "hand joints, its network", "smooth", "whole image"):
        assert re.search(rf"^{row} +\d+ % +[\d.]+ +[\d.]+ +[\d.]+$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--images", "5"), 2, "--images: expected at least 20, got 5"),
        (("--preset", "fast"), 2, "preset: expected one of lightweight"),
        (("--video", "/nowhere.mp4"), 1, "OpenCV cannot open '/nowhere.mp4'"),
    ],
)
def test_options_that_make_no_sense_are_sentences(capsys, words, code, reason):
    try:
        given = main(["bench", "stages", *words])
    except SystemExit as error:
        given = error.code
    assert given == code and reason in capsys.readouterr().err
