"""Measures on an image what a file does not tell: pixels, codec, logits, the scale of scores.

A measurement on one image is evidence, not proof. It decides only where one choice is clearly
better than all others; otherwise the user is asked, with what each choice found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.keypoints.heatmap import CODECS, HeatmapCodec
from vitpose_ros.keypoints.mirror import is_logits, mirror_residual
from vitpose_ros.keypoints.pixels import PIXELS
from vitpose_ros.keypoints.recipes import CODEC, LOGITS, SCORE_SCALE, TURNED, codec_of
from vitpose_ros.models.add.kinds import Fit, Watched
from vitpose_ros.models.add.readings import read_crops
from vitpose_ros.models.add.samples import Sample
from vitpose_ros.models.add.trial import Trial, run_trial

CLEARLY = 1.15
"""The best choice is taken where it finds this many times as much as the next one, ..."""

ENOUGH = 0.25
"""... and at least this: see `Trial.evidence` and `Readings.evidence`."""

POSSIBLE = 0.8
"""Choices that find at least this share of the best one's are named as possible."""

_PAF_PIXELS = ("bgr", "rgb", "bgr-centred")
_SHOWN = 6
_TALL_CURVES = 1.5  # RTMPose's reach about 1, RTMW's about 10


@dataclass
class Measured:
    """A network with its settings, and how they became known.

    Attributes
    ----------
    fit : with all settings that are known.
    findings : a sentence for each setting that was measured or assumed.
    questions : the options of settings that could not be measured, with a sentence for each.
    tiles : what each choice of those found: captions and trials.
    """

    fit: Fit
    findings: list[str] = field(default_factory=list)
    questions: dict[str, str] = field(default_factory=dict)
    tiles: list[tuple[str, Trial]] = field(default_factory=list)


def measure(
    engine: Watched, fit: Fit, given: Mapping[str, str], sample: Callable[[], Sample]
) -> Measured:
    """Find the settings of a network that its file does not tell.

    Parameters
    ----------
    engine : the network.
    fit : what it is.
    given : the settings that are known already, with where they come from, for people.
    sample : gives the image.

    Raises
    ------
    EngineError : the network fails, or contradicts a setting that was given.
    """
    done = Measured(fit)
    architecture, task = fit.entry.architecture, fit.entry.task
    if task == "hand_keypoints" and architecture in ("heatmap", "rtmpose"):
        _turned(engine, done, given, sample())
    if architecture == "heatmap":
        _logits(engine, done, given, sample())
        _choice(engine, done, given, "pixels", tuple(PIXELS), sample())
        _codec(engine, done, given, sample())
    elif architecture == "paf":
        _choice(engine, done, given, "pixels", _PAF_PIXELS, sample())
    elif architecture == "rtmpose":
        if "pixels" not in given:
            done.findings.append("pixels imagenet: RTMPose's; --pixels says otherwise")
        _scale(engine, done, given, sample())
    elif architecture == "detr" and task.endswith("_detector"):
        _choice(engine, done, given, "normalise", ("none", "imagenet"), sample())
    return done


def with_settings(engine: Engine, fit: Fit, **settings: Any) -> Fit:
    """The same network with other settings; EngineError where it does not accept them."""
    entry = replace(fit.entry, settings={**fit.entry.settings, **settings})
    return replace(fit, entry=entry, model=fit.kind.make(engine, entry))


def is_clear(evidence: Sequence[float]) -> bool:
    """Whether the largest of several is clearly the best."""
    best, *others = sorted(evidence, reverse=True)
    return best >= ENOUGH and all(best >= CLEARLY * other for other in others)


def _choice(
    engine: Watched,
    done: Measured,
    given: Mapping[str, str],
    key: str,
    values: Sequence[str],
    sample: Sample,
) -> None:
    """Take the value with which the network finds clearly the most."""
    if key in given:
        done.findings.append(f"{key} {done.fit.entry.settings[key]}: {given[key]}")
        return
    fits = {value: with_settings(engine, done.fit, **{key: value}) for value in values}
    found = {value: _evidence(engine, one, sample) for value, one in fits.items()}
    ranked = sorted(found, key=lambda value: -found[value])
    scores = ", ".join(f"{value} {found[value]:.2f}" for value in ranked)
    where = f"on one image ({sample.source})"
    done.fit = fits[ranked[0]]
    if is_clear(list(found.values())) and not sample.rendered:
        done.findings.append(f"{key} {ranked[0]}: measured {where}: {scores}")
        return
    remedy = ""
    if sample.rendered:
        why = "networks for photographs read it at random"
        remedy = f". A photograph may tell: --image, or --{key} if you know"
    elif found[ranked[0]] < ENOUGH:
        why = "the network finds hardly anything with any of them"
    else:
        possible = [v for v in ranked if found[v] >= POSSIBLE * found[ranked[0]]]
        why = f"{', '.join(possible)} are too close to each other"
        remedy = ". The model's page or its training configuration says which it is"
        if "imagenet" in possible:
            remedy += "; networks of MMPose, HRNet and SimpleBaseline read imagenet"
    done.questions[key] = f"{key} cannot be told {where}: {why} ({scores}){remedy}"
    for value in ranked[:_SHOWN]:
        trial = run_trial(fits[value], sample)
        done.tiles.append((f"--{key} {value}\n{trial.text}", trial))


