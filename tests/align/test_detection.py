"""Which detector is used: the named one, the one of the weights, or the first that has weights here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from arcterm_registry import PluginError

from arcterm.align.detection import choose
from arcterm.errors import DataError
from tests.align import marks


def test_without_a_name_the_first_with_weights_is_used(detectors):
    detectors.clear()
    detectors.update(alpha=marks.here, yunet=marks.here, mtcnn=marks.absent)
    assert choose("", "", "")[0::2] == ("yunet", "/weights")
    detectors["mtcnn"] = marks.here
    assert choose("", "", "").name == "mtcnn"
    del detectors["mtcnn"], detectors["yunet"]
    assert choose("", "", "").name == "alpha"


def test_where_none_has_weights_all_ways_to_get_them_are_said_at_once(detectors):
    detectors.clear()
    detectors.update(yunet=replace(marks.absent, advice="download it"), mtcnn=marks.absent)
    with pytest.raises(DataError) as error:
        choose("", "", "")
    assert error.value.hint == "mtcnn: get some; or yunet: download it"
    with pytest.raises(DataError, match="there are no weights for yunet here"):
        choose("yunet", "", "")


@pytest.mark.parametrize(
    ("weights", "name"),
    [("a/yunet.onnx", "yunet"), ("a/det1.npy", "mtcnn"), ("a", "mtcnn"), ("p.pt", "mtcnn")],
)
def test_weights_alone_choose_by_their_kind(detectors, weights, name):
    detectors.update(yunet=marks.here, mtcnn=marks.here)
    assert choose("", weights, "")[0::2] == (name, weights)
    assert choose("marks", weights, "").name == "marks"


def test_a_name_that_is_unknown_is_an_error():
    with pytest.raises(PluginError, match="there is no detector 'marx'"):
        choose("marx", "", "")


def test_options_may_hold_commas(detectors):
    text = "minsize=7, factor=.25"
    assert choose("marks", "", text).options == {"minsize": 7, "factor": 0.25}
