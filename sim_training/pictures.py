# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small things that films and film strips share: labels, sheets of pictures, PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

Image: TypeAlias = NDArray[np.uint8]
"""(height, width, 3) red, green, blue."""
_SHADES_ALIKE = 8
_BAR = (32, 36, 44)
_PAPER = 255
_MIN_FONT_PX = 9


def is_blank(image: Image) -> bool:
    """Whether a picture shows nothing: its brightest and darkest values hardly differ.

    This is what broken graphics drivers draw.
    """
    return int(image.max()) - int(image.min()) < _SHADES_ALIKE


def label(
    image: Image, left: str, right: str = "", right_colour: tuple[int, int, int] = (255, 255, 255)
) -> Image:
    """Returns a copy with a dark bar over its upper edge, text at either end of it."""
    height, width, _ = image.shape
    size = max(_MIN_FONT_PX, height // 24)
    bar = pillow.new("RGB", (width, size + size // 2), _BAR)
    draw = ImageDraw.Draw(bar)
    middle = bar.height / 2
    draw.text((size // 2, middle), left, (255, 255, 255), _font(size), anchor="lm")
    draw.text((width - size // 2, middle), right, right_colour, _font(size), anchor="rm")
    labelled = image.copy()
    labelled[: bar.height] = np.asarray(bar)[:height]
    return labelled


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def shrink(image: Image, width: int) -> Image:
    """Returns a picture at a smaller width, in proportion; unchanged if it is no wider."""
    if image.shape[1] <= width:
        return image
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(pillow.fromarray(image).resize((width, height), pillow.Resampling.BOX))


def join_pictures(pictures: Sequence[Image], columns: int, gap: int = 6) -> Image:
    """Returns pictures (H, W, 3) on one sheet, `columns` per line, with white gaps."""
    height, width, _ = pictures[0].shape
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    shape = (lines * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, _PAPER, dtype=np.uint8)
    for index, image in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def to_png(image: Image) -> bytes:
    """Returns an image (H, W, 3) as a PNG file."""
    stream = io.BytesIO()
    pillow.fromarray(image).save(stream, format="png", optimize=True)
    return stream.getvalue()