def _evidence(engine: Watched, fit: Fit, sample: Sample) -> float:
    if fit.entry.architecture in ("heatmap", "rtmpose"):
        return read_crops(engine, fit, sample).evidence
    return run_trial(fit, sample).evidence


def _turned(engine: Watched, done: Measured, given: Mapping[str, str], sample: Sample) -> None:
    """Whether hands must point up in the crop."""
    if TURNED in given:
        return
    turned = with_settings(engine, done.fit, **{TURNED: True})
    up, as_is = (_evidence(engine, one, sample) for one in (turned, done.fit))
    compared = f"hands pointing up {up:.2f}, as they are {as_is:.2f}; measured on one image"
    if up >= ENOUGH and up >= CLEARLY * as_is:
        done.fit = turned
        done.findings.append(f"{TURNED} true: {compared}")
    else:
        done.findings.append(f"{TURNED} false: {compared}")


def _logits(engine: Watched, done: Measured, given: Mapping[str, str], sample: Sample) -> None:
    if LOGITS in given:
        done.findings.append(f"{LOGITS} {done.fit.entry.settings[LOGITS]}: {given[LOGITS]}")
        return
    maps = read_crops(engine, done.fit, sample).first
    if is_logits(maps):
        done.fit = with_settings(engine, done.fit, **{LOGITS: True})
        done.findings.append(
            f"{LOGITS} true: the maps go down to {float(np.nanmin(maps)):.1f}; heat would stay "
            "above -1"
        )


def _codec(engine: Watched, done: Measured, given: Mapping[str, str], sample: Sample) -> None:
    """Take the codec whose lattice mirrored crops show."""
    codec, layout = codec_of(done.fit.entry), done.fit.entry.layout
    assert isinstance(codec, HeatmapCodec) and layout is not None
    stride = codec.input_size[0] / codec.map_size[0]
    read = read_crops(engine, done.fit, sample)
    found = mirror_residual(read.first, read.mirrored, layout.flip_permutation(), stride)
    if CODEC in given:
        if found.udp is not None and found.udp != codec.udp:
            fitting = [name for name, kind in CODECS.items() if kind.udp == found.udp]
            raise EngineError(
                f"'{done.fit.entry.name}' does not have the codec '{codec.kind}': {found} "
                f"(measured on {sample.source}). Give --codec {' or '.join(fitting)}, or leave "
                "--codec out"
            )
        verified = "not verified, since " if found.udp is None else "as measured: "
        done.findings.append(f"{CODEC} {codec.kind}: {given[CODEC]}; {verified}{found}")
        return
    if found.udp is None:
        meanings = "; ".join(f"{name}: {kind.meaning}" for name, kind in CODECS.items())
        done.questions[CODEC] = (
            f"{CODEC} cannot be told on one image ({sample.source}): {found}. {meanings}"
        )
        return
    name = "udp" if found.udp else "integral" if codec.logits else "classic"
    done.fit = with_settings(engine, done.fit, **{CODEC: name})
    others = ""
    if not found.udp:
        rest = [n for n, kind in CODECS.items() if not kind.udp and n != name]
        others = f". The lattice does not tell {name} from {' and '.join(rest)}: --codec does"
    done.findings.append(f"{CODEC} {name}: {found}; measured on one image{others}")


def _scale(engine: Watched, done: Measured, given: Mapping[str, str], sample: Sample) -> None:
    if SCORE_SCALE in given:
        done.findings.append(
            f"{SCORE_SCALE} {done.fit.entry.settings[SCORE_SCALE]}: {given[SCORE_SCALE]}"
        )
        return
    run_trial(done.fit, sample)
    highest = np.min([values.max(axis=-1) for values in engine.last.values()], axis=0)
    typical = float(np.median(highest))
    if typical > _TALL_CURVES:
        done.fit = with_settings(engine, done.fit, **{SCORE_SCALE: 10})
        done.findings.append(
            f"{SCORE_SCALE} 10: the curves reach {typical:.1f} in the median joint, so they are "
            "trained to a height of 10, as RTMW's; RTMPose's reach 1"
        )
