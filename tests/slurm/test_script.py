"""The text of a batch script: hostile values are words of it, and options that are none are refused."""

from __future__ import annotations

import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcterm.launch.slurm import launcher, script
from arcterm.launch.slurm.options import SlurmOptions, seconds

HOSTILE = (
    "it's",
    'a "b"',
    "a b",
    "two\nlines",
    "$(touch owned)",
    "`touch owned`",
    "#SBATCH --uid=0",
    "-x",
    "é%j",
)


def words_of(text: str) -> list[str]:
    """The words of the last command of a script, as a shell sees them."""
    return shlex.split(text[text.index("\nexec ") + 1 :])[1:]


def test_every_option_stands_in_the_script(submission):
    options = SlurmOptions(
        **{"partition": "gpu,long", "account": "faces", "qos": "high", "reservation": "night"},
        **{
            "time": "2-00:30",
            "memory": "64G",
            "constraint": "a100&ib",
            "nodelist": "n[1-4]",
            "exclude": "n7",
        },
        **{"exclusive": True, "cpus": 32, "signal": 300, "interface": "ib0", "setup": "/opt/modules.sh"},
        extra="--mail-type=END --licenses=x:1",
    )
    text = script.script(submission(hosts=2, gpus=4, ranks=4), options)
    assert [line for line in text.splitlines() if line.startswith("#SBATCH")] == [
        f"#SBATCH {directive}"
        for directive in [
            "--job-name=arcterm-faces",
            "--nodes=2",
            "--ntasks-per-node=1",
            "--cpus-per-task=32",
            "--gpus-per-node=4",
            "--mem=64G",
            "--partition=gpu,long",
            "--account=faces",
            "--qos=high",
            "--reservation=night",
            "--time=2-00:30",
            "--constraint=a100&ib",
            "--nodelist=n[1-4]",
            "--exclude=n7",
            "--signal=B:USR1@300",
            "--open-mode=append",
            "--export=NONE",
            "--requeue",
            "--exclusive",
            "--mail-type=END",
            "--licenses=x:1",
        ]
    ]
    assert "\n. /opt/modules.sh || exit 1\n" in text
    words = words_of(text)
    assert words[:3] == [sys.executable, "-m", "arcterm.launch.slurm.batch"]
    assert words[4:7] == ["--requeue", "--", "srun"]
    assert words[-6:] == [*submission().command, "--local-addr", "ib0"]
    words = words_of(script.script(submission(hosts=2), SlurmOptions()))
    assert words[words.index("arcterm.launch.slurm.node") + 1 :] == ["--", *submission().command]


def test_one_host_needs_no_address_and_no_requeue_says_so(submission):
    text = script.script(submission(), SlurmOptions(requeue=False))
    assert "#SBATCH --no-requeue\n" in text
    assert words_of(text)[-4:] == submission().command
    assert "--requeue" not in words_of(text)
    assert "arcterm.launch.slurm.node" not in text


def test_graphics_cards_bring_cores_and_gres_is_in_their_place(submission):
    on_cards = script.directives(submission(gpus=2, ranks=2), SlurmOptions())
    assert "--gpus-per-node=2" in on_cards
    assert "--cpus-per-task=16" in on_cards
    by_name = script.directives(submission(gpus=2, ranks=2), SlurmOptions(gres="gpu:a100:2"))
    assert "--gres=gpu:a100:2" in by_name
    assert not any(each.startswith("--gpus") for each in by_name)
    assert "--cpus-per-task=6" in script.directives(submission(ranks=3, threads=2), SlurmOptions())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_word_of_the_script(text, tmp_path, submission):
    folder = tmp_path / text.replace("/", "")
    made = submission(name=text, folder=folder, command=["/bin/echo", text])
    written = script.script(made, SlurmOptions(setup="/" + text))
    words = words_of(written)
    assert words[3] == str(folder)
    assert words[-2:] == ["/bin/echo", text]
    directives = written[: written.index("\n\n")].splitlines()[1:]
    assert len(directives) == 8
    assert all(line.startswith("#SBATCH --") for line in directives)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_shell_reads_the_words_that_were_written(words):
    from arcterm_registry.contracts import Submission

    made = Submission(
        **{"run": "r", "name": words[0], "folder": Path("/runs") / "r", "command": words},
        **{"hosts": 1, "ranks": 1, "gpus": 0, "threads": 1, "grace": 1.0},
    )
    assert words_of(script.script(made, SlurmOptions()))[-len(words) :] == words


