"""What is left of an mcap file whose recorder was killed, as a whole file."""

from __future__ import annotations

import struct
from pathlib import Path

from vitpose_ros.models.progress import size_text
from vitpose_ros.offline.errors import OfflineError, missing_library

_MAGIC = b"\x89MCAP0\r\n"


def is_cut(path: Path) -> bool:
    """Whether a file begins as an mcap file and does not end as one."""
    with path.open("rb") as stream:
        begins = stream.read(len(_MAGIC)) == _MAGIC
        stream.seek(-min(len(_MAGIC), path.stat().st_size), 2)
        return begins and stream.read() != _MAGIC


def salvage(path: Path, folder: Path, reason: str) -> tuple[Path, str]:
    """Copy every whole message of a damaged file into a new one.

    Parameters
    ----------
    path : the damaged file.
    folder : where the new one goes.
    reason : why it could not be read.

    Returns
    -------
    The new file, and a sentence about what was lost.

    Raises
    ------
    OfflineError : nothing could be read.
    """
    try:
        from mcap.exceptions import McapError
        from mcap.records import Channel, Chunk, Message, Schema
        from mcap.stream_reader import StreamReader, breakup_chunk
        from mcap.writer import CompressionType, Writer
    except ImportError as error:
        raise missing_library(error) from error
    target = folder / path.name
    size, read, messages, last_ns, damaged = path.stat().st_size, 0, 0, 0, 0
    schemas: dict[int, int] = {0: 0}
    channels: dict[int, int] = {}
    with path.open("rb") as stream, target.open("wb") as out:
        writer = Writer(out, compression=CompressionType.NONE)
        writer.start(profile="ros2", library="vitpose_ros")
        try:
            for record in StreamReader(stream, emit_chunks=True).records:
                try:
                    inner = [record]
                    if isinstance(record, Chunk):
                        inner = breakup_chunk(record, validate_crc=True)
                except Exception:  # noqa: BLE001 - decompression fails in many ways
                    damaged += 1
                    continue
                for one in inner:
                    if isinstance(one, Schema) and one.id not in schemas:
                        schemas[one.id] = writer.register_schema(one.name, one.encoding, one.data)
                    elif isinstance(one, Channel) and one.id not in channels:
                        channels[one.id] = writer.register_channel(
                            one.topic, one.message_encoding, schemas[one.schema_id], one.metadata
                        )
                    elif isinstance(one, Message):
                        writer.add_message(
                            channels[one.channel_id],
                            one.log_time,
                            one.data,
                            one.publish_time,
                            one.sequence,
                        )
                        messages, last_ns = messages + 1, max(last_ns, one.log_time)
                read = stream.tell()
        except (McapError, ValueError, KeyError, EOFError, struct.error) as error:
            reason = str(error) or type(error).__name__
        writer.finish()
    if not messages:
        raise OfflineError(f"{path} cannot be read, and no message in it is whole: {reason}")
    lost = max(size - read, 0)
    chunks = f", and {damaged} damaged chunks before that" if damaged else ""
    return target, (
        f"the file is cut off or damaged: {messages} messages were read, up to {last_ns * 1e-9:.3f}"
        f" s; the last {size_text(lost)} ({100 * lost / size:.1f} %){chunks} are lost"
    )
