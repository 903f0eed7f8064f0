"""Logs and event lines: what is seen, what is found, and that many lines hold nothing up."""

from __future__ import annotations

import pytest

from arcterm.console.app import Console
from arcterm.console.lines.events import EventScreen
from arcterm.console.lines.logs import LogScreen
from arcterm.console.lines.textlist import TextLine, TextList
from arcterm.runs.events import Message
from arcterm.runs.reading.logs import LogFollower, called, log_files

SMALL = (80, 24)


def texts(lines):
    return [line.text for line in lines.seen]


def said(lines, width=40, height=10):
    return ["".join(text for text, _ in row) for row in lines.paint(width, height)]


def filled(*lines, most=100):
    found = TextList(most)
    found.append(TextLine(text, marked="WARN" in text) for text in lines)
    return found


def test_a_needle_leaves_what_holds_it_and_n_shows_it_among_the_others():
    lines = filled("loss 5", "WARN slow", "loss 4", "Loss 3", "end")
    lines.search("loss")
    assert texts(lines) == ["loss 5", "loss 4", "Loss 3"] and lines.count == "3/5"
    lines.search("Loss")
    assert texts(lines) == ["Loss 3"]
    lines.search("!loss")
    assert texts(lines) == ["WARN slow", "end"]
    lines.search("slow")
    assert lines.jump(1) and lines.pointed.text == "WARN slow"
    assert lines.near and len(texts(lines)) == 5
    lines.search("")
    lines.move(-9)
    assert lines.jump(-1) and lines.pointed.marked
    assert not filled("loss 5").jump(1) and not TextList().jump(1)


def test_no_row_stays_empty_while_there_are_lines_above():
    lines = filled(*map(str, range(30)))
    assert said(lines, height=3) == ["  27", "  28", "  29"]
    lines.search("9")
    assert said(lines, height=5) == ["  9", "  19", "  29"]
    lines.search("2")
    assert len(said(lines, height=9)) == 9
    assert len(said(lines, height=12)) == 12  # of one that was enlarged


def test_the_newest_is_followed_until_the_cursor_is_moved():
    lines = filled(*map(str, range(30)))
    assert said(lines, height=3) == ["  27", "  28", "  29"]
    lines.append([TextLine("30")])
    assert said(lines, height=3)[-1] == "  30"
    lines.page(-1)
    lines.append([TextLine("31")])
    assert not lines.follows and said(lines, height=3)[0] == "▸ 28"
    lines.move(99)
    lines.append([TextLine("32")])
    assert said(lines, height=3)[-1] == "  32"


def test_old_lines_of_a_kind_go_and_rare_ones_stay():
    lines = TextList(10)
    lines.append([TextLine("verified", "verify")])
    lines.append(TextLine(f"step {number}", "step") for number in range(19))
    lines.move(-5)
    pointed = lines.pointed
    lines.append([TextLine("step 19", "step")])
    assert texts(lines) == ["verified", *(f"step {number}" for number in range(10, 20))]
    assert lines.count == "11/21" and lines.pointed == pointed
    lines.choose("verify")
    assert texts(lines) == ["verified"]


def test_a_log_is_read_from_its_last_part_as_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr("arcterm.runs.reading.logs._TAIL", 40)
    log = tmp_path / "stderr.log"
    log.write_bytes(b"".join(b"line %02d\n" % n for n in range(20)) + b"\x1b[31mred\x1b[0m\r50%\rdone\nunfin")
    follower = LogFollower(log)
    part = follower.poll()
    assert part.earlier + len(part.lines) == 21 and part.lines[-2:] == ["line 19", "done"]
    with log.open("ab") as file:
        file.write(b"ished\n")
    assert follower.poll().lines == ["unfinished"]
    with log.open("ab") as file:
        file.write(b"cut")
    assert follower.poll().lines == [] and follower.poll(live=False).lines == ["cut"]
    log.write_bytes(b"anew\n")
    part = follower.poll()
    assert part.anew and part.lines == ["anew"]


@pytest.fixture
def talking(make):
    made = make("talks")
    made.train(3)
    made.output(*(f"line {number}" for number in range(50)), "WARNING: slow disk", "[bold]x[/bold]")
    folder = made.run.rank_dir(1, 1)
    folder.mkdir(parents=True)
    (folder / "stdout.log").write_text("rank one speaks\n")
    return made


@pytest.mark.long
async def test_logs_are_shown_by_rank_filtered_and_followed(talking, root, until, shown):
    assert [called(path) for path in log_files(talking.run)] == ["rank 0 stderr", "rank 1 stdout"]
    app = Console(root, "talks")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 3" in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and "[bold]x[/bold]" in shown(app))
        assert "rank 0 stderr (1 of 2)" in shown(app)
        assert "52/52 lines  follows" in shown(app) and "! WARNING: slow disk" in shown(app)
        await pilot.press("slash", *"disk", "enter")
        assert "1/52 lines" in shown(app) and "line 49" not in shown(app)
        await pilot.press("escape", "N")
        await until(pilot, lambda: "▸ WARNING: slow disk" in shown(app))
        talking.output(*(f"later {number}" for number in range(2000)))
        app.screen.look()
        await until(pilot, lambda: "/2,052 lines  stands" in shown(app))
        await pilot.press("G")
        assert "later 1999" in shown(app)
        await pilot.press("r")
        await until(pilot, lambda: "rank one speaks" in shown(app))
        await pilot.press("q")
        await until(pilot, lambda: "step 3" in shown(app))


@pytest.mark.long
async def test_event_lines_are_shown_by_kind_with_the_corrupt_ones_marked(talking, root, until, shown):
    talking.write(Message(level="warning", text="a loss spike"))
    path = talking.run.events / "0001-r00000.jsonl"
    with path.open("ab") as file:
        file.write(b"garb\x1bage\n")
    app = Console(root, "talks")
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "step 3" in shown(app))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, EventScreen) and "garb" in shown(app))
        assert "1 event line can't be read: 1 without a checksum" in shown(app)
        assert "corrupt 0001-r00000.jsonl:7 without a checksum: garbge" in shown(app)
        await pilot.press("t")
        assert "corrupt  1/7 lines" in shown(app)
        await pilot.press("t", "t")
        assert '{"k":"step","step":3' not in shown(app).partition("step  3/7")[0] and "3/7 lines" in shown(
            app
        )
        await pilot.press("enter")
        await until(pilot, lambda: '"data_wait":0.031' in shown(app))
        await pilot.press("escape", "i")
        await until(pilot, lambda: "ETA" in shown(app))
