"""How far each joint of a hand is along its ray, from pixels, anatomy, the model's shape and depth.

The result is the set of distances that agrees best with

- the lengths of the bones, and the distances between the joints of the palm, which is rigid and
  almost flat (anatomy.py), for a hand of this length;
- the model's shape: how much deeper each joint is than the one before it along its finger;
- what a depth image shows at each joint, where there is one. A joint behind that surface is hidden,
  and costs little; one in front of it would hide the surface, and costs more. Beyond a few standard
  deviations both cost no more, so that a single wrong reading moves nothing.

The palm is placed first, because networks bend fingers well and turn the whole hand badly: five
joints of known distances and their pixels tell how the palm is turned. The model's orientation only
decides between the two turns that look alike, and its shape follows the palm. Where a depth image
shows the hand, its readings propose the turn instead.

The model's axes are those of the crop it read, in which the hand's ray is the optical axis, so the
fit works in a camera that looks along this ray. That also serves lenses of any width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.lift.anatomy import HAND_TREE, PALM, PALM_PLAN
from vitpose_ros.lift.infer import turn_onto

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_JOINTS = 8
"""With fewer joints a hand is not placed."""

_NOISE_M = 0.006
"""Of a joint across its ray, where the model does not tell."""
_LENGTH_STD = 0.1
"""Of a bone, and of the distance between two joints of the palm, as a share: people differ."""
_DEEPER_STD = (0.3, 0.005)
"""Of how much deeper a joint is than the one before it: a share of the bone, and m."""
_BEHIND, _BEFORE = 2.0, 5.0
"""Standard deviations at which a joint behind, and before, its reading costs half of the most."""
_OUTLIER = 2.0
"""In standard deviations: beyond, an error of lengths, pixels and depths counts linearly."""
_POSE_ROUNDS, _ROUNDS = 12, 6
_AGREES_M = 0.003
"""A shape that reprojects this well, median, without depth, is right as a whole: what networks give
here is twice as far off, and a shape without error with 2 px of noise is not."""
_UNSEEN_NOISE_M = 0.02
"""The same outside the image."""
_LEAST_NOISE_RAD = 1e-3
_DAMPING = np.diag([0.05, 0.05, 0.05, 0.0, 0.0, 0.0])
_STEP = np.array([0.4, 0.4, 0.4, 0.05, 0.05, 0.05])
"""The largest step of a round, rad and m."""
_SAME_TURN = 2 * math.radians(5) ** 2
"""Squared difference of matrices: turns that are 5 degrees apart."""
_SETTLED = 2e-3
"""A smaller step is the last, rad and m."""
_PULL = 25.0
"""Towards the last round's distances, 1/m^2: they are never quite free."""
_WORST_M = 0.04
"""A hand whose palm reprojects worse than this, median, is not a hand of this shape."""

_FIRST, _SECOND = (np.array([bone[end] for bone in HAND_TREE], np.intp) for end in (0, 1))
_SHARES = np.array([share for _, _, share in HAND_TREE])
_BONES = len(HAND_TREE)
_I, _J = np.triu_indices(len(PALM), 1)
_I, _J = _I[_I > 0], _J[_I > 0]  # those from the wrist are bones
_FROM, _TO = np.r_[_FIRST, PALM[_I]], np.r_[_SECOND, PALM[_J]]
_APART = np.r_[_SHARES, np.linalg.norm(PALM_PLAN[_J] - PALM_PLAN[_I], axis=1)]
_PAIRS = np.arange(len(_FROM))


@dataclass(frozen=True)
class Readings:
    """What a depth image shows at the joints of a hand.

    Attributes
    ----------
    distance_m : (21,) of the joint along its ray: the surface and the flesh above the joint; NaN
        where nothing is known.
    std_m : (21,).
    """

    distance_m: Array
    std_m: Array

    def of(self, joints: npt.NDArray[np.intp]) -> Readings | None:
        """Those of some joints; None if nothing is known of them."""
        if np.isnan(self.distance_m[joints]).all():
            return None
        return Readings(self.distance_m[joints], self.std_m[joints])


@dataclass(frozen=True)
class HandFit:
    """The distances of a hand's joints.

    Attributes
    ----------
    distance_m : (21,) along the rays; NaN for joints without a ray.
    std_m : (21,) as the terms of the fit have it.
    model_m : (21,) distances of the model's shape, with the palm where the fit has it.
    """

    distance_m: Array
    std_m: Array
    model_m: Array


