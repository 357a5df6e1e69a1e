"""The picture of `mandelbrot.py`: what a worker does for one tile, with the standard library alone.

This module lies beside the script, so it travels to the hosts with the function: nothing is installed there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Colour = tuple[int, int, int]

LIMIT = 2500
"""Iterations after which a point counts as one of the set."""
INSIDE = -1.0
"""The shade of such a point; those of others are positions in `PALETTE`, 0 or more."""
FAR = 64.0
"""The radius that an orbit is followed to; the larger, the smoother are the shades."""
SQUARE = 16
"""The largest square of pixels that is looked at as a whole."""
FLAT = 4.0
"""How far the shade halfway between the corners of a smooth square may lie beside the mean of theirs."""
SPREAD = 400.0
"""How much the shades at the corners of such a square may differ."""
CLOSE = 0.01
"""How large the last term of an `Orbit` may be, beside its first."""


@dataclass(frozen=True)
class View:
    """A picture of ``width`` by ``height`` pixels; ``span`` is how much of the plane its width shows."""

    width: int
    height: int
    centre: complex = -0.748 + 0.1001j
    span: float = 0.004

    def point(self, x: float, y: float) -> complex:
        """The point at a place in pixels, counted from the upper left corner."""
        scale = self.span / self.width
        return self.centre + complex(x - self.width / 2, self.height / 2 - y) * scale


@dataclass(frozen=True)
class Tile:
    """A part of a view, in pixels from its upper left corner."""

    left: int
    top: int
    width: int
    height: int


def _palette(stops: list[Colour], size: int) -> list[Colour]:
    """A closed circle of ``size`` colours through ``stops``."""
    colours = []
    for index in range(size):
        place = index * len(stops) / size
        before, after = stops[int(place)], stops[(int(place) + 1) % len(stops)]
        share = (1 - math.cos(math.pi * (place % 1))) / 2
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(before, after))
        colours.append((red, green, blue))
    return colours


PALETTE = _palette(
    [
        (8, 16, 56),
        (14, 52, 118),
        (56, 142, 196),
        (226, 244, 244),
        (255, 206, 96),
        (206, 92, 28),
        (64, 14, 34),
    ],
    4096,
)
_MASK = len(PALETTE) - 1
_BYTES = [bytes(colour) for colour in PALETTE]


class Orbit:
    """What all points within ``radius`` of ``centre`` have in common: the beginning of their orbits.

    After ``done`` iterations the orbit of centre + d is at z + a d + b d² + c d³. The terms are followed
    for as long as the last one stays small; this is where most of the time is saved.
    """

    def __init__(self, centre: complex, radius: float) -> None:
        self.centre = centre
        z = a = b = c = 0j
        done = 0
        while True:
            self.terms, self.done = (z, a, b, c), done
            c, b, a, z = 2 * (z * c + a * b), 2 * z * b + a * a, 2 * z * a + 1, z * z + centre
            done += 1
            reach = abs(a) * radius
            if done > LIMIT or abs(z) + reach > 1.9 or abs(c) * radius**3 > CLOSE * reach:
                return

    def at(self, point: complex) -> complex:
        """Where the orbit of a point is after ``done`` iterations."""
        z, a, b, c = self.terms
        d = point - self.centre
        return z + d * (a + d * (b + d * c))


def shade(point: complex, orbit: Orbit) -> float:
    """The shade of a point near ``orbit``: a position in the palette, or INSIDE."""
    z = orbit.at(point)
    done = orbit.done
    seen, look_again = 0j, done + 64
    while True:
        before = z
        # Eight steps between two looks: from within radius 2 they can't overflow.
        z = z * z + point
        z = z * z + point
        z = z * z + point
        z = z * z + point
        z = z * z + point
        z = z * z + point
        z = z * z + point
        z = z * z + point
        if not abs(z) <= 2.0:
            break
        done += 8
        if z == seen or done >= LIMIT:
            return INSIDE  # An orbit that comes back to where it was never leaves.
        if done >= look_again:
            seen, look_again = z, 2 * look_again
    z = before
    while abs(z) < FAR:
        z = z * z + point
        done += 1
    smooth = done + 1 - math.log2(math.log(abs(z)) / math.log(FAR))
    return max(900 * math.log(max(smooth, 1)) - 3100, 0)


class Painter:
    """Paints one tile: square by square, computing points only where a square is not smooth."""

    def __init__(self, view: View, tile: Tile) -> None:
        self._view = view
        self._tile = tile
        self._shades: dict[tuple[float, float], float] = {}
        self._pixels = bytearray(3 * tile.width * tile.height)
        self._orbit = Orbit(view.centre, view.span)

    def paint(self) -> bytes:
        """The tile's pixels, row by row, three bytes each."""
        view, tile = self._view, self._tile
        radius = SQUARE * view.span / view.width * math.sqrt(0.5)
        for top in range(0, tile.height, SQUARE):
            for left in range(0, tile.width, SQUARE):
                middle = view.point(tile.left + left + SQUARE / 2, tile.top + top + SQUARE / 2)
                self._orbit = Orbit(middle, radius)
                self._square(left, top, SQUARE)
        return bytes(self._pixels)

    def _shade(self, x: float, y: float) -> float:
        """The shade at a corner of a pixel (or at its middle, with halves)."""
        value = self._shades.get((x, y))
        if value is None:
            point = self._view.point(self._tile.left + x, self._tile.top + y)
            value = self._shades[x, y] = shade(point, self._orbit)
        return value

    def _square(self, left: int, top: int, size: int) -> None:
        if left >= self._tile.width or top >= self._tile.height:
            return
        corners = (
            self._shade(left, top),
            self._shade(left + size, top),
            self._shade(left, top + size),
            self._shade(left + size, top + size),
        )
        smooth = min(corners) >= 0 and max(corners) - min(corners) < SPREAD
        if size == 1 and smooth:
            self._fill(left, top, 1, corners)
            return
        middle = self._shade(left + size / 2, top + size / 2)
        if size == 1:
            self._pixel(left, top, (*corners, middle, middle))
        elif middle == INSIDE and corners == (INSIDE,) * 4 and size < SQUARE:
            pass  # Black already.
        elif smooth and self._is_flat(left, top, size, corners, middle):
            self._fill(left, top, size, corners)
        else:
            half = size // 2
            for x in (left, left + half):
                for y in (top, top + half):
                    self._square(x, y, half)

    def _is_flat(
        self, left: int, top: int, size: int, corners: tuple[float, float, float, float], middle: float
    ) -> bool:
        """Whether the shades in the middle of a square, and of its sides, are what its corners promise."""
        if abs(sum(corners) / 4 - middle) > FLAT:
            return False
        if size == 2:
            return True
        half, right, bottom = size // 2, left + size, top + size
        north_west, north_east, south_west, south_east = corners
        return (
            abs(self._shade(left + half, top) - (north_west + north_east) / 2) < FLAT
            and abs(self._shade(left, top + half) - (north_west + south_west) / 2) < FLAT
            and abs(self._shade(right, top + half) - (north_east + south_east) / 2) < FLAT
            and abs(self._shade(left + half, bottom) - (south_west + south_east) / 2) < FLAT
        )

    def _pixel(self, x: int, y: int, shades: tuple[float, ...]) -> None:
        """Paint a pixel in which much happens: the mean of several colours, so that edges are soft."""
        colours = [PALETTE[int(value) & _MASK] if value >= 0 else (0, 0, 0) for value in shades]
        start = 3 * (y * self._tile.width + x)
        self._pixels[start : start + 3] = bytes([sum(channel) // len(colours) for channel in zip(*colours)])

    def _fill(self, left: int, top: int, size: int, corners: tuple[float, ...]) -> None:
        """Fill a square with what lies between the shades of its corners."""
        north_west, north_east, south_west, south_east = corners
        width = min(size, self._tile.width - left)
        for row in range(min(size, self._tile.height - top)):
            share = (row + 0.5) / size
            west = north_west + (south_west - north_west) * share
            east = north_east + (south_east - north_east) * share
            step = (east - west) / size
            first = west + step / 2
            line = b"".join([_BYTES[int(first + step * x) & _MASK] for x in range(width)])
            start = 3 * ((top + row) * self._tile.width + left)
            self._pixels[start : start + len(line)] = line


def render(view: View, tile: Tile) -> bytes:
    """Paint one tile of a view: the function that runs on the hosts."""
    return Painter(view, tile).paint()
