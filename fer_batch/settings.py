"""What can be set, its default and its range: one frozen dataclass a command, nested by stage.

Every default stands here and nowhere else. The order of precedence is command line over TOML file
over default. The tables of a TOML file are the nested dataclasses:

    epochs = 60
    [augment]
    rotation = 15.0
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from fer_batch.errors import UsageError

Fraction = Annotated[float, Ge(0), Le(1)]
NonNegative = Annotated[float, Ge(0), Lt(math.inf)]
Positive = Annotated[float, Gt(0), Lt(math.inf)]
Count = Annotated[int, Ge(1)]

DeviceName = Literal["auto", "cpu", "cuda"]
BackendName = Literal["auto", "onnx", "torch"]
Head = Literal["fer2013", "crowd"]
HeadChoice = Literal["auto", "fer2013", "crowd"]
PriorName = Literal["training", "natural", "balanced"]
ArchitectureName = Literal["se_resnet", "cnn7"]
CheckName = Literal[
    "unreadable",
    "blank",
    "dark",
    "bright",
    "low_contrast",
    "blurry",
    "not_a_face",
    "occluded",
    "watermark",
    "off_centre",
    "exact_duplicate",
    "near_duplicate",
    "cross_split_leak",
    "contradictory_duplicate",
    "outlier",
    "label_issue",
]


@dataclass(frozen=True)
class Settings:
    """Base of all settings: an unknown name is an error, and so is a value out of range."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ExpectedShares(Settings):
    """How frequent each expression is expected to be among all faces, in any unit: only the ratios count."""

    angry: NonNegative
    disgust: NonNegative
    fear: NonNegative
    happy: NonNegative
    sad: NonNegative
    surprise: NonNegative
    neutral: NonNegative

    def __post_init__(self) -> None:
        """Refuse shares of nothing.

        Raises:
            UsageError: all are 0.
        """
        if not any(asdict(self).values()):
            raise UsageError("the expected shares are all 0: give at least one expression a share above 0")


Prior = PriorName | ExpectedShares
"""The shares of the expressions that answers expect. `training`: those of the training data, which are the
network's own. `natural`: those of people as they are. `balanced`: every expression equally often. Or shares
that are given."""


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """How `prepare` lays a data set out. All of these change the result."""

    splits: Literal["three", "two"] = "three"
    """`three`: train, val (PublicTest), test (PrivateTest); `two`: both of the latter are test."""
    image_format: Literal["png", "jpg"] = "png"
    """Files under `images/` and bytes in Parquet; `png` is lossless."""


@dataclass(frozen=True)
class AugmentSettings(Settings):
    """Random changes to training pictures. A strength of 0 turns one off."""

    flip: Fraction = 0.5
    """Probability of mirroring left and right."""
    rotation: Annotated[float, Ge(0), Le(180)] = 12.0
    """Largest rotation either way, in degrees."""
    scale: Annotated[float, Ge(0), Lt(1)] = 0.15
    """Largest relative change of size either way."""
    shift: Fraction = 0.07
    """Largest shift either way, as a share of the side."""
    brightness: Fraction = 0.12
    """Largest change of brightness either way, as a share of the range 0–255."""
    contrast: Annotated[float, Ge(0), Lt(1)] = 0.25
    """Largest relative change of contrast either way."""
    blur: Annotated[float, Ge(0), Le(3)] = 0.0
    """Largest standard deviation, in pixels, of the Gaussian that half of the pictures are blurred with."""
    noise: NonNegative = 0.0
    """Largest standard deviation, in gray levels, of the noise that half of the pictures get."""
    erase: Fraction = 0.5
    """Probability of blanking a rectangle of 2–20% of the area (Zhong et al. 2020)."""
    framed: Fraction = 0.0
    """Share of the pictures that are cut out, before they are moved, as `annotate` would crop the face that
    its detector finds in them: a video's faces are framed by the detector, and not as a data set's are."""
    mixup: NonNegative = 0.0
    """Mix pairs of pictures and their labels in shares drawn from Beta(mixup, mixup) (Zhang et al. 2018)."""


