"""A small checkpoint from a server in the hub's own layout to heatmaps: progress, interruptions,
wrong and missing files, no network, a mirror; and, where the real hub may be used, published
values.
"""

from __future__ import annotations

import hashlib
import io
import os
import urllib.request

import cv2
import numpy as np
import pytest

from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.layouts import get_layout
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.convert.run import convert_entry
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.progress import PlainProgress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State

REPO = "/acme/tiny/resolve/main/"
CHECKPOINT = ("config.json", "model.safetensors")


@pytest.fixture
def hub(site, monkeypatch):
    """The local server as the hub."""
    pytest.importorskip(
        "huggingface_hub", reason="needs huggingface_hub: python3 -m pip install huggingface_hub"
    )
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    return site


def entry_of(make_entry, contents, hashes=False):
    files = [
        {
            "name": name,
            "source": {"hub": "acme/tiny", "revision": "main", "member": name},
            **({"sha256": hashlib.sha256(contents[name]).hexdigest()} if hashes else {}),
        }
        for name in CHECKPOINT
    ]
    return make_entry(
        task="body_keypoints",
        architecture="vitpose",
        layout="coco17",
        input={"width": 192, "height": 256},
        convert={"format": "huggingface"},
        files=files,
    )


@pytest.fixture
def fake(hub, content):
    """Files of a checkpoint that only have to travel."""
    contents = {"config.json": b"{}", "model.safetensors": content}
    hub.files |= {REPO + name: data for name, data in contents.items()}
    return contents


class Clock:
    """A second passes with every look, so that every step is told."""

    now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_both_files_of_a_checkpoint_come_with_progress_and_their_commit(
    fake, make_entry, make_store
):
    store, told = make_store({"tiny": entry_of(make_entry, fake)}), io.StringIO()
    (model,) = pull(store, ["tiny"], progress=PlainProgress(told, 0.0, Clock()))
    assert {path.name: path.read_bytes() for path in model.paths} == fake
    assert "acme/tiny/config.json" in told.getvalue()
    assert "acme/tiny/model.safetensors" in told.getvalue()
    assert f"hub acme/tiny@{'0' * 12}, sha256" in told.getvalue()  # not 'main', which moves
    assert store.list()[0].state is State.PULLED


