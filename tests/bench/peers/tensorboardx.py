"""tensorboardX: scalars in event files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """`SummaryWriter.add_scalar`; a record is a point."""

    def __init__(self, port: int, folder: Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, number: int) -> None:
        self._writer.add_scalar("loss", float(number), number)

    def close(self) -> None:
        self._writer.close()

    @classmethod
    def kept(cls, folder: Path) -> Iterable[int]:
        from tensorboardX.proto.event_pb2 import Event

        for path in folder.glob("events.*"):
            data = path.read_bytes()
            position = 0
            while position + 12 <= len(data):
                length = int.from_bytes(data[position : position + 8], "little")
                if position + 12 + length + 4 > len(data):
                    break
                event = Event.FromString(data[position + 12 : position + 12 + length])
                position += 12 + length + 4
                if event.summary.value:
                    yield event.step


PEER = _Peer
