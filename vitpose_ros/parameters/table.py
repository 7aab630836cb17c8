"""The parameters of the pose node: one table, checked once into one frozen dataclass.

The table is authoritative for defaults, ranges, choices, descriptions, and when a parameter may
change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vitpose_ros.factory import Models
from vitpose_ros.ingest.camera_info import RECTIFIED_CHOICES
from vitpose_ros.ingest.images import MAX_MEGAPIXELS
from vitpose_ros.keypoints.cpu_precision import PRECISION_CHOICES
from vitpose_ros.keypoints.engine_selection import ENGINES
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.lift.triangulate import MAX_CAMERAS
from vitpose_ros.parameters.lifting import LIFTING_TABLE, LiftingParameters
from vitpose_ros.parameters.retargeting import RETARGETING_TABLE, RetargetingParameters
from vitpose_ros.parameters.smoothing import SMOOTHING_TABLE, SmoothingParameters
from vitpose_ros.parameters.spec import NODE_TABLE, RUN, ParameterSpec
from vitpose_ros.pipeline import Settings
from vitpose_ros.presets import NONE, PRESETS, Choice, choose
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.track.views import MODES


@dataclass(frozen=True)
class Parameters(RetargetingParameters, LiftingParameters, SmoothingParameters):
    """A snapshot of all parameters. Fields are named as in TABLE, which has units and ranges."""

    autostart: bool
    image_transport: str
    max_megapixels: float
    reliability: str
    models_dir: str
    threads: int
    view: str
    preset: str
    hand_detector: str
    hand_model: str
    person_detector: str
    body_model: str
    lifting_model: str
    other_cameras: str
    extrinsics: str
    engine: str
    gpu: int
    precision: str
    flip_test: bool
    max_hands: int
    detection_threshold: float
    presence_threshold: float
    input_mirrored: bool
    image_rectified: str
    search: bool
    search_tiles_per_frame: int
    max_persons: int
    person_threshold: float
    body_threshold: float
    detect_interval: int
    marker_distance: float
    silence_timeout: float

    def choice(self) -> Choice:
        """The networks and how they run, as the preset and the single parameters say."""
        models = Models(
            hand_detector=self.hand_detector,
            hand_model=self.hand_model,
            person_detector=self.person_detector,
            body_model=self.body_model,
            lifting_model=self.lifting_model,
        )
        topdown = TopDownOptions(
            engine=self.engine,
            gpu=self.gpu,
            precision=self.precision,
            flip_test=self.flip_test,
        )
        return choose(self.preset, models, topdown, self.search_tiles_per_frame)

    def settings(self) -> Settings:
        """The settings that the pipeline can change while it runs."""
        return Settings(
            hands=HandSettings(
                max_hands=self.max_hands,
                detection_threshold=self.detection_threshold,
                presence_threshold=self.presence_threshold,
                input_mirrored=self.input_mirrored,
                search=self.search,
                search_tiles_per_frame=self.choice().tiles,
            ),
            persons=PersonSettings(
                max_persons=self.max_persons,
                person_threshold=self.person_threshold,
                body_threshold=self.body_threshold,
                detect_interval=self.detect_interval,
            ),
            lifting=self.lift_settings(),
            smoothing=self.smoothing_settings(),
            biomechanics=self.biomechanics,
            prediction_horizon_s=self.prediction_horizon,
        )

    def problem(self) -> str:
        """Why these values, each valid by itself, are not valid together; '' if they are."""
        try:
            self.settings()
            self.chosen_outputs()
            self.pinch_settings()
        except ValueError as error:
            return str(error)
        others = self.other_cameras.split()
        if len(set(others)) < len(others):
            return f"other_cameras: expected each topic once, got '{self.other_cameras}'"
        if len(others) >= MAX_CAMERAS:
            return f"other_cameras: expected at most {MAX_CAMERAS - 1} topics, got {len(others)}"
        return ""


_HANDS, _PERSONS, _MODELS, _TOPDOWN = HandSettings(), PersonSettings(), Models(), TopDownOptions()

TABLE: Mapping[str, ParameterSpec] = {
    **NODE_TABLE,
    "image_transport": ParameterSpec(
        "raw",
        "'raw' subscribes to sensor_msgs/Image on the topic `image`, 'compressed' to "
        "sensor_msgs/CompressedImage on `image`/compressed.",
        choices=("raw", "compressed"),
    ),
    "max_megapixels": ParameterSpec(
        MAX_MEGAPIXELS,
        "Refuse larger images, compressed ones before they are decoded, megapixels.",
        low=0.01,
        high=1000.0,
    ),
    "reliability": ParameterSpec(
        "best_effort",
        "Reliability of the subscription to images. 'best_effort' matches every camera; 'reliable' "
        "asks for lost parts again, which delays images, and gets none from a best-effort camera.",
        choices=("best_effort", "reliable"),
    ),
    "view": ParameterSpec(
        "egocentric",
        "'egocentric' finds hands directly, 'third_person' finds persons, their hands, and hands "
        "of people of whom no more is in view, 'auto' switches between them by whether a person is "
        "visible.",
        choices=MODES,
    ),
    "preset": ParameterSpec(
        NONE,
        "Choose hand_detector, hand_model, person_detector, body_model, engine, precision and "
        "search_tiles_per_frame for this machine: 'lightweight', 'balanced', 'performance' or "
        "'exact'; '' for none. The log shows the choice and the reason. Of these parameters, one "
        "that differs from its default keeps its value.",
        choices=PRESETS,
    ),
    "hand_detector": ParameterSpec(
        _MODELS.hand_detector,
        "Hand detector, by its name in the model catalogue.",
    ),
    "hand_model": ParameterSpec(
        _MODELS.hand_model, "Hand keypoint model, by its name in the model catalogue."
    ),
    "person_detector": ParameterSpec(
        _MODELS.person_detector,
        "Person detector, by its name in the model catalogue. With a body_model of animals, it "
        "looks for animals, and must know them. Not used by the view 'egocentric'.",
    ),
    "body_model": ParameterSpec(
        _MODELS.body_model,
        "Body keypoint model, by its name in the model catalogue. Not used by the view "
        "'egocentric'.",
    ),
    "lifting_model": ParameterSpec(
        "",
        "Lifting network (MotionBERT, VideoPose3D, Martinez) that gives bodies their shape, by its "
        "name in the model catalogue; empty for none. Not used by the view 'egocentric'.",
    ),
    "other_cameras": ParameterSpec(
        "",
        "Image topics of further calibrated cameras of the same scene, separated by spaces. What "
        "two or more cameras see is triangulated; `image` is the reference camera.",
    ),
    "extrinsics": ParameterSpec(
        "",
        "YAML file that says where these cameras are, by the frame_id of their images. Empty: TF "
        "says so, between the cameras and target_frame.",
    ),
    "engine": ParameterSpec(
        _TOPDOWN.engine,
        "Engine of top-down keypoint models (ViTPose, RTMPose): 'tensorrt', 'tensorrt-rtx' or "
        "'torch' on an NVIDIA GPU, 'openvino' on the CPU. 'auto' selects an engine of TensorRT or "
        "TensorRT for RTX if one was built for this GPU, otherwise torch if it finds the GPU, "
        "otherwise openvino, and logs why. The node never builds an engine. All other networks "
        "run on the CPU.",
        choices=ENGINES,
    ),
    "gpu": ParameterSpec(_TOPDOWN.gpu, "Index of the GPU.", low=0, high=63),
    "precision": ParameterSpec(
        _TOPDOWN.precision,
        "Precision of top-down keypoint models. 'fp16' (on a GPU, with fp32 where accuracy needs "
        "it) and, on the CPU, 'bf16' are faster on hardware with instructions for them. Without "
        "these instructions, or if the joints differ from those of fp32, the node stays "
        "unconfigured. 'auto' selects the fastest precision that passes. MediaPipe's networks "
        "always run in fp32.",
        choices=PRECISION_CHOICES,
    ),
    "flip_test": ParameterSpec(
        _TOPDOWN.flip_test,
        "Run top-down keypoint models also on the mirrored crop and average both results: more "
        "accurate, at twice the time. Not for MediaPipe's networks.",
    ),
    "threads": ParameterSpec(
        0, "CPU threads of the engine; 0: the engine's own choice.", low=0, high=256
    ),
    "max_hands": ParameterSpec(
        _HANDS.max_hands,
        "Maximum number of tracked hands that belong to no body. While fewer are tracked, the "
        "detector runs: in the egocentric view on every image, in third person ten times per "
        "second. In third person each body has two hands of its own in addition.",
        low=1,
        high=16,
        changes=RUN,
    ),
    "detection_threshold": ParameterSpec(
        _HANDS.detection_threshold,
        "Minimum score of the palm detector for a new hand (probability).",
        low=0.0,
        high=1.0,
        changes=RUN,
    ),
    "presence_threshold": ParameterSpec(
        _HANDS.presence_threshold,
        "Minimum hand presence, from the keypoint model, to publish and track a hand "
        "(probability).",
        low=0.0,
        high=1.0,
        changes=RUN,
    ),
    "input_mirrored": ParameterSpec(
        _HANDS.input_mirrored,
        "Set it to true for mirrored images, such as a selfie view: it swaps left and right and "
        "negates x in metres. Pixels remain those of the image.",
        changes=RUN,
    ),
    "image_rectified": ParameterSpec(
        "auto",
        "Whether images are rectified, so that camera_info's P applies instead of K and D: "
        "'always', 'never', or 'auto': if the name of the image topic contains the word 'rect' or "
        "'rectified', as in image_rect_color.",
        choices=RECTIFIED_CHOICES,
        changes=RUN,
    ),
    "search": ParameterSpec(
        _HANDS.search,
        "Search for small hands in tiles of the image while fewer than max_hands are tracked.",
        changes=RUN,
    ),
    "search_tiles_per_frame": ParameterSpec(
        _HANDS.search_tiles_per_frame,
        "Tiles to search per image, in rotation. Each costs one run of the detector. While a hand "
        "is followed, the tiles and the whole image are searched in every other image.",
        low=1,
        high=16,
        changes=RUN,
    ),
    "max_persons": ParameterSpec(
        _PERSONS.max_persons,
        "Maximum number of tracked bodies, each with its two hands.",
        low=1,
        high=32,
        changes=RUN,
    ),
    "person_threshold": ParameterSpec(
        _PERSONS.person_threshold,
        "Minimum score of the person detector for a new body (probability).",
        low=0.0,
        high=1.0,
        changes=RUN,
    ),
    "body_threshold": ParameterSpec(
        _PERSONS.body_threshold,
        "Minimum score of the body model to publish and track a body.",
        low=0.0,
        high=1.0,
        changes=RUN,
    ),
    "detect_interval": ParameterSpec(
        _PERSONS.detect_interval,
        "Interval of the person detector, in images, while at least one body but fewer than "
        "max_persons are tracked.",
        low=1,
        high=1000,
        changes=RUN,
    ),
    **LIFTING_TABLE,
    **SMOOTHING_TABLE,
    **RETARGETING_TABLE,
    "marker_distance": ParameterSpec(
        0.5,
        "Distance from the camera at which markers are drawn for joints without a known depth, m.",
        low=0.01,
        high=100.0,
        changes=RUN,
    ),
    "silence_timeout": ParameterSpec(
        5.0,
        "Time without an image after which the node warns once, and names what is published on the "
        "topic, s.",
        low=0.5,
        high=3600.0,
        changes=RUN,
    ),
}
"""All parameters of the node."""