def test_a_shell_reads_the_environment_that_was_written(tmp_path):
    environ = {
        **{f"ARCTERM_{number}": text for number, text in enumerate(HOSTILE)},
        **{
            "PATH": "/usr/bin:/a b",
            "AWS_SECRET_ACCESS_KEY": "s",
            "CUDA_VISIBLE_DEVICES": "7",
            "ARCTERM_A;x": "1",
        },
    }
    file = tmp_path / "environment"
    file.write_text(script.variables(environ), encoding="utf-8")
    told = subprocess.run(
        ["/bin/sh", "-c", f". {shlex.quote(str(file))} && exec /usr/bin/env -0"],
        env={},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    read = dict(entry.decode().split("=", 1) for entry in told if entry)
    assert {name: read.get(name) for name in environ if name.isidentifier() and name in read} == {
        name: value
        for name, value in environ.items()
        if name not in ("AWS_SECRET_ACCESS_KEY", "CUDA_VISIBLE_DEVICES", "ARCTERM_A;x")
    }
    assert not (tmp_path / "owned").exists()


def test_only_its_user_reads_what_is_written(submission, monkeypatch):
    monkeypatch.setenv("ARCTERM_RUNS", "/somewhere")
    made = submission()
    for _ in range(2):  # a resume writes it anew
        script.write(made, SlurmOptions())
    folder = made.folder / "slurm"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "export ARCTERM_RUNS=/somewhere\nexport" in (folder / "environment").read_text()
    assert "export PYTHONSAFEPATH=1" in (folder / "environment").read_text()


def test_a_link_in_place_of_a_file_is_not_written_through(submission, tmp_path):
    made = submission()
    (made.folder / "slurm").mkdir()
    (made.folder / "slurm" / "environment").symlink_to(tmp_path / "other")
    script.write(made, SlurmOptions())
    assert not (tmp_path / "other").exists()


def test_the_path_of_the_log_has_no_fields_of_its_own(submission, tmp_path):
    words = script.sbatch(submission(folder=tmp_path / "100%j"))
    assert f"--output={tmp_path}/100%%j/slurm/%j.out" in words
    assert words[-1] == f"{tmp_path}/100%j/slurm/batch.sh"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, text) for name in ("partition", "account", "qos", "gres", "memory") for text in HOSTILE),
        *(
            ("constraint", "a;b"),
            ("nodelist", "n1\n#SBATCH --uid=0"),
            ("exclude", "n 1"),
            ("setup", "modules.sh"),
        ),
        *(
            ("interface", "ib0 --x"),
            ("time", "tomorrow"),
            ("time", "0"),
            ("memory", "64 G"),
            ("gres", "gpu:"),
        ),
        *(("extra", "--wrap=x"), ("extra", "--export=ALL"), ("extra", "-p x"), ("extra", "--comment=$(x)")),
        *(("extra", "--partition=x"), ("partition", "é"), ("reservation", "--x")),
    ],
)
def test_a_value_that_sbatch_does_not_take_is_refused_in_words(name, value):
    with pytest.raises(ValueError, match=r"(can't|no time).* → .+"):
        launcher.check_together({name: value})


def test_a_notice_that_is_longer_than_the_time_is_refused():
    with pytest.raises(ValueError, match=r"signal 300: .* of 120 in all → give less than 120"):
        launcher.check_together({"time": "2", "signal": 300})


def test_the_notice_follows_from_grace_and_time():
    assert SlurmOptions().notice(120.0) == 180
    assert SlurmOptions(time="4").notice(120.0) == 120
    assert SlurmOptions(signal=30, time="2").notice(120.0) == 30


@pytest.mark.parametrize(
    ("text", "length"),
    [("90", 5400), ("1:30", 90), ("12:00:00", 43200), ("2-00", 172800), ("1-2:3", 93780), ("1-2:3:4", 93784)],
)
def test_times_are_read_as_slurm_reads_them(text, length):
    assert seconds(text) == length


def test_the_declaration_and_the_options_name_the_same():
    declared = {option.name: option.default for option in launcher.options}
    assert declared == {name: getattr(SlurmOptions(), name) for name in SlurmOptions.__dataclass_fields__}
