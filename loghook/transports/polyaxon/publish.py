"""What is held of one writer goes to Polyaxon 2, in an order that makes sense to who looks on.

Params and `running` at once; then, when they are due, the lines of the log and the points of the metrics; the end of
the run when all else is there. Each step that was done is done: what fails is tried again from there.

What the platform refuses for its size, be it one line alone or the points that no longer go into their metric's file,
is named as refused, and the rest goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base import Refused, TryLater
from .calls import Trouble
from .events import Said
from .names import slug
from .pace import Pace
from .run import PolyaxonRun
from .series import Series
from .writer import Writer, marker_name

__all__ = ["Publisher"]

LOGS, METRICS = "plxlogs", "events/metric"
LONGEST_MESSAGE = 60_000
NONE_YET = sys.maxsize


@dataclass(slots=True)
class _Status:
    """A status to send, and the event that it is from."""

    start: int
    kind: str
    message: str
    time: float


@dataclass(slots=True)
class _Change:
    """What is to be added to the run, and the events that it is from."""

    starts: list[int] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"inputs": self.inputs} if self.inputs else {}
        if self.name:
            content["description"] = self.name
            if slug(self.name):
                content["name"] = slug(self.name)
        return content


class Publisher:
    """One writer's events on their way into one run."""

    def __init__(self, run: PolyaxonRun, writer: Writer, clock: Callable[[], float]) -> None:
        self.writer = writer
        self._run = run
        self._clock = clock
        self._pace = Pace()
        self._origin = run.origin(writer.name)
        self._change = _Change()
        self._statuses: list[_Status] = []
        self._known = bool(run.marker(writer.name))
        self._too_large = NONE_YET
        """The size of the smallest metric file that was refused for it."""

    def take(self, said: Said) -> None:
        """Hold what an event says."""
        writer = self.writer
        if said.error:
            writer.refused.add([said.start], said.error)
            return
        if said.params or said.run is not None:
            self._change.starts.append(said.start)
            self._change.inputs.update(said.params)
        if said.run is not None:
            self._change.info = {key: value for key, value in said.run.items() if key != "params"}
            self._change.name = "" if self._run.managed else str(said.run.get("name") or "")
        if self._run.managed and said.stream:
            said.text = None
        if said.status is not None and not self._run.managed:
            message = said.message if not said.trace else f"{said.message}\n{said.trace}"
            self._statuses.append(_Status(said.start, said.status, message[:LONGEST_MESSAGE], said.time))
        writer.add(said, self._origin)

    def bring(self, *, urgent: bool) -> TryLater | None:
        """Send what is due, and all of it when it is urgent or the run ends."""
        trouble = self._bring(urgent)
        return TryLater(trouble.reason) if isinstance(trouble, Refused) else trouble

    def _bring(self, urgent: bool) -> Trouble | None:
        trouble = self._describe() or self._start()
        if trouble is not None:
            return trouble
        urgent = urgent or bool(self._statuses)
        writer, now = self.writer, self._clock()
        held = writer.held
        points = sum(series.held_size for series in held)
        metrics = urgent or self._pace.metrics_due(now, points, sum(series.size for series in held))
        if metrics or self._pace.chunks_due(now, sum(chunk.size for chunk in writer.chunks)):
            trouble = self._send_chunks(now)
        if trouble is None and metrics and held:
            trouble = self._send_metrics(held)
        if trouble is None:
            trouble = self._send_statuses()
        if trouble is None and not writer.chunks and not writer.held:
            writer.safe = writer.cursor
        return trouble

    def _describe(self) -> Trouble | None:
        """Params, and who the run is: with the writer's first events its marker goes too."""
        change, info = self._change, {}
        if change.info:
            info["loghook"] = change.info
        if not self._known:
            info[marker_name(self.writer.name)] = self.writer.announcement()
        content = change.content()
        if info:
            content["meta_info"] = info
        if not content:
            return None
        trouble = self._run.change(**content)
        if isinstance(trouble, Refused):
            self.writer.refused.add(change.starts, trouble.reason)
            trouble = None
        if trouble is None:
            self._change, self._known = _Change(), True
        return trouble

    def _start(self) -> Trouble | None:
        while self._statuses and self._statuses[0].kind == "running":
            trouble = self._send_status(self._statuses[0])
            if trouble is not None:
                return trouble
            del self._statuses[0]
        return None

    def _send_statuses(self) -> Trouble | None:
        for status in list(self._statuses):
            trouble = self._send_status(status)
            if trouble is not None:
                return trouble
            self._statuses.remove(status)
        return None

    def _send_status(self, status: _Status) -> Trouble | None:
        trouble = self._run.status(status.kind, status.message, status.time)
        if isinstance(trouble, Refused) and status.message:
            status.message = ""
            trouble = self._run.status(status.kind, "", status.time)
        if isinstance(trouble, Refused):
            self.writer.refused.add([status.start], trouble.reason)
            return None
        return trouble

    def _send_chunks(self, began: float) -> Trouble | None:
        chunks, writer = self.writer.chunks, self.writer
        sent = 0
        while chunks:
            chunks[0].tried = True
            trouble = self._run.files.write(LOGS, chunks[0].name(writer.name), chunks[0].content())
            if isinstance(trouble, Refused) and len(chunks[0].lines) > 1:
                chunks[:1] = chunks[0].halves()
                continue
            if isinstance(trouble, Refused):
                writer.refused.add([chunks[0].lines[0][0]], trouble.reason)
            elif trouble is not None:
                return trouble
            del chunks[0]
            sent += 1
        if sent:
            self._pace.chunks_sent(began, self._clock(), sent)
        return None

    def _send_metrics(self, held: list[Series]) -> Trouble | None:
        began = self._clock()
        trouble = self._fetch(held) or self._upload(held) or self._name(held)
        if trouble is not None:
            return trouble
        writer = self.writer
        outputs = {series.file: series.last for series in held}
        info = {marker_name(writer.name): writer.marker(), "has_metrics": True}
        trouble = self._run.change(outputs=outputs, meta_info=info)
        if isinstance(trouble, Refused):  # the last values are in the files too; without the marker points come twice
            trouble = self._run.change(meta_info={**info, "loghook-trouble": trouble.reason})
        if trouble is not None:
            return trouble
        for series in held:
            series.settle()
        writer.marked = writer.cursor
        self._pace.metrics_sent(began, self._clock(), sum(series.size for series in held))
        return None

    def _fetch(self, held: list[Series]) -> Trouble | None:
        """What is in the files already; a file that is new to the marker gets into it before it is written."""
        for series in held:
            if not series.fetched:
                found = self._run.files.read(METRICS, f"{series.file}.plx")
                if isinstance(found, TryLater | Refused):
                    return found
                series.fetch(found)
                if series.missing:
                    words = f"{series.file}.plx lacks {series.missing} points that it had"
                    trouble = self._run.change(meta_info={"loghook-trouble": words})
                    if trouble is not None:
                        return trouble
        if all(series.announced for series in held):
            return None
        trouble = self._run.change(meta_info={marker_name(self.writer.name): self.writer.announcement()})
        if trouble is None:
            for series in held:
                series.announced = True
        return trouble

    def _upload(self, held: list[Series]) -> Trouble | None:
        for series in held:
            if series.sent:
                continue
            trouble = self._write(series, series.content())
            if isinstance(trouble, Refused) and trouble.too_large:
                trouble = self._fill(series, trouble)
            if trouble is not None:
                return trouble
            series.sent = True
        return None

    def _write(self, series: Series, content: bytes) -> Trouble | None:
        trouble = self._run.files.write(METRICS, f"{series.file}.plx", content)
        if trouble is None and len(content) >= self._too_large:
            self._too_large = NONE_YET
        elif isinstance(trouble, Refused) and trouble.too_large:
            self._too_large = min(self._too_large, len(content))
        return trouble

    def _fill(self, series: Series, refused: Refused) -> Trouble | None:
        """Send as many of the points that are held as the file may have; the events of the others are refused."""
        fits, refuses = 0, series.total - series.count
        while refuses - fits > 1:
            middle = (fits + refuses) // 2
            content = series.content(middle)
            trouble = self._write(series, content) if len(content) < self._too_large else refused
            if trouble is None:
                fits = middle
            elif isinstance(trouble, Refused) and trouble.too_large:
                refuses = middle
            else:
                return trouble
        self.writer.refused.add(series.cut(fits), refused.reason)
        return None

    def _name(self, held: list[Series]) -> Trouble | None:
        """Lineage and summaries; in a managed run the sidecar sees to them. What it refuses is said on the run."""
        if self._run.managed:
            return None
        artifacts = [
            {
                "name": series.file,
                "kind": "metric",
                "path": f"{METRICS}/{series.file}.plx",
                "summary": series.summary(),
                "is_input": False,
            }
            for series in held
            if series.total
        ]
        trouble = self._run.lineage(artifacts) if artifacts else None
        if isinstance(trouble, Refused):
            return self._run.change(meta_info={"loghook-trouble": trouble.reason})
        return trouble
