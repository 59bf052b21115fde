"""The loops that NumPy has no words for, compiled by numba: warps, histograms, and the end of a batch.

Compiled without fast-math but for what cannot change a result, so that a view is the same on every kind of processor.

Shapes: H, W sides in pixels.
"""

import math
from collections.abc import Callable

import numba
import numpy as np
from numba.core import config as codegen

# Neighbouring channels in one register, which numba leaves off by default.
codegen.SLP_VECTORIZE = 1  # pyright: ignore[reportAttributeAccessIssue]
HARMLESS = {"nnan", "ninf", "nsz"}  # promises about the values, which hold; nothing is reordered or fused
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)  # unsigned: a place that may be negative is looked at twice
TRUNCATED = np.float32(
    0.001
)  # Pillow truncates in double precision: what float32 rounds just below a level, it does not


def compiled(function: Callable) -> Callable:
    """``function`` compiled when it is first called; kept on disk for later processes where there is a place to."""
    try:
        return numba.njit(nogil=True, cache=True, fastmath=HARMLESS)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        return numba.njit(nogil=True, fastmath=HARMLESS)(function)


@compiled
def taps(t):
    """Weights of the four pixels around a point ``t`` past the second: the cubic of Pillow's transforms, a = -1."""
    one, two = np.float32(1), np.float32(2)
    t = np.float32(t)
    u = one - t
    first, second, fourth = -u * u * t, (t - two) * t * t + one, -t * t * u
    return first, second, one - first - second - fourth, fourth


@compiled
def byte(value):
    """A float32 as a grey level, truncated as Pillow does."""
    return np.uint8(np.int32(min(max(value + TRUNCATED, np.float32(0)), np.float32(255))))


@compiled
def shift_rows(pixels, slope, offset, fill):
    """Pixel x of row y becomes what is at ``x + slope * (y + 1/2) + offset`` in it: horizontal shear and translation.

    The distance is the same all along a row, which makes a row one filter of four taps.
    """
    height, width, _ = pixels.shape
    size = 3 * width
    out = np.empty_like(pixels)
    row = np.empty(size + 12, np.float32)  # two pixels of the edge's colour on each side
    for y in range(height):
        distance = slope * (y + 0.5) + offset
        whole = math.floor(distance)
        w0, w1, w2, w3 = taps(distance - whole)
        first = max(0, min(width, math.ceil(-distance - 0.5)))
        last = max(first, min(width, math.ceil(width - distance - 0.5)))
        source, target = pixels[y].reshape(size), out[y].reshape(size)
        for i in range(6):
            row[i], row[size + 6 + i] = source[i % 3], source[size - 3 + i % 3]
        for i in range(size):
            row[6 + i] = source[i]
        for x in range(first):
            target[3 * x], target[3 * x + 1], target[3 * x + 2] = fill[0], fill[1], fill[2]
        for x in range(last, width):
            target[3 * x], target[3 * x + 1], target[3 * x + 2] = fill[0], fill[1], fill[2]
        if last > first:
            near = row[3 * (first + whole) + 3 :]
            inside = target[3 * first : 3 * last]
            for i in range(inside.size):
                value = w0 * near[i] + w1 * near[i + 3] + w2 * near[i + 6] + w3 * near[i + 9]
                inside[i] = byte(value)
    return out


@compiled
def shift_down(pixels, distance, fill):
    """Row y becomes what is ``distance`` rows below it."""
    height, width, _ = pixels.shape
    size = 3 * width
    out = np.empty_like(pixels)
    rows, targets = pixels.reshape(height, size), out.reshape(height, size)
    whole = math.floor(distance)
    w0, w1, w2, w3 = taps(distance - whole)
    for y in range(height):
        target = targets[y]
        if not 0 <= y + 0.5 + distance < height:
            for x in range(width):
                target[3 * x], target[3 * x + 1], target[3 * x + 2] = fill[0], fill[1], fill[2]
            continue
        above, here = rows[min(max(y + whole - 1, 0), height - 1)], rows[min(max(y + whole, 0), height - 1)]
        below, last = rows[min(max(y + whole + 1, 0), height - 1)], rows[min(max(y + whole + 2, 0), height - 1)]
        for i in range(size):
            target[i] = byte(w0 * above[i] + w1 * here[i] + w2 * below[i] + w3 * last[i])
    return out


