"""``megaface score`` against everything computed at once, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from arcterm.errors import ConfigError, DataError, StopAskedError
from arcterm.formats.features.matrix import pack_feature
from arcterm.megaface.mask import Mask, write_mask
from arcterm.megaface.noise import mark
from arcterm.megaface.scoring.job import score
from arcterm.pictures import curves
from arcterm.runs.context import JobContext
from arcterm.runs.store import Run
from arcterm.search.products import HostProducts
from arcterm.train.world import World
from tests.conftest import little_room
from tests.jobs import Heard, StoppingJob, make_run
from tests.megaface.folders import write_packed, write_tree
from tests.megaface.scores import (
    COUNT,
    DISTRACTORS,
    PROBES,
    SIZES,
    brute_force,
    features,
    unit,
    write_lists,
    write_packed_set,
)
from tests.ranks import spawn

KINDS = ["plain", "quantised", "duplicates"]
REMOVED = np.arange(COUNT) % 17 == 3


@pytest.fixture(autouse=True)
def _no_png(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing PNGs would take most of the time; tests of pictures and of the whole have them."""
    monkeypatch.setattr(curves, "can_png", lambda: False)


def run(folder: Path, out: Path, lists: Any = None, job: Any = None, **options: Any) -> dict[str, Any]:
    job = job or JobContext(make_run(out.parent / f"{out.name}-runs", "score"), Heard(), 1, World())
    lists = lists or write_lists(out.parent / "lists")
    given = {"sizes": "10,100,600", "mask": "", "compare": "", "allow_missing": False, "ending": ""}
    return score(job, str(folder), *lists, str(out), **given | options).data


def same(found: dict[str, Any], out: Path, variant: str, number: int, wanted: dict[str, Any]) -> None:
    """The numbers of a gallery are those of brute force, exactly."""
    gallery = found["results"][variant]["galleries"][number]
    won = json.loads((out / "cmc.json").read_text())[variant][number]
    for key, ranks in (("won", wanted["ranks"]), ("traditional_won", wanted["traditional"])):
        assert won[key] == [sum(rank <= limit for rank in ranks) for limit in range(1, 1001)]
    assert gallery["impostors"] == len(wanted["impostors"])
    assert gallery["genuine"] == len(wanted["genuine"])
    for one in gallery["verification"]:
        for reading, right in wanted["rates"][one["asked"]].items():
            point = one[reading]
            assert (point["tar"], point["far"], point["impostors"]) == right
            assert (wanted["impostors"] > point["threshold"]).sum() == right[2]


def all_same(
    found: dict[str, Any], out: Path, variant: str, probes: Any, distractors: Any, removed: Any
) -> None:
    for number, size in enumerate(SIZES):
        same(found, out, variant, number, brute_force(probes, distractors[:size], removed[:size]))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_brute_force(tmp_path, kind, seed):
    probes, distractors = features(kind, seed)
    found = run(write_packed_set(tmp_path / "features", probes, distractors), tmp_path / "out")
    all_same(found, tmp_path / "out", "raw", probes, distractors, np.zeros(COUNT, bool))


@pytest.mark.parametrize("kind", ["alike", "one image often"])
@pytest.mark.long
def test_ranks_are_exact_to_1000_where_many_distractors_are_ahead(tmp_path, kind):
    """Of features that tell little, and of a distractor that stands there 1,500 times and is like a probe."""
    random = np.random.default_rng(3)
    probes, _ = features("plain")
    distractors = unit(random.standard_normal((3000, probes.shape[1])) + 6 * probes[:1])
    if kind == "one image often":
        distractors[random.permutation(3000)[:1500]] = unit(probes[:1] + 0.1 * probes[7:8])
    names = [f"1/2@N03/{n}_0.jpg" for n in range(3000)]
    packed = write_packed(
        tmp_path / "features", {"facescrub": (PROBES, probes), "megaface": (names, distractors)}
    )
    lists = write_lists(tmp_path / "lists")
    Path(lists[1]).write_text("\n".join(names))
    found = run(packed, tmp_path / "out", lists=lists, sizes="1200,3000")
    for number, size in enumerate((1200, 3000)):
        wanted = brute_force(probes, distractors[:size])
        assert min(wanted["ranks"]) < 1000 < max(wanted["ranks"]) or size < 3000
        same(found, tmp_path / "out", "raw", number, wanted)


