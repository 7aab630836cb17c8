"""Images on a GPU, and the order of work there.

Two streams: on the first one an image is uploaded and its crops are cut, on the second one the
network's outputs are decoded and the joints come back (the network itself has a stream of its own,
which waits for the second one and is waited for by it):

    upload    | image 1, crops | image 2, crops |
    network                    | run 1          | run 2          |
    results                                     | decode 1, back | decode 2, back |

Between them stand events: the second stream waits for the crops, and `engines.base.DeviceEngine`
makes the first one wait before it writes into crops that a run still reads. The CPU waits only when
joints are collected. Memory that a copy or a kernel still uses is never given away: torch's
allocators, of the GPU and of page-locked memory alike, watch the streams; so that while one image's
page-locked copy is under way, the next one gets another.

Everything works on torch's CPU device too, where each step is over when its call returns.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import torch

from vitpose_ros.types import ByteArray


class Lane:
    """A stream of a GPU, to be used with `with`; nothing at all on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._context: Any = None

    def __enter__(self) -> Lane:
        if self._stream is not None:
            self._context = torch.cuda.stream(self._stream)
            self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._context is not None:
            self._context.__exit__(kind, error, trace)
            self._context = None

    def mark(self) -> Any:
        """An event that comes when all work that was given to this lane by now is done."""
        return None if self._stream is None else self._stream.record_event()

    def wait(self, event: Any) -> None:
        """Let later work of this lane wait for an event; the CPU goes on."""
        if self._stream is not None and event is not None:
            self._stream.wait_event(event)

    def follow(self) -> None:
        """Let later work of this lane wait for what the current stream holds by now."""
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))


def wait_for(event: Any) -> None:
    """Let the CPU wait for an event of a lane."""
    if event is not None:
        event.synchronize()


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy of an array on a device, on the current stream; the array may change at once."""
    if device.type == "cpu":
        return torch.from_numpy(array.copy())
    kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
    locked = torch.empty(array.shape, dtype=kind, pin_memory=True)
    locked.numpy()[...] = array
    return locked.to(device, non_blocking=True)


class DeviceFrames:
    """Uploads images.

    One for each model uploads what it is given. One that several models share keeps an image until
    `next_frame` is called, so that an image that all of them get is uploaded once.

    Parameters
    ----------
    device : where to.
    shared : see above.
    """

    def __init__(self, device: torch.device, shared: bool = True) -> None:
        self.device = device
        self.lane = Lane(device)
        self._shared = shared
        self._image: ByteArray | None = None
        self._planes: torch.Tensor | None = None

    def next_frame(self) -> None:
        """Forget the last image. To be called before each frame: an array that is the same may hold
        another image by then.
        """
        self._image = self._planes = None

    def planes(self, image: ByteArray) -> torch.Tensor:
        """The image as (1, 3, H, W) float32, 0 .. 255, channels in their order; to be used in
        `lane` only, and with it current.
        """
        if self._planes is None or self._image is not image:
            pixels = upload(image, self.device)
            planes = pixels.permute(2, 0, 1)[None].float().contiguous()
            if not self._shared:
                return planes
            self._image, self._planes = image, planes
        return self._planes
