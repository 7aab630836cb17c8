"""Interrupted runs: nothing half-written has a final name, and the rest is made as if nothing had
happened.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from vitpose_ros.offline.items import MANIFEST


def command(inputs, out, *options):
    script = "import sys; from vitpose_ros.cli.main import main; sys.exit(main())"
    words = ["annotate", str(inputs), "-o", str(out), "--write", "bag,parquet,coco", "--quiet"]
    return [sys.executable, "-c", script, *words, *options]


@pytest.fixture
def recordings(make_bag, hands, tmp_path):
    """A folder with three small bags."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        make_bag(folder / name, {"/camera/image_raw": ("compressed", "", hands[:6])})
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)  # twelve runs, each with its start
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "workers"])
def test_after_kill_9_at_any_moment_the_rest_is_made_byte_by_byte_the_same(
    models, recordings, tmp_path, tree, workers
):
    begun = time.monotonic()
    undisturbed = tmp_path / "undisturbed"
    subprocess.run(command(recordings, undisturbed, *workers), cwd=tmp_path, check=True)
    whole_s = time.monotonic() - begun
    expected = tree(undisturbed)
    assert len(expected) == 3 * 5

    chance = random.Random(7)
    for kill in range(5):
        out = tmp_path / f"killed{kill}"
        process = subprocess.Popen(command(recordings, out, *workers), cwd=tmp_path)
        try:
            process.wait(timeout=chance.uniform(0.3, 1.0) * whole_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for finished in out.glob(f"*/{MANIFEST}"):
            name = finished.parent.name
            for path, digest in tree(finished.parent).items():
                assert expected[f"{name}/{path}"] == digest
        wait_until_free(recordings, out, workers, tmp_path)
        assert tree(out) == expected


def wait_until_free(recordings, out, workers, cwd):
    """Go on until no process of the killed run holds the folder, as a user would."""
    for _ in range(20):
        done = subprocess.run(
            command(recordings, out, *workers), cwd=cwd, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        assert "another vitpose_ros annotate" in done.stderr, done.stderr
        time.sleep(0.5)
    pytest.fail("the folder stayed locked")


def test_what_is_finished_is_not_made_again(annotate, make_bag, hands, tmp_path, tree):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands)})
    assert annotate(bag)[0] == 0
    code, said, _ = annotate(bag)
    assert code == 0 and "0 of 1 annotated" in said and "1 were finished before" in said
    # A copy with another time of change is known by its contents.
    for path in bag.iterdir():
        path.touch()
    assert "1 were finished before" in annotate(bag)[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bag, out: ["-p", "max_hands:=1"], "other settings"),
        (lambda bag, out: [next(bag.glob("*.mcap")).open("ab").write(b"x")][:0], "another input"),
        (lambda bag, out: [(out / "take" / MANIFEST).unlink()][:0], "no annotation is in it"),
    ],
    ids=["settings", "input", "foreign"],
)
def test_a_finished_item_that_was_made_otherwise_is_refused_not_replaced(
    annotate, make_bag, hands, tmp_path, tree, change, reason
):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands[:3])})
    out = annotate(bag)[2]
    options = change(bag, out)
    before = tree(out)
    code, said, _ = annotate(bag, *options)
    assert code == 1 and reason in said
    assert tree(out) == before


def test_overwrite_replaces_what_was_made_otherwise(annotate, make_bag, hands, tmp_path):
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands[:3])})
    out = annotate(bag)[2]
    before = (out / "take" / MANIFEST).read_text()
    assert annotate(bag, "-p", "max_hands:=1", "--overwrite")[0] == 0
    assert (out / "take" / MANIFEST).read_text() != before
    assert not (out / ".annotate").exists()


def test_two_runs_do_not_share_an_output_folder(annotate, make_bag, hands, tmp_path):
    from vitpose_ros.offline.batch import output_folder

    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands[:1])})
    with output_folder(tmp_path / "out"):
        code, said, _ = annotate(bag)
    assert code == 2 and "another vitpose_ros annotate is writing" in said
