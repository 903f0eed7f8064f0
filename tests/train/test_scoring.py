"""The job `verify` on model files: what is measured of a set, and what is said where nothing can be."""

from __future__ import annotations

import numpy as np
import pytest
from arcterm_registry import get

from arcterm.config import job_config
from arcterm.errors import ConfigError, DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.launch import verification as asked
from arcterm.launch.launchers.chosen import choose
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.train import verification
from arcterm.train.world import World
from tests.jobs import Heard, save_weights

PAIRS, WRONG = 40, (4, 9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "net.pth")


@pytest.fixture
def lfw(tmp_path):
    """Pairs of patterns: the two of a same pair differ by noise; two pairs are called what they aren't."""
    random, images = np.random.default_rng(0), []
    for pair in range(PAIRS):
        first, second = (random.integers(0, 255, (7, 7, 3)).repeat(16, 0).repeat(16, 1) for _ in range(2))
        second = first if pair % 2 else second
        images += [
            encode_jpeg(np.clip(one + random.integers(-60, 60, one.shape), 0, 255).astype(np.uint8))
            for one in (first, second)
        ]
    write_pairs(tmp_path / "lfw.bin", images, [(pair % 2 == 1) != (pair in WRONG) for pair in range(PAIRS)])
    write_pairs(tmp_path / "one.bin", images[:2] * 12, [True] * 12)
    return tmp_path / "lfw.bin"


@pytest.fixture
def verify(weights, tmp_path, monkeypatch):
    """Verify the file; gives the results by set, and the job."""
    monkeypatch.chdir(tmp_path)

    def go(*sets, **options):
        config = job_config("arcterm:verify", [str(weights), *sets], options)
        ready = asked.prepare(config, tmp_path, None, 1, print, choose(None, {}))
        run = store.create(tmp_path, ready.config, label=ready.label, argv=[], host="h")
        context = JobContext(run, Heard(), 1, World())
        given = get("job", "verify").settings(ready.config.options)
        report = verification.verify(context, *ready.config.paths, **given)
        return {found["set"]: found for found in report.data["verification"]}, report

    return go


def distances(report, name="lfw"):
    with np.load(report.data["distances"]) as kept:
        return kept[name]


@pytest.mark.long
def test_colours_and_scales_that_are_given_change_the_scores(verify, lfw):
    _, plain = verify(lfw, mean="127.5", std="127.5,127.5,127.5")
    _, same = verify(lfw)
    _, other = verify(lfw, channels="bgr", std="255,200,150")
    assert np.abs(distances(same) - distances(plain)).max() < 1e-6
    assert np.abs(distances(other) - distances(plain)).max() > 1e-3


def test_pairs_of_one_kind_get_no_accuracy(verify, lfw, tmp_path):
    told, report = verify(tmp_path / "one.bin")
    assert (told["one"]["accuracy"], told["one"]["measured"], told["one"]["wrong_pairs"]) == (None, None, [])
    assert "all 12 pairs of one are same" in told["one"]["withheld"]
    assert "no threshold can be wrong" in report.lines[0]
    assert report.curves == []


def test_rates_wrong_pairs_and_groups(verify, lfw, tmp_path):
    (tmp_path / "lfw.groups").write_text("".join(f"{'AB'[n // 20]}\n" for n in range(PAIRS)))
    told, report = verify(lfw, show_errors="wrong")
    found = told["lfw"]
    assert {each["pair"] for each in found["wrong_pairs"]} >= set(WRONG)
    assert found["wrong"] == len(found["wrong_pairs"]) == round((1 - found["accuracy"]) * PAIRS)
    assert len(list((tmp_path / "wrong" / "lfw").iterdir())) == 2 * len(found["wrong_pairs"])
    assert [group["name"] for group in found["groups"]["groups"]] == ["A", "B"]
    assert any(line.startswith("  group A: ") for line in report.lines)
    assert report.lines[-1] == f"the wrong pairs: {tmp_path / 'wrong' / 'index.html'}"
    points = {point["asked"]: point for point in found["measured"]["tar_at_far"]}
    assert points[0.1]["resolved"] and not points[0.01]["resolved"]
    assert [rate["far"] for rate in found["rates"]] == [0.1]
    assert found["rates"][0]["threshold"] == points[0.1]["at_most"]["threshold"]
    (roc,) = report.curves
    assert roc.log_x and list(roc.lines["lfw"])[-1] == (1.0, 1.0)
    with pytest.raises(DataError, match="wrong already exists"):
        verify(lfw, show_errors="wrong")


def test_pairs_are_rejected_by_norm_or_by_a_file(verify, lfw, tmp_path):
    told, report = verify(lfw, reject_by="norm")
    methods = [told["lfw"]["rejection"][kind][0]["method"] for kind in ("fixed", "recomputed")]
    assert methods[0] != methods[1] and "  reject by norm:" in report.lines
    (tmp_path / "q.txt").write_text("".join(f"image{n} {n / 80}\n" for n in range(2 * PAIRS)))
    by_file, report = verify(lfw, reject_by="q.txt")
    assert by_file["lfw"]["rejection"] != told["lfw"]["rejection"] and "  reject by q.txt:" in report.lines
    (tmp_path / "q.txt").write_text("1\n2\n")
    with pytest.raises(DataError, match="qualities of 2 images, the set has 80"):
        verify(lfw, reject_by="q.txt")
    with pytest.raises(DataError, match="--reject-by none"):
        verify(lfw, reject_by="none.txt")
    with pytest.raises(DataError, match="qualities of one set's images, and 2 sets are scored"):
        verify(lfw, tmp_path / "one.bin", reject_by="q.txt")


def test_a_set_that_cannot_be_read_is_named_and_the_others_are_scored(verify, lfw, tmp_path):
    (tmp_path / "torn.bin").write_bytes(lfw.read_bytes()[:5000])
    told, report = verify(lfw, tmp_path / "torn.bin")
    assert list(told) == ["lfw"] and "torn.bin" in report.data["set_aside"]["torn"]
    with pytest.raises(DataError, match="no verification set can be scored: torn: "):
        verify(tmp_path / "torn.bin")


def test_what_can_be_seen_before_a_start_is_said_before_it(verify, lfw, tmp_path):
    with pytest.raises(ConfigError, match=r"net.pth is no run, .* none lies beside it"):
        verify()
    with pytest.raises(DataError, match=r"there is no .*gone.bin; .* holds no .bin file"):
        (tmp_path / "empty").mkdir()
        verify(lfw, "gone.bin", "empty")
    with pytest.raises(ConfigError, match=r"lfw.bin is a verification set, no model"):
        asked.check(job_config("arcterm:verify", [lfw, lfw], {}), tmp_path)
    with pytest.raises(ConfigError, match="--channels is rgb or bgr"):
        verify(lfw, channels="cmyk")
