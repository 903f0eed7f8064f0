"""Traits of a drawn person and of one picture of them: numbers, drawn from ranges.

Lengths are in half face heights: x to the right, y down, z to the camera, the origin between eyes and mouth.
"""

from __future__ import annotations

import numpy as np

Numbers = dict[str, float]

# What stays with a person.
TRAITS: dict[str, tuple[float, float]] = {
    "tone": (0.0, 1.0),
    "warmth": (-1.0, 1.0),
    "face_width": (0.66, 0.90),
    "jaw_width": (0.50, 1.0),
    "chin": (1.7, 3.0),
    "forehead": (1.8, 3.2),
    "hair_shade": (0.0, 1.0),
    "hair_top": (0.06, 0.36),
    "hair_side": (0.02, 0.26),
    "hair_length": (-0.4, 1.3),
    "fringe": (-0.98, -0.62),
    "parting": (-0.8, 0.8),
    "eye_y": (-0.30, -0.12),
    "eye_gap": (0.27, 0.42),
    "eye_width": (0.105, 0.185),
    "eye_height": (0.45, 0.85),
    "eye_tilt": (-0.30, 0.30),
    "iris_shade": (0.0, 1.0),
    "iris_size": (0.62, 1.0),
    "brow_gap": (0.13, 0.26),
    "brow_thick": (0.02, 0.075),
    "brow_tilt": (-0.32, 0.32),
    "brow_arch": (0.0, 0.09),
    "brow_width": (1.1, 1.8),
    "nose_length": (0.30, 0.52),
    "nose_width": (0.08, 0.19),
    "nose_bridge": (0.0, 1.0),
    "mouth_y": (0.46, 0.62),
    "mouth_width": (0.18, 0.36),
    "lip_upper": (0.02, 0.085),
    "lip_lower": (0.03, 0.11),
    "lip_red": (0.0, 1.0),
    "mouth_corner": (-0.06, 0.06),
    "ear": (0.05, 0.16),
    "beard": (-0.6, 0.7),
    "spot_x": (-0.5, 0.5),
    "spot_y": (-0.2, 0.7),
    "spot_size": (-0.02, 0.05),
}

# What changes from picture to picture, at full strength.
CIRCUMSTANCES: dict[str, tuple[float, float]] = {
    "yaw": (-0.24, 0.24),
    "pitch": (-0.12, 0.12),
    "roll": (-0.08, 0.08),
    "shift_x": (-0.04, 0.04),
    "shift_y": (-0.04, 0.04),
    "zoom": (-0.05, 0.05),
    "smile": (-0.05, 0.09),
    "open": (-0.10, 0.12),
    "squint": (0.0, 0.4),
    "brows_up": (-0.03, 0.06),
    "gaze": (-0.35, 0.35),
    "light_x": (-0.4, 0.4),
    "light_y": (-0.25, 0.2),
    "exposure": (-0.3, 0.25),
    "contrast": (-0.2, 0.2),
    "red": (-0.06, 0.06),
    "blue": (-0.06, 0.06),
    "blur": (-0.3, 1.1),
    "noise": (2.0, 9.0),
}

POSE = ("yaw", "pitch", "roll")


def person(seed: int, number: int) -> Numbers:
    return _draw(TRAITS, generator(seed, number))


def circumstances(rng: np.random.Generator, pose: float) -> Numbers:
    """Draw the circumstances of a picture; `pose` 0 … 1 scales how far the head may turn."""
    drawn = _draw(CIRCUMSTANCES, rng)
    return drawn | {name: pose * drawn[name] for name in POSE}


def generator(seed: int, person: int, image: int = -1) -> np.random.Generator:
    """A stream of random numbers of its own for a person, or for one picture of them."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, person, image + 1))))


def _draw(ranges: dict[str, tuple[float, float]], rng: np.random.Generator) -> Numbers:
    values = rng.random(len(ranges))
    return {
        name: low + float(v) * (high - low)
        for (name, (low, high)), v in zip(ranges.items(), values, strict=True)
    }