@compiled
def padded(pixels):
    """(H + 4, W + 4, 4) float32 with two pixels of the edge's colour around; the fourth channel fills a register."""
    height, width, _ = pixels.shape
    out = np.empty((height + 4, width + 4, 4), np.float32)
    for y in range(height + 4):
        source, target = pixels[min(max(y - 2, 0), height - 1)], out[y]
        for x in range(width):
            target[x + 2, 0], target[x + 2, 1], target[x + 2, 2] = source[x, 0], source[x, 1], source[x, 2]
            target[x + 2, 3] = 0
        for k in range(4):
            target[0, k] = target[1, k] = target[2, k]
            target[width + 2, k] = target[width + 3, k] = target[width + 1, k]
    return out


@compiled
def column(flat, at, row, w0, w1, w2, w3):
    """The four channels at ``at`` and in the three rows below it, weighted: one instruction each, side by side."""
    b, c, d = at + row, at + row + row, at + row + row + row
    return (
        w0 * flat[at] + w1 * flat[b] + w2 * flat[c] + w3 * flat[d],
        w0 * flat[at + ONE] + w1 * flat[b + ONE] + w2 * flat[c + ONE] + w3 * flat[d + ONE],
        w0 * flat[at + TWO] + w1 * flat[b + TWO] + w2 * flat[c + TWO] + w3 * flat[d + TWO],
        w0 * flat[at + THREE] + w1 * flat[b + THREE] + w2 * flat[c + THREE] + w3 * flat[d + THREE],
    )


@compiled
def warp(around, a, b, c, d, e, f, fill):
    """Pixel (x, y) becomes what is at ``(a x + b y + c, d x + e y + f)``, in coordinates of the pixels' corners.

    around: as `padded` makes it.
    """
    height, width = around.shape[0] - 4, around.shape[1] - 4
    flat, row, pixel = around.reshape(-1), np.uint64(4 * (width + 4)), np.uint64(4)
    line = np.empty((width, 4), np.float32)
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            u, v = a * (x + 0.5) + b * (y + 0.5) + c, d * (x + 0.5) + e * (y + 0.5) + f
            if u < 0 or u >= width or v < 0 or v >= height:
                line[x, 0], line[x, 1], line[x, 2] = fill[0], fill[1], fill[2]
                continue
            u, v = u - 0.5, v - 0.5
            left, top = math.floor(u), math.floor(v)
            a0, a1, a2, a3 = taps(u - left)
            b0, b1, b2, b3 = taps(v - top)
            at = np.uint64(top + 1) * row + np.uint64(left + 1) * pixel
            p0, p1, p2, p3 = column(flat, at, row, b0, b1, b2, b3)
            q0, q1, q2, q3 = column(flat, at + pixel, row, b0, b1, b2, b3)
            r0, r1, r2, r3 = column(flat, at + pixel + pixel, row, b0, b1, b2, b3)
            s0, s1, s2, s3 = column(flat, at + pixel + pixel + pixel, row, b0, b1, b2, b3)
            line[x, 0] = a0 * p0 + a1 * q0 + a2 * r0 + a3 * s0
            line[x, 1] = a0 * p1 + a1 * q1 + a2 * r1 + a3 * s1
            line[x, 2] = a0 * p2 + a1 * q2 + a2 * r2 + a3 * s2
            line[x, 3] = a0 * p3 + a1 * q3 + a2 * r3 + a3 * s3
        target = out[y]
        for x in range(width):
            target[x, 0], target[x, 1], target[x, 2] = byte(line[x, 0]), byte(line[x, 1]), byte(line[x, 2])
    return out


