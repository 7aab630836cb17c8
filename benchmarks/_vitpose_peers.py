"""ViTPose-S in transformers and in rtmlib, in a process that answers requests.

It runs in the interpreter that has torch, without this package. Requests are lines of JSON:

{"do": "make", "crop": NPZ, "onnx": FILE, "reference": NPZ}
    Make the network, its maps of the crop smooth peaks at the joints; write it as ONNX, and its
    maps of the crop.
{"do": "time", "who": "transformers" | "rtmlib" | "onnxruntime", "image": NPZ, "boxes": [[x, y, w,
h], ...], "times": N}
    Answer with the seconds of each of N calls.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

import numpy as np
import onnxruntime
import rtmlib
import torch
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation
from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Heatmaps(torch.nn.Module):
    """The network with its maps as the only output."""

    def __init__(self, network):  # type: ignore[no-untyped-def]
        super().__init__()
        self.network = network

    def forward(self, pixel_values):  # type: ignore[no-untyped-def]
        """(N, 3, 256, 192) to (N, 17, 64, 48)."""
        return self.network(pixel_values).heatmaps


def make(crop, joints):  # type: ignore[no-untyped-def]
    """ViTPose-S with seeded weights, whose head is solved for smooth peaks.

    Random weights give maps without peaks, so there is nothing to compare. So one linear map of
    the backbone's 192 tokens is solved (least squares) for a Gaussian around each joint on the
    tokens' grid, and the head's first 17 channels are set to this map and to bilinear enlargement;
    its other channels keep their random weights. The work per crop is that of any ViTPose-S.
    """
    torch.manual_seed(0)
    # Any: mypy reads transformers where it is installed, and its classes accept more than they say.
    small: dict[str, Any] = {
        "image_size": (256, 192),
        "patch_size": (16, 16),
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "out_indices": [12],
    }
    whole: dict[str, Any] = {
        "backbone_config": VitPoseBackboneConfig(**small),
        "num_labels": 17,
        "use_simple_decoder": False,
    }
    network = VitPoseForPoseEstimation(VitPoseConfig(**whole)).eval()
    seen: list[torch.Tensor] = []
    hook = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.from_numpy(crop))
    hook.remove()
    tokens = seen[0][0].reshape(384, 192).T.double()
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="ij")
    at = torch.from_numpy(joints).double() / 16 - 0.5
    square = (columns.reshape(-1, 1) - at[:, 0]) ** 2 + (rows.reshape(-1, 1) - at[:, 1]) ** 2
    solved = torch.linalg.lstsq(tokens, torch.exp(-square / 2), driver="gelsd").solution.float()
    slope = torch.tensor([0.25, 0.75, 0.75, 0.25])
    bilinear, joint = slope[:, None] * slope[None, :], torch.arange(len(joints))
    with torch.no_grad():
        network.head.deconv1.weight[:, joint] = solved[:, :, None, None] * bilinear
        network.head.deconv2.weight[:, joint] = 0
        network.head.deconv2.weight[joint, joint] = bilinear
        network.head.conv.weight.zero_()
        network.head.conv.weight[joint, joint] = 1
        network.head.conv.bias.zero_()
    return network


class Contestants:
    """The contestants, by name."""

    def __init__(self, network, onnx):  # type: ignore[no-untyped-def]
        self.network = network
        self.processor: Any = VitPoseImageProcessorPil()
        self.rtmlib_pose = rtmlib.ViTPose(onnx, (192, 256), MEAN, STD, backend="onnxruntime")
        self.session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    def transformers(self, image, boxes):  # type: ignore[no-untyped-def]
        """Preprocessing, network and decoding of transformers."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        inputs = self.processor(rgb, boxes=[boxes], return_tensors="pt")
        with torch.inference_mode():
            outputs = self.network(inputs["pixel_values"])
        return self.processor.post_process_pose_estimation(outputs, boxes=[boxes])

    def rtmlib(self, image, boxes):  # type: ignore[no-untyped-def]
        """The ViTPose class of rtmlib, on ONNX Runtime."""
        return self.rtmlib_pose(image, [[x, y, x + w, y + h] for x, y, w, h in boxes])

    def onnxruntime(self, image, boxes):  # type: ignore[no-untyped-def]
        """ONNX Runtime's engine alone."""
        crops = np.zeros((len(boxes), 3, 256, 192), np.float32)
        return self.session.run(None, {"pixel_values": crops})


def main() -> None:
    """Answer requests until standard input ends."""
    answers = sys.stdout
    contestants: Contestants | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: object = None
        with contextlib.redirect_stdout(sys.stderr):
            if request["do"] == "make":
                with np.load(request["crop"]) as given:
                    crop, joints = given["crop"], given["joints"]
                network = make(crop, joints)
                with torch.inference_mode():
                    np.savez(
                        request["reference"],
                        heatmaps=network(torch.from_numpy(crop)).heatmaps.numpy(),
                    )
                torch.onnx.export(
                    Heatmaps(network).eval(),
                    (torch.zeros(2, 3, 256, 192),),
                    request["onnx"],
                    input_names=["pixel_values"],
                    output_names=["heatmaps"],
                    dynamo=True,
                    dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
                    external_data=False,
                )
                contestants = Contestants(network, request["onnx"])
            else:
                with np.load(request["image"]) as given:
                    image = given["image"]
                call = getattr(contestants, request["who"])
                seconds: list[float] = []
                for _ in range(request["times"]):
                    start = time.perf_counter()
                    call(image, request["boxes"])
                    seconds.append(time.perf_counter() - start)
                answer = seconds
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