def test_an_equal_distractor_counts_against_the_probe(tmp_path):
    probes, distractors = features("quantised")
    run(write_packed_set(tmp_path / "features", probes, distractors), tmp_path / "out")
    won = json.loads((tmp_path / "out/cmc.json").read_text())["raw"][-1]["won"]
    lenient = brute_force(probes, distractors, tie_wins=True)["ranks"]
    assert won[0] < sum(rank == 1 for rank in lenient)


def write_noise(folder: Path, probes: Any, distractors: Any) -> tuple[Path, Any]:
    """A mask that removes distractors and replaces a probe; the probes with that."""
    folder.mkdir()
    cleaned = probes.copy()
    cleaned[3] = probes[0]
    removed = [name for name, noisy in zip(DISTRACTORS, REMOVED, strict=True) if noisy]
    mask = Mask(width=probes.shape[1], seed=0, removed=removed, replaced=[PROBES[3]])
    write_mask(folder, mask, cleaned[3:4])
    return folder, cleaned


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_and_numbers_that_mark_noise_say_the_same(tmp_path, kind):
    probes, distractors = features(kind)
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    mask, cleaned = write_noise(tmp_path / "mask", probes, distractors)
    found = run(packed, tmp_path / "masked", mask=str(mask))
    assert list(found["results"]) == ["raw", "cleaned"]
    all_same(found, tmp_path / "masked", "raw", probes, distractors, np.zeros(COUNT, bool))
    all_same(found, tmp_path / "masked", "cleaned", cleaned, distractors, REMOVED)

    write_tree(tmp_path / "marked/facescrub", PROBES, mark(cleaned, np.zeros(len(PROBES), bool)))
    write_tree(tmp_path / "marked/megaface", DISTRACTORS, mark(distractors, REMOVED))
    alone = run(tmp_path / "marked", tmp_path / "alone")
    assert alone["results"] == {"cleaned": found["results"]["cleaned"]}
    both = run(packed, tmp_path / "both", mask=str(tmp_path / "marked"))
    assert both["results"] == found["results"]
    write_packed_set(
        tmp_path / "packed", mark(cleaned, np.zeros(len(PROBES), bool)), mark(distractors, REMOVED)
    )
    facts = json.loads((tmp_path / "packed/features.json").read_text()) | {"extra": 1}
    (tmp_path / "packed/features.json").write_text(json.dumps(facts))
    assert run(tmp_path / "packed", tmp_path / "out")["results"] == alone["results"]
    # a plain product would take the noise for faces
    plain = brute_force(cleaned, distractors)
    won = json.loads((tmp_path / "alone/cmc.json").read_text())["cleaned"][-1]["won"]
    assert sum(won) > sum(rank <= limit for rank in plain["ranks"] for limit in range(1, 1001))


def test_both_layouts_and_any_order_say_the_same(tmp_path):
    probes, distractors = features("duplicates")
    first = run(write_packed_set(tmp_path / "one", probes, distractors), tmp_path / "out1")
    other = run(write_packed_set(tmp_path / "two", probes, distractors, seed=6), tmp_path / "out2")
    write_tree(tmp_path / "three/facescrub", PROBES, probes, "_net_112x112.bin")
    write_tree(tmp_path / "three/megaface", DISTRACTORS, distractors, "_net_112x112.bin")
    third = run(tmp_path / "three", tmp_path / "out3")
    assert first["results"] == other["results"] == third["results"]
    assert third["algo"] == "net_112x112"
    assert (tmp_path / "out3/raw/cmc_facescrub_megaface_net_112x112_600_1.json").is_file()