def with_lengths(shape: Array, length_m: float) -> Array:
    """The same hand with bones of anatomical lengths: a copy with the directions of `shape`.

    Parameters
    ----------
    shape : (21, 3).
    length_m : of the hand.

    Returns
    -------
    (21, 3) m, the wrist at the origin; NaN where a bone has no direction.
    """
    bones = shape[_SECOND] - shape[_FIRST]
    norm = np.sqrt(np.square(bones).sum(axis=1))
    bones *= (_SHARES * length_m / np.where(norm > 1e-6, norm, np.nan))[:, None]
    fingers = np.cumsum(bones.reshape(5, 4, 3), axis=1)
    return np.concatenate([np.zeros((1, 3)), fingers.reshape(20, 3)])


def fit_hand(
    shape: Array,
    length_m: float,
    rays: Array,
    noise_rad: Array,
    seen: Mask,
    readings: Readings | None = None,
) -> HandFit | None:
    """Where the joints of a hand are.

    Parameters
    ----------
    shape : (21, 3) m, in the axes of the model's crop; see `with_lengths`.
    length_m : of the hand.
    rays : (21, 3) unit vectors towards the joints in the image; NaN for joints to leave out.
    noise_rad : (21,) standard deviation of a ray in each direction across it; NaN where it is not
        known.
    seen : (21,) which joints were measured in this image, not guessed outside of it.
    readings : of a depth image, at least one; None without.

    Returns
    -------
    None if too few joints are known, they do not fit, or the hand would be behind the camera.
    """
    usable = np.isfinite((rays + shape).sum(axis=1))
    if int((usable & seen).sum()) < LEAST_JOINTS or not usable[PALM].all():
        return None
    forward = rays[usable].mean(axis=0)
    local = np.where(usable[:, None], rays, 0.0) @ _towards(forward / np.linalg.norm(forward))
    if not (local[usable, 2] > 0.1).all():
        return None
    plan = length_m * PALM_PLAN
    if readings is None:
        spread = float(np.linalg.norm(local[PALM] - local[PALM].mean(axis=0)))
        about_m = float(np.linalg.norm(plan)) / max(spread, 1e-3)
    else:
        about_m = float(np.nanmedian(readings.distance_m))
    unknown = np.where(seen, _NOISE_M, _UNSEEN_NOISE_M) / about_m
    noise = np.maximum(np.where(np.isnan(noise_rad), unknown, noise_rad), _LEAST_NOISE_RAD)
    if readings is None:
        whole = _posed(shape[usable], local[usable], noise[usable], None, np.eye(3))
        if whole is not None and whole.error_m < _AGREES_M:
            points = (shape - shape[usable].mean(axis=0)) @ whole.turn.T + whole.place
            std = np.hypot(noise, _LENGTH_STD) * about_m
            return _checked(np.linalg.norm(points, axis=1), std, points, usable)
    best: HandFit | None = None
    least = math.inf
    tried: list[Array] = []
    pixels = np.hypot(noise[PALM], _LENGTH_STD * length_m / 2 / about_m)
    palm_readings = None if readings is None else readings.of(PALM)
    for start in _starts(shape, plan, local, readings):
        palm = _posed(plan, local[PALM], pixels, palm_readings, start)
        if palm is None or palm.error_m > _WORST_M:
            continue
        if any(np.square(palm.turn - other).sum() < _SAME_TURN for other in tried):
            continue
        tried.append(palm.turn)
        turn = palm.turn @ turn_onto(plan, shape[PALM]).T
        points = (shape - shape[PALM].mean(axis=0)) @ turn.T + palm.place
        # The fit ends near where it begins: at the palm's shape, or at what depth shows.
        begins = [np.linalg.norm(points, axis=1)]
        if readings is not None:
            read = readings.distance_m
            begins.append(np.where(np.isfinite(read), read, begins[0]))
        for begin in begins:
            cost, fit = _solved(begin, points, length_m, local, noise, usable, readings)
            if fit is not None and cost < least:
                best, least = fit, cost
    return best


