"""The one label order of the project: FER2013's."""

from __future__ import annotations

from enum import IntEnum


class Emotion(IntEnum):
    """The seven expressions of FER2013; the value is the `emotion` number in its CSV.

    Probabilities, logits, confusion matrices and columns are always in this order.
    Class folders are mapped by name, never by position: sorted by name, as
    `torchvision.datasets.ImageFolder` does, neutral would be 4 and not 6.
    """

    ANGRY = 0
    DISGUST = 1
    FEAR = 2
    HAPPY = 3
    SAD = 4
    SURPRISE = 5
    NEUTRAL = 6

    @property
    def label(self) -> str:
        """The lower-case name used in columns and folders, e.g. `happy`."""
        return self.name.lower()

    @property
    def colour(self) -> tuple[int, int, int]:
        """An (R, G, B) colour, 0–255, told apart with the common colour blindnesses.

        Source: Okabe & Ito, "Color Universal Design", 2008; neutral is gray.
        """
        return _COLOURS[self]

    @classmethod
    def from_label(cls, label: str) -> Emotion:
        """The expression called `label`, in any case, by FER2013's or the FER literature's names.

        Raises:
            ValueError: no expression has this name.
        """
        name = label.strip().lower()
        try:
            return cls[_SYNONYMS.get(name, name).upper()]
        except KeyError:
            raise ValueError(f"{label!r} is not one of {', '.join(LABELS)}") from None


_COLOURS = {
    Emotion.ANGRY: (213, 94, 0),
    Emotion.DISGUST: (0, 158, 115),
    Emotion.FEAR: (204, 121, 167),
    Emotion.HAPPY: (240, 228, 66),
    Emotion.SAD: (0, 114, 178),
    Emotion.SURPRISE: (86, 180, 233),
    Emotion.NEUTRAL: (170, 170, 170),
}

_SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}

LABELS: tuple[str, ...] = tuple(emotion.label for emotion in Emotion)