def test_the_devkits_lists_say_the_same_as_beginnings_of_one(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    one = run(packed, tmp_path / "one")
    lists = write_lists(tmp_path / "devkit", SIZES)
    several = run(packed, tmp_path / "several", lists=lists)
    assert several["results"] == one["results"]
    assert set(several["lists"]["distractors"]) == {f"megaface_features_list.json_{n}_1" for n in SIZES}


def test_a_list_that_does_not_go_on_with_the_last_begins_afresh(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    lists = write_lists(tmp_path / "lists", (10, 100))
    (tmp_path / "lists/megaface_features_list.json_100_1").write_text(
        json.dumps({"path": DISTRACTORS[300:400]})
    )
    (tmp_path / "lists/megaface_features_list.json_10_2").write_text(json.dumps({"path": DISTRACTORS[7:17]}))
    found = run(packed, tmp_path / "out", lists=lists)
    galleries = found["results"]["raw"]["galleries"]
    assert [(each["size"], each["set"]) for each in galleries] == [(10, 1), (100, 1), (10, 2)]
    for number, some in enumerate((slice(10), slice(300, 400), slice(7, 17))):
        same(found, tmp_path / "out", "raw", number, brute_force(probes, distractors[some]))


def test_the_result_is_a_folder_for_people_and_scripts(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    first = run(packed, tmp_path / "out")
    mine = tmp_path / "out/raw/cmc_facescrub_megaface_r100_600_1.json"
    found = run(packed, tmp_path / "again", compare=str(mine))
    devkit = found["results"]["raw"]["galleries"][-1]["devkit"]
    assert found["compared"] == {mine.name: devkit}
    assert devkit["rank_1"] == found["results"]["raw"]["galleries"][-1]["identification"]["rank_1"]
    assert first["results"] == found["results"]
    assert json.loads((tmp_path / "again/result.json").read_text())["results"] == found["results"]
    for name in ("cmc.svg", "roc.svg", "sizes.svg", "index.html"):
        assert (tmp_path / "again" / name).stat().st_size > 1000
    assert "600 distractors" in (tmp_path / "again/index.html").read_text()


def test_the_curve_of_the_devkit_is_thinned_as_it_does(tmp_path):
    probes, distractors = features("plain")
    run(write_packed_set(tmp_path / "features", probes, distractors), tmp_path / "out")
    written = json.loads((tmp_path / "out/raw/cmc_facescrub_megaface_r100_600_1.json").read_text())
    wanted = brute_force(probes, distractors)
    trials = len(wanted["ranks"])
    for rank, share in zip(*written["cmc"], strict=True):
        assert share == sum(each <= rank + 1 for each in wanted["ranks"]) / trials
    genuine, impostors = np.array(wanted["genuine"]), wanted["impostors"]
    *steps, end = zip(*written["roc"], strict=True)
    assert end == (1.0, 1.0)
    assert steps[0] == (0.0, (genuine > impostors.max()).mean())
    for far, tar in steps[1:]:  # the lowest rate at which so many are accepted
        threshold = np.sort(genuine)[::-1][round(tar * len(genuine)) - 1]
        assert far == (impostors >= threshold).mean()
        assert tar == (genuine >= threshold).mean()
    for curve in written.values():
        assert all(
            after - before >= 0.01 - 1e-12
            for before, after in zip(curve[1][:-2], curve[1][1:-1], strict=True)
        )


def test_what_can_not_be_scored_is_named_and_counted_at_once(tmp_path):
    probes, distractors = features("plain")
    probes[0], probes[1], probes[5] = np.nan, 0, probes[5] * 1.5
    distractors[7], distractors[9, 3] = 0, np.inf
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    lists = write_lists(tmp_path / "lists")
    for path, more in zip(lists, ("A/A_77.png", "1/2@N0/3_4.jpg"), strict=True):
        listed = json.loads(Path(path).read_text())
        listed["path"] += [more]
        if "id" in listed:
            listed["id"] += ["A"]
        Path(path).write_text(json.dumps(listed))
    with pytest.raises(DataError) as error:
        run(packed, tmp_path / "out", lists=lists)
    said = str(error.value)
    for part in (
        "7 features can't be scored",
        "1 of 601 raw distractors are missing: 1/2@N0/3_4.jpg",
        f"are not finite: {DISTRACTORS[9]}",
        f"are zero: {DISTRACTORS[7]}",
        "1 of 20 probes are missing: A/A_77.png",
        f"are not normalised: {PROBES[5]} (norm 1.5)",
        "--allow-missing",
    ):
        assert part in said
    assert not (tmp_path / "out").exists()


def test_missing_features_are_left_out_if_that_is_allowed(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    facts = json.loads((packed / "features.json").read_text())
    facts["sets"]["facescrub"]["refused"] = {PROBES[4]: "no face"}
    facts["sets"]["megaface"]["refused"] = {DISTRACTORS[2]: "no face", DISTRACTORS[50]: "no face"}
    (packed / "features.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="3 features can't be scored"):
        run(packed, tmp_path / "out")
    found = run(packed, tmp_path / "out", allow_missing=True)
    result = found["results"]["raw"]
    assert result["missing_probes"] == 1
    assert [(one["distractors"], one["missing"]) for one in result["galleries"]] == [
        (9, 1),
        (98, 2),
        (598, 2),
    ]
    names = [name for n, name in enumerate(PROBES) if n != 4]
    wanted = brute_force(np.delete(probes, 4, 0), np.delete(distractors, [2, 50], 0), names=names)
    same(found, tmp_path / "out", "raw", 2, wanted)


def test_lists_of_other_features_are_not_called_missing_features_to_do_without(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    lists = write_lists(tmp_path / "lists")
    with pytest.raises(DataError, match="600 of 600 probes are missing") as error:
        run(packed, tmp_path / "out", lists=lists[::-1])
    assert "belong together" in str(error.value) and "--allow-missing" not in str(error.value)
    Path(lists[1]).write_text(json.dumps({"path": [*DISTRACTORS, "1/2/" + "x" * 9000]}))
    with pytest.raises(DataError, match="1 feature can't be scored") as error:
        run(packed, tmp_path / "out", lists=lists)
    assert len(str(error.value)) < 500


def test_the_report_fits_a_terminal_and_its_page_greys_what_is_chance(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    mask, _ = write_noise(tmp_path / "mask", probes, distractors)
    job = JobContext(make_run(tmp_path / "runs", "score"), Heard(), 1, World())
    other = tmp_path / "cmc_2019-05-05.json"
    other.write_text('{"cmc": [[0, 9], [0.9, 1]], "roc": [[0, 1e-5], [0.8, 1]]}')
    given = {"sizes": "10,600", "compare": str(other), "allow_missing": False, "ending": ""}
    report = score(
        job, str(packed), *write_lists(tmp_path / "lists"), str(tmp_path / "out"), mask=str(mask), **given
    )
    assert max(map(len, report.lines[:-1])) < 79
    assert "unresolved" in report.lines[3] and report.lines[-2].endswith(
        "curve: 80.00 % at FAR ≤ 1e-06, 100.00 % beyond"
    )
    shown = (tmp_path / "out/index.html").read_text()
    assert '<tr class="hint"><th>1e-06</th><td>unresolved</td>' in shown
    assert "Among 600 distractors" in shown and "19 probes" in shown


def test_a_truncated_matrix_and_sets_of_two_widths_are_refused(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    whole = (packed / "megaface.npy").read_bytes()
    (packed / "megaface.npy").write_bytes(whole[:-100])
    with pytest.raises(DataError, match="megaface"):
        run(packed, tmp_path / "out")
    np.save(packed / "megaface.npy", distractors[:, :9])
    with pytest.raises(DataError, match="16 numbers an image in FaceScrub, 9 in MegaFace"):
        run(packed, tmp_path / "out")


def test_files_that_are_damaged_are_named(tmp_path):
    probes, distractors = features("plain")
    write_tree(tmp_path / "tree/facescrub", PROBES, probes)
    write_tree(tmp_path / "tree/megaface", DISTRACTORS, distractors)
    cut, narrow = (tmp_path / f"tree/megaface/{name}_r100.bin" for name in DISTRACTORS[3:5])
    cut.write_bytes(cut.read_bytes()[:-7])
    narrow.write_bytes(pack_feature(distractors[4, :9]))
    with pytest.raises(DataError, match="2 features can't be scored: 2 of 600 raw distractors") as error:
        run(tmp_path / "tree", tmp_path / "out")
    assert "is cut short" in str(error.value) and "has 9 numbers, not 16" in str(error.value)


def test_a_full_disk_is_said_in_words(tmp_path):
    """The files of the devkit are copied into one first, which takes room."""
    probes, distractors = features("plain")
    write_tree(tmp_path / "tree/facescrub", PROBES, probes)
    write_tree(tmp_path / "tree/megaface", DISTRACTORS, distractors)
    lists = write_lists(tmp_path / "lists")
    job = JobContext(make_run(tmp_path / "runs", "score"), Heard(), 1, World())
    with little_room(20_000), pytest.raises(DataError, match=r"raw-0\.npy can't be written: File too large"):
        run(tmp_path / "tree", tmp_path / "out", lists, job)
    assert not (tmp_path / "out").exists()


def test_marks_that_are_neither_clean_nor_noise_are_named(tmp_path):
    probes, distractors = features("plain")
    marked = mark(distractors, REMOVED)
    marked[5, -1] = 99
    packed = write_packed_set(tmp_path / "packed", mark(probes, np.zeros(len(PROBES), bool)), marked)
    facts = json.loads((packed / "features.json").read_text()) | {"extra": 1}
    (packed / "features.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"neither 0 nor 100: .* \(99\)"):
        run(packed, tmp_path / "out")


@pytest.mark.long
def test_clean_features_and_masks_that_do_not_belong_are_refused(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    mask, cleaned = write_noise(tmp_path / "mask", probes, distractors)
    for given, said in ((tmp_path / "none", "there is no"), (packed, "has no cleaned features")):
        with pytest.raises(DataError, match=said):
            run(packed, tmp_path / "out", mask=str(given))
    write_tree(tmp_path / "marked/facescrub", PROBES, mark(cleaned, np.zeros(len(PROBES), bool)))
    write_tree(tmp_path / "marked/megaface", DISTRACTORS, mark(distractors, REMOVED))
    with pytest.raises(DataError, match="is clean already"):
        run(tmp_path / "marked", tmp_path / "out", mask=str(mask))
    narrow = write_packed_set(tmp_path / "narrow", probes[:, :9], distractors[:, :9])
    with pytest.raises(DataError, match="is of features of 16 numbers, not 9"):
        run(narrow, tmp_path / "out", mask=str(mask))


def test_a_mask_of_another_models_features_is_refused(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    lists = write_lists(tmp_path / "lists")
    facts = json.loads((packed / "features.json").read_text())
    facts["models"] = [{"model": "m.pth", "sha256": {"m.pth": "ab"}}]
    (packed / "features.json").write_text(json.dumps(facts))
    mask, _ = write_noise(tmp_path / "mask", probes, distractors)
    for digest, same in (("ab", True), ("cd", False)):
        known = json.loads((mask / "mask.json").read_text()) | {"models": [{"m.pth": digest}]}
        (mask / "mask.json").write_text(json.dumps(known))
        if same:
            run(packed, tmp_path / "out", lists=lists, mask=str(mask))
        else:
            with pytest.raises(DataError, match="is of the features of another model"):
                run(packed, tmp_path / "other", lists=lists, mask=str(mask))


def test_a_damaged_mask_is_to_be_made_again(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    mask, _ = write_noise(tmp_path / "mask", probes, distractors)
    for name in ("mask.npy", "mask.json"):
        (mask / name).write_bytes(b"{}")
        with pytest.raises(DataError, match=name) as error:
            run(packed, tmp_path / "out", mask=str(mask))
        assert "`arcterm megaface clean` made" in str(error.value)


def test_other_results_that_are_none_are_named_at_once(tmp_path):
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=r"one\.json is no result.*two\.json is no result"):
        run(tmp_path, tmp_path / "out", compare=f"{tmp_path}/one.json, {tmp_path}/two.json")


def test_a_stop_leaves_nothing(tmp_path, monkeypatch):
    """Wherever it comes: while features are looked at, or while they are scored."""
    monkeypatch.setattr(HostProducts, "width", 16)
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    stops = 0
    for after in range(100):
        job = StoppingJob("score", tmp_path / f"runs-{after}", stop=after)
        try:
            run(packed, tmp_path / "out", job=job)
        except StopAskedError:
            stops += 1
            assert not list(tmp_path.glob("*out*"))
        else:
            break
    assert stops > 4


def test_a_result_is_never_written_over(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    with pytest.raises(DataError, match="isn't empty"):
        run(packed, tmp_path / "out")


@pytest.mark.parametrize("text", ["", "ten", "0,10", "10;100", "-5", "1_0", "1e3", "9" * 5000])
def test_sizes_that_are_none(tmp_path, text):
    with pytest.raises(ConfigError, match="--sizes"):
        run(tmp_path, tmp_path / "out", sizes=text)


def test_lists_that_say_nothing_are_refused(tmp_path):
    probes, distractors = features("plain")
    packed = write_packed_set(tmp_path / "features", probes, distractors)
    lists = write_lists(tmp_path / "lists")
    Path(lists[0]).write_text("A/A_1.png\nB/B_1.png\n")
    with pytest.raises(DataError, match="no person has two probes"):
        run(packed, tmp_path / "out", lists=lists)
    Path(lists[0]).write_text(json.dumps({"path": [PROBES[0]] * 2, "id": ["A", "B"]}))
    with pytest.raises(DataError, match=r"images of two people: A/A_0\.png"):
        run(packed, tmp_path / "out", lists=lists)
    devkit = write_lists(tmp_path / "devkit", (10, 100))
    with pytest.raises(DataError, match="sizes there: 10, 100"):
        run(packed, tmp_path / "out", lists=devkit, sizes="20")
    named = tmp_path / "devkit/megaface_features_list.json_10_1"
    named.write_text(json.dumps({"path": DISTRACTORS[:9]}))
    with pytest.raises(DataError, match="has 9 distractors, not 10"):
        run(packed, tmp_path / "out", lists=devkit)


@pytest.mark.slow
def test_three_ranks_say_the_same(tmp_path):
    for kind in KINDS:
        probes, distractors = features(kind)
        packed = write_packed_set(tmp_path / kind, probes, distractors)
        write_noise(tmp_path / f"{kind}-mask", probes, distractors)
        run(packed, tmp_path / f"{kind}-alone", mask=str(tmp_path / f"{kind}-mask"))
    write_tree(tmp_path / "tree/facescrub", PROBES, features("plain")[0])
    write_tree(tmp_path / "tree/megaface", DISTRACTORS, features("plain")[1])
    runs = {kind: str(make_run(tmp_path / f"{kind}-runs", "score").path) for kind in (*KINDS, "tree")}
    lists = write_lists(tmp_path / "lists")
    spawn(in_rank, (3, str(tmp_path), runs, lists), 3)
    for kind in KINDS:
        alone, together = ((tmp_path / f"{kind}-{how}/result.json").read_text() for how in ("alone", "ranks"))
        assert json.loads(alone)["results"] == json.loads(together)["results"]
    plain, tree = ((tmp_path / name / "result.json").read_text() for name in ("plain-alone", "tree-ranks"))
    assert json.loads(plain)["results"]["raw"] == json.loads(tree)["results"]["raw"]


def in_rank(rank: int, size: int, folder: str, runs: dict[str, str], lists: tuple[str, str]) -> None:
    """One of the ranks."""
    torch.set_num_threads(1)
    root = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{root / 'meeting'}", rank=rank, world_size=size)
    for kind, path in runs.items():
        job = JobContext(Run(Path(path)), Heard(), 1, World(rank, size))
        mask = "" if kind == "tree" else str(root / f"{kind}-mask")
        run(root / kind, root / f"{kind}-ranks", lists, job, mask=mask)
    dist.destroy_process_group()
