"""Panels as functions: what they say, and that nothing makes them fail."""

from __future__ import annotations

import datetime
import math
import time

import msgspec
import pytest

from arcterm.console.charts.lens import Lens
from arcterm.console.charts.metrics import curve
from arcterm.console.panels import devices, listing, log, metrics, status, verification
from arcterm.console.view import View
from arcterm.files import write_json
from arcterm.runs import control, history, notes, trackers
from arcterm.runs.describe import describe
from arcterm.runs.engines import record
from arcterm.runs.engines.record import EngineRecord
from arcterm.runs.events import Gpu, Gpus, Mined, Rank, Step
from arcterm.runs.notes import Notes
from arcterm.runs.query import facts as facts_of
from arcterm.runs.reader import Reader, log_path
from arcterm.runs.reading.summary import best_result
from arcterm.runs.state import Failure, read_state, take_ownership
from arcterm.runs.store import Run, SourceLog
from arcterm.samples import Begin
from arcterm.show import words
from arcterm.show.lines import heading, spark, spread, tail, width_of, wrap


def view_of(made):
    view = View(run=made.run, record=made.run.record, state=read_state(made.run))
    reader = Reader(made.run)
    view.take(reader.look())
    while view.loading:
        view.take(reader.look())
    return view


def said(lines):
    return "\n".join("".join(text for text, _ in line) for line in lines)


PANELS = [
    status.status,
    status.progress,
    status.notice,
    metrics.metrics,
    metrics.facts,
    devices.devices,
    devices.heat,
    devices.ranks,
    metrics.strip,
    status.alerts,
    verification.table,
    log.log,
    log.failure,
]


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("panel", PANELS)
def test_no_panel_is_wider_or_taller_than_its_place(make, panel, filled):
    made = make("a-rather-long-name-for-a-run-that-somebody-gave", gpus=[0, 1])
    if filled:
        made.train(30, loss=lambda step: float("nan") if step == 30 else 5.0)
        made.verify(lfw=0.99, cfp_fp=0.91)
        made.gpus(16)
        made.save()
        made.say("warning", "x" * 300)
        made.output("y" * 300, "\x1b[31mred\x1b[0m")
        made.become("failed", failure=Failure(rank=1, cause="out of memory " * 9, traceback="a\nb\nc"))
    view = view_of(made)
    for width, height in ((58, 3), (30, 5), (80, 9), (200, 20)):
        lines = panel(view, width, height)
        assert len(lines) <= max(height, 1)
        if panel not in (status.status, status.progress, status.notice) or width >= 58:
            assert all(width_of(line) <= width for line in lines), (width, said(lines))


def test_facts_tell_of_triplets_where_there_are_any(make):
    made = make("mined")
    made.train(2)
    assert "triplets" not in said(metrics.facts(view_of(made), 60, 20))
    mined = {"bags": 1, "images": 50, "pairs": 100, "triplets": 80, "steps": 10, "seconds": 0.5}
    made.write(Mined(step=2, round=1, **mined))
    made.train(1)
    made.write(Step(**{**msgspec.structs.asdict(view_of(made).summary.last_step), "active": 0.25}))
    assert "25% active  80 of 100 pairs" in said(metrics.facts(view_of(made), 60, 20))


def test_facts_and_settings_follow_a_change_while_the_run_is_shown(make):
    made = make("changed")
    made.train(2)
    view = view_of(made)
    assert "changed" not in said(metrics.facts(view, 90, 20))
    config = msgspec.structs.replace(made.run.config, lr=0.025, begins=Begin(step=2))
    history.record(made.run, config, "arcterm resume changed --lr 0.025", 2)
    view.take(Reader(made.run).look())
    facts = said(metrics.facts(view, 90, 20))
    assert f"at step 2: lr {view.changes[0].settings['lr'][0]:g} → 0.025" in facts and "begins" not in facts
    assert "lr 0.025" in facts and view.config.lr == 0.025


def test_a_queued_run_says_after_which(make):
    made = make("waiting")
    made.become("queued", reason="after first")
    assert "queued after first" in said(status.notice(view_of(made), 90, 1))


def test_a_run_that_waits_for_hosts_says_for_which(make):
    made = make("two")
    reason = "waits for 1 of 2 hosts at 10.0.0.1:29400; other: numpy is 2.0 there and 2.4 on first"
    made.become("starting", reason=reason)
    view = view_of(made)
    assert status.notice_rows(view, 80) == 2
    told = said(status.notice(view, 80, 2)).replace("best –", "")
    assert " ".join(told.split()) == f"starting: {reason}"
    cut = said(status.notice(view, 40, status.notice_rows(view, 40))).splitlines()
    assert len(cut) == 3
    assert cut[-1].rstrip().endswith("…")
    made.become("starting")
    assert "starting; the first step is yet to come" in said(status.notice(view_of(made), 80, 1))


