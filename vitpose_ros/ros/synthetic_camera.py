"""A camera that renders hands: image, depth, camera_info and the true skeletons, as a driver would
publish them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vitpose_ros.layouts import HAND21
from vitpose_ros.msg import SkeletonArray, SkeletonLayoutArray
from vitpose_ros.parameters.spec import START, ParameterSpec
from vitpose_ros.ros.camera import LATEST, NS, CameraNode, Timed, run_camera
from vitpose_ros.ros.messages import image_message, layouts_message, skeleton_array_message
from vitpose_ros.synthetic.scene import SCRIPTS, Rendering, Scene, TrueHand
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource

TABLE: Mapping[str, ParameterSpec] = {
    "script": ParameterSpec("tour", "What the hands do.", choices=SCRIPTS, changes=START),
    "hands": ParameterSpec(2, "Hands in the scene.", low=1, high=2, changes=START),
    "seed": ParameterSpec(
        0, "Look of hands, light and room.", low=0, high=2**31 - 1, changes=START
    ),
    "width": ParameterSpec(640, "Image width, px.", low=64, high=3840, changes=START),
    "height": ParameterSpec(480, "Image height, px.", low=64, high=2160, changes=START),
    "rate": ParameterSpec(30.0, "Images per second.", low=0.1, high=240.0, changes=START),
}


def true_instances(hands: Sequence[TrueHand]) -> list[Instance]:
    """The hands of a rendering as instances; those wholly outside the image are left out."""
    return [_true_instance(hand) for hand in hands if hand.inside.any()]


def _true_instance(hand: TrueHand) -> Instance:
    count = len(HAND21)
    keypoints = Keypoints(
        layout=HAND21,
        uv=hand.uv,
        score=np.ones(count, np.float32),
        state=np.where(hand.visible, JointState.VISIBLE, JointState.OCCLUDED).astype(np.uint8),
        xyz=hand.xyz,
        z_source=np.full(count, ZSource.TRUTH, np.uint8),
        shape_xyz=(hand.xyz - hand.xyz.mean(axis=0)).astype(np.float32),
        uv_std=np.zeros(count, np.float32),
        xyz_std=np.zeros(count, np.float32),
    )
    return Instance(
        keypoints=keypoints,
        score=1.0,
        model="synthetic",
        side=hand.side,
        side_score=1.0,
        track_id=0 if hand.side is Side.LEFT else 1,
        track_state=TrackState.CONFIRMED,
    )


class SyntheticCamera(CameraNode[Rendering]):
    """Publishes image_raw, camera_info, depth/image_raw, true_skeletons and skeleton_layouts
    (latched).
    """

    def __init__(self) -> None:
        super().__init__("synthetic_camera", TABLE)
        scene = ("script", "seed", "width", "height", "hands")
        self._scene = Scene(**{name: self.values[name] for name in scene})
        self._period_ns = round(NS / self.values["rate"])
        self._next_ns = 0
        self._depth = self.create_publisher(Image, "depth/image_raw", LATEST)
        self._truth = self.create_publisher(SkeletonArray, "true_skeletons", 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._layouts = self.create_publisher(SkeletonLayoutArray, "skeleton_layouts", latched)
        self._layouts.publish(layouts_message([HAND21]))

    def take(self, not_before_ns: int) -> Timed[Rendering]:
        """The scene at the first whole period from that time on."""
        behind = max(0, -(-(not_before_ns - self._next_ns) // self._period_ns))
        self.left_out += behind
        time_ns = self._next_ns + behind * self._period_ns
        self._next_ns = time_ns + self._period_ns
        return Timed(self._scene.render(time_ns / NS), time_ns)

    def publish(self, shot: Rendering, header: Header) -> None:
        """Image first: its subscribers should not wait for the rest."""
        size = (self._scene.width, self._scene.height)
        self.publish_image(shot.image, header)
        self.publish_info(self._scene.camera_matrix, size, header)
        truth = true_instances(shot.hands)
        self._truth.publish(skeleton_array_message(header, size, truth, models=["synthetic"]))
        if self._depth.get_subscription_count() > 0:
            self._depth.publish(image_message(header, shot.depth_m, "32FC1"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the camera until it is asked to end, or until its last image."""
    return run_camera(SyntheticCamera, arguments)


if __name__ == "__main__":
    sys.exit(main())
