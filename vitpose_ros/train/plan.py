"""All settings of a training run that its result depends on."""

from __future__ import annotations

from dataclasses import dataclass

from vitpose_ros.train.errors import TrainError

SIZES: dict[str, tuple[int, int, int, int, bool]] = {
    "tiny": (96, 6, 4, 3, True),
    "s": (384, 12, 12, 4, False),
    "b": (768, 12, 12, 4, False),
    "l": (1024, 24, 16, 4, False),
    "h": (1280, 32, 16, 4, False),
}
"""Networks that can be trained from scratch: width, layers, attention heads, width of the MLPs over
that of the network, and whether the head is the simple one."""

SCRATCH_RATE, TUNING_RATE = 1.5e-3, 2.5e-4
"""Learning rates for BATCH crops per step; other batches scale them by the square root."""

BATCH = 48


@dataclass(frozen=True)
class Plan:
    """The settings.

    Attributes
    ----------
    seed : of new weights, of the division of the data, and of all augmentation.
    epochs, batch : passes over the data, and crops per step.
    rate : AdamW's learning rate, reached after `warm_up` of all steps and kept until `decay` of
        them are left, when it falls to 0.
    layer_decay : by which the rate is lower for each layer further from the head.
    weight_decay : AdamW's, on matrices.
    average : share of the averaged weights, which are the result, that remains at each step; less
        in the first steps.
    near : additional weight of the pixels near a joint until the rate falls. Few of a map's pixels
        are near one, so this speeds up learning, but makes peaks higher than they should be.
    freeze : "backbone" or "".
    fpn : whether to add a feature pyramid.
    distill : the teacher's name, "" for none.
    taught : the share of the loss that is the difference from the teacher.
    amp : "off", "bf16" or "fp16": the type of matrix products; weights are float32.
    empty : crops without an object, as a share of those with one.
    """

    seed: int = 0
    epochs: int = 20
    batch: int = BATCH
    rate: float = TUNING_RATE
    layer_decay: float = 0.75
    weight_decay: float = 0.05
    warm_up: float = 0.04
    decay: float = 0.3
    average: float = 0.998
    near: float = 0.0
    freeze: str = ""
    fpn: bool = False
    distill: str = ""
    taught: float = 0.5
    amp: str = "off"
    empty: float = 0.1

    def __post_init__(self) -> None:
        for name, least, most in (
            ("epochs", 1, 100_000),
            ("batch", 1, 65_536),
            ("rate", 1e-9, 1.0),
            ("empty", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                option = "lr" if name == "rate" else name
                raise TrainError(f"--{option}: expected {least} to {most}, got {value}")

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate at a step of so many."""
        rising = (step + 1) / max(self.warm_up * steps, 1)
        falling = (steps - step) / max(self.decay * steps, 1)
        return self.rate * min(1.0, rising, falling)

    def near_at(self, step: int, steps: int) -> float:
        """The additional weight of pixels near a joint at a step."""
        return self.near if step < (1 - self.decay) * steps else 0.0


def make_plan(
    scratch: bool, rate: float | None = None, batch: int = BATCH, **given: object
) -> Plan:
    """A plan with the defaults of a start.

    Parameters
    ----------
    scratch : whether the weights are random.
    rate : the learning rate; None for the usual one.
    batch : crops per step.
    given : other fields.
    """
    usual = SCRATCH_RATE if scratch else TUNING_RATE
    settings: dict[str, object] = {"layer_decay": 1.0, "near": 4.0} if scratch else {}
    if rate is None:
        rate = usual * float(max(batch, 1) / BATCH) ** 0.5
    return Plan(rate=rate, batch=batch, **{**settings, **given})  # type: ignore[arg-type]
