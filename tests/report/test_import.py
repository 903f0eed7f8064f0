"""``arcterm runs import``: logs of other programs as runs that overlay one's own."""

from __future__ import annotations

import json
import os
import struct

import pytest

from arcterm.formats.protobuf import field_bytes
from arcterm.formats.trainlogs.eventfiles import _crc32c, _masked
from arcterm.runs import store
from arcterm.runs.reader import Reader

SETTINGS = """\
Training: 2022-03-01 10:00:00,000-: margin_list              (1.0, 0.0, 0.4)
Training: 2022-03-01 10:00:00,001-: network                  r50
Training: 2022-03-01 10:00:00,002-: batch_size               128
Training: 2022-03-01 10:00:00,002-: total_batch_size         256
Training: 2022-03-01 10:00:00,003-: lr                       0.02
Training: 2022-03-01 10:00:00,004-: rec                      /data/ms1m
"""


def step(number: int, loss: object, second: int, epoch: int = 0) -> str:
    return (
        f"Training: 2022-03-01 10:{second // 60:02}:{second % 60:02},500-Speed 2014.50 samples/sec   "
        f"Loss {loss}   LearningRate 0.0200   Epoch: {epoch}   Global Step: {number}   "
        f"Fp16 Grad Scale: 65536   Required: 5 hours\n"
    )


def score(number: int, accuracy: str, name: str = "lfw") -> str:
    at = "Training: 2022-03-01 10:09:00,500-"
    return (
        f"(12000, 512)\ninfer time 4.5\n{at}[{name}][{number}]XNorm: 21.5\n"
        f"{at}[{name}][{number}]Accuracy-Flip: {accuracy}+-0.00321\n"
        f"{at}[{name}][{number}]Accuracy-Highest: 0.99999\n"
    )