def test_a_run_that_is_requeued_says_why_to_the_end_and_nothing_of_the_attempt_before(make):
    made = make("again")
    made.train(8)
    take_ownership(made.run, 1, "local")
    made.become("stopped")
    control.ask(made.run, "stop")  # which its attempt obeyed as it got a signal
    reason = "preempted, requeued; others have a higher priority (Priority); 2nd of 17 in low"
    held = EngineRecord(launcher="slurm", id="5", submitted=0.0, attempt=1, start=0.0, reason=reason)
    record.write(made.run, held)
    view = view_of(made)
    assert view.word == "queued"
    assert status.notice_rows(view, 80) == 2
    told = said(status.notice(view, 80, 2)).replace("best –", "")
    assert " ".join(told.split()) == f"queued slurm 5: {reason}"
    assert view.supervisor is None  # whom leaving the dashboard names
    assert "pid" not in said(status.status(view, 80, 1))
    assert "images/s" not in said(status.progress(view, 80, 1))
    facts = facts_of.read(Reader(made.run))
    assert facts.word == "queued"
    told = said(listing.detail(facts, 80)).splitlines()[3:]
    assert " ".join(" ".join(told).split()) == f"slurm 5: {reason}"
    notes.write(made.run, Notes(text="a note"))
    *_, shortened, note = said(listing.detail(facts_of.read(Reader(made.run)), 80)).splitlines()
    assert shortened.endswith("…")
    assert note.strip() == "a note"


def test_a_gpu_that_answers_nothing_shows_dashes(make):
    made = make("bare", gpus=[0, 1])
    made.gpus(2, bare=True)
    text = said(devices.devices(view_of(made), 80, 5))
    assert text.count(words.DASH) >= 6
    assert "None" not in text


@pytest.mark.parametrize("count", [1, 2, 8, 16])
def test_all_gpus_fit(make, count):
    made = make("many", nproc=count, gpus=list(range(count)))
    made.gpus(count)
    text = said(devices.devices(view_of(made), 80, 5))
    assert all(f" {i} " in text for i in range(count))


def test_a_slice_says_its_size_and_a_hot_gpu_has_a_sign(make):
    made = make("mig", nproc=2, gpus=[0, 1])
    sliced = Gpu(
        index=0, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", memory_used=1 << 30, memory_total=10 << 30
    )
    made.write(Gpus(host="box", gpus=[sliced, Gpu(index=1, name="NVIDIA H200", temperature=88.0)]))
    text = said(devices.devices(view_of(made), 120, 5))
    assert "MIG 1g.10gb" in text and "1/10G" in text
    assert " 1!" in text and " 0!" not in text


def test_heat_covers_ten_minutes_by_time(make):
    made = make("heat", nproc=1, gpus=[0])
    now = time.time()
    for ago, used in ((900, 5.0), (599, 100.0), (300, 50.0), (0, 100.0)):
        made.write(Gpus(t=now - ago, host="box", gpus=[Gpu(index=0, name="H200", utilisation=used)]))
    row = said(devices.heat(view_of(made), 65, 3)).splitlines()[1]
    assert row == "  0 " + "█".ljust(29) + "▅" + "█".rjust(30)


def test_slow_ranks_are_marked_beside_the_others(make):
    made = make("ranks", nproc=4)
    made.write(*(Rank(rank=i, cpu=9.0, memory=1, times={"forward": 60.0 + 40 * (i == 2)}) for i in range(4)))
    view = view_of(made)
    text = said(devices.ranks(view, 80, 9))
    assert "1 holds the others up" in text and " 2!" in text and "100" in text
    assert "100 ms" in said(devices.devices(view, 80, 9))
    assert devices.ranks(view_of(make("old")), 80, 9) == []


def test_what_has_no_place_is_counted_and_a_slow_rank_has_one(make):
    made = make("wide", nproc=64)
    made.write(
        *(Rank(rank=i, cpu=9.0, memory=1, times={"forward": 60.0 + 40 * (i == 61)}) for i in range(64))
    )
    view = view_of(made)
    for panel in (devices.ranks, devices.devices):
        text = said(panel(view, 80, 5))
        columns = 4 if panel is devices.ranks else 2
        assert len(text.splitlines()) == 5
        assert f"… {64 - 4 * columns + 1} more" in text and " 61!" in text and " 63 " not in text
        assert "more" not in said(panel(view, 80, 40))
    many = make("gpus", nproc=16, gpus=list(range(16)))
    many.gpus(16)
    assert "… 5 more" in said(devices.devices(view_of(many), 80, 3))
    assert "… 14 more" in said(devices.heat(view_of(many), 80, 4))
    many.train(10)
    many.verify(**{f"set{i}": 0.9 for i in range(9)})
    assert "… 6 more" in said(verification.table(view_of(many), 80, 6))
    for text in "one", "two", "three", "four":
        many.say("warning", text)
    assert "… 3 more" in said(status.alerts(view_of(many), 80, 3))


