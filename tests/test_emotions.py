from __future__ import annotations

import pytest

from fer_batch import Emotion
from fer_batch.emotions import LABELS


def test_the_order_is_fer2013s() -> None:
    assert LABELS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert [int(emotion) for emotion in Emotion] == list(range(7))


@pytest.mark.parametrize("emotion", Emotion)
def test_every_name_comes_back(emotion: Emotion) -> None:
    assert Emotion.from_label(emotion.label) is emotion
    assert Emotion.from_label(f" {emotion.label.upper()} ") is emotion


@pytest.mark.parametrize(
    ("label", "emotion"),
    [
        ("happiness", Emotion.HAPPY),
        ("anger", Emotion.ANGRY),
        ("Sadness", Emotion.SAD),
        ("fearful", Emotion.FEAR),
    ],
)
def test_the_literatures_other_names(label: str, emotion: Emotion) -> None:
    assert Emotion.from_label(label) is emotion


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="'contempt' is not one of angry, disgust"):
        Emotion.from_label("contempt")


def test_colours_can_be_told_apart() -> None:
    colours = [emotion.colour for emotion in Emotion]
    assert len(set(colours)) == 7
    assert all(0 <= value <= 255 for colour in colours for value in colour)
