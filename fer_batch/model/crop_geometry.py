"""Where FER2013 would have cut a face: the geometry that a model's card carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class LandmarkTerms(NamedTuple):
    """What the square around a face depends on where its landmarks are known, or the coefficients of that.

    Lengths are in heights of the detector's box, coordinates from the box's centre, right and downwards.
    """

    constant: float
    """1."""
    aspect: float
    """Width of the box."""
    eyes_y: float
    """Of the point between the eyes."""
    nose_y: float
    """Of the tip of the nose."""
    mouth_y: float
    """Of the point between the corners of the mouth."""
    eye_distance: float
    """From the right eye to the left, horizontally; positive in an upright face."""
    mouth_width: float
    """From the right corner of the mouth to the left, horizontally."""
    yaw: float
    """The square of `landmarks_x`: a face that is turned away lies on one side of its box."""
    roll: float
    """How much one eye is lower than the other."""


@dataclass(frozen=True)
class LandmarkGeometry:
    """The square by landmarks: linear in them and their `LandmarkTerms`, the same for a mirrored face.

    The coefficients belong to the detector whose boxes and landmarks they were fitted to, YuNet.
    """

    centre_x: float
    """Of the mean x of eyes, nose and mouth (`landmarks_x`) in the right shift of the square's centre."""
    centre_y: LandmarkTerms
    """Coefficients of the downward shift."""
    log_side: LandmarkTerms
    """Coefficients of the natural logarithm of the side."""


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
    """Downward shift of the same, there too."""
    landmarks: LandmarkGeometry | None = None
    """For faces with landmarks; None, as in files of format 1, cuts these by their boxes, too."""


FER2013_CROP = CropGeometry(
    landmarks=LandmarkGeometry(
        centre_x=0.122,
        centre_y=LandmarkTerms(
            constant=-0.047,
            aspect=0.051,
            eyes_y=0.389,
            nose_y=-0.390,
            mouth_y=0.289,
            eye_distance=-0.125,
            mouth_width=0.118,
            yaw=-0.122,
            roll=0.470,
        ),
        log_side=LandmarkTerms(
            constant=-0.347,
            aspect=1.080,
            eyes_y=1.275,
            nose_y=0.036,
            mouth_y=-0.975,
            eye_distance=-0.720,
            mouth_width=0.439,
            yaw=4.831,
            roll=-2.067,
        ),
    )
)
"""What `train` writes into cards."""
