"""Options that several jobs declare."""

from __future__ import annotations

from arcterm_registry import Option

DETECTOR = Option(
    name="detector",
    type=str,
    default="",
    help="the face detector; the first of mtcnn, yunet and others whose weights are found",
)
WEIGHTS = Option(
    name="weights",
    type=str,
    default="",
    help="the detector's weights; without --detector an .onnx file is YuNet's, another MTCNN's",
)
CHECKPOINT = Option(name="checkpoint", type=str, default="last", help="of a run: last, best, or a step")
CHANNELS = Option(
    name="channels",
    type=str,
    default="",
    help="order of colours that a file's network takes, rgb or bgr",
)
MEAN = Option(name="mean", type=str, default="", help="subtracted from 0..255 for a file: a number or R,G,B")
STD = Option(name="std", type=str, default="", help="what is then divided by: a number or R,G,B")
BATCH_SIZE = Option(
    name="batch_size", type=int, default=None, low=1, high=65536, help="images at a time on a rank"
)
OF_A_MODEL = (CHECKPOINT, CHANNELS, MEAN, STD, BATCH_SIZE)