@compiled
def histograms(pixels):
    """(3, 256) int64: how often each level occurs in each channel."""
    counts = np.zeros((4, 3, 256), np.int64)  # four sets, so that equal neighbours do not wait for each other
    flat = pixels.reshape(-1, 3)
    for i in range(len(flat)):
        for k in range(3):
            counts[i & 3, k, flat[i, k]] += 1
    return counts[0] + counts[1] + counts[2] + counts[3]


@compiled
def blended(pixels, others, factor):
    """``others + factor * (pixels - others)`` in float32, truncated: Pillow's blend."""
    out = np.empty_like(pixels)
    a, b, result = pixels.reshape(-1), others.reshape(-1), out.reshape(-1)
    factor, low, high = np.float32(factor), np.float32(0), np.float32(255)
    for i in range(a.size):
        base = np.float32(b[i])
        result[i] = np.uint8(np.int32(min(max(base + factor * (np.float32(a[i]) - base), low), high)))
    return out


@compiled
def normalise(pixels, planes, scale, shift):
    """(H, W, 3) uint8 into (3, H, W) float32, ``pixel * scale - shift``, each (3,) float32."""
    count = pixels.shape[0] * pixels.shape[1]
    source, target = pixels.reshape(3 * count), planes.reshape(3 * count)
    scale0, scale1, scale2, shift0, shift1, shift2 = scale[0], scale[1], scale[2], shift[0], shift[1], shift[2]
    for i in range(count):
        target[i] = np.float32(source[3 * i]) * scale0 - shift0
        target[count + i] = np.float32(source[3 * i + 1]) * scale1 - shift1
        target[2 * count + i] = np.float32(source[3 * i + 2]) * scale2 - shift2


@compiled
def normalise_mixed(first, second, first_planes, second_planes, scale, shift, share):
    """Both as `normalise` makes them and mixed by ``share`` as `mix_pair` does, without coming back to them."""
    count = first.shape[0] * first.shape[1]
    a, b = first.reshape(3 * count), second.reshape(3 * count)
    share = np.float32(share)
    rest = np.float32(1) - share
    for k in range(3):
        factor, less = scale[k], shift[k]
        c, d = first_planes[k].reshape(count), second_planes[k].reshape(count)
        for i in range(count):
            x, y = np.float32(a[3 * i + k]) * factor - less, np.float32(b[3 * i + k]) * factor - less
            c[i], d[i] = x * share + y * rest, y * share + x * rest


@compiled
def mix_pair(first, second, share, top, left, height, width):
    """Mix two (3, H, W) float32 images with each other, in place: by ``share``, or by exchanging a box."""
    if height and width:
        for k in range(3):
            for y in range(top, top + height):
                for x in range(left, left + width):
                    first[k, y, x], second[k, y, x] = second[k, y, x], first[k, y, x]
        return
    share = np.float32(share)
    rest = np.float32(1) - share
    a, b = first.reshape(-1), second.reshape(-1)
    for i in range(a.size):
        x, y = a[i], b[i]
        a[i], b[i] = x * share + y * rest, y * share + x * rest


def warm_up() -> None:
    """Compile everything, or fetch it from the disk."""
    pixels, fill = np.zeros((4, 4, 3), np.uint8), np.zeros(3, np.uint8)
    planes, unit = np.zeros((3, 4, 4), np.float32), np.ones(3, np.float32)
    shift_rows(pixels, 0.0, 0.0, fill)
    shift_down(pixels, 0.0, fill)
    warp(padded(pixels), 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, fill)
    histograms(pixels)
    blended(pixels, pixels, 1.0)
    normalise(pixels, planes, unit, unit)
    normalise_mixed(pixels, pixels, planes, planes.copy(), unit, unit, 0.5)
    mix_pair(planes, planes.copy(), 0.5, 0, 0, 0, 0)
