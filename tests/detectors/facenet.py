"""FaceNet's `detect_face` written out plainly in numpy: one image, transposed, one crop at a time.

`DETAILS` are what other programs do otherwise; with one of them the boxes are others.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

DETAILS = (
    "sizes rounded down",
    "unrounded pixels at stage 1",
    "whole pixels at stage 2",
    "NMS without +1",
    "boxes not truncated",
    "one candidate not mirrored",
    "P-Net's shifts with +1",
    "clipped at the border",
)


class FaceNet:
    """`layers` are those of det1, det2 and det3: name → weights, biases, alpha."""

    def __init__(self, layers: list[dict[str, Any]], changed: str = "") -> None:
        assert changed in ("", *DETAILS)
        self.layers, self.changed = layers, changed

    def detect(self, image, minsize, thresholds, factor):
        """Boxes with scores (n, 5) and points (10, n), as FaceNet returns them."""
        height, width = image.shape[:2]
        scales, k = [], 0
        least = min(height, width) * 12 / minsize
        while least >= 12:
            scales.append(12 / minsize * np.power(factor, k))
            least *= factor
            k += 1
        boxes = np.empty((0, 9))
        for scale in scales:
            found = self.propose(image, scale, thresholds[0])
            boxes = np.vstack([boxes, found[self.nms(found, 0.5, "Union")]])
        if not len(boxes):
            return np.empty((0, 5)), np.empty((10, 0))
        boxes = boxes[self.nms(boxes, 0.7, "Union")]
        extra = self.changed == "P-Net's shifts with +1"
        sides = boxes[:, [2, 3, 2, 3]] - boxes[:, [0, 1, 0, 1]] + extra
        boxes = np.hstack([boxes[:, :4] + boxes[:, 5:] * sides, boxes[:, 4:5]])
        boxes[:, :4] = self.whole(squared(boxes[:, :4]))
        boxes = self.refine(image, boxes, thresholds[1])
        return self.finish(image, boxes, thresholds[2])

    def force(self, image, box):
        """InsightFace's `detect_face_force`."""
        boxes = np.append(np.fix(box), 0.0)[None]
        return self.finish(image, self.refine(image, boxes, 0.0), 0.0)

    def propose(self, image, scale, threshold):
        height, width = (
            int(side * scale) if self.changed == "sizes rounded down" else int(np.ceil(side * scale))
            for side in image.shape[:2]
        )
        pixels = image.astype(np.float64) if self.changed == "unrounded pixels at stage 1" else image
        level = (area(pixels, height, width) - 127.5) * 0.0078125
        probability, shifts = self.proposal(level.transpose(1, 0, 2))
        # both are (x, y)
        first, second = np.where(probability >= threshold)
        if len(first) == 1 and self.changed != "one candidate not mirrored":
            shifts = np.flipud(shifts)
        cells = np.stack([first, second], 1)
        return np.hstack(
            [
                np.fix((2 * cells + 1) / scale),
                np.fix((2 * cells + 12) / scale),
                probability[first, second][:, None],
                shifts[first, second],
            ]
        )

    def refine(self, image, boxes, threshold):
        crops = self.crops(image, boxes, 24)
        answers = [self.refinement(crop) for crop in crops]
        scores = np.array([score for score, _ in answers])
        shifts = np.array([shift for _, shift in answers])
        good = np.where(scores > threshold)[0]
        boxes, shifts = np.hstack([boxes[good, :4], scores[good, None]]), shifts[good]
        if not len(boxes):
            return boxes
        pick = self.nms(boxes, 0.7, "Union")
        moved = moved_by(boxes[pick], shifts[pick])
        moved[:, :4] = self.whole(squared(moved[:, :4]))
        return moved

    def finish(self, image, boxes, threshold):
        if not len(boxes):
            return np.empty((0, 5)), np.empty((10, 0))
        answers = [self.output(crop) for crop in self.crops(image, boxes, 48)]
        scores, shifts, points = (np.array([answer[i] for answer in answers]) for i in range(3))
        good = np.where(scores > threshold)[0]
        boxes, points = np.hstack([boxes[good, :4], scores[good, None]]), points[good].T
        w, h = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
        points[:5] = w * points[:5] + boxes[:, 0] - 1
        points[5:] = h * points[5:] + boxes[:, 1] - 1
        if not len(boxes):
            return boxes, points
        boxes = moved_by(boxes, shifts[good])
        pick = self.nms(boxes, 0.7, "Min")
        return boxes[pick], points[:, pick]

    def crops(self, image, boxes, size):
        height, width = image.shape[:2]
        for x1, y1, x2, y2 in np.fix(boxes[:, :4]).astype(int):
            window = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3))
            left, top, right, bottom = max(x1, 1), max(y1, 1), min(x2, width), min(y2, height)
            if left <= right and top <= bottom:
                inside = image[top - 1 : bottom, left - 1 : right]
                window[top - y1 : bottom - y1 + 1, left - x1 : right - x1 + 1] = inside
                if self.changed == "clipped at the border":
                    window = inside.astype(np.float64)
            if self.changed == "whole pixels at stage 2":
                window = window.astype(np.uint8)
            yield ((area(window, size, size) - 127.5) * 0.0078125).transpose(1, 0, 2)

    def whole(self, boxes):
        return boxes if self.changed == "boxes not truncated" else np.fix(boxes)

    def nms(self, boxes, threshold, method):
        one = self.changed != "NMS without +1"
        x1, y1, x2, y2 = boxes[:, :4].T
        areas = (x2 - x1 + one) * (y2 - y1 + one)
        order, pick = np.argsort(boxes[:, 4]), []
        while order.size:
            best, rest = order[-1], order[:-1]
            pick.append(best)
            w = np.maximum(0, np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + one)
            h = np.maximum(0, np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + one)
            shared = w * h
            both = areas[best] + areas[rest] - shared
            order = rest[
                shared / (np.minimum(areas[best], areas[rest]) if method == "Min" else both) <= threshold
            ]
        return np.array(pick, int)

    def proposal(self, x):
        layers = self.layers[0]
        for number in (1, 2, 3):
            x = prelu(convolve(x, layers[f"conv{number}"]), layers[f"PReLU{number}"])
            x = pool(x, 2) if number == 1 else x
        return softmax(convolve(x, layers["conv4-1"]))[..., 1], convolve(x, layers["conv4-2"])

    def refinement(self, x):
        layers = self.layers[1]
        x = pool(prelu(convolve(x, layers["conv1"]), layers["prelu1"]), 3)
        x = pool(prelu(convolve(x, layers["conv2"]), layers["prelu2"]), 3)
        x = prelu(convolve(x, layers["conv3"]), layers["prelu3"])
        x = prelu(dense(x, layers["conv4"]), layers["prelu4"])
        return softmax(dense(x, layers["conv5-1"]))[1], dense(x, layers["conv5-2"])

    def output(self, x):
        layers = self.layers[2]
        x = pool(prelu(convolve(x, layers["conv1"]), layers["prelu1"]), 3)
        x = pool(prelu(convolve(x, layers["conv2"]), layers["prelu2"]), 3)
        x = pool(prelu(convolve(x, layers["conv3"]), layers["prelu3"]), 2)
        x = prelu(convolve(x, layers["conv4"]), layers["prelu4"])
        x = prelu(dense(x, layers["conv5"]), layers["prelu5"])
        return (
            softmax(dense(x, layers["conv6-1"]))[1],
            dense(x, layers["conv6-2"]),
            dense(x, layers["conv6-3"]),
        )


