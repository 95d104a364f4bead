"""What else comes before a face: masks and cloth, things held, hair, another head."""

from __future__ import annotations

import cv2
import numpy as np

from making.scene import LARGE, SIDE, Map, Scene, empty, filled, fine, ramp, rough, soft, surface


def mask(scene: Scene) -> None:
    """A mask over mouth and nose: of cloth or paper, with pleats, seams and bands."""
    head, rng = scene.head, scene.rng
    y = head.mouth[1]
    top = rng.uniform(0.25, 0.65) * y
    low, half = y + rng.uniform(0.35, 0.8), rng.uniform(0.7, 1.1)
    peak = top - rng.uniform(0, 0.2)
    points = [(-half, top + 0.1), (-half * 0.5, top), (0, peak, 0.3), (half * 0.5, top), (half, top + 0.1)]
    chin = rng.uniform(0.45, 0.95) * half
    points += [
        (half * 0.97, low - 0.3),
        (chin, low),
        (0, low + 0.12, 0.2),
        (-chin, low),
        (-half * 0.97, low - 0.3),
    ]
    tone = surface(rng, rng.uniform(120, 240) if rng.random() < 0.65 else rng.uniform(0, 120))
    for _pleat in range(int(rng.integers(0, 4))):
        level = rng.uniform(top + 0.15, low - 0.1)
        line = empty()
        cv2.polylines(
            line, [head.outline([(-half, level), (0, level + 0.05, 0.25), (half, level)])], False, 255, 2
        )
        tone = tone * (1 - soft(line, 1.5) * np.float32(rng.uniform(0.15, 0.5)))
    bands = empty()
    for side in (-1, 1):
        for start, end in ((top + 0.1, -0.1), (low - 0.25, 0.3)):
            band = head.outline([(side * half, start), (side * 1.2, end, -1.2)])
            cv2.polylines(bands, [band], isClosed=False, color=255, thickness=head.length(0.04))
    if rng.random() < 0.7:
        scene.lay(bands, float(tone.mean()))
    light = 1 + np.float32(rng.uniform(0, 0.5)) * ramp(rng)
    scene.lay(filled(head.outline(points)), (tone * light).clip(0, 255).astype(np.float32))


def cloth(scene: Scene) -> None:
    """A scarf, a veil or a collar: all below a line, or all but a slit for the eyes."""
    head, rng = scene.head, scene.rng
    y = head.mouth[1]
    top, bend = rng.uniform(0.35, 0.85) * y, rng.uniform(-0.25, 0.3)
    xs = np.linspace(-3.0, 3.0, 24)
    wave = rng.normal(0, 0.02, 24)
    upper = [
        head.flat(x, top + bend * (1 - min(abs(x), 1.3)) - 0.1 + w) for x, w in zip(xs, wave, strict=True)
    ]
    shape = filled(np.array([*upper, head.flat(3, 5), head.flat(-3, 5)], np.int32))
    veil = rng.random() < 0.25
    if veil:
        level = rng.uniform(-0.6, -0.3)
        over = [
            head.flat(-3, level),
            head.flat(3, level + rng.normal(0, 0.1)),
            head.flat(3, -5),
            head.flat(-3, -5),
        ]
        shape = np.maximum(shape, filled(np.array(over, np.int32)))
    folds = np.sin(ramp(rng) * np.float32(rng.uniform(10, 60)) + rough(rng, 40) * np.float32(1.5))
    tone = surface(rng) + folds * np.float32(rng.uniform(0, 25))
    scene.lay(shape, tone.clip(0, 255), rng.uniform(0.6, 1) if veil else 1.0)


def hat(scene: Scene) -> None:
    """A brim, a hood or a helmet, low over the eyes or above them, and the shadow under it."""
    head, rng = scene.head, scene.rng
    level, bend = rng.uniform(-0.65, 0.15), rng.normal(0, 0.15)
    xs = np.linspace(-2.5, 2.5, 20)
    line = [head.flat(x, level + bend * x * x * 0.4) for x in xs]
    shape = filled(np.array([*line, head.flat(2.5, -5), head.flat(-2.5, -5)], np.int32))
    down = head.length(rng.uniform(0.1, 0.5))
    shadow = cv2.warpAffine(shape, np.array([[1, 0, 0], [0, 1, down]], np.float64), (LARGE, LARGE))
    scene.shade(soft(np.asarray(shadow, np.uint8), rng.uniform(2, 12)), rng.uniform(0.3, 0.9))
    scene.lay(shape, surface(rng))


def _place(scene: Scene) -> tuple[float, float]:
    """Somewhere at the mouth, seldom at an eye."""
    rng, (x, y) = scene.rng, scene.head.mouth
    if rng.random() < 0.7:
        return x + rng.normal(0, 0.2), y + rng.normal(0.05, 0.15)
    return float(rng.choice([-0.5, 0.5])) + rng.normal(0, 0.15), rng.normal(0, 0.12)


