"""`vitpose_ros report`: files, thresholds, episodes, and bad input."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.offline.write_tables import write_parquet
from vitpose_ros.quality import document
from vitpose_ros.quality.thresholds import CHECKS, Check
from vitpose_ros.types import Side

sys.path.insert(0, str(Path(__file__).parent))
from takes import (
    changed,
    stamp,
    take,
    write_annotated,
    write_images,
)


@pytest.fixture
def report(tmp_path, capsys):
    """``report(*words)``: the exit code and all output, of a report on tmp_path/annotated."""

    def run(*words):
        code = main(["report", str(tmp_path / "annotated"), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def quality(tmp_path, name="take"):
    return json.loads((tmp_path / "annotated" / name / "quality.json").read_text())


def dropped(count=20, of=60):
    """A take whose right hand is missing in `count` images."""
    return changed(take(of), Side.RIGHT, range(20, 20 + count), lambda one: None)


def test_a_report_has_figures_pictures_and_a_page(report, tmp_path):
    images = dropped(of=70)
    recording = write_images(tmp_path / "recordings" / "take", images)
    folder = write_annotated(tmp_path / "annotated" / "take", images, recording)
    code, said = report()
    assert code == 0, said
    assert "take: flag: right hand" in said
    assert "0 reject, 1 flag, 0 accept; 1 of 1 recordings reported" in said
    found = quality(tmp_path)
    assert found["schema"] == "vitpose_ros quality 1" and found["verdict"] == "flag"
    (episode,) = found["episodes"]
    assert (episode["start_ns"], episode["end_ns"]) == (stamp(0), stamp(69))
    assert not episode["marked"] and episode["blur"]["hands"] == 120
    assert {one["kind"] for one in episode["pictures"]} >= {"dropout", "middle"}
    for one in episode["pictures"]:
        picture = cv2.imread(str(folder / one["file"]))
        assert max(picture.shape) == 256
    page = (tmp_path / "annotated" / "index.html").read_text()
    assert page.count("data:image/jpeg") == len(episode["pictures"])  # each once
    assert "http://" not in page and "https://" not in page


def test_a_picture_shows_its_moment_with_the_skeleton_drawn(report, tmp_path):
    images = dropped()
    recording = write_images(tmp_path / "recordings" / "take", images)
    folder = write_annotated(tmp_path / "annotated" / "take", images, recording)
    assert report()[0] == 0
    plain = cv2.imread(str(recording / f"{images[30].stamp_ns}.jpg"))
    plain = cv2.resize(plain, (256, 192), interpolation=cv2.INTER_AREA)
    shown = cv2.imread(str(folder / "quality" / "0-dropout.jpg"))
    away = np.abs(plain.astype(int) - shown).max(axis=2)
    left, right = away[40:150, 50:128], away[40:150, 135:220]
    assert left.max() > 100 > right.max()  # the left hand is drawn, the right one is missing


def test_marked_episodes_are_judged_one_by_one(report, tmp_path):
    images = dropped()
    marks = [[stamp(0), stamp(19)], [stamp(15), stamp(45)], [stamp(50), None], [5, 6]]
    write_annotated(tmp_path / "annotated" / "take", images, episodes=marks)
    code, said = report()
    assert code == 0 and "2 reject, 2 flag, 0 accept" in said, said
    episodes = quality(tmp_path)["episodes"]
    assert [one["images"] for one in episodes] == [20, 31, 10, 0]
    assert [[one["start_ns"], one["end_ns"]] for one in episodes] == [
        *marks[:2],
        [stamp(50), stamp(59)],
        marks[3],
    ]
    assert all(one["marked"] for one in episodes)
    dropouts = episodes[1]["hands"]["right"]["dropouts"]
    assert dropouts["longest_s"] == pytest.approx(20 / 30, abs=1e-6)
    assert episodes[3]["reasons"][0].startswith("no image lies between its marks")
    page = (tmp_path / "annotated" / "index.html").read_text()
    assert page.index("take #3") < page.index("take #0")  # the worst first


def test_thresholds_of_a_file_decide_and_are_kept_with_the_verdict(report, tmp_path):
    write_annotated(tmp_path / "annotated" / "take", dropped(of=90))
    limits = tmp_path / "limits.yaml"
    limits.write_text("dropout_s: {flag: 0.1, reject: 0.5}\nhands: right\n")
    assert "1 reject" in report("--thresholds", limits)[1]
    found = quality(tmp_path)
    assert found["thresholds"]["dropout_s"] == {"flag": 0.1, "reject": 0.5}
    assert found["episodes"][0]["judged"] == ["right"]
    limits.write_text("dropout_s: {flag: null, reject: null}\ncoverage: {flag: 0.7}\n")
    assert "1 accept" in report("--thresholds", limits)[1]
    assert quality(tmp_path)["thresholds"]["coverage"] == {"flag": 0.7, "reject": 0.5}


def test_figures_are_kept_until_the_annotation_changes(report, tmp_path, monkeypatch):
    images = take(40)
    recording = write_images(tmp_path / "recordings" / "take", images)
    folder = write_annotated(tmp_path / "annotated" / "take", images, recording)
    assert report()[0] == 0
    pictures = sorted(p.name for p in (folder / "quality").iterdir())

    def never(*arguments):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        patched.setattr(document, "read_skeletons", never)
        code, said = report()
        assert code == 0 and "1 of 1 recordings reported" in said
    shutil.rmtree(folder / "skeletons")
    write_annotated(folder, dropped(10, of=40), recording, skeletons=70)
    assert report()[0] == 0
    assert quality(tmp_path)["verdict"] == "flag"
    assert sorted(p.name for p in (folder / "quality").iterdir()) != pictures


def test_a_recording_that_was_moved_is_said_and_found_by_its_name(report, tmp_path):
    images = take(40)
    recording = write_images(tmp_path / "before" / "take", images)
    write_annotated(tmp_path / "annotated" / "take", images, recording)
    (tmp_path / "before").rename(tmp_path / "after")
    code, said = report()
    assert code == 0 and "is no longer there: name its new place by --recordings" in said
    (episode,) = quality(tmp_path)["episodes"]
    assert episode["pictures"] == [] and episode["blur"] is None
    assert "is no longer there" in (tmp_path / "annotated" / "index.html").read_text()
    code, said = report("--recordings", tmp_path / "after")
    assert code == 0 and "no longer" not in said
    assert quality(tmp_path)["episodes"][0]["blur"]["hands"] == 80


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: next(p.iterdir()).unlink(), "differ in name or size"),
        (lambda p: next(p.iterdir()).write_bytes(b"0"), "differ in name or size"),
    ],
    ids=["missing", "damaged"],
)
def test_a_recording_that_changed_is_not_shown(report, tmp_path, change, reason):
    images = take(30)
    recording = write_images(tmp_path / "recordings" / "take", images)
    write_annotated(tmp_path / "annotated" / "take", images, recording)
    change(recording)
    code, said = report()
    assert code == 0 and reason in said
    assert quality(tmp_path)["episodes"][0]["pictures"] == []


def test_a_recording_with_other_stamps_is_not_shown(report, tmp_path):
    images = take(30)
    recording = write_images(tmp_path / "recordings" / "take", images)
    other = [replace(one, stamp_ns=one.stamp_ns + 1) for one in images]
    write_annotated(tmp_path / "annotated" / "take", other, recording)
    code, said = report()
    assert code == 0 and "has other stamps" in said
    assert not (tmp_path / "annotated" / "take" / "quality").exists()


def test_without_images_nothing_is_read_but_figures_with_images_are_kept(report, tmp_path):
    images = take(30)
    recording = write_images(tmp_path / "recordings" / "take", images)
    write_annotated(tmp_path / "annotated" / "take", images, recording)
    assert "not asked for" in report("--no-images")[1]
    assert quality(tmp_path)["episodes"][0]["blur"] is None
    report()
    assert quality(tmp_path)["episodes"][0]["blur"] is not None
    report("--no-images")
    assert quality(tmp_path)["episodes"][0]["blur"] is not None


def test_an_output_folder_of_its_own_leaves_the_annotations_alone(report, tmp_path, tree):
    write_annotated(tmp_path / "annotated" / "monday" / "take", take(40))
    before = tree(tmp_path / "annotated")
    assert report("-o", tmp_path / "report")[0] == 0
    assert tree(tmp_path / "annotated") == before
    written = tree(tmp_path / "report")
    assert sorted(written) == ["index.html", "monday/take/quality.json"]


def test_a_single_annotation_gets_its_report_beside_it(report, tmp_path):
    write_annotated(tmp_path / "annotated", take(40))
    assert report()[0] == 0
    assert (tmp_path / "annotated" / "index.html").exists()
    assert quality(tmp_path, ".")["name"] == "annotated"


def test_a_table_alone_gives_the_same_figures_as_a_bag(report, tmp_path):
    from takes import as_annotation

    images = dropped(30)
    images[45] = replace(images[45], instances=())
    write_annotated(tmp_path / "annotated" / "take", images)
    report()
    by_bag = quality(tmp_path)["episodes"]
    folder = tmp_path / "annotated" / "take"
    (folder / "quality.json").unlink()
    shutil.rmtree(folder / "skeletons")
    write_parquet(folder / "skeletons.parquet", as_annotation(images), {})
    assert report()[0] == 0
    assert quality(tmp_path)["episodes"] == by_bag


def test_a_broken_recording_is_reported_and_the_others_go_on(report, tmp_path):
    for name in ("a", "b", "c", "d"):
        write_annotated(tmp_path / "annotated" / name, take(40))
    (tmp_path / "annotated" / "a" / "annotation.json").write_text("{")
    shutil.rmtree(tmp_path / "annotated" / "b" / "skeletons")
    (tmp_path / "annotated" / "b" / "quality.json").write_text(
        json.dumps({"schema": "vitpose_ros quality 0"})
    )
    (tmp_path / "annotated" / "c" / "quality.json").write_text("mine")
    code, said = report()
    assert code == 1
    assert "a: FAILED" in said and "annotate the recording again" in said
    assert "b: FAILED" in said and "annotate with --write bag or parquet" in said
    assert "c: FAILED" in said and "is none of ours: move it away" in said
    assert "1 of 4 recordings reported, 3 failed" in said and "Traceback" not in said
    assert not (tmp_path / "annotated" / "b" / "quality.json").exists()  # a stale verdict
    assert (tmp_path / "annotated" / "c" / "quality.json").read_text() == "mine"
    page = (tmp_path / "annotated" / "index.html").read_text()
    assert "3 recordings could not be reported" in page and "annotate with --write" in page


def test_photographs_are_no_episode(report, tmp_path):
    recording = write_images(tmp_path / "recordings" / "take", take(3))
    write_annotated(
        tmp_path / "annotated" / "take", take(3), recording, settings={"static": True}
    )
    code, said = report()
    assert code == 1 and "it holds photographs (--static)" in said
    assert "no page was written" in said
    assert not (tmp_path / "annotated" / "index.html").exists()


def missing(folder):
    shutil.rmtree(folder)


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


def nothing_annotated(folder):
    shutil.rmtree(folder / "take")


def foreign_page(folder):
    (folder / "index.html").write_text("<html>mine</html>")


@pytest.mark.parametrize(
    ("make", "words", "said"),
    [
        (missing, [], "is no folder: give what `vitpose_ros annotate -o` wrote"),
        (a_file, [], "is no folder"),
        (nothing_annotated, [], "has no annotated recording in it"),
        (foreign_page, [], "exists and is no report: move it away"),
        (None, ["-o", "{file}/report"], "cannot be written"),
        (None, ["--thresholds", "{file}"], "expected lines such as"),
        (None, ["--thresholds", "none.yaml"], "cannot be read"),
        (None, ["--recordings", "none"], "does not exist"),
        (None, ["--recordings", "{file}", "--no-images"], "contradict each other"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_meant_is_refused(report, tmp_path, make, words, said):
    write_annotated(tmp_path / "annotated" / "take", take(40))
    (tmp_path / "file").write_text("text")
    if make:
        make(tmp_path / "annotated")
    code, text = report(*(word.format(file=tmp_path / "file") for word in words))
    assert code == 2 and said in text and "Traceback" not in text
    assert not list(tmp_path.rglob("quality.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(report, tmp_path):
    write_annotated(tmp_path / "annotated" / "take", take(40))
    (tmp_path / "annotated").chmod(0o500)
    code, said = report()
    assert code == 2 and "cannot be written" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coverge: {flag: 0.5}", "has 'coverge'; known are hands, coverage"),
        ("coverage: 0.5", "expected {flag: NUMBER, reject: NUMBER}, got 0.5"),
        ("coverage: {}", "expected {flag: NUMBER, reject: NUMBER}"),
        ("coverage: {warn: 0.5}", "expected {flag: NUMBER, reject: NUMBER}"),
        ("coverage: {flag: high}", "flag: expected a number from 0 on, or null"),
        ("coverage: {flag: -1}", "flag: expected a number from 0 on, or null"),
        ("coverage: {flag: .nan}", "flag: expected a number from 0 on, or null"),
        ("coverage: {flag: true}", "flag: expected a number from 0 on, or null"),
        ("coverage: {flag: 0.3}", "flag (0.3) has to be at least reject (0.5)"),
        ("dropout_s: {flag: 3}", "flag (3) has to be at most reject (1.5)"),
        ("hands: both", "hands: expected auto, one of left, right, unknown"),
        ("hands: []", "hands: expected auto"),
        ("- coverage", "expected lines such as"),
        ("a: [", "cannot be read"),
    ],
    ids=str,
)
def test_thresholds_without_a_meaning_are_refused(report, tmp_path, text, said):
    write_annotated(tmp_path / "annotated" / "take", take(40))
    (tmp_path / "limits.yaml").write_text(text)
    code, given = report("--thresholds", tmp_path / "limits.yaml")
    assert code == 2 and said in given


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_levels_rise_with_the_figure_and_agree_with_the_verdict(check: Check):
    values = [0.0, 1e-3, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 0.95, 1.0, 2.0, 5.0, 9.0, 50.0]
    levels = [check.level(value) for value in (reversed(values) if check.least else values)]
    assert levels == sorted(levels)
    for value in values:
        low = {"accept": 0, "flag": 1, "reject": 2}[str(check.verdict(value))]
        assert low <= check.level(value) <= low + 1
    assert check.level(None) == 0.0 and check.verdict(None) is None


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    report, tmp_path, monkeypatch
):
    write_annotated(tmp_path / "annotated" / "take", take(40))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, said = report()
    assert code == 1 and "pip install" in said and "jinja2" in said


def test_metres_are_projected_by_the_recordings_own_camera(
    annotate, make_bag, hands, tmp_path, capsys
):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands)})
    code, said, out = annotate(bag, "-p", "hand_size:=0.185", "--write", "parquet")
    assert code == 0, said
    assert main(["report", str(out)]) == 0
    path = out / "take" / "quality.json"
    (episode,) = json.loads(path.read_text())["episodes"]
    assert episode["bones"]["space"] == "metres"
    assert episode["reprojection"]["hands"] > 12
    assert 0 < episode["reprojection"]["px"] < 3
    assert episode["reprojection"]["palms"] < 0.1


def test_a_bag_with_its_input_needs_no_recording(annotate, make_bag, hands, tmp_path):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands)})
    code, said, out = annotate(bag, "--with-input")
    assert code == 0, said
    shutil.rmtree(bag)
    assert main(["report", str(out)]) == 0
    found = json.loads((out / "take" / "quality.json").read_text())
    assert found["no_images"] == "" and found["episodes"][0]["blur"]["hands"] > 12


def test_an_interruption_keeps_what_is_finished_and_leaves_nothing_half_written(
    report, tmp_path, monkeypatch
):
    for name in ("a", "b"):
        recording = write_images(tmp_path / "recordings" / name, take(30))
        write_annotated(tmp_path / "annotated" / name, take(30), recording)
    whole = document.look

    def interrupted(source, images, *rest):
        if "b" in str(source._images[0][1].parent.name):
            raise KeyboardInterrupt
        return whole(source, images, *rest)

    monkeypatch.setattr(document, "look", interrupted)
    code, said = report()
    assert code == 130 and "run the same command again" in said
    folder = tmp_path / "annotated"
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert "a/quality.json" in left and "b/quality.json" not in left
    assert "index.html" not in left and not [one for one in left if "/." in one]
    monkeypatch.undo()
    assert report()[0] == 0


def test_a_full_disk_ends_the_run_with_one_sentence(report, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("a", "b"):
        write_annotated(tmp_path / "annotated" / name, take(30))
    monkeypatch.setattr(document, "write_whole", full)
    code, said = report()
    assert code == 1 and said.count("the disk is full") == 1
    assert "1 failed, 1 not begun" in said and "no page was written" in said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_clean_real_clip_is_accepted(models, test_data, tmp_path, capsys):
    video = test_data / "real" / "forearm.mp4"
    if not video.is_file():
        pytest.skip(f"no {video}")
    out = tmp_path / "annotated"
    assert main(["annotate", str(video), "-o", str(out), "--write", "bag"]) == 0
    assert main(["report", str(out)]) == 0
    assert "0 reject, 0 flag, 1 accept" in capsys.readouterr().out
    (episode,) = json.loads((out / "forearm" / "quality.json").read_text())["episodes"]
    assert episode["judged"] == ["right"] and episode["hands"]["right"]["coverage"] == 1
    assert 0.03 < episode["bones"]["spread"] < 0.12 and episode["blur"]["share"] < 0.1