def area(image, height, width):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def convolve(x, layer):
    """(H, W, in) with weights (h, w, in, out), VALID."""
    weights = layer["weights"].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[:2], axis=(0, 1))
    return np.tensordot(windows, weights, axes=([2, 3, 4], [2, 0, 1])) + layer["biases"]


def dense(x, layer):
    return x.reshape(-1) @ layer["weights"].astype(np.float64) + layer["biases"]


def prelu(x, layer):
    return np.maximum(x, 0) + layer["alpha"] * np.minimum(x, 0)


def pool(x, size):
    """Windows of `size`, 2 apart; the last, incomplete one counts."""
    out = [-(-(side - size) // 2) + 1 for side in x.shape[:2]]
    after = [(0, max(0, (n - 1) * 2 + size - side)) for n, side in zip(out, x.shape[:2], strict=True)]
    padded = np.pad(x, [*after, (0, 0)], constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))[::2, ::2].max((3, 4))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def squared(boxes):
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side = np.maximum(w, h)
    x, y = boxes[:, 0] + w * 0.5 - side * 0.5, boxes[:, 1] + h * 0.5 - side * 0.5
    return np.stack([x, y, x + side, y + side], 1)


def moved_by(boxes, shifts):
    w, h = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    return np.hstack([boxes[:, :4] + shifts * np.stack([w, h, w, h], 1), boxes[:, 4:]])
