"""The picture that README shows: taken again with LOGHOOK_WRITE_PICTURE=1, and made small."""

from __future__ import annotations

import base64
import math
import os
import random
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy
import pytest

PICTURE = Path(__file__).with_name("page.png")
# Read now: each test's environment is scrubbed.
WANTED = os.environ.get("LOGHOOK_WRITE_PICTURE") == "1"
LARGEST = 120_000
COLOURS = 160
PIXELS = """async (source) => {
  const bitmap = await createImageBitmap(await (await fetch("data:image/png;base64," + source)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [width, height, btoa(text)];
}"""


@pytest.mark.skipif(not WANTED, reason="LOGHOOK_WRITE_PICTURE=1 takes the picture again")
def test_the_picture_is_taken(server: Any, open_page: Any, expect: Any, until: Any, chromium: Any) -> None:
    """The page of a run that learns to read digits, as a picture of less than 120 kB."""
    random.seed(7)
    now = time.time()
    begin = now - 130
    git = {"commit": "3f9a1c27bd0e11", "branch": "main", "dirty": False}
    server.begin("digits", "digits", time=begin, host="ada-laptop", git=git)
    for epoch in range(20):
        events = [batch(epoch * 42 + i, begin + (epoch * 42 + i) * 0.15) for i in range(42)]
        server.post("digits", *events, epoch_end(epoch, events[-1]["time"]))
    server.post("digits", {"time": now, "event": "heartbeat"})
    page = open_page(server, "runs/digits?level=INFO")
    until(page, "document.querySelectorAll('.card .nsewdrag').length >= 5")
    expect(page.locator(".record").last).to_be_visible()
    PICTURE.write_bytes(shrunk(chromium, page.screenshot()))
    assert PICTURE.stat().st_size < LARGEST


def test_the_picture_is_small() -> None:
    """README's picture is there and takes less than 120 kB."""
    assert 0 < PICTURE.stat().st_size < LARGEST


def shrunk(chromium: Any, picture: bytes) -> bytes:
    """Return a PNG with a palette of its most frequent colours, about a third as long and hardly to be told apart."""
    page = chromium.new_page()
    width, height, text = page.evaluate(PIXELS, base64.b64encode(picture).decode())
    page.close()
    pixels = numpy.frombuffer(base64.b64decode(text), numpy.uint8).reshape(-1, 4)[:, :3]
    colours, place, counts = numpy.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    palette = colours[numpy.argsort(-counts, kind="stable")[:COLOURS]]
    apart = ((colours[:, None].astype(int) - palette[None].astype(int)) ** 2).sum(axis=2)
    rows = apart.argmin(axis=1)[place.reshape(-1)].astype(numpy.uint8).reshape(height, width)
    # Each row begins with its filter: none.
    raw = numpy.hstack([numpy.zeros((height, 1), numpy.uint8), rows]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def batch(step: int, at: float) -> dict[str, Any]:
    """One step of training."""
    noise = random.gauss(0, 0.05)
    metrics = {
        "loss": 2.2 * math.exp(-step / 160) + 0.14 + abs(noise),
        "accuracy": min(1.0, 0.98 - 0.8 * math.exp(-step / 130) + noise / 3),
        "learning_rate": 0.05 * 0.998**step,
        "grad_norm": 4 * math.exp(-step / 220) + 0.6 + abs(noise) * 6,
    }
    common = {"time": at, "level": "DEBUG", "logger": "digits.batch", "message": f"batch {step}"}
    return {**common, "metrics": metrics, "step": step}


def epoch_end(epoch: int, at: float) -> dict[str, Any]:
    """What is said after an epoch."""
    loss = round(2.0 * math.exp(-epoch / 4) + 0.19 + abs(random.gauss(0, 0.02)), 4)
    accuracy = round(0.972 - 0.75 * math.exp(-epoch / 3.2), 4)
    common = {"time": at, "level": "INFO", "logger": "digits.train", "step": epoch * 42 + 41}
    if epoch in (11, 16):
        return {**common, "level": "WARNING", "message": f"epoch {epoch + 1:2} of 20: the loss on held-out images rose"}
    metrics = {"val/loss": loss, "val/accuracy": accuracy}
    return {**common, "message": f"epoch {epoch + 1:2} of 20", "metrics": metrics}