def _starts(shape: Array, plan: Array, local: Array, readings: Readings | None) -> list[Array]:
    """Turns of the palm to begin with."""
    by_model = turn_onto(plan, shape[PALM])
    if readings is None:
        return [by_model]
    known = np.isfinite(readings.distance_m)
    points = local * readings.distance_m[:, None]
    of_palm = known[PALM]
    starts = []
    if int(of_palm.sum()) >= 3:
        starts.append(turn_onto(plan[of_palm], points[PALM][of_palm]))
    if int(known.sum()) >= 4:
        starts.append(turn_onto(shape[known], points[known]) @ by_model)
    return starts or [by_model]


@dataclass(frozen=True)
class _Pose:
    """A rigid shape before the camera.

    Attributes
    ----------
    turn, place : (3, 3), and (3,) m of the shape's middle.
    error_m : median distance of its joints from their rays.
    """

    turn: Array
    place: Array
    error_m: float


def _posed(
    points: Array, local: Array, noise: Array, readings: Readings | None, turn: Array
) -> _Pose | None:
    """The turn and place at which a rigid shape fits pixels and depth best, from a first turn on.

    Gauss and Newton on reprojection, and on distance where there are readings. None where it ends
    behind the camera.
    """
    points = points - points.mean(axis=0)
    image = local[:, :2] / local[:, 2:]
    if readings is None:
        place = _shifted(points @ turn.T, image)
    else:
        place = local.mean(axis=0) * float(np.nanmedian(readings.distance_m))
    known = np.zeros(len(points), bool) if readings is None else np.isfinite(readings.distance_m)
    rows = np.zeros((len(points), 3, 6))
    off, scale = np.zeros(len(points)), 1 / noise
    for number in range(_POSE_ROUNDS + 1):
        turned = points @ turn.T
        x, y, z = (turned + place).T
        if not z.min() > 0.02:
            return None
        u, v = x / z, y / z
        error_u, error_v = (u - image[:, 0]) * scale, (v - image[:, 1]) * scale
        if number == _POSE_ROUNDS:
            break
        rows[:, 0, 3] = rows[:, 1, 4] = scale / z
        rows[:, 0, 5], rows[:, 1, 5] = -u * scale / z, -v * scale / z
        if readings is not None:
            distance = np.sqrt(x * x + y * y + z * z)
            off = np.where(known, (distance - readings.distance_m) / readings.std_m, 0.0)
            toward = np.where(known, 1 / (distance * readings.std_m), 0.0)
            rows[:, 2, 3:] = (turned + place) * toward[:, None]
        a, b, c = turned[:, 0, None], turned[:, 1, None], turned[:, 2, None]
        by_x, by_y, by_z = rows[:, :, 3], rows[:, :, 4], rows[:, :, 5]
        rows[:, :, 0] = b * by_z - c * by_y
        rows[:, :, 1] = c * by_x - a * by_z
        rows[:, :, 2] = a * by_y - b * by_x
        linear = np.sqrt(_OUTLIER / np.maximum(np.hypot(error_u, error_v), _OUTLIER))
        weight = np.stack([linear, linear, _believed(off)], axis=1)
        slopes = (rows * weight[..., None]).reshape(-1, 6)
        residual = (np.stack([error_u, error_v, off], axis=1) * weight).ravel()
        step = np.linalg.solve(slopes.T @ slopes + _DAMPING, -slopes.T @ residual)
        step = np.minimum(np.maximum(step, -_STEP), _STEP)
        turn, place = _rotation(step[:3]) @ turn, place + step[3:]
        if np.abs(step).max() < _SETTLED:
            break
    apart = np.hypot(error_u, error_v) * noise * z
    return _Pose(turn, place, float(np.median(apart)))


