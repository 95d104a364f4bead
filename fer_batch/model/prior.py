"""The shares of the expressions that answers expect: those of the training data, or others.

A network that learned from data in which half of the faces are neutral says "neutral" when in doubt. Where
other shares are expected, each probability is divided by a power of its class's training share (logit
adjustment; Menon et al. 2021, "Long-tail learning via logit adjustment") and multiplied by the share that is
expected instead, if one is known (Bayes' rule under label shift; Saerens, Latinne and Decaestecker 2002).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from fer_batch.settings import ExpectedShares, Head, Positive, Prior, PriorName

POWERS: dict[PriorName, dict[Head, float]] = {
    "natural": {"crowd": 0.4, "fer2013": 0.0},
    "balanced": {"crowd": 1.0, "fer2013": 1.0},
}
"""The power of the training shares that probabilities are divided by. `natural`: the one at which natural
photographs of faces, labelled by people, are read with the highest mean recall while the agreement over all
of them stays at 90% (`benchmarks/natural.py`); no power mends that the `fer2013` head calls resting faces
angry. `balanced`: all of it, as if every expression were equally frequent."""


@dataclass(frozen=True)
class Adjustment:
    """How the answers of a head are brought to a prior."""

    power: float
    """Of the training shares that probabilities are divided by; 0 leaves them as they are."""
    temperature: Positive
    """Of the divided probabilities: they are calibrated again, since dividing makes them less sure."""


def adjusted_logits(
    logits: NDArray[np.floating], shares: tuple[float, ...], power: float
) -> NDArray[np.float32]:
    """Logarithms of probabilities divided by a power of the classes' training shares, up to a constant.

    Args:
        logits: float [N, 7], divided by the head's temperature.
        shares: of the seven expressions in the training data, each above 0.
        power: 0 to 1.

    Returns:
        float32 [N, 7].
    """
    log_shares = np.log(np.asarray(shares, np.float32))
    return (log_softmax(logits, axis=1) - np.float32(power) * log_shares).astype(np.float32)


def probabilities(
    logits: NDArray[np.floating],
    shares: tuple[float, ...] | None,
    expected: Adjustment | ExpectedShares | None,
) -> NDArray[np.float32]:
    """Probabilities under a prior.

    Args:
        logits: float [N, 7], divided by the head's temperature: calibrated for the training shares.
        shares: of the expressions in the training data; None only where nothing is to be adjusted.
        expected: how to adjust, or the shares to expect; None leaves the training shares. Under given shares
            Bayes' rule keeps what is calibrated so: there is no further temperature.

    Returns:
        float32 [N, 7], each row a distribution.
    """
    if expected is None or shares is None:
        return softmax(logits, axis=1).astype(np.float32)
    if isinstance(expected, Adjustment):
        adjusted = adjusted_logits(logits, shares, expected.power)
        return softmax(adjusted / np.float32(expected.temperature), axis=1).astype(np.float32)
    with np.errstate(divide="ignore"):  # an expression that nobody expects has the logarithm minus infinity
        log_expected = np.log(np.asarray(astuple(expected), np.float32))
    return softmax(adjusted_logits(logits, shares, 1.0) + log_expected, axis=1).astype(np.float32)


def needs_shares(prior: Prior, head: Head) -> bool:
    """Whether a head's training shares are needed to answer under a prior."""
    if isinstance(prior, ExpectedShares):
        return True
    return prior != "training" and POWERS[prior][head] != 0