@dataclass(frozen=True)
class OptimizerSettings(Settings):
    """How weights are updated."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Positive = 3e-3
    """The peak of the schedule."""
    weight_decay: NonNegative = 0.05
    """On weights of convolutions and dense layers only, never on biases or normalisation."""
    schedule: Literal["onecycle", "constant"] = "onecycle"
    """`onecycle`: linear warm-up, then a cosine down to a thousandth (Smith & Topin 2018)."""
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.15
    """Share of all steps spent warming up."""
    gradient_clip: NonNegative = 5.0
    """Largest norm of the gradient; 0 does not clip."""


@dataclass(frozen=True)
class LossSettings(Settings):
    """What is minimised: cross-entropy on each head's own labels."""

    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.1
    class_weighting: bool = False
    """Weigh each class by the inverse of its frequency (mean weight 1 over the training rows)."""
    crowd_weight: NonNegative = 0.5
    """Weight of the `crowd` head's loss; 0 builds no such head. Where the data set has no FER+ votes, the
    head learns from the teachers alone, if all of them have it; else there is none."""
    teacher_weight: Fraction = 0.8
    """Share of the teacher's probabilities in every target; the labels have the rest. Needs a teacher. In the
    targets of a head that the data set has no labels for it is 1."""


@dataclass(frozen=True)
class TrainSettings(Settings):
    """The training recipe. The defaults train a network of 2.8 million weights in an hour on two cores."""

    arch: ArchitectureName = "se_resnet"
    width: Annotated[float, Ge(0.25), Le(4)] = 1.0
    """Multiplies the number of channels of `se_resnet` (Howard et al. 2017)."""
    depth: Annotated[int, Ge(1), Le(8)] = 2
    """Residual blocks of `se_resnet` at each size."""
    full_blocks: Annotated[int, Ge(0), Le(8)] = 0
    """Residual blocks of `se_resnet` at the picture's own size, before it is halved."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.4
    """Before the last layer of `se_resnet`; after the dense blocks of `cnn7`."""
    block_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """After each convolution block of `cnn7`; `se_resnet` has none."""
    epochs: Count = 32
    batch_size: Annotated[int, Ge(2)] = 128
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    early_share: Fraction = 0.0
    """Share of the epochs, from the first, that see the pictures at `early_size`: they cost less."""
    early_size: Annotated[int, Ge(24), Le(48), MultipleOf(8)] = 32
    """Side of the pictures in those epochs, in pixels."""
    start: str = ""
    """A run folder whose best epoch's weights are the ones to start from, of the same architecture, width,
    `depth` and `full_blocks`; its heads that this run has no labels for stay behind. Empty: chance
    gives them."""
    teacher: tuple[str, ...] = ()
    """Models (`default`, run folders, model files) whose averaged answers teach this network (Hinton et
    al. 2015), on pictures mirrored and moved as it sees them itself (Beyer et al. 2022). What `framed` cuts
    out the teacher sees whole: to answer the same in either frame is what there is to be learned."""
    teacher_views: Count = 10
    """How many different moves of each picture the teacher answers; from epoch to epoch they take turns."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Per-step decay of the exponential moving average of weights and statistics; 0 keeps none."""
    patience: Annotated[int, Ge(0)] = 0
    """Stop after so many epochs without a better validation accuracy; 0 never stops early."""
    holdout: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the training rows used for validation where the data set has no `val` split, about: each
    picture's own hash decides, so they are always the same ones, and a smaller share's are among them."""


@dataclass(frozen=True)
class TrainRuntime(Settings):
    """Where and how fast to train: no part of the recipe.

    What is rounded differs, and on another device what is random, and so does the curve.
    """

    device: DeviceName = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 where the processor multiplies it natively, else fp32."""
    threads: Annotated[int, Ge(0), Le(1024)] = 0
    """CPU threads; 0 lets PyTorch choose."""
    compile: bool = False
    """Compile the network first, which takes minutes: for long runs on CUDA."""


@dataclass(frozen=True)
class ThresholdSettings(Settings):
    """The score, 0–1, from which a picture is an issue of each check."""

    unreadable: Fraction = 0.5
    blank: Fraction = 0.75
    dark: Fraction = 0.75
    bright: Fraction = 0.7
    low_contrast: Fraction = 0.76
    blurry: Fraction = 0.5
    not_a_face: Fraction = 0.4
    occluded: Fraction = 0.32
    watermark: Fraction = 0.8
    off_centre: Fraction = 0.5
    exact_duplicate: Fraction = 0.5
    near_duplicate: Fraction = 0.9
    cross_split_leak: Fraction = 0.9
    contradictory_duplicate: Fraction = 0.5
    outlier: Fraction = 0.7
    label_issue: Fraction = 0.8


@dataclass(frozen=True)
class FilterSettings(Settings):
    """What `filter` calls an issue, and what a clean data set lacks."""

    drop: tuple[CheckName, ...] = (
        "unreadable",
        "blank",
        "not_a_face",
        "exact_duplicate",
        "contradictory_duplicate",
    )
    """Checks whose issues are left out of the clean data set. `cross_split_leak` is not among them: near
    copies of its training pictures are a quarter of FER2013's `val`."""
    labels: bool = True
    """Judge labels by models that have not seen them: takes minutes, and needs PyTorch."""
    thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """What `evaluate` measures, and on what."""

    split: Literal["train", "val", "test"] = "val"
    head: HeadChoice = "auto"
    """`auto`: `fer2013` on a FER2013 data set, the head that `annotate` reads with on anything else."""
    prior: Prior | Literal["auto"] = "auto"
    """`auto`: `training` on a FER2013 data set, whose expressions are as frequent as in training, and
    `annotate`'s default on anything else."""
    flip: bool = False
    """Average the probabilities of each picture and its mirror image."""
    batch_size: Count = 256


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """How faces are found."""

    threshold: Fraction = 0.6
    """Lowest score of a face."""
    overlap: Fraction = 0.3
    """Of two boxes that share more than this (intersection over union), the weaker one goes."""
    size: Literal["auto"] | Annotated[int, Ge(32)] = "auto"
    """Longest side, in pixels, of what the detector sees; larger pictures are shrunk to it. `auto`: the
    smallest at which faces of `min_face` are still found; where there is none, larger once more."""
    min_face: Annotated[float, Ge(8), Lt(math.inf)] = 96.0
    """Height, in pixels of the frame, of the smallest face that must be found where `size` is `auto`."""
    every: Count = 1
    """Search one sampled frame out of so many, the first of each scene, and any without which none would be
    for longer than `tracking.max_gap_s`; between them, faces are where their track was going. Pictures are
    all searched."""


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """Which frames of a video are read."""

    every: Count = 1
    """One frame out of so many."""
    fps: NonNegative = 0.0
    """At most so many frames a second of presentation time; 0 is no limit."""
    start_s: NonNegative = 0.0
    """Where in a video to begin, in seconds since its start; `frame` is counted from there."""
    end_s: NonNegative = 0.0
    """Where to stop; 0 reads to the end."""

    def __post_init__(self) -> None:
        """Refuse an end that lies before the start.

        Raises:
            UsageError: it does.
        """
        if 0 < self.end_s < self.start_s:
            raise UsageError(f"sampling.end_s is {self.end_s:g}, before sampling.start_s, {self.start_s:g}")


@dataclass(frozen=True)
class TrackingSettings(Settings):
    """How faces are followed from frame to frame."""

    max_gap_s: Annotated[float, Gt(0), Le(60)] = 2.0
    """A face that is looked for and not found for longer, in seconds, has another track when it is back."""


@dataclass(frozen=True)
class SmoothingSettings(Settings):
    """How probabilities are averaged over a track's time."""

    seconds: NonNegative = 0.25
    """Standard deviation, in seconds, of the Gaussian that weighs a track's faces; 0 smooths nothing."""
    causal: bool = False
    """Look back only, as a camera that is live must: changes show about 1.35 times `seconds` late, and a
    flash that leaves little to recognise begins new tracks, as a cut does."""


@dataclass(frozen=True)
class QualitySettings(Settings):
    """Which faces are too poor to be read: their rows stay, and their expression is left empty."""

    min_quality: Fraction = 0.0
    """Lowest `quality` of a face whose expression is stated."""
    min_confidence: Fraction = 0.0
    """Lowest probability of an expression that is stated."""


@dataclass(frozen=True)
class PrivacySettings(Settings):
    """What must not be looked at, or shown."""

    masks: tuple[tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)], Count, Count], ...] = ()
    """Rectangles x, y, width, height, in pixels of the upright frame, that are blackened before anything
    else looks at it."""
    blur: bool = False
    """Make faces in the overlay unrecognisable, between their detections too; implies `overlay`."""
    purpose: str = ""
    """Why the footage is read: kept in the manifest."""