def _solved(
    distance: Array,
    points: Array,
    length_m: float,
    rays: Array,
    noise: Array,
    usable: Mask,
    readings: Readings | None,
) -> tuple[float, HandFit | None]:
    """The distances along the rays near those given, and what their errors cost; `points` are the
    placed shape.
    """
    about_m = float(distance[usable].mean())
    length = length_m * _APART
    across = np.hypot(noise[_FROM], noise[_TO]) * about_m
    both = usable[_FROM] & usable[_TO]
    by_length = both / np.hypot(_LENGTH_STD * length, across)
    deeper = points[_SECOND, 2] - points[_FIRST, 2]
    by_deeper = both[:_BONES] / (_DEEPER_STD[0] * length[:_BONES] + _DEEPER_STD[1])
    reach, by_depth = distance, np.zeros(len(points))
    if readings is not None:
        known = usable & np.isfinite(readings.distance_m)
        reach = np.where(known, readings.distance_m, 0.0)
        by_depth = np.where(known, 1 / readings.std_m, 0.0)
    joints = np.arange(len(points))
    slopes = np.zeros((len(_PAIRS) + _BONES + len(points), len(points)))
    on_length, on_deeper, on_depth = np.split(slopes, [len(_PAIRS), len(_PAIRS) + _BONES])
    along_to, along_from = rays[_TO], rays[_FROM]
    for number in range(_ROUNDS + 1):
        bones = along_to * distance[_TO, None] - along_from * distance[_FROM, None]
        long = np.maximum(np.sqrt((bones * bones).sum(axis=1)), 1e-6)
        errors = (
            (long - length) * by_length,
            (bones[:_BONES, 2] - deeper) * by_deeper,
            (distance - reach) * by_depth,
        )
        weights = (_linear(errors[0]), _linear(errors[1]), _believed(errors[2]))
        w = weights[0] * by_length / long
        on_length[_PAIRS, _TO] = w * (bones * along_to).sum(axis=1)
        on_length[_PAIRS, _FROM] = -w * (bones * along_from).sum(axis=1)
        w = weights[1] * by_deeper
        on_deeper[_PAIRS[:_BONES], _SECOND] = w * rays[_SECOND, 2]
        on_deeper[_PAIRS[:_BONES], _FIRST] = -w * rays[_FIRST, 2]
        on_depth[joints, joints] = weights[2] * by_depth
        normal = slopes.T @ slopes
        normal[joints, joints] += _PULL
        if number == _ROUNDS:
            break
        residual = np.concatenate([e * w for e, w in zip(errors, weights, strict=True)])
        step = np.linalg.solve(normal, slopes.T @ residual)
        distance = distance - np.minimum(np.maximum(step, -_STEP[3]), _STEP[3])
        if np.abs(step).max() < _SETTLED:
            break
    cost = float(_huber(errors[0]).sum() + _huber(errors[1]).sum() + _limited(errors[2]).sum())
    std = np.sqrt(np.diag(np.linalg.inv(normal)))
    return cost, _checked(distance, std, points, usable)


def _checked(distance: Array, std: Array, points: Array, usable: Mask) -> HandFit | None:
    """None if a joint would be behind the camera."""
    if not (distance[usable] > 0.02).all():
        return None
    values = distance, std, np.linalg.norm(points, axis=1)
    return HandFit(*(np.where(usable, value, np.nan) for value in values))


def _linear(error: Array) -> Array:
    """The roots of weights with which squares grow linearly beyond _OUTLIER."""
    return np.sqrt(_OUTLIER / np.maximum(np.abs(error), _OUTLIER))


def _huber(error: Array) -> Array:
    size = np.abs(error)
    return np.where(size < _OUTLIER, size**2, 2 * _OUTLIER * size - _OUTLIER**2)


def _believed(error: Array) -> Array:
    """The roots of weights of depth readings (Geman and McClure)."""
    return 1 / (1 + np.square(error / np.where(error > 0, _BEHIND, _BEFORE)))


def _limited(error: Array) -> Array:
    return error**2 * _believed(error)


def _shifted(points: Array, image: Array) -> Array:
    """(3,) the position at which unturned points reproject best."""
    rows = np.zeros((len(points), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1.0
    rows[:, :, 2] = -image
    wanted = image * points[:, 2:] - points[:, :2]
    solution = np.linalg.lstsq(rows.reshape(-1, 3), wanted.ravel(), rcond=None)[0]
    return np.asarray(solution, np.float64)


def _towards(direction: Array) -> Array:
    """(3, 3) the smallest rotation from the optical axis to a unit direction."""
    x, y, z = direction
    if z < -0.999:  # straight behind: any half turn
        return np.diag([1.0, -1.0, -1.0])
    k = 1 / (1 + z)
    return np.array([[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, z]])


def _rotation(vector: Array) -> Array:
    """The rotation about a vector by its length, rad (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Array = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn
