"""Curves as SVG and PNG: where points stand, what has no place, and text that came from a file."""

from __future__ import annotations

import math
import sys
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from arcterm_registry.contracts import Curve

from arcterm.errors import ConfigError
from arcterm.pictures import curves, page

SVG = "{http://www.w3.org/2000/svg}"


def drawn(curve):
    """The texts of a drawing, and the ends of its lines."""
    root = ElementTree.fromstring(curves.svg(curve))
    texts = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
    lines = [node.attrib["points"] for node in root.iter(f"{SVG}polyline")]
    return texts, [[tuple(map(float, end.split(","))) for end in line.split()] for line in lines]


def roc(**changes):
    points = [(0.0, 0.5), (1e-6, 0.9), (1e-3, 0.95), (1.0, 1.0), (math.nan, 0.3)]
    given = {"title": "ROC", "x": "FAR", "y": "TAR", "lines": {"raw": points}, "log_x": True}
    return Curve(**given | changes)


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios():
    texts, (line,) = drawn(roc())
    assert len(line) == 3  # neither 0 nor what is no number
    (a, _), (b, _), (c, _) = line
    assert b - a == pytest.approx(c - b, abs=0.1)
    assert {"1e-6", "0.001", "1", "FAR", "TAR", "raw", "ROC"} <= set(texts)
    _, (line,) = drawn(roc(log_x=False))
    assert len(line) == 4 and line[2][0] - line[0][0] < 1


def test_a_larger_value_stands_higher():
    _, (line,) = drawn(roc())
    heights = [y for _, y in line]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]


@pytest.mark.parametrize("points", [[], [(0.0, 0.5)], [(math.inf, 1.0)]])
def test_a_diagram_without_points_says_so(points):
    texts, lines = drawn(roc(lines={"raw": points}))
    assert lines == [] and "no points" in texts


def test_one_point_is_a_dot_and_many_lines_differ():
    _, (dot,) = drawn(roc(lines={"one": [(1e-3, 0.5)]}))
    assert len(dot) == 2 and dot[0] == dot[1]
    many = roc(lines={f"line {n}": [(1e-3, 0.5), (1.0, 0.6)] for n in range(20)})
    root = ElementTree.fromstring(curves.svg(many))
    pens = [(n.attrib["stroke"], n.attrib.get("stroke-dasharray")) for n in root.iter(f"{SVG}polyline")]
    assert len(set(pens)) == 20


def test_text_of_a_file_is_no_markup():
    hostile = roc(title="</svg><script>x</script>", lines={"\x1b[31m<b>": [(1.0, 1.0)]})
    texts, _ = drawn(hostile)
    assert "</svg><script>x</script>" in texts
    found = page.page("t", [curves.part(hostile)])
    assert "<script>" not in found and "<b>" not in found and "\x1b" not in found


@pytest.mark.long
def test_files_are_written(tmp_path):
    made = curves.write(tmp_path, "roc", roc())
    assert [path.name for path in made] == ["roc.svg", "roc.png"]
    pixels = cv2.imdecode(np.frombuffer(made[1].read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (800, 1360, 3) and len(np.unique(pixels)) > 50
    ElementTree.fromstring(made[0].read_text())


def test_without_matplotlib_there_is_no_png(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert [path.name for path in curves.write(tmp_path, "roc", roc())] == ["roc.svg"]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="need matplotlib"):
        curves.png(roc())
