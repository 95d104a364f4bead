"""What makes an open face look like a hidden one: shadows, closed eyes, beards, paint."""

from __future__ import annotations

import cv2
import numpy as np

from making.scene import FINE, LARGE, Scene, around, empty, filled, ramp, rough, soft


def deep_eyes(scene: Scene) -> None:
    """Eyes in the shadow of the brows, or all of the face in that of a hat or of light from above."""
    head, rng = scene.head, scene.rng
    shadow = empty()
    if rng.random() < 0.6:
        axes = (head.length(rng.uniform(0.28, 0.5)), head.length(rng.uniform(0.15, 0.32)))
        for side in (-0.5, 0.5):
            cv2.ellipse(
                shadow, head.at(side, rng.uniform(-0.1, 0.05)), axes, head.roll, 0, 360, 255, cv2.FILLED
            )
        edge = rng.uniform(0.06, 0.22)
    else:
        level = rng.uniform(0.05, 0.6)
        points = [
            head.flat(-3, level),
            head.flat(3, level + rng.normal(0, 0.2)),
            head.flat(3, -5),
            head.flat(-3, -5),
        ]
        shadow = filled(np.array(points, np.int32))
        edge = rng.uniform(0.02, 0.25)
    scene.shade(soft(shadow, max(1.0, edge * head.unit)), rng.uniform(0.25, 0.8))


def half_in_shadow(scene: Scene) -> None:
    """One side of the face is dark, to a hard or a soft edge."""
    head, rng = scene.head, scene.rng
    angle = float(np.radians(head.roll)) + rng.choice([0.0, np.pi]) + rng.normal(0, 0.5)
    column, row = head.at(rng.normal(0, 0.25), 0.5)
    step = np.arange(LARGE, dtype=np.float32)
    across = ((step[None] - column) * np.cos(angle) + (step[:, None] - row) * np.sin(angle)) / head.unit
    dark = 1 / (1 + np.exp((across * rng.uniform(3, 40)).clip(-30, 30)))
    scene.shade(dark.astype(np.float32), rng.uniform(0.1, 0.7))


def closed_eyes(scene: Scene) -> None:
    """Lids over both eyes, with lashes below them: eyes closed or cast down."""
    head, rng = scene.head, scene.rng
    for side, eye in zip((-1, 1), (scene.landmarks[:2] + 0.5) * FINE, strict=True):
        centre = (round(float(eye[0])), round(float(eye[1])))
        lid = empty()
        axes = (head.length(rng.uniform(0.2, 0.27)), head.length(rng.uniform(0.1, 0.16)))
        cv2.ellipse(lid, centre, axes, head.roll, 0, 360, 255, cv2.FILLED)
        near = scene.image[around(lid, head.length(0.03))]
        tone = float(np.percentile(near, rng.uniform(45, 75))) if near.size else scene.skin()
        before = scene.cover.copy()
        scene.lay(lid, tone + 6 * ramp(rng), rng.uniform(0.7, 0.95), edge=2.5)
        lashes = empty()
        low = (centre[0], centre[1] + head.length(rng.uniform(0.0, 0.06)))
        arc = (axes[0], head.length(rng.uniform(0.02, 0.09)))
        cv2.ellipse(
            lashes, low, arc, head.roll, -10 + 5 * side, 190, 255, head.length(rng.uniform(0.025, 0.07))
        )
        scene.lay(lashes, rng.uniform(0, 70), rng.uniform(0.5, 0.95), edge=1.2)
        scene.cover = before


def beard(scene: Scene) -> None:
    """Hair on chin, cheeks and lip that leaves the mouth free."""
    head, rng = scene.head, scene.rng
    x, y = head.mouth
    half, chin = rng.uniform(0.65, 1.15), rng.uniform(0.55, 1.1)
    cheek = y - rng.uniform(-0.1, 0.5)
    turn = np.linspace(0, np.pi, 30)
    jaw = [head.at(half * np.cos(t), cheek + (y + chin - cheek) * np.sin(t) ** 0.7) for t in turn]
    inner = rng.uniform(0.5, 0.85) * half
    cheeks = [head.at(inner * np.cos(t), cheek + (y - cheek - 0.1) * np.sin(t) ** 0.7) for t in turn[::-1]]
    hairs = filled(np.array(jaw + cheeks, np.int32)) if rng.random() < 0.8 else empty()
    if rng.random() < 0.8:
        axes = head.length(rng.uniform(0.3, 0.55)), head.length(rng.uniform(0.07, 0.17))
        cv2.ellipse(hairs, head.flat(x, y - rng.uniform(0.2, 0.32)), axes, head.roll, 0, 360, 255, cv2.FILLED)
    free, axes = empty(), (head.length(rng.uniform(0.3, 0.46)), head.length(rng.uniform(0.1, 0.22)))
    cv2.ellipse(free, head.flat(x, y), axes, head.roll, 0, 360, 255, cv2.FILLED)
    alpha = soft(hairs, rng.uniform(1, 8)) * (1 - soft(free, 2))
    dark = rng.uniform(0, 80) if rng.random() < 0.75 else rng.uniform(100, 220)
    tone = dark + np.float32(rng.uniform(5, 25)) * rng.standard_normal((LARGE, LARGE)).astype(np.float32)
    before = scene.cover.copy()
    scene.lay(
        (alpha * 255).astype(np.uint8), tone.clip(0, 255).astype(np.float32), rng.uniform(0.4, 1), edge=0.8
    )
    scene.cover = before


def paint(scene: Scene) -> None:
    """Paint and patches of colour on the skin, through which all of the face is seen."""
    head, rng = scene.head, scene.rng
    for _patch in range(int(rng.integers(1, 5))):
        spot = empty()
        axes = (head.length(rng.uniform(0.1, 0.6)), head.length(rng.uniform(0.08, 0.5)))
        centre = head.at(rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 1.4))
        cv2.ellipse(spot, centre, axes, rng.uniform(0, 180), 0, 360, 255, cv2.FILLED)
        scene.shade(soft(spot, rng.uniform(1.5, 8)), rng.uniform(0.45, 1.6))


def bars_of_light(scene: Scene) -> None:
    """Shadows of blinds, leaves or a window."""
    rng = scene.rng
    if rng.random() < 0.5:
        dark = np.sin(ramp(rng) * np.float32(rng.uniform(10, 50))) * np.float32(rng.uniform(1, 6))
    else:
        dark = rough(rng, int(rng.integers(20, 70))) * np.float32(rng.uniform(1, 6))
    scene.shade((1 / (1 + np.exp(-dark))).astype(np.float32), rng.uniform(0.3, 0.8))