def test_what_cannot_be_read_is_counted_and_never_called_no_step(make):
    made = make("torn")
    made.train(3)
    made.become("done")
    path = made.run.events / "0001-r00000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"k":"step"', b'"k":"spet"'))
    view = view_of(made)
    assert view.step == 3
    why = "3 event lines can't be read: 3 with a wrong checksum"
    assert curve(view, "loss", Lens()).empty == why
    assert why in said(status.alerts(view, 80, 9))
    assert "3 event lines" in said(metrics.metrics(view, 60, 20))
    path.unlink()
    assert curve(view_of(made), "loss", Lens()).empty == "the events of its 3 steps are gone"


def test_a_machine_without_gpus_says_why_and_shows_its_ranks(make):
    made = make("cpu")
    made.ranks("no NVIDIA driver here")
    text = said(devices.devices(view_of(made), 80, 5))
    assert "no NVIDIA driver here" in text
    assert "97%" in text
    assert "1.2 GiB" in text


def test_only_the_runs_own_gpus_are_shown(make):
    made = make("half", nproc=2, gpus=[2, 3])
    made.gpus(4)
    assert [gpu.index for _, gpu in view_of(made).gpus] == [2, 3]


def test_a_run_on_the_cpu_shows_no_gpu(make):
    made = make("cpu", nproc=2)
    made.gpus(4)  # as an older arcterm reported them
    made.ranks("")
    assert view_of(made).gpus == []
    assert describe(Reader(made.run, check=True))["gpus"] == []
    text = said(devices.devices(view_of(made), 80, 5))
    assert "H200" not in text and "97%" in text


def test_a_run_that_moved_shows_the_gpus_that_it_works_on_now(make):
    made = make("moved", nproc=2, gpus=[0, 1])
    told = [Gpu(index=index, name="NVIDIA H200") for index in (1, 2)]
    made.write(Gpus(host="gpu01", gpus=told))
    assert [gpu.index for _, gpu in view_of(made).gpus] == [1, 2]


def test_status_keeps_state_and_eta_however_long_the_name(make):
    made = make("n" * 90)
    made.train(20)
    text = said(status.status(view_of(made), 60, 1))
    assert "▶ running" in text
    assert "ETA" in text


def test_why_a_run_ended_is_read_to_its_end(make):
    made = make("ended")
    made.train(5)
    made.verify(lfw=0.9)
    reason = "stopped at once; steps after the last checkpoint are lost, as are those of the attempt before"
    made.become("stopped", reason=reason)
    view = view_of(made)
    rows = status.notice(view, 80, status.notice_rows(view, 80))
    assert (
        " ".join(said(rows).replace("best mean 90.00 @5", "").replace("best lfw 90.00 @5", "").split())
        == reason
    )


def test_a_silent_run_is_labelled(make):
    made = make("quiet")
    made.clock = time.time() - 1000
    made.train(5)
    assert view_of(made).silence() is None  # its Start came just now
    view = view_of(made)
    view.summary.last_event_time = time.time() - 41
    assert "no event for 41 s; last step 5" in said(status.notice(view, 80, 1))


def test_a_run_that_waits_for_room_says_so(make):
    made = make("full")
    made.train(5)
    made.become("paused", reason="the disk of /runs/full is full")
    view = view_of(made)
    assert "paused" in said(status.status(view, 80, 1))
    assert "the disk of /runs/full is full" in said(status.notice(view, 80, 1))


def test_a_stop_that_was_asked_for_shows_at_once(make):
    made = make("halt")
    control.ask(made.run, "stop")
    assert view_of(made).word == "stopping"


def test_failure_names_cause_rank_and_the_traceback_s_end(make):
    made = make("broken")
    trace = "\n".join(f"line {i}" for i in range(50))
    made.become(
        "failed",
        failure=Failure(
            rank=3, cause="the GPU is out of memory", traceback=trace, exit_code=1, log="r3/stderr.log"
        ),
    )
    text = said(log.failure(view_of(made), 80, 8))
    assert "rank 3 first, exit code 1" in text
    assert "the GPU is out of memory" in text
    assert "line 49" in text
    assert "line 0\n" not in text
    assert "r3/stderr.log" in text


def test_the_log_is_shown_without_escapes(make):
    made = make("log")
    made.output("one", "\x1b[2Jtwo [bold]three[/bold]")
    text = said(log.log(view_of(made), 80, 6))
    assert "two [bold]three[/bold]" in text
    assert "\x1b" not in text


