"""The colours of ranks are told apart by every kind of eye, on the light page and on the dark one."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import loghook.server

CSS = (Path(loghook.server.__file__).parent / "ui" / "static" / "base.css").read_text()
LIGHT, DARK = CSS.split("prefers-color-scheme: dark")

Vector = tuple[float, ...]
Matrix = tuple[Vector, Vector, Vector]

EYES: dict[str, Matrix] = {
    "as most": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""What is left of red, green and blue light: Machado, Oliveira and Fernandes, 2009, at full severity."""
LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""Oklab, by Ottosson: equal distances look equally far apart."""
FAR = 0.12
"""A distance in Oklab that is seen at once between two thin lines; that of black and white is 1."""


def colours(theme: str) -> list[Vector]:
    """The light of each rank's colour."""
    return [light(colour) for colour in re.findall(r"--rank\d: (#\w{6});", theme)]


def light(colour: str) -> Vector:
    """The linear red, green and blue of a colour."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def times(matrix: Matrix, vector: Vector) -> Vector:
    """A matrix times a vector."""
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def seen(colour: Vector, eye: Matrix) -> Vector:
    """Where in Oklab an eye sees a colour."""
    there = tuple(min(1.0, max(0.0, part)) for part in times(eye, colour))
    return times(LAB, tuple(part ** (1 / 3) for part in times(LMS, there)))


def luminance(colour: Vector) -> float:
    """How bright a colour is, as WCAG has it."""
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), colour, strict=True))


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_ranks_are_told_apart(theme: str, eye: str) -> None:
    """Any two of the six colours are far apart, whatever colours an eye can't see."""
    places = [seen(colour, EYES[eye]) for colour in colours(theme)]
    assert len(places) == 6
    for one, other in itertools.combinations(places, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > FAR


@pytest.mark.parametrize(("theme", "surface"), [(LIGHT, "#ffffff"), (DARK, "#171b21")], ids=["light", "dark"])
def test_ranks_stand_out(theme: str, surface: str) -> None:
    """Each colour has the contrast to a card that WCAG 2 asks of graphics, 3 to 1."""
    for colour in colours(theme):
        low, high = sorted((luminance(colour), luminance(light(surface))))
        assert (high + 0.05) / (low + 0.05) >= 3