@pytest.fixture
def imported(arcterm, tmp_path):
    """``imported("log", text)`` → what ``--json`` prints."""

    def run(name: str, text: str) -> list:
        (tmp_path / name).write_text(text)
        code, out, err = arcterm("runs", "import", name, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.mark.parametrize(
    ("name", "count", "best", "last", "created"),
    [
        ("model-y1-test2.log", 93, {"lfw": 0.995, "agedb_30": 0.95917, "cfp_fp": 0.89214}, 187_317, ""),
        (
            "mobilefacenet_arcface_timestamps.log",
            85,
            {"lfw": 0.99183, "agedb_30": 0.946, "cfp_fp": 0.85443},
            170_303,
            "2018-05-05T08:05",
        ),
    ],
)
@pytest.mark.long
def test_a_real_log_of_2018(arcterm, test_data, tmp_path, name, count, best, last, created):
    code, out, err = arcterm("runs", "import", str(test_data(f"logs/{name}")))
    assert (code, err.count("results of 3 sets")) == (0, 1)
    (run,) = store.list_runs(tmp_path / "runs")
    summary = Reader(run).refresh()
    assert {name: len(found) for name, found in summary.verification.items()} == dict.fromkeys(best, count)
    assert {name: summary.best(name).accuracy for name in best} == best
    assert (summary.step, run.name) == (last, out.strip()) and run.created.startswith(created)
    config = run.config
    assert (config.backbone, config.loss, config.global_batch) == ("y1", "arcface", 512)
    assert config.loss_options["margin"] == 0.5 and config.milestones[-1] == 160_000
    lfw = summary.verification["lfw"]
    assert (lfw[0].step, lfw[0].pairs, lfw[-1].step) == (2000, 6000, 2000 * count)


def test_a_log_of_arcface_torch(imported, tmp_path):
    (found,) = imported(
        "training.log", SETTINGS + step(50, 40.25, 60) + step(100, "nan", 120) + score(100, "0.99550")
    )
    assert (found["name"], found["state"], found["step"]) == ("training", "done", 100)
    assert found["created"].startswith("2022-03-01T10:01:00.5")
    assert found["data_wait"] is None  # the log does not know
    lfw = found["verification"]["lfw"]
    assert (lfw["accuracy"], lfw["std"], lfw["xnorm"], lfw["pairs"]) == (0.9955, 0.00321, 21.5, 6000)
    config = found["config"]
    assert (config["backbone"], config["loss"], config["loss_options"]["margin"]) == ("r50", "cosface", 0.4)
    assert (config["lr"], config["dataset_options"]) == (0.02, {"path": "/data/ms1m"})
    (run,) = store.list_runs(tmp_path / "runs")
    steps = [event for _, event in Reader(run).events() if type(event).__name__ == "Step"]
    assert [(s.step, s.loss, s.images_per_second, s.lr) for s in steps] == [
        (50, 40.25, 2014.5, 0.02),
        (100, "nan", 2014.5, 0.02),
    ]
    assert steps[1].t - steps[0].t == 60


def test_lines_that_ranks_doubled_are_taken_once(imported):
    lines = [step(50 * n, 40 - n, 60 * n) for n in range(1, 9)]
    doubled = "".join(f"[rank0]: {line}[rank1]: {line}" for line in lines)
    (found,) = imported("a.log", SETTINGS * 2 + doubled + score(400, "0.99") * 2)
    assert (found["step"], found["loss"], len(found["attempts"])) == (400, 32.0, 0)
    assert found["attempt"] == 1


def test_a_start_that_counts_on_is_an_attempt_and_one_that_does_not_is_a_run(imported):
    first = "".join(step(50 * n, 40 - n, 30 * n) for n in range(1, 7))
    again = "".join(step(50 * n, 30 - n, 300 + 30 * n) for n in range(5, 9))
    (found,) = imported("resumed.log", SETTINGS + first + SETTINGS + again)
    assert (found["attempt"], found["step"], found["loss"]) == (2, 400, 22.0)
    names = [
        run["name"] for run in imported("two.log", SETTINGS + first + SETTINGS + first.replace("10:", "11:"))
    ]
    assert names == ["two-1", "two-2"]
    names = [run["name"] for run in imported("bare.log", first + first.replace("10:", "11:"))]
    assert names == ["bare-1", "bare-2"]  # by its times, without settings between


def test_two_trainings_of_mxnet_and_epochs_without_a_count_of_steps(imported, tmp_path):
    def epoch(number: int, batches: int) -> str:
        lines = [
            f"INFO:root:Epoch[{number}] Batch [{b}]\tSpeed: 500.00 samples/sec"
            f"\tacc=0.1\tlossvalue={9 - number}\n"
            for b in range(20, batches, 20)
        ]
        return "".join(lines)

    begin = (
        "gpu num: 2\nnum_layers 50\n"
        "Called with argument: Namespace(batch_size=200, network='r50', loss_type=2, lr=0.2)\n"
    )
    one = begin + epoch(0, 101) + epoch(1, 101) + "lr change to 0.02\n" + epoch(2, 50)
    first, second = imported("logs.txt", one + begin + epoch(0, 60))
    assert (first["name"], second["name"]) == ("logs-1", "logs-2")
    assert (first["step"], first["lr"], first["loss"], first["epoch"]) == (2 * 101 + 41, 0.02, 7.0, 3)
    assert (second["step"], second["lr"]) == (41, 0.2)
    config = second["config"]
    assert (config["backbone"], config["loss"], config["batch_size"], config["nproc"]) == (
        "r50",
        "cosface",
        100,
        2,
    )
    seconds = [
        event.t
        for _, event in Reader(store.find(tmp_path / "runs", "logs-1")).events()
        if type(event).__name__ == "Step"
    ]
    assert seconds[1] - seconds[0] == pytest.approx(20 * 200 / 500)  # by the speed, where there are no times


def test_escapes_markup_and_a_cut_end(imported, arcterm):
    hostile = (
        "\x1b[31mTraining: \x1b]0;title\x07" + step(50, 1.5, 60) + "[red]\x1b[2J: network   \x1b[31mr50\n"
    )
    (found,) = imported("h.log", hostile + step(100, 1.25, 120) + step(150, 1.125, 180).rstrip("\n")[:-30])
    assert (found["step"], found["loss"]) == (100, 1.25)
    assert "\x1b" not in json.dumps(found)


def record(t: float, number: int, tag: str = "", value: float = 0.0, begins: bool = False) -> bytes:
    """A record of an event file."""
    data = b"\x09" + struct.pack("<d", t) + b"\x10" + bytes([number & 0x7F | 0x80, number >> 7])
    if tag:
        data += field_bytes(
            5, field_bytes(1, field_bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        )
    data += field_bytes(7, b"\x08\x01") if begins else b""
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", _masked(_crc32c(head))) + data + struct.pack("<I", _masked(_crc32c(data)))


def test_event_files_of_tensorboard(arcterm, tmp_path):
    folder = tmp_path / "tb"
    folder.mkdir()
    rows = [
        record(1e9 + n, n, "loss", 20 - n / 10) + record(1e9 + n, n, "learning_rate", 0.5)
        for n in range(1, 101)
    ]
    rows.append(record(1e9 + 100, 100, "lfw", 0.75) + record(1e9 + 100, 100, "time_for_end", 3.0))
    (folder / "events.out.tfevents.0000000000.box").write_bytes(b"".join(rows))
    more = [
        record(1e9 + 200, 81, begins=True),
        record(1e9 + 200, 81, "loss", 5.0),
        record(1e9 + 201, 82, "loss", 4.5),
    ]
    (folder / "events.out.tfevents.0000000001.box").write_bytes(b"".join(more)[:-3])  # being written
    code, out, err = arcterm("runs", "import", "tb")
    assert (code, out) == (0, "tb\n") and "time_for_end" in err
    (run,) = store.list_runs(tmp_path / "runs")
    summary = Reader(run).refresh()
    assert (summary.step, float(summary.last_step.loss), summary.attempt) == (81, 5.0, 2)
    assert run.created.startswith("2001-09-09")
    events = [event for attempt, event in Reader(run).events() if attempt == 1]
    assert next(e for e in events if type(e).__name__ == "Verify").accuracy == 0.75


@pytest.mark.long
def test_what_tensorboard_itself_wrote_is_read(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    from arcterm.formats.trainlogs import eventfiles

    path = tmp_path / "events.out.tfevents.1.x"
    writer = RecordWriter(path.open("wb"))
    writer.write(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
    values = [
        Summary.Value(tag="train/loss", simple_value=2.5),
        Summary.Value(tag="verify/lfw/accuracy", simple_value=0.5),
    ]
    writer.write(Event(wall_time=2.0, step=7, summary=Summary(value=values)).SerializeToString())
    writer.close()
    assert [tuple(each)[1:4] for each in eventfiles.read_scalars(path)] == [
        (7, "train/loss", 2.5),
        (7, "verify/lfw/accuracy", 0.5),
    ]
    assert eventfiles.read_run([path]).steps == 7


def test_an_imported_run_overlays_and_is_imported_once(arcterm, imported, trained, tmp_path):
    trained("own")
    text = SETTINGS + step(50, 40.25, 60) + step(100, 39, 120) + score(100, "0.99550")
    imported("training.log", text)
    code, _, err = arcterm("chart", "own", "training", "-o", "loss.csv")
    assert code == 0, err
    assert {line.split(",")[0] for line in (tmp_path / "loss.csv").read_text().splitlines()[1:]} == {
        "own",
        "training",
    }
    assert arcterm("chart", "own", "training", "--metric", "lfw", "-o", "lfw.svg")[0] == 0
    code, out, err = arcterm("runs", "import", "training.log")
    assert (code, out) == (0, "training\n") and "was imported before" in err
    assert len(store.list_runs(tmp_path / "runs")) == 2
    assert arcterm("show", "last", "--json")[1].count('"name": "own"')  # created when its log began
    listed = arcterm("runs")[1]
    assert "training" in listed and "0.9955" in listed and len(json.loads(arcterm("runs", "--json")[1])) == 2
    assert arcterm("runs", "list")[1] == listed


def test_lines_of_an_imported_run_leave_out_what_its_log_does_not_say(arcterm, imported):
    imported("training.log", SETTINGS + step(50, 40.25, 60) + step(100, 39.5, 120))
    code, out, err = arcterm("attach", "last", "--plain")
    assert code == 0 and "loss 39.5000" in out
    assert "done, imported from" in err and "but" not in err
    assert "nan" not in out and "× ," not in out


@pytest.mark.parametrize("words", [["training"], ["training", "--steps", "900"]])
def test_an_imported_run_is_not_resumed(arcterm, imported, words):
    imported("training.log", SETTINGS + step(50, 40.25, 60) + step(100, 39, 120))
    code, _, err = arcterm("resume", *words)
    assert code == 4 and "trained by arcface_torch" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no step and no verification"),
        (b"\x00\xff" * 5000, "no step and no verification"),
        (None, "can't be read"),
    ],
)
def test_what_is_no_log_is_refused_and_leaves_nothing(arcterm, tmp_path, content, said):
    if content is not None:
        (tmp_path / "x.log").write_bytes(content)
    code, _, err = arcterm("runs", "import", "x.log")
    assert code == 3 and said in err
    assert not (tmp_path / "runs").exists()


def test_what_is_no_file_is_not_called_one_of_ours(arcterm, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for command, step in (("runs", "name a log"), ("recipes", "give a config of arcface_torch")):
        code, _, err = arcterm(command, "import", str(tmp_path / "pipe"))
        assert code in (2, 3)
        assert "pipe is no file" in err and step in err and "arcterm wrote" not in err


def test_a_folder_of_runs_of_tensorboard_says_which_there_are(arcterm, tmp_path):
    (tmp_path / "tb" / "a").mkdir(parents=True)
    code, _, err = arcterm("runs", "import", "tb")
    assert code == 3 and "no event files" in err
    (tmp_path / "tb" / "a" / "events.out.tfevents.1.x").write_bytes(b"")
    code, _, err = arcterm("runs", "import", "tb")
    assert code == 3 and "tb/a" in err