def microphone(scene: Scene) -> None:
    """A ball or a stub of metal mesh on a stem."""
    head, rng = scene.head, scene.rng
    x, y = _place(scene)
    radius = rng.uniform(0.2, 0.55)
    angle = np.pi / 2 + rng.normal(0, 0.6)
    end = (x + 4 * np.cos(angle), y + 4 * np.sin(angle))
    stem = empty()
    cv2.line(stem, head.flat(x, y), head.flat(*end), 255, head.length(radius * rng.uniform(0.4, 1.3)))
    scene.lay(stem, surface(rng, rng.uniform(0, 90)))
    ball = empty()
    axes = (head.length(radius), head.length(radius * rng.uniform(0.8, 1.3)))
    cv2.ellipse(ball, head.flat(x, y), axes, float(np.degrees(angle)) + 90, 0, 360, 255, -1)
    tone = rng.uniform(0, 200) * (1 + np.float32(0.25) * rough(rng, 3))
    depth = cv2.distanceTransform(ball, cv2.DIST_L2, 3) / max(axes)
    scene.lay(ball, (tone * (0.5 + 0.8 * depth)).clip(0, 255).astype(np.float32))


def cup(scene: Scene) -> None:
    """A cup, a glass or a bottle at the mouth."""
    head, rng = scene.head, scene.rng
    x, y = _place(scene)
    half, tall = rng.uniform(0.25, 0.6), rng.uniform(0.5, 1.8)
    lean, narrow = rng.normal(0, 0.4), rng.uniform(0.6, 1.05)
    y -= rng.uniform(0.0, 0.3)
    turn, shift = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]]), np.array([x, y])
    corners = (
        np.array([[-half, 0], [half, 0], [half * narrow, tall], [-half * narrow, tall]]) @ turn.T + shift
    )
    body = filled(np.array([head.flat(*corner) for corner in corners], np.int32))
    brim = (head.length(half), head.length(rng.uniform(0.06, 0.2)))
    cv2.ellipse(body, head.flat(x, y), brim, head.roll + float(np.degrees(lean)), 0, 360, 255, cv2.FILLED)
    if rng.random() < 0.5:
        grip = corners[1] + (turn @ [0.12, tall * 0.4])
        size = (head.length(0.2), head.length(tall * 0.25))
        cv2.ellipse(body, head.flat(*grip), size, head.roll, 0, 360, 255, head.length(0.07))
    tone = surface(rng) * (1 + np.float32(rng.uniform(0, 0.8)) * ramp(rng, head.roll))
    glass = rng.random() < 0.2
    scene.lay(body, tone.clip(0, 255), rng.uniform(0.5, 0.8) if glass else 1.0)
    inside = empty()
    cv2.ellipse(
        inside, head.flat(x, y), brim, head.roll + float(np.degrees(lean)), 0, 360, 255, head.length(0.04)
    )
    scene.shade(soft(inside, 1.0), rng.uniform(0.4, 1.5))


def slab(scene: Scene) -> None:
    """A phone, a card, a book, a sheet, a camera, a beam across the picture."""
    head, rng = scene.head, scene.rng
    x, y = _place(scene) if rng.random() < 0.7 else (rng.normal(0, 0.4), rng.normal(0, 0.2))
    size = (head.length(rng.uniform(0.5, 1.4)), head.length(rng.uniform(0.5, 2.4)))
    if rng.random() < 0.2:
        size = (size[0], head.length(6))
    tilt = head.roll + float(rng.choice([rng.normal(0, 12), rng.normal(90, 20), rng.uniform(0, 180)]))
    shape = filled(cv2.boxPoints((head.flat(x, y), size, tilt)).astype(np.int32))
    scene.lay(shape, surface(rng))
    if rng.random() < 0.4:  # a lens, a label, a screen
        spot = empty()
        cv2.circle(spot, head.flat(x, y), max(2, int(min(size) * rng.uniform(0.15, 0.4))), 255, cv2.FILLED)
        scene.lay(spot, rng.uniform(0, 255), rng.uniform(0.5, 1))


def cigarette(scene: Scene) -> None:
    """Something thin between the lips, which hides nothing: a cigarette, a straw, a pen."""
    head, rng = scene.head, scene.rng
    x, y = head.mouth
    angle = rng.uniform(-0.4, np.pi + 0.4)
    end = (x + rng.uniform(0.5, 1.4) * np.cos(angle), y + rng.uniform(0.5, 1.4) * np.sin(angle))
    line = empty()
    cv2.line(line, head.flat(x, y), head.flat(*end), 255, head.length(rng.uniform(0.04, 0.1)), cv2.LINE_AA)
    scene.lay(line, rng.uniform(120, 255) if rng.random() < 0.7 else rng.uniform(0, 60))


