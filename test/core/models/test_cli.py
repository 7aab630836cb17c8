from __future__ import annotations

import json
import re

import pytest

from vitpose_ros.cli.main import main


@pytest.fixture
def own(make_entry, make_catalogue, content, tmp_path, monkeypatch):
    """A model `net` of the user's own in a file of this machine, and an empty store."""
    (tmp_path / "my.onnx").write_bytes(content)
    path = make_catalogue({"net": make_entry({"file": str(tmp_path / "my.onnx")})})
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", str(path))
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "store"))
    return tmp_path / "store" / "net" / "net.onnx"


def run(capsys, *words):
    """Exit code, stdout and stderr of one command."""
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("words", [(), ("models",)])
def test_without_a_command_the_help_is_shown(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['vitpose_ros', *words])}")


@pytest.mark.parametrize("words", [("-h",), ("models", "-h"), ("models", "verify", "--help")])
def test_every_help_documents_the_exit_codes(capsys, words):
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert re.search(r"exit codes:\n  0 .*\n  1 .*\n  2 ", out)


def test_the_version_is_the_packages(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert re.fullmatch(r"vitpose_ros \d+\.\d+\.\d+\n", out)


def test_list_shows_every_model_with_licence_size_state_and_source(capsys, own):
    code, out, _ = run(capsys, "models", "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert re.search(
        r"hand_keypoints +Apache-2\.0 +5\.5 MB +known +absent +wheel mediapipe==0\.10\.21$",
        lines["mediapipe-hand-full"],
    )
    assert re.search(r" unknown +unknown +absent +github\.com$", lines["yolox-nano"])
    assert re.search(
        r" unknown +unknown +absent +hub usyd-community/vitpose-base$", lines["vitpose-b"]
    )
    assert re.search(r"hand_keypoints +MIT +307\.2 kB +known +absent +this machine$", lines["net"])
    assert "recorded at the first pull" in out
    assert lines["store:"].endswith("/store")


def test_list_as_json_carries_the_whole_entry_and_the_state(capsys, own):
    run(capsys, "models", "pull", "net")
    code, out, _ = run(capsys, "models", "list", "--json")
    model = {model["name"]: model for model in json.loads(out)}["net"]
    assert code == 0
    assert (model["state"], model["layout"], model["input"]) == ("verified", "hand21", [224, 224])
    assert model["files"][0]["path"] == str(own)
    assert model["licence"]["url"] == "https://example.org/licence"


def test_pull_then_verify_is_in_order(capsys, own, content):
    code, out, err = run(capsys, "models", "pull", "net")
    assert (code, out) == (0, "")
    assert "net: licence MIT, https://example.org/licence" in err
    assert own.read_bytes() == content
    assert run(capsys, "models", "verify") == (0, "net: verified\n", "")


def test_a_quiet_pull_says_nothing(capsys, own):
    assert run(capsys, "models", "pull", "--quiet", "net") == (0, "", "")


def test_verify_of_a_damaged_model_fails_with_the_command_that_helps(capsys, own):
    run(capsys, "models", "pull", "net")
    own.write_bytes(b"short")
    code, out, err = run(capsys, "models", "verify", "net")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"vitpose_ros: \S+ is truncated: it has 5 bytes, .*--force net\n", err)
    code, out, _ = run(capsys, "models", "verify", "--json")
    assert code == 1
    assert json.loads(out)[0]["state"] == "damaged"
    code, out, _ = run(capsys, "models", "list")
    assert code == 0
    assert "vitpose_ros models pull --force net" in out


def test_verify_of_an_absent_model_fails_and_of_an_empty_store_does_not(capsys, own):
    code, _, err = run(capsys, "models", "verify", "net")
    assert code == 1
    assert "vitpose_ros models pull net" in err
    code, out, _ = run(capsys, "models", "verify")
    assert code == 0
    assert "has no models" in out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("models", "pull"), 2, "the following arguments are required: NAME"),
        (
            ("models", "pull", "nat"),
            2,
            "vitpose_ros: the model 'nat' is not in the catalogue; accepted:",
        ),
        (("models", "verify", "nat"), 2, "vitpose_ros: the model 'nat' is not in the catalogue"),
        (
            ("models", "list", "--catalogue", "/nowhere.yaml"),
            2,
            "vitpose_ros: the catalogue /nowhere",
        ),
        (
            ("models", "pull", "net", "--mirror", "/nowhere"),
            1,
            "vitpose_ros: the mirror /nowhere is not",
        ),
        (("models", "push"), 2, "invalid choice: 'push'"),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_an_exit_code(capsys, own, words, code, sentence):
    given, out, err = run(capsys, *words)
    assert (given, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(own):
    with pytest.raises(RuntimeError, match="'nat'"):
        main(["models", "pull", "nat", "--debug"])
    with pytest.raises(RuntimeError, match="'nat'"):
        main(["--debug", "models", "pull", "nat"])


def test_what_nobody_expected_is_still_one_sentence(capsys, own, monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("vitpose_ros.cli.models.pull", fail)
    code, _, err = run(capsys, "models", "pull", "net")
    assert (code, err) == (1, "vitpose_ros: ZeroDivisionError: by nought (--debug shows where)\n")


def test_an_interrupted_command_says_how_to_go_on(capsys, own, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitpose_ros.cli.models.pull", interrupt)
    code, _, err = run(capsys, "models", "pull", "net")
    assert (code, err) == (130, "interrupted; run the same command again to continue\n")


def test_the_table_of_a_terminal_holds_the_same(capsys, own, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(capsys, "models", "list")
    for word in ("mediapipe-palm-full", "hand_detector", "Apache-2.0", "absent"):
        assert word in out
