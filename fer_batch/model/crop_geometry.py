"""Where FER2013 would have cut a face: the geometry that a model's card carries."""

from __future__ import annotations

from dataclasses import dataclass

LANDMARK_TERMS = (
    "constant",
    "aspect",
    "eyes_y",
    "nose_y",
    "mouth_y",
    "eyes_span",
    "mouth_span",
    "turn",
    "tilt",
)
"""What the square depends on, where landmarks are known, each in heights of the detector's box and from
its centre: 1; the box's width; how far below the centre the eyes, the nose and the mouth are; how far
to the right of the right eye the left one is, and the same of the mouth's corners; the square of how far
beside the centre the face lies, as it does where a head is turned; how much lower one eye is."""


@dataclass(frozen=True)
class LandmarkGeometry:
    """The square by landmarks: a linear function of `LANDMARK_TERMS`, the same for a mirrored face."""

    centre_x: float
    """Right shift of the square's centre for each height that the middle of eyes, nose and mouth lies to
    the right of the box's centre, in heights."""
    centre_y: tuple[float, ...]
    """Downward shift of the same, in heights: a factor for each of the terms."""
    log_side: tuple[float, ...]
    """Natural logarithm of the square's side, in heights: a factor for each of the terms."""

    def __post_init__(self) -> None:
        if {len(self.centre_y), len(self.log_side)} != {len(LANDMARK_TERMS)}:
            raise ValueError(f"centre_y and log_side need a factor for each of {', '.join(LANDMARK_TERMS)}")


@dataclass(frozen=True)
class CropGeometry:
    """The square around a face, given what the detector knows of it.

    Measured by `benchmarks/crop_geometry.py` on FER2013's own pictures.
    """

    side: float = 0.97
    """Side of the square, as a share of the box's height, where there are no landmarks."""
    centre_x: float = 0.0
    """Right shift of the square's centre from the box's, as a share of the box's height, there too."""
    centre_y: float = -0.025
    """Downward shift of the same, as a share of the box's height."""
    landmarks: LandmarkGeometry | None = None
    """For faces with landmarks; None, as in files of earlier releases, cuts these by their boxes, too."""


FER2013_CROP = CropGeometry(
    landmarks=LandmarkGeometry(
        centre_x=0.122,
        centre_y=(-0.047, 0.051, 0.389, -0.390, 0.289, -0.125, 0.118, -0.122, 0.470),
        log_side=(-0.347, 1.080, 1.275, 0.036, -0.975, -0.720, 0.439, 4.831, -2.067),
    )
)
"""Of every model that is trained from now on."""