def food(scene: Scene) -> None:
    """A lump at the mouth: fruit, bread, a flower, a muzzle, a ball."""
    head, rng = scene.head, scene.rng
    x, y = _place(scene)
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    radius = rng.uniform(0.3, 0.8) * (
        1 + rng.uniform(0, 0.3) * np.sin(turn * rng.integers(1, 6) + rng.uniform(0, 6))
    )
    stretch = rng.uniform(0.6, 1.7)
    outline = [
        head.flat(x + r * stretch * np.cos(t), y + r * np.sin(t)) for r, t in zip(radius, turn, strict=True)
    ]
    shape = filled(np.array(outline, np.int32))
    depth = cv2.distanceTransform(shape, cv2.DIST_L2, 3)
    tone = surface(rng) * (0.6 + 0.5 * np.sqrt(depth / max(1.0, float(depth.max()))))
    scene.lay(shape, tone.clip(0, 255).astype(np.float32))


def hair(scene: Scene) -> None:
    """Strands over an eye, over both, or over the mouth, from above or blown from the side."""
    head, rng = scene.head, scene.rng
    x = float(rng.choice([-0.5, 0.5, 0.0])) + rng.normal(0, 0.2)
    spread = rng.uniform(0.12, 0.55)
    lean, curl = rng.normal(0, 0.6), rng.normal(0, 0.5)
    bottom = rng.uniform(0.2, 1.9)
    strands = empty()
    for _strand in range(int(rng.integers(25, 160))):
        t = np.linspace(-1.8, bottom + rng.normal(0, 0.2), 10)
        start = x + rng.normal(0, spread)
        xs = start + lean * (t + 1.6) / 3 + curl * np.sin((t + 1.6) * 0.8) * 0.4
        points = np.array([head.flat(a, b) for a, b in zip(xs, t, strict=True)], np.int32)
        cv2.polylines(strands, [points], False, 255, int(rng.integers(1, 6)), cv2.LINE_AA)
    dark = rng.uniform(0, 60) if rng.random() < 0.75 else rng.uniform(90, 220)
    streaks = np.repeat(rng.normal(0, 14, (1, LARGE)).astype(np.float32), LARGE, 0)
    scene.lay(
        strands, (dark + streaks + 20 * rough(rng, 30)).clip(0, 255).astype(np.float32), rng.uniform(0.75, 1)
    )


def somebody(scene: Scene) -> None:
    """Another head, a shoulder or a limb in front, from one side or from below."""
    head, rng = scene.head, scene.rng
    side = float(rng.choice([-1, 1]))
    place = [(side * rng.uniform(0.5, 1.3), rng.uniform(0, 1.4)), (rng.normal(0, 0.6), rng.uniform(1.3, 2.2))]
    x, y = place[int(rng.integers(2))]
    shape = empty()
    wide = rng.uniform(0.7, 1.3)
    axes = (head.length(wide), head.length(wide * rng.uniform(1.0, 1.5)))
    cv2.ellipse(shape, head.flat(x, y), axes, rng.uniform(-30, 30), 0, 360, 255, cv2.FILLED)
    dark_hair = surface(rng, rng.uniform(0, 70)) + 10 * rough(rng, 4)
    tone = _patch(scene) if rng.random() < 0.5 else dark_hair
    cv2.ellipse(
        shape, head.flat(x, y + 2.2), (head.length(2.2), head.length(1.3)), 0, 0, 360, 255, cv2.FILLED
    )
    scene.lay(shape, tone.clip(0, 255).astype(np.float32), edge=rng.uniform(1, 8))


def piece(scene: Scene) -> None:
    """A blob of another picture."""
    head, rng = scene.head, scene.rng
    x, y = _place(scene)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = rng.uniform(0.4, 0.9) * (1 + 0.25 * np.sin(turn * rng.integers(1, 4) + rng.uniform(0, 6)))
    stretch = rng.uniform(0.6, 1.8)
    outline = [
        head.flat(x + r * stretch * np.cos(t), y + r * np.sin(t)) for r, t in zip(radius, turn, strict=True)
    ]
    scene.lay(filled(np.array(outline, np.int32)), _patch(scene))


def _patch(scene: Scene) -> Map:
    """A spot of the other picture, enlarged."""
    rng = scene.rng
    side = int(rng.integers(14, 40))
    row, column = rng.integers(0, SIDE - side, 2)
    part = np.rot90(scene.other[row : row + side, column : column + side], int(rng.integers(4)))
    return fine(np.ascontiguousarray(part))
