"""The kinematics of a robot hand, from its URDF or MJCF file, by MuJoCo.

MuJoCo reads both formats and gives positions and Jacobians of bodies and sites, so that one library
serves every robot. pinocchio would need a second description for hands that come as MJCF: it reads
no file with includes, as the Shadow Hand's is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.retarget.robot import Robot, RobotError

Array = npt.NDArray[np.float64]

# What kinematics does not need, in an order in which nothing is deleted that is still referred to.
# Without geometry, a URDF whose meshes are in another package can be read, too.
_UNUSED = (
    *("keys", "sensors", "actuators", "equalities", "tendons", "pairs", "excludes", "geoms"),
    *("skins", "flexes", "hfields", "meshes", "cameras", "lights", "materials", "textures"),
)


def import_mujoco() -> Any:
    """The module mujoco; RobotError with the remedy if it is not installed."""
    try:
        import mujoco
    except ImportError as error:
        raise RobotError(
            f"reading a robot's description needs the package mujoco ({error}): install it for "
            "the Python that runs this program: python3 -m pip install 'mujoco>=3.3.4,<5'."
        ) from error
    return mujoco


def _load(robot: Robot) -> Any:
    mujoco = import_mujoco()
    try:
        spec = mujoco.MjSpec.from_file(str(robot.description.absolute()))
        spec.compiler.fusestatic = False  # keeps fingertip links that are fixed to another link
        spec.compiler.boundmass, spec.compiler.boundinertia = 1e-6, 1e-9  # links without inertia
        spec.compiler.balanceinertia = True
        for kind in _UNUSED:
            for element in list(getattr(spec, kind, ())):
                spec.delete(element)
        return spec.compile()
    except ValueError as error:
        raise RobotError(
            f"the robot description {robot.description} cannot be read: {error}."
        ) from error


class HandKinematics:
    """Positions of a robot hand's points, and how they move with its joints.

    Parameters
    ----------
    robot : whose description is read.

    Attributes
    ----------
    joint_names : the N joints that can be moved independently.
    lower, upper : (N,) their position limits, rad; coupled joints' limits are taken into account.
    points : the P joints of hand21 that have a counterpart on the robot.

    Raises
    ------
    RobotError : mujoco is not installed, the description cannot be read, a joint, body or site is
        not in it, or a joint has no limits.
    """

    def __init__(self, robot: Robot) -> None:
        self._mujoco = import_mujoco()
        self._model = _load(robot)
        self._data = self._mujoco.MjData(self._model)
        self._robot = robot
        self.joint_names = tuple(joint.name for joint in robot.joints)
        self.points = tuple(sorted(robot.points))
        ids = [self._id("JOINT", name, "joints") for name in self.joint_names]
        self.lower, self.upper = np.array([self._limits(number) for number in ids]).T
        # Which angle each degree of freedom takes: q = mix @ joints.
        self._mix = np.zeros((self._model.nv, len(ids)))
        self._address = self._model.jnt_qposadr.copy()
        for column, number in enumerate(ids):
            self._mix[self._model.jnt_dofadr[number], column] = 1.0
        for coupling in robot.couplings:
            self._couple(coupling.name, self.joint_names.index(coupling.driver), coupling.ratio)
        if not (self.lower <= self.upper).all():
            raise RobotError(f"{robot.path}: the limits of coupled joints contradict each other.")
        palm = self._id("BODY", robot.palm, "palm")
        self._places = [self._place(robot.points[joint]) for joint in self.points]
        bodies = self._model.nbody
        self._rows = [bodies + number if site else number for site, number in self._places]
        self._jacobian = np.zeros((len(self.points), 3, self._model.nv))
        self.set(np.clip(0.0, self.lower, self.upper))
        self.axes = self._data.xmat[palm].reshape(3, 3) @ robot.operator_axes
        self.origin = self._data.xpos[palm].copy()

    def set(self, joints: Array) -> None:
        """Take these joint angles (N,), rad. Joints that are not named stay at 0."""
        self._data.qpos[self._address] = self._mix @ joints
        self._mujoco.mj_kinematics(self._model, self._data)

    def positions(self) -> Array:
        """(P, 3) m, from the palm's origin along the axes of the operator frame."""
        xyz = np.concatenate((self._data.xpos, self._data.site_xpos))[self._rows]
        return np.asarray((xyz - self.origin) @ self.axes)

    def jacobians(self) -> Array:
        """(P, 3, N) m/rad, the derivatives of `positions` by the joints."""
        mujoco, model, data = self._mujoco, self._model, self._data
        mujoco.mj_comPos(model, data)
        for row, (site, number) in enumerate(self._places):
            function = mujoco.mj_jacSite if site else mujoco.mj_jacBody
            function(model, data, self._jacobian[row], None, number)
        return np.asarray(np.matmul(self.axes.T, self._jacobian @ self._mix))

    def bodies(self) -> dict[int, str]:
        """The body that each point belongs to, by the joint of hand21."""
        owners = [self._model.site_bodyid[n] if site else n for site, n in self._places]
        return {
            joint: self._model.body(int(owner)).name
            for joint, owner in zip(self.points, owners, strict=True)
        }

    def pose(self, model: Any, data: Any) -> None:
        """Bring another model of the same robot, such as one with meshes, into this pose."""
        for joint in range(self._model.njnt):
            name = self._model.joint(joint).name
            data.qpos[model.jnt_qposadr[model.joint(name).id]] = self._data.qpos[
                self._address[joint]
            ]
        self._mujoco.mj_kinematics(model, data)

    def _limits(self, number: int) -> tuple[float, float]:
        name = self._model.joint(number).name
        if self._model.jnt_type[number] != self._mujoco.mjtJoint.mjJNT_HINGE:
            raise RobotError(
                f"{self._robot.description}: joint '{name}' does not rotate about an axis; only "
                "such joints can be retargeted: leave it out of `joints`."
            )
        low, high = map(float, self._model.jnt_range[number])
        if not self._model.jnt_limited[number] or not low < high:
            raise RobotError(
                f"{self._robot.description}: joint '{name}' has no position limits, so that no "
                "command can be checked: add <limit lower= upper=> (URDF) or range= (MJCF)."
            )
        return low, high

    def _couple(self, name: str, driver: int, ratio: float) -> None:
        number = self._id("JOINT", name, "coupled")
        self._mix[self._model.jnt_dofadr[number], driver] = ratio
        if ratio != 0.0:
            low, high = sorted(limit / ratio for limit in self._limits(number))
            self.lower[driver] = max(self.lower[driver], low)
            self.upper[driver] = min(self.upper[driver], high)

    def _place(self, name: str) -> tuple[bool, int]:
        site = self._mujoco.mj_name2id(self._model, self._mujoco.mjtObj.mjOBJ_SITE, name)
        return (True, site) if site >= 0 else (False, self._id("BODY", name, "points"))

    def _id(self, kind: str, name: str, field: str) -> int:
        sort = getattr(self._mujoco.mjtObj, f"mjOBJ_{kind}")
        number = int(self._mujoco.mj_name2id(self._model, sort, name))
        if number < 0:
            count = {"JOINT": self._model.njnt, "BODY": self._model.nbody}[kind]
            names = [self._mujoco.mj_id2name(self._model, sort, i) for i in range(count)]
            raise RobotError(
                f"{self._robot.path}: field '{field}': {self._robot.description} has no "
                f"{kind.lower()} '{name}'; it has {', '.join(filter(None, names))}."
            )
        return number
