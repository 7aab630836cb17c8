"""A robot hand in MuJoCo's simulation: it takes the commands that the real one would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.retarget.kinematics import import_mujoco
from vitpose_ros.retarget.robot import Robot, RobotError

Array = npt.NDArray[np.float64]

STIFFNESS, DAMPING = 8.0, 0.4
"""Of every position actuator, N m/rad and N m s/rad. The model's own (1 N m/rad) follow a fast
hand with a visible delay."""
_STEP_S = 0.002


def load_with_meshes(robot: Robot) -> Any:
    """The robot's compiled model, complete with meshes and actuators.

    Meshes are taken from the description's own folder where they are there: the model store keeps
    the files of a model in one folder.

    Raises
    ------
    RobotError : mujoco is not installed, or the description or a mesh cannot be read.
    """
    mujoco = import_mujoco()
    folder = robot.description.absolute().parent
    try:
        spec = mujoco.MjSpec.from_file(str(robot.description.absolute()))
        for mesh in spec.meshes:
            beside = folder / Path(mesh.file).name
            if beside.is_file():
                mesh.file = str(beside)
        spec.option.gravity = (0.0, 0.0, 0.0)  # the hand's pose in space is the viewer's choice
        spec.option.timestep = _STEP_S
        return spec.compile()
    except ValueError as error:
        raise RobotError(f"{robot.description}: it cannot be simulated: {error}.") from error


class SimulatedHand:
    """The robot's hand with its actuators, at rest at the start.

    Parameters
    ----------
    robot : whose description has a position actuator for each of its joints.

    Raises
    ------
    RobotError : a joint has no actuator, or the description cannot be read.
    """

    def __init__(self, robot: Robot) -> None:
        self._mujoco = mujoco = import_mujoco()
        self.model = load_with_meshes(robot)
        self.data = mujoco.MjData(self.model)
        by_joint = {
            self.model.joint(int(self.model.actuator_trnid[number, 0])).name: number
            for number in range(self.model.nu)
            if self.model.actuator_trntype[number] == mujoco.mjtTrn.mjTRN_JOINT
        }
        missing = [joint.name for joint in robot.joints if joint.name not in by_joint]
        if missing:
            raise RobotError(
                f"{robot.description}: joint '{missing[0]}' has no actuator, so that it cannot be "
                "simulated: add a <position> actuator for it."
            )
        self._actuators = [by_joint[joint.name] for joint in robot.joints]
        self._addresses = [
            int(self.model.jnt_qposadr[self.model.joint(joint.name).id]) for joint in robot.joints
        ]
        for number in by_joint.values():
            self.model.actuator_gainprm[number, 0] = STIFFNESS
            self.model.actuator_biasprm[number, 1:3] = -STIFFNESS, -DAMPING

    @property
    def joints(self) -> Array:
        """(N,) angles in the order of the robot's joints, rad."""
        return np.asarray(self.data.qpos[self._addresses])

    def command(self, joints: Array) -> None:
        """Set the actuators' targets (N,), rad."""
        self.data.ctrl[self._actuators] = joints

    def advance(self, seconds: float) -> None:
        """Simulate at least this long, in steps of 2 ms."""
        for _ in range(max(1, round(seconds / _STEP_S))):
            self._mujoco.mj_step(self.model, self.data)
