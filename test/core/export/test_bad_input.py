"""Input that cannot be exported: a sentence with the remedy, and nothing under the final name."""

from __future__ import annotations

import json
import shutil

import pytest

from vitpose_ros.types import Side

from .conftest import FIRST_NS, PERIOD_NS, Take
from .test_lerobot import episodes, frames, info

BACK = [FIRST_NS + i * PERIOD_NS for i in (0, 1, 2, 100, 101, 40, 41, 42)]


@pytest.mark.parametrize(
    ("take", "words", "said", "remedy"),
    [
        (Take(metric=False), [], "no positions in metres", "--units px"),
        (Take(seen={}), [], "no hand was measured in it", ""),
        (Take(stamps_ns=BACK), [], "its stamps go back from", "split the recording there"),
        (Take(), ["--fps", "60"], "images come at 30.0 Hz", "Use --fps 30"),
    ],
    ids=["no metres", "no hand", "time goes back", "rate"],
)
def test_a_recording_that_cannot_be_exported_says_why(write, export, take, words, said, remedy):
    write(take)
    code, text, out = export(*words)
    assert code == 1 and said in text and remedy in text
    assert f"no episode was written to {out}: it was not created" in text
    assert "--debug" not in text and not out.exists()


def test_the_others_are_exported_where_one_fails(write, export):
    write(Take(stamps_ns=BACK), "bad")
    write(Take(), "good")
    code, said, out = export()
    assert code == 1 and "bad: FAILED" in said and "1 episodes, 12 frames" in said
    assert info(out)["total_episodes"] == 1


def test_dropped_episodes_are_listed_with_their_reasons(write, export):
    stamps = [FIRST_NS + i * PERIOD_NS for i in range(60)]
    marks = [(stamps[0], stamps[20]), (stamps[30], stamps[30] + 5), (stamps[40], stamps[50])]
    write(Take(stamps_ns=stamps, seen={Side.RIGHT: range(25)}, marks=marks))
    code, said, out = export()
    assert code == 0 and info(out)["total_episodes"] == 1
    assert "dropped: take, episode 2 of 3: it has 1 images" in said
    assert "dropped: take, episode 3 of 3: no hand was measured in it" in said


def no_recording(tmp_path):
    shutil.rmtree(tmp_path / "recordings" / "take")


def another_recording(tmp_path):
    file = next((tmp_path / "recordings" / "take").glob("*.mcap"))
    file.write_bytes(file.read_bytes() + b"more")


def no_annotation(tmp_path):
    (tmp_path / "annotated" / "take" / "annotation.json").unlink()


def photographs(tmp_path):
    path = tmp_path / "annotated" / "take" / "annotation.json"
    about = json.loads(path.read_text())
    about["settings"]["static"] = True
    path.write_text(json.dumps(about))


def broken_annotation(tmp_path):
    (tmp_path / "annotated" / "take" / "annotation.json").write_text("{}")


def stale_report(tmp_path):
    content = {"annotation_sha256": "0", "episodes": []}
    (tmp_path / "annotated" / "take" / "quality.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (no_recording, [], "is no longer there: name its new place by --recordings"),
        (another_recording, [], "is not what was annotated: its files differ"),
        (no_annotation, [], "has no annotated recording in it"),
        (photographs, [], "was annotated with --static"),
        (broken_annotation, [], "annotate the recording again"),
        (None, ["--fps", "0"], "expected 1 to 1000 frames per second"),
        (None, ["--task", " "], "--task: expected what is done in words"),
        (None, ["--camera", "a/b"], "--camera: expected letters, digits and _"),
        (None, ["--state", "/a", "--action", "/a"], "expected each topic once"),
        (None, ["--append"], "does not exist: leave out --append"),
        (None, ["--skip-rejected"], "has no quality.json: run `vitpose_ros report`"),
        (stale_report, ["--skip-rejected"], "is of an earlier annotation"),
        (None, ["--recordings", "{empty}"], "has no bag, video or image in it"),
        (no_recording, ["--recordings", "{other}"], "name its new place by --recordings"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_command_that_cannot_be_meant_is_refused_before_anything_is_written(
    write, export, tmp_path, spoil, words, said
):
    write(Take())
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "recordings" / "take", tmp_path / "other" / "different")
    if spoil:
        spoil(tmp_path)
    places = {"empty": tmp_path / "empty", "other": tmp_path / "other"}
    code, text, out = export(*(word.format(**places) for word in words))
    assert code == 2 and said in text
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_a_folder_that_exists_is_not_overwritten(write, export, tmp_path):
    write(Take())
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine").write_text("keep")
    code, said, out = export()
    assert code == 2 and "exists: add --append" in said
    assert (out / "mine").read_text() == "keep"


def test_a_copy_of_a_recording_that_was_moved_is_as_good(write, export, tmp_path):
    bag, _ = write(Take())
    copy = tmp_path / "elsewhere" / "take"
    shutil.copytree(bag, copy, copy_function=shutil.copyfile)
    shutil.rmtree(bag.parent)
    code, said, _ = export("--recordings", str(copy.parent))
    assert code == 0, said


def test_images_of_another_size_are_not_mixed_in(write, export):
    write(Take(), "a")
    later = [stamp + 10**12 for stamp in Take().stamps_ns]
    write(Take(stamps_ns=later, size=(128, 96)), "b")
    code, said, out = export()
    assert code == 1 and "its images are 128x96 px, those of the dataset 96x64" in said
    assert info(out)["total_episodes"] == 1


def test_an_annotation_with_other_images_is_noticed(write, export, tmp_path):
    write(Take(), "take")
    shifted = Take(stamps_ns=[stamp + 1 for stamp in Take().stamps_ns])
    _, annotated = write(shifted, "shifted")
    shutil.rmtree(tmp_path / "annotated" / "take" / "skeletons")
    (annotated / "skeletons").rename(tmp_path / "annotated" / "take" / "skeletons")
    shutil.rmtree(annotated)
    code, said, _ = export()
    assert code == 1 and "does not give the images that were annotated" in said


def test_what_was_complete_before_a_recording_failed_is_kept_and_counted(write, export, tmp_path):
    stamps = Take().stamps_ns
    marks = [(stamps[0], stamps[4]), (stamps[6], None)]
    write(Take(marks=marks), "take")
    changed = Take(stamps_ns=[*stamps[:8], *(stamp + 1 for stamp in stamps[8:])])
    _, other = write(changed, "other")
    shutil.rmtree(tmp_path / "annotated" / "take" / "skeletons")
    (other / "skeletons").rename(tmp_path / "annotated" / "take" / "skeletons")
    shutil.rmtree(other)
    later = [stamp + 10**12 for stamp in stamps]
    write(Take(stamps_ns=later), "take2")
    code, said, out = export()
    assert code == 1 and "image 9 has another stamp" in said
    assert "1 episodes were written before" in said and "2 episodes, 17 frames" in said
    assert info(out)["total_episodes"] == 2 and info(out)["total_frames"] == 17
    shown = [number for _, number in frames(next(out.glob("videos/*/*/*.mp4")))]
    rows = episodes(out)
    key = "videos/observation.images.camera/from_timestamp"
    begins = [round(row[key] * 30) for row in rows]
    assert shown[begins[0] : begins[0] + 5] == list(range(5))
    assert shown[begins[1] : begins[1] + 12] == list(range(12))