@dataclass(frozen=True)
class AnnotateSettings(Settings):
    """What `annotate` does with a source. All of these change the result."""

    head: HeadChoice = "auto"
    """`auto`: `crowd`, which was taught by ten people a face and knows resting faces, where the model has it;
    else the only head that it has. `fer2013` answers as FER2013's labels, which call resting faces angry."""
    prior: Prior = "natural"
    rotate: Literal["auto", 0, 90, 180, 270] = "auto"
    """By how many degrees, clockwise, a source's pictures must be turned for its faces to be upright. `auto`:
    a few of them are searched in all four ways. Boxes are in the pictures as they are shown all the same."""
    faces_only: bool = False
    """The pictures are face crops already: none is searched for."""
    overlay: bool = False
    """Write a video, or pictures, with boxes and probabilities drawn in."""
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)

    def __post_init__(self) -> None:
        """Have faces that are to be blurred shown: without an overlay there is nothing to blur."""
        if self.privacy.blur:
            object.__setattr__(self, "overlay", True)


@lru_cache
def _adapter(kind: type[Settings]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def build(kind: type[S], values: Mapping[str, Any], *, origin: str = "settings") -> S:
    """Settings of `kind` from nested mappings; what is not named keeps its default.

    Args:
        kind: the dataclass to build.
        values: nested mappings, as TOML and JSON give them.
        origin: where the values come from, for error messages.

    Raises:
        UsageError: a name is unknown or a value is out of range; the message lists each.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(dict(values))
    except ValidationError as error:
        problems: dict[str, list[str]] = {}
        for item in error.errors():
            what, wanted = _explain(item)
            problems.setdefault(what, []).extend(wanted)
        texts = [f"{what}, {' or '.join(ways)}" if ways else what for what, ways in problems.items()]
        raise UsageError(f"{origin}: " + "; ".join(texts)) from None
    except UsageError as error:  # of values that do not go together
        raise UsageError(f"{origin}: {error}") from None


def _explain(item: Any) -> tuple[str, list[str]]:
    """What is not as it should be, and how it should."""
    parts = [str(part) for part in item["loc"]]
    if item["type"] == "unexpected_keyword_argument":
        return f"there is no setting {'.'.join(parts)!r}", []
    # Where a value may be of one of several kinds, each has its say, with the kind in its own name.
    settings = {kind.__name__ for kind in Settings.__subclasses__()}
    path = (part for part in parts if part not in settings and (part.isidentifier() or part.isdecimal()))
    name = ".".join(path)
    if item["type"] == "missing":
        return f"{name} is missing", []
    wanted = "must be a table" if item["type"] == "dataclass_type" else item["msg"]
    return f"{name} is {item['input']!r}", [wanted.replace("Input should be", "must be")]


def completed(kind: type[Settings], recorded: Mapping[str, Any], *, origin: str) -> dict[str, Any]:
    """Settings as JSON gives them back, with today's defaults for what an earlier release did not record.

    A setting that comes new keeps what was by its default: what was recorded before is still the same.

    Raises:
        UsageError: a name is no longer known, or a value no longer in range.
    """
    return plain(build(kind, recorded, origin=origin))


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON gives them back: nested dicts, and lists for tuples."""
    import json

    return json.loads(json.dumps(asdict(settings)))


def validated(kind: type[S], settings: S | None) -> S:
    """The same settings, checked: a dataclass made in Python has not been. None stands for the defaults.

    Raises:
        UsageError: they are of another kind, or a value is out of range.
    """
    if settings is None:
        return kind()
    if not isinstance(settings, kind):
        raise UsageError(f"expected {kind.__name__}, found {type(settings).__name__}: {settings!r}")
    return build(kind, asdict(settings))


def load_toml(path: Path) -> dict[str, Any]:
    """The nested tables of a TOML file.

    Raises:
        UsageError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"settings file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"settings file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"settings file {path} is not TOML: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` laid on top, table by table; None in `over` changes nothing."""
    result = dict(base)
    for name, value in over.items():
        if isinstance(value, Mapping):
            below = result.get(name, {})
            # What should be a table and is not stays, for `build` to refuse it.
            result[name] = merge(below, value) if isinstance(below, Mapping) else below
        elif value is not None:
            result[name] = value
    return result


def dump_toml(settings: Settings) -> str:
    """The settings as TOML that `load_toml` and `build` turn into the same settings again."""
    return "\n".join(_toml_lines(asdict(settings), prefix="")) + "\n"


def _toml_lines(values: Mapping[str, Any], *, prefix: str) -> list[str]:
    import json

    # The settings hold only strings, numbers, truth values and lists of them: on these TOML and
    # JSON are written alike, but for DEL, which JSON does not escape. Plain values come before tables, as
    # TOML wants.
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
        for name, value in plain.items()
        if value is not None
    ]
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{prefix}{name}]", *_toml_lines(value, prefix=f"{prefix}{name}.")]
    return lines
