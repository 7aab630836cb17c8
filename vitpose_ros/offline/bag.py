"""Bags: rosbag2 folders and bare .mcap or .db3 files, read without ROS."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitpose_ros.episodes import TOPIC, Episode, episodes
from vitpose_ros.ingest.camera_info import COMPRESSED, Calibration, info_topic_beside
from vitpose_ros.ingest.images import READERS, ImageError
from vitpose_ros.ingest.images.raw import DEPTH_ENCODINGS
from vitpose_ros.ingest.pairing import Paired, Pairing
from vitpose_ros.ingest.stamps import StampGate, stamp_ns
from vitpose_ros.offline.bag_depth import BagDepth
from vitpose_ros.offline.bag_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, LOG, typestore
from vitpose_ros.offline.errors import OfflineError, missing_library
from vitpose_ros.offline.salvage import is_cut, salvage
from vitpose_ros.offline.source import Losses, Shot
from vitpose_ros.types import Frame

BAG_SUFFIXES = (".mcap", ".db3")

_TRANSPORTS = {IMAGE: "raw", COMPRESSED_IMAGE: "compressed"}
_READ = (*_TRANSPORTS, CAMERA_INFO)


@dataclass(frozen=True)
class ImageSettings:
    """How images of a bag become frames; the parameters of the same names.

    Attributes
    ----------
    topic : of the images; "" for the only one.
    depth_topic, max_megapixels, image_rectified, input_mirrored : see the parameter table.
    """

    topic: str
    depth_topic: str
    max_megapixels: float
    image_rectified: str
    input_mirrored: bool


class Bag:
    """The messages of a bag, in the order of the recording.

    Parameters
    ----------
    path : a folder, or a file.
    work : where a recording that was cut off may be repaired.

    Attributes
    ----------
    topics : rosbags' connections.
    notes : what had to be done to read it.

    Raises
    ------
    OfflineError : it cannot be read.
    """

    def __init__(self, path: Path, work: Path) -> None:
        try:
            from rosbags.rosbag2 import Reader, ReaderError
        except ImportError as error:
            raise missing_library(error) from error
        self.path = path
        self.notes: list[str] = []
        self._stack = ExitStack()
        self._readers: list[Any] = []
        self._error_class: type[Exception] = ReaderError
        try:
            for part in self._parts(path):
                self._readers.append(self._open(Reader, part, work))
        except BaseException:
            self._stack.close()
            raise
        self.topics: list[Any] = [c for reader in self._readers for c in reader.connections]

    def _parts(self, path: Path) -> list[Path]:
        """What to open: the folder, or its files where it has no description."""
        if path.is_file() or (path / "metadata.yaml").is_file():
            return [path]
        files = sorted(p for p in path.iterdir() if p.suffix in BAG_SUFFIXES)
        if not files:
            raise OfflineError(
                f"{path} has neither metadata.yaml nor .mcap or .db3 files: it is no bag"
            )
        self.notes.append("the bag has no metadata.yaml: its files were read one after the other")
        return files

    def _open(self, reader_class: Any, part: Path, work: Path) -> Any:
        def opened(path: Path) -> Any:
            reader = reader_class(path)
            reader.open()
            self._stack.callback(reader.close)
            return reader

        try:
            return opened(part)
        except Exception as error:
            if part.is_dir():
                files = " ".join(str(f) for f in part.iterdir() if f.suffix in BAG_SUFFIXES)
                raise OfflineError(
                    f"{part} cannot be read as its metadata.yaml describes it ({error}). Give its "
                    f"files one by one: {files}"
                ) from error
            if not is_cut(part):
                raise OfflineError(f"{part} cannot be read: {error}{_remedy(part)}") from error
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
            repaired, lost = salvage(part, folder, str(error))
            self.notes.append(lost)
            try:
                return opened(repaired)
            except self._error_class as again:
                raise OfflineError(f"{part} cannot be read: {again}") from again

    def messages(self, topics: Sequence[Any] = ()) -> Iterator[tuple[Any, int, bytes]]:
        """(connection, time of the recording in ns, serialized message) of some topics, or all."""
        for reader in self._readers:
            own = [c for c in topics if any(c is mine for mine in reader.connections)]
            if own or not topics:
                try:
                    yield from reader.messages(connections=own or list(reader.connections))
                except self._error_class as error:
                    raise OfflineError(
                        f"{self.path} is damaged: {error}{_remedy(self.path)}"
                    ) from error

    def episodes(self) -> list[Episode]:
        """The episodes that were marked while it was recorded."""
        marks = [c for c in self.topics if c.msgtype == LOG and c.topic.endswith(f"/{TOPIC}")]
        if not marks:
            return []
        read = (typestore().deserialize_cdr(data, LOG) for _, _, data in self.messages(marks))
        return episodes((m.stamp.sec * 10**9 + m.stamp.nanosec, m.name) for m in read)

    def close(self) -> None:
        """Release the files, and a repaired copy."""
        self._stack.close()


def _remedy(part: Path) -> str:
    if part.suffix == ".db3":
        return ". If the recorder was killed: sqlite3 FILE.db3 .recover | sqlite3 NEW.db3"
    if part.suffix == ".mcap":
        return ". `mcap recover FILE` copies what is whole"
    return ""


class BagSource:
    """The images of one topic of a bag.

    They pass the checks that the live node makes: an image that it would refuse (damaged, without
    stamp, older than the one before) is refused here, too, and counted.

    Parameters
    ----------
    bag : the opened bag.
    settings : see `ImageSettings`.

    Raises
    ------
    OfflineError : there is no image topic, or it is not clear which.
    """

    def __init__(self, bag: Bag, settings: ImageSettings) -> None:
        self._bag, self._settings = bag, settings
        self.images = _image_connections(bag, settings.topic)
        self.topic = str(self.images[0].topic)
        self.expected = sum(c.msgcount for c in self.images) or None
        self.losses = Losses()

    def __iter__(self) -> Iterator[Shot]:
        """Every image that can be used."""
        self.losses = losses = Losses(notes=list(self._bag.notes))
        settings, store = self._settings, typestore()
        transport = _TRANSPORTS[self.images[0].msgtype]
        reader = READERS[transport](settings.max_megapixels, losses.note)
        infos = info_topic_beside(self.topic)
        calibration = Calibration(lambda text: None, losses.note)
        calibration.start(infos, self.topic)
        depth = self._depth(losses)
        pairing: Pairing[tuple[Any, int]] = Pairing(0 if depth is None else 1)
        gate = StampGate()
        topics = {self.topic, infos} | ({depth.topic, depth.info_topic} if depth else set())

        def shots(pairs: list[Paired[tuple[Any, int]]]) -> Iterator[Shot]:
            for paired in pairs:
                message, log_ns = paired.reference
                try:
                    image = reader.decode(message)
                except ImageError as error:
                    losses.refuse(error)
                    continue
                size = image.shape[1], image.shape[0]
                camera = calibration.model_for(
                    size, settings.image_rectified, settings.input_mirrored
                )
                frame = Frame(image, stamp_ns(message), message.header.frame_id, camera)
                if depth is not None:
                    beside = paired.others[0]
                    found = depth.read(None if beside is None else beside[0], frame)
                    frame = replace(frame, depth=found)
                yield Shot(frame, log_ns, f"{self.topic}/{frame.stamp_ns}")

        for connection, log_ns, data in self._bag.messages(
            [c for c in self._bag.topics if c.topic in topics and c.msgtype in _READ]
        ):
            message = store.deserialize_cdr(data, connection.msgtype)
            if connection.msgtype == CAMERA_INFO:
                if connection.topic == infos:
                    calibration.take(message)
                if depth is not None and connection.topic == depth.info_topic:
                    depth.info = message
            elif depth is not None and connection.topic == depth.topic:
                yield from shots(pairing.other(0, stamp_ns(message), (message, log_ns)))
            else:
                try:
                    reader.check(message)
                except ImageError as error:
                    gate.skip()
                    losses.refuse(error)
                    continue
                try:
                    gate.check(stamp_ns(message))
                except ImageError as error:
                    losses.refuse(error)
                    continue
                yield from shots(pairing.reference(stamp_ns(message), (message, log_ns)))
        yield from shots(pairing.rest())

    def _depth(self, losses: Losses) -> BagDepth | None:
        """The reader of the depth topic, if one is named.

        Raises
        ------
        OfflineError : the bag does not have it.
        """
        settings, name = self._settings, self._settings.depth_topic
        if not name:
            return None
        if not any(c.topic == name and c.msgtype in _TRANSPORTS for c in self._bag.topics):
            raise OfflineError(
                f"{self._bag.path} has no depth topic '{name}' (parameter depth_topic); "
                f"{_listed(self._bag, _of_images(self._bag))}"
            )
        return BagDepth(
            name,
            settings.max_megapixels,
            settings.image_rectified,
            settings.input_mirrored,
            losses,
        )

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()


def _image_connections(bag: Bag, wanted: str) -> list[Any]:
    """The connections of the image topic that was named, or of the only one."""
    found = _of_images(bag)
    if wanted:
        for topic in (wanted, wanted + COMPRESSED):
            if topic in found:
                return found[topic]
        raise OfflineError(f"{bag.path} has no image topic '{wanted}'; {_listed(bag, found)}")
    colour = {topic: found[topic] for topic in found if not _is_depth(bag, found[topic])}
    if not colour:
        raise OfflineError(f"{bag.path} has no image topic; {_listed(bag, found)}")
    if len(colour) > 1:
        raise OfflineError(
            f"{bag.path} has {len(colour)} image topics, {', '.join(sorted(colour))}: name one "
            "with --topic"
        )
    return next(iter(colour.values()))


def _of_images(bag: Bag) -> dict[str, list[Any]]:
    """The connections of all image topics, by their names."""
    found: dict[str, list[Any]] = {}
    for connection in bag.topics:
        if connection.msgtype in _TRANSPORTS:
            found.setdefault(connection.topic, []).append(connection)
    return found


def _listed(bag: Bag, images: dict[str, list[Any]]) -> str:
    if images:
        return f"its image topics are {', '.join(sorted(images))}"
    topics = sorted({f"{c.topic} ({c.msgtype})" for c in bag.topics})
    listed = f"its topics are {', '.join(topics)}" if topics else "it has no topics at all"
    return (
        f"{listed}. Accepted are {IMAGE} and {COMPRESSED_IMAGE}; video streams (H.264) are not: "
        "decode them into images, or give the video file"
    )


def _is_depth(bag: Bag, connections: list[Any]) -> bool:
    """Whether a topic has depth images, by its name or by its first message."""
    if "depth" in connections[0].topic.lower().rsplit("/", 1)[-1]:
        return True
    first = next(bag.messages(connections), None)
    if first is None:
        return False
    message = typestore().deserialize_cdr(first[2], first[0].msgtype)
    name = getattr(message, "encoding", "") or getattr(message, "format", "")
    return str(name).startswith(DEPTH_ENCODINGS)