def test_the_agents_log_stands_in(make):
    made = make("agent")
    (made.run.attempt_dir(1) / "agent.log").write_text("torchrun said something\n")
    assert log_path(made.run, 1).name == "agent.log"
    assert "torchrun said something" in said(log.log(view_of(made), 80, 5))


def test_best_is_the_mean_over_the_sets(make):
    made = make("sets")
    made.train(10)
    made.verify(lfw=0.9, cfp=0.8)
    made.train(10)
    made.verify(lfw=0.95, cfp=0.7)
    best = best_result(view_of(made).summary)
    assert best == ("mean", pytest.approx(0.85), 10)


def test_withheld_numbers_are_dashes_and_never_the_best(make):
    made = make("withheld")
    made.train(10)
    made.verify(lfw=0.9, cfp=0.8)
    made.train(10)
    made.verify(lfw=None, cfp=0.85)
    made.verify(one=None)
    made.become("done", reason="the network has collapsed")
    view = view_of(made)
    assert best_result(view.summary) == ("cfp", pytest.approx(0.85), 20)
    rows = {
        line.split()[1]: line.split()[2:] for line in said(verification.table(view, 80, 9)).splitlines()[2:]
    }
    assert rows["lfw"] == ["–", "–", "90.00", "10", "–"]
    assert rows["one"] == ["–", "–", "–", "–", "–"]
    chart = curve(view, "verification", Lens())
    assert [series.x.tolist() for series in chart.series] == [[10], [10, 20]]
    assert [text for text, _ in chart.short] == ["o lfw –", "+ cfp 85.00", "x one –"]
    assert "the network has collapsed" in said(status.notice(view, 120, 1))
    assert said(metrics.metrics(view, 60, 30))


def test_what_the_log_of_another_program_does_not_say_is_a_dash_and_its_time_is_the_log_s(make):
    made = make("theirs", loss="arcface")
    made.train(40, loss=lambda step: math.nan, pace=90.0)
    made.write(
        Step(
            t=made.clock,
            step=41,
            epoch=1,
            loss="nan",
            accuracy=0.5,
            angle="nan",
            lr=0.1,
            images_per_second=1.0,
            samples=1,
        )
    )
    record = made.run.record
    began = datetime.datetime.fromtimestamp(made.clock - 3600, datetime.UTC).isoformat()
    log = SourceLog(program="MXNet", path="/x.log", sha256="0")
    write_json(made.run.path / "run.json", msgspec.structs.replace(record, log=log, created=began))
    made.become("done")
    made.run = Run(made.run.path)
    view = view_of(made)
    assert "took 1 h" in said(status.status(view, 80, 1))
    assert "loss  –  ─" in said([curve(view, "loss", Lens()).title(60)]).replace(" ──", "  ─")
    assert view.emptiness == "not recorded"
    known = facts_of.read(Reader(made.run))
    assert known.loss is None and not list(known.values("last.loss")) and not list(known.values("angle"))
    assert "NaN" not in said(metrics.metrics(view, 60, 30)) + said(metrics.strip(view, 80, 3))
    assert describe(Reader(made.run))["loss"] is None


def test_curves_smooth_the_loss_and_never_the_learning_rate(make):
    made = make("curves", steps=100)
    made.train(60)
    view = view_of(made)
    assert len(curve(view, "loss", Lens()).series) == 2
    assert len(curve(view, "loss", Lens(weight=0)).series) == 1
    assert len(curve(view, "lr", Lens()).series) == 1
    assert len(curve(view, "loss", Lens(band=False)).series) == 1
    assert curve(view, "loss", Lens()).span == (1.0, 60.0)


def test_every_metric_can_be_drawn_before_the_first_step(make):
    view = view_of(make("fresh"))
    for name in words.METRICS:
        assert curve(view, name, Lens()).empty


def test_lines_keep_their_width():
    assert width_of(heading("a title that is long", 12)) <= 12
    assert width_of(spread([("a" * 50, ""), ("b", "")], [("right", "")], 30)) == 30
    assert spark([1.0, float("nan"), 3.0], 5) == "  ▁ █"
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("人人 人人 one 人人人人人人", 9) == ["人人 人人", "one", "人人人人", "人人"]
    assert tail("/data/人人人", 6) == "…人人"


def test_a_tracker_that_does_not_get_the_numbers_is_told(make):
    made = make("tracked", track="wandb,csv")
    made.train(3)
    for name in ("wandb", "csv"):
        trackers.folder(made.run, name).mkdir(parents=True)
        trackers.write(made.run, trackers.Tracking(tracker=name, state="done", step=3))
    assert "wandb" not in said(status.notice(view_of(made), 120, 1))
    failed = trackers.Tracking(tracker="wandb", state="failed", step=2, error="log: OSError: \x1b[1maway")
    trackers.write(made.run, failed)
    assert "wandb failed at step 2: log: OSError: away" in said(status.notice(view_of(made), 120, 1))
