"""The loops that NumPy has no words for, compiled by numba: warps, histograms, and the end of a batch.

Compiled without fast-math but for what cannot change a result, so that a view is the same on every kind of processor.

Shapes: H, W sides in pixels.
"""

import math
from collections.abc import Callable

import numba
import numpy as np

HARMLESS = {"nnan", "ninf", "nsz"}  # promises about the values, which hold; nothing is reordered or fused
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
    """(H + 4, W + 4, 3) float32 with two pixels of the edge's colour around."""
    height, width, _ = pixels.shape
    out = np.empty((height + 4, width + 4, 3), np.float32)
    for y in range(height + 4):
        source, target = pixels[min(max(y - 2, 0), height - 1)].reshape(3 * width), out[y].reshape(3 * width + 12)
        for i in range(3 * width):
            target[6 + i] = source[i]
        for i in range(6):
            target[i], target[3 * width + 6 + i] = source[i % 3], source[3 * width - 3 + i % 3]
    return out


@compiled
def warp(around, a, b, c, d, e, f, fill):
    """Pixel (x, y) becomes what is at ``(a x + b y + c, d x + e y + f)``, in coordinates of the pixels' corners.

    around: as `padded` makes it.
    """
    height, width = around.shape[0] - 4, around.shape[1] - 4
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            u, v = a * (x + 0.5) + b * (y + 0.5) + c, d * (x + 0.5) + e * (y + 0.5) + f
            if u < 0 or u >= width or v < 0 or v >= height:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = fill[0], fill[1], fill[2]
                continue
            u, v = u - 0.5, v - 0.5
            left, top = math.floor(u), math.floor(v)
            a0, a1, a2, a3 = taps(u - left)
            b0, b1, b2, b3 = taps(v - top)
            r0, r1, r2, r3 = around[top + 1], around[top + 2], around[top + 3], around[top + 4]
            i = left + 1
            for k in range(3):
                value = a0 * (b0 * r0[i, k] + b1 * r1[i, k] + b2 * r2[i, k] + b3 * r3[i, k])
                value += a1 * (b0 * r0[i + 1, k] + b1 * r1[i + 1, k] + b2 * r2[i + 1, k] + b3 * r3[i + 1, k])
                value += a2 * (b0 * r0[i + 2, k] + b1 * r1[i + 2, k] + b2 * r2[i + 2, k] + b3 * r3[i + 2, k])
                value += a3 * (b0 * r0[i + 3, k] + b1 * r1[i + 3, k] + b2 * r2[i + 3, k] + b3 * r3[i + 3, k])
                out[y, x, k] = byte(value)
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
def normalise(pixels, planes, mean, std):
    """(H, W, 3) uint8 into (3, H, W) float32: to [0, 1], then by mean and deviation, each (3,) float32."""
    count = pixels.shape[0] * pixels.shape[1]
    source, target = pixels.reshape(3 * count), planes.reshape(3 * count)
    most = np.float32(255)
    m0, m1, m2, s0, s1, s2 = mean[0], mean[1], mean[2], std[0], std[1], std[2]
    for i in range(count):
        target[i] = (np.float32(source[3 * i]) / most - m0) / s0
        target[count + i] = (np.float32(source[3 * i + 1]) / most - m1) / s1
        target[2 * count + i] = (np.float32(source[3 * i + 2]) / most - m2) / s2


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
    mix_pair(planes, planes.copy(), 0.5, 0, 0, 0, 0)
