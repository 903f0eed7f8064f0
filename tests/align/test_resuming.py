"""An alignment that was stopped, or killed, goes on: nothing is done twice, and the bytes are the same."""

from __future__ import annotations

import pytest

from arcterm.align.rows import Row, RowReader, RowWriter
from arcterm.align.workers import Workers
from arcterm.errors import DataError, StopAskedError
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal
from tests.align.conftest import photo, tree, write
from tests.align.marks import Marks
from tests.jobs import make_run


class Stopping(JobContext):
    """Asked to stop when it agrees for the how-many-th time."""

    def __init__(self, root, stop):
        super().__init__(make_run(root, "align", ["a", "b"]), NullJournal(), threads=1)
        self.stop = stop

    def agree(self):
        self.stop -= 1
        if self.stop < 0:
            raise StopAskedError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Thirteen photos, of which two have no face; they are agreed about one by one."""
    for number in range(13):
        boxes = [(4 + number, 10, 20 + number)] if number % 6 else []
        write(tmp_path / "photos" / f"p{number % 3}" / f"{number}.png", photo(*boxes))
    monkeypatch.setattr("arcterm.align.workers._CHUNK", 1)
    monkeypatch.setattr("arcterm.align.workers._ROUND", 1)
    monkeypatch.setattr("arcterm.align.job.os.sched_getaffinity", lambda pid: {0})
    return tmp_path / "photos"


@pytest.mark.parametrize("stop", range(0, 14, 2))
def test_it_is_stopped_anywhere_and_goes_on(photos, run, tmp_path, stop):
    run(photos, tmp_path / "whole")
    Marks.asked.clear()
    job = Stopping(tmp_path / "runs", stop)
    with pytest.raises(StopAskedError):
        run(photos, job=job)
    assert not (tmp_path / "out").exists()
    job.stop = 1000
    run(photos, job=job)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert len(Marks.asked) == 13  # each was looked at once
    assert not list(tmp_path.glob(".out*"))


def test_what_a_crash_tore_is_done_again(photos, run, tmp_path, monkeypatch):
    run(photos, tmp_path / "whole", detector="boxed")
    monkeypatch.setattr("arcterm.align.workers._CHUNK", 4)
    job = Stopping(tmp_path / "runs", 3)
    with pytest.raises(StopAskedError):
        run(photos, job=job, detector="boxed")
    stage = next(tmp_path.glob(".out*"))
    torn = stage / "p0" / "3.jpg"
    torn.write_bytes(torn.read_bytes()[:100])
    with (job.work / "rows-0.jsonl").open("r+b") as rows:
        rows.truncate((job.work / "rows-0.jsonl").stat().st_size - 7)
    job.stop = 1000
    run(photos, job=job, detector="boxed")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_other_photos_are_no_continuation(photos, run, tmp_path):
    job = Stopping(tmp_path / "runs", 4)
    with pytest.raises(StopAskedError):
        run(photos, job=job)
    (photos / "p0" / "3.png").unlink()
    job.stop = 1000
    with pytest.raises(DataError, match="added, removed or renamed"):
        run(photos, job=job)


def test_large_photos_are_taken_in_parts(photos, run, tmp_path, monkeypatch):
    run(photos, tmp_path / "whole", detector="boxed")
    assert max(count for count, _ in Marks.asked) == 4
    Marks.asked.clear()
    monkeypatch.setattr("arcterm.align.workers._MOST_PIXELS", 80 * 60 + 1)
    run(photos, detector="boxed")
    assert max(count for count, _ in Marks.asked) == 2
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_ranks_share_the_photos_and_a_row_of_each_is_found(photos, run, tmp_path, monkeypatch):
    """Two ranks write what one does; here one after the other."""
    run(photos, tmp_path / "whole")
    work = Workers.run

    def both(self, rank, ranks):
        work(self, 1, 2)
        self._stopping.clear()
        work(self, 0, 2)

    monkeypatch.setattr(Workers, "run", both)
    run(photos)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_torn_rows_are_passed_over(tmp_path):
    writer = RowWriter(tmp_path, 0)
    for number in (2, 0):
        writer.add(number, [], Row(path=f"{number}\t\n.jpg", treated="dropped"))
    writer.close()
    path = tmp_path / "rows-0.jsonl"
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        writer = RowWriter(tmp_path, 0)
        writer.add(1, [5], Row(path="1.jpg", treated="detected", files=["1.jpg"]))
        writer.close()
        reader = RowReader(tmp_path, 3)
        found = [number for number, _ in reader]
        assert found == sorted(
            {1, *([2] if length >= whole.index(b"\n") else []), *([0] if length >= len(whole) - 1 else [])}
        )
        (tmp_path / "1.jpg").write_bytes(b"12345")
        assert 1 in reader.done(tmp_path)
        (tmp_path / "1.jpg").write_bytes(b"1234")
        assert 1 not in reader.done(tmp_path)
        reader.close()