def test_a_pull_that_was_interrupted_goes_on_where_it_stopped(
    hub, fake, make_entry, make_store, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000, raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library's own retries
    hub.cuts = [-1, *[100_000] * 1, *[0] * 50]  # the configuration, part of the weights, nothing
    store = make_store({"tiny": entry_of(make_entry, fake)})
    try:
        pull(store, ["tiny"])
    except ModelError:
        assert store.list()[0].state is not State.PULLED
        hub.cuts = []
        pull(store, ["tiny"])
    assert (store.root / "tiny" / "model.safetensors").read_bytes() == fake["model.safetensors"]
    resumed = [int(span.split("=")[1].split("-")[0]) for span in hub.gets() if span]
    assert max(resumed, default=0) > 0
    assert len([path for _, path, _ in hub.asked if path.endswith("config.json")]) <= 2


def test_a_wrong_hash_is_refused_and_leaves_nothing(hub, fake, make_entry, make_store):
    store = make_store({"tiny": entry_of(make_entry, fake, hashes=True)})
    hub.files[REPO + "model.safetensors"] = fake["model.safetensors"][::-1]
    with pytest.raises(ModelError, match=r"model\.safetensors has the sha256 .*expected is"):
        pull(store, ["tiny"])
    assert not (store.root / "tiny" / "model.safetensors").exists()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing\. Get it with"):
        store.get("tiny")


def test_a_file_that_the_hub_lacks_is_named_and_the_rest_is_not_asked_again(
    hub, fake, make_entry, make_store
):
    del hub.files[REPO + "model.safetensors"]
    store = make_store({"tiny": entry_of(make_entry, fake)})
    with pytest.raises(ModelError, match=r"hub did not give acme/tiny/model\.safetensors"):
        pull(store, ["tiny"])
    hub.files[REPO + "model.safetensors"] = fake["model.safetensors"]
    before = [path for _, path, _ in hub.asked].count(REPO + "config.json")
    pull(store, ["tiny"])
    assert [path for _, path, _ in hub.asked].count(REPO + "config.json") == before


def test_no_network_is_said(fake, make_entry, make_store, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    store = make_store({"tiny": entry_of(make_entry, fake)})
    with pytest.raises(ModelError, match=r"hub did not give acme/tiny/config\.json"):
        pull(store, ["tiny"])
    assert store.list()[0].state is State.ABSENT


@pytest.mark.convert
@pytest.mark.timeout(180)
def test_from_the_hub_to_heatmaps_and_by_a_mirror_to_a_robot(
    hub,
    hub_model,
    transformers_heatmaps,
    images,
    run_network,
    make_entry,
    make_store,
    tmp_path,
    monkeypatch,
):
    model = hub_model(num_hidden_layers=1)
    model.save_pretrained(tmp_path / "hub")
    contents = {name: (tmp_path / "hub" / name).read_bytes() for name in CHECKPOINT}
    hub.files |= {REPO + name: data for name, data in contents.items()}
    entry = entry_of(make_entry, contents, hashes=True)
    store = make_store({"tiny": entry})
    pull(store, ["tiny"])
    manifest = convert_entry(store, "tiny")
    ready = store.get("tiny", "body_keypoints")
    expected = transformers_heatmaps(model, images(2))
    np.testing.assert_allclose(
        run_network(ready.path.parent, images(2)), expected, rtol=0, atol=1e-4
    )
    assert (manifest.licence, manifest.origin) == ("MIT", "https://example.org/")
    assert manifest.sources[0].source == f"hub acme/tiny@{'0' * 12}"
    assert store.list()[0].state is State.CONVERTED

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    robot = make_store({"tiny": entry}, root="robot")
    (model_there,) = pull(robot, ["tiny"], mirror=store.root)
    assert model_there.path.read_bytes() == ready.path.read_bytes()
    assert not (robot.root / "tiny" / "model.safetensors").exists()


@pytest.mark.convert
def test_a_checkpoint_of_other_joints_than_the_catalogue_says_is_refused(
    hub, hub_model, make_entry, make_store, tmp_path
):
    hub_model(num_hidden_layers=1, labels=16).save_pretrained(tmp_path / "hub")
    contents = {name: (tmp_path / "hub" / name).read_bytes() for name in CHECKPOINT}
    hub.files |= {REPO + name: data for name, data in contents.items()}
    store = make_store({"tiny": entry_of(make_entry, contents)})
    pull(store, ["tiny"])
    with pytest.raises(ModelError, match="gives 16 joints; the layout 'coco17' has 17"):
        convert_entry(store, "tiny")
    assert store.list()[0].state is State.PULLED


# Published by Hugging Face for the nose of person 2 in COCO's validation image 139, in the image's
# pixels: x, y, score, as the mean with the mirrored image (convert_vitpose_to_hf.py).
PUBLISHED = {
    "vitpose-b-simple": (398.1805, 181.8084, 0.86664),
    "vitpose-b": (398.079, 181.828, 0.88235),
    "vitpose-b-multi": (398.3055, 181.7416, 0.86997),
    "vitpose-plus-s": (398.1597, 181.6902, 0.9051),
    "vitpose-plus-b": (398.2013, 181.7283, 0.87505),
    "vitpose-plus-l": (398.1409, 181.7412, 0.8746),
}
PERSONS = [[[412.8, 157.61, 53.05, 138.01], [384.43, 172.21, 15.12, 35.74]]]


@pytest.mark.hub
@pytest.mark.convert
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_checkpoint_gives_the_published_keypoint(torch, name, tmp_path):
    if os.environ.get("VITPOSE_ROS_TEST_HUB") != "1":
        pytest.skip("downloads real weights: VITPOSE_ROS_TEST_HUB=1 make test-convert")
    pytest.importorskip("PIL", reason="needs Pillow: python3 -m pip install pillow")
    store = ModelStore(tmp_path / "store", load_catalogue())
    pull(store, [name])
    convert_entry(store, name)
    address = "http://images.cocodataset.org/val2017/000000000139.jpg"
    with urllib.request.urlopen(address, timeout=60) as response:
        data = np.frombuffer(response.read(), np.uint8)
    image = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    x, y, score = nose(torch, store.get(name).path, image)
    np.testing.assert_allclose((x, y), PUBLISHED[name][:2], rtol=0, atol=0.05)
    np.testing.assert_allclose(score, PUBLISHED[name][2], rtol=0, atol=5e-3)


def nose(torch, network, image):
    """The nose of the second person, with transformers' own warp and decoding around the engine."""
    from transformers import VitPoseImageProcessorPil
    from transformers.models.vitpose.modeling_vitpose import VitPoseEstimatorOutput

    processor = VitPoseImageProcessorPil()
    pixels = processor(images=image, boxes=PERSONS, return_tensors="np").pixel_values
    pixels = np.ascontiguousarray(pixels, np.float32)
    engine = OpenVinoEngine(network)
    heatmaps = engine.run({"image": pixels})["heatmaps"]
    mirrored = engine.run({"image": np.ascontiguousarray(pixels[..., ::-1])})["heatmaps"]
    order = list(get_layout("coco17").flip_permutation())
    mean = torch.from_numpy((heatmaps + mirrored[:, order, :, ::-1]) / 2)
    outputs = VitPoseEstimatorOutput(heatmaps=mean)
    person = processor.post_process_pose_estimation(outputs, boxes=PERSONS)[0][1]
    return (*person["keypoints"][0].tolist(), float(person["scores"][0]))
