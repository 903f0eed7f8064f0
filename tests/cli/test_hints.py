"""Advice that can be followed: every command in a message parses, every option named is the command's own."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from arcterm import scaffold
from arcterm.cli import app

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("arcterm", "registry")
COMMAND = re.compile(r"`(arcterm(?: [^`]*)?)`")
OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]+(?![\w-])")


class Text:
    """A text of the source: where it stands, and its words with the number 7 where a value comes in."""

    def __init__(self, path: Path, node: ast.expr, text: str) -> None:
        self.path = path.relative_to(ROOT)
        self.where = f"{self.path}:{node.lineno}"
        self.text = text


def texts() -> list[Text]:
    """Every text in the source that isn't a docstring, joined where it is written in parts."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [Text(path, node, text) for node, text in _texts(tree)]
    return found


def _texts(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        if isinstance(child, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "7" for p in child.values]
            yield child, "".join(map(str, parts))
            continue
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child, child.value
        yield from _texts(child)


def parsed(command: str) -> str:
    """The command's name; raises what `typer` raises where it can't be parsed."""
    words = shlex.split(command)[1:]
    context = typer.main.get_command(app.build(words)).make_context("arcterm", list(words))
    while getattr(context.command, "commands", None) and context._protected_args:
        name, found, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = found.make_context(name, rest, parent=context)
    return context.info_name


def test_every_command_that_a_message_gives_can_be_given():
    given = [(text.where, command) for text in texts() for command in COMMAND.findall(text.text)]
    assert len(given) > 50
    for where, command in given:
        try:
            parsed(command)
        except app.USAGE as error:
            pytest.fail(f"{where}: {command}: {error}")


def test_a_command_that_lacks_something_would_be_noticed():
    for wrong in ("arcterm data check", "arcterm trian r50 x", "arcterm train r50 x --resize", "arcterm rm"):
        with pytest.raises(app.USAGE):
            parsed(wrong)


def options_of(*words: str) -> set[str]:
    """The long options of a command."""
    context = typer.main.get_command(app.build(words)).make_context("arcterm", ["-"], resilient_parsing=True)
    command = context.command
    for word in words:
        command = command.get_command(context, word)
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


TRAIN, RUNS = [("train",)], [("train",), ("verify",), ("data", "check")]
WHERE = {
    "arcterm/config": TRAIN,
    "arcterm/overrides.py": TRAIN,
    "arcterm/data/make/bin.py": [("data", "bin")],
    "arcterm/data/check/check.py": [("data", "check")],
    "arcterm/data/reshape/extract.py": [("data", "extract")],
    "arcterm/align": [("align",), ("data", "pack"), ("data", "bin")],
    "arcterm/jobs": [("align",), ("data", "pack"), ("data", "bin")],
    "arcterm/detectors": [("align",)],
    "arcterm/data/make/imagefiles.py": [("data", "pack")],
    "arcterm/data/make/pack.py": [("data", "pack")],
    "arcterm/data/reshape/packs.py": [("data", "split")],
    "arcterm/data/check/survey.py": [("data", "check")],
    "arcterm/datasets": TRAIN,
    "arcterm/evaluate": [("identify",)],
    "arcterm/evaluate/tinyface.py": [("evaluate", "tinyface")],
    "arcterm/formats/ijb": [("evaluate", "ijb")],
    "arcterm/export/embedding.py": [("embed",), ("compare",)],
    "arcterm/export/others": [("model", "import"), ("verify",)],
    "arcterm/export/verbs.py": [("model", "import"), ("model", "export")],
    "arcterm/export/writers.py": [("model", "export")],
    "arcterm/formats/pairs/pairing.py": [("data", "pack"), ("data", "bin")],
    "arcterm/gpus.py": TRAIN,
    "arcterm/inputs/preprocess.py": [("model", "import"), ("verify",)],
    "arcterm/launch/meant.py": [("verify",)],
    "arcterm/launch/start.py": [("stop",), ("train",)],
    "arcterm/launch/verification.py": [("verify",)],
    "arcterm/launch": TRAIN,
    "arcterm/launch/resume": [("resume",)],
    "arcterm/launch/mxnetfiles.py": [("train",), ("train-softmax",)],
    "arcterm/launch/script2018": [("train-softmax",)],
    "arcterm/export/mxnetgraph.py": TRAIN,
    "arcterm/megaface": [("megaface", "export"), ("megaface", "clean"), ("megaface", "score")],
    "arcterm/neighbours.py": TRAIN,
    "arcterm/processes/hosts": [("train",), ("resume",)],
    "arcterm/runs/store.py": RUNS,
    "arcterm/report": [("report",)],
    "arcterm/schedules": TRAIN,
    "arcterm/settings.py": TRAIN,
    "arcterm/trackers": TRAIN,
    "registry/arcterm_registry/conformance": [("plugins", "check")],
    "arcterm/launch/scaling": [("plan",)],
    "arcterm/show/album.py": [("data", "show")],
    "arcterm/show/plots.py": [("chart",)],
    "arcterm/web": [("serve",)],
    "arcterm/cli/conformance.py": [("plugins", "check")],
    "arcterm/cli/model.py": [("model", "import"), ("model", "export"), ("embed",)],
    "arcterm/cli/mistakes.py": TRAIN,
    "arcterm/cli/show_data.py": [("data", "show"), ("data", "findings")],
    "arcterm/cli/trial.py": [("embed",)],
}
"""The commands in which the messages of a module come up, of which at least one has the option."""

RUNNING = (
    "arcterm/train",
    "arcterm/runs/diagnosis/causes.py",
    "arcterm/runs/advice.py",
    "arcterm/runs/diagnosis/alerts.py",
    "arcterm/launch/devices.py",
)
"""Modules whose messages come up in a run: they name options of a resume, or of a new run."""

NO_ADVICE = (
    "arcterm/processes/agent.py",
    "arcterm/cli/app.py",
    "arcterm/pictures/page.py",
    "arcterm/scaffold",
)
NO_OPTIONS = re.compile(r"^--[a-z-]+(=.*)?$|^ --path DIR$|^--set$")
OTHERS = {"--shm-size", "--ipc", "--no-deps", "--upgrade"}  # of docker, of pip
OTHERS |= {"--mail-type", "--licenses", "--me"}  # of sbatch and squeue


def test_every_option_that_a_message_names_is_one_of_the_commands_where_it_comes_up():
    wrong = []
    for text in texts():
        named = set(OPTION.findall(COMMAND.sub("", text.text))) - OTHERS
        where = str(text.path)
        if not named or NO_OPTIONS.match(text.text) or where.startswith(NO_ADVICE):
            continue
        if where.startswith(RUNNING):
            anew = re.search("new (run|training)|anew", text.text)
            known = options_of("train") if anew else options_of("resume")
        else:
            place = max((w for w in WHERE if where.startswith(w)), key=len, default=None)
            if place is None:
                if not where.startswith(("arcterm/cli", "arcterm/console")):
                    wrong.append(f"{text.where}: {text.text}: nobody says where this comes up")
                continue
            known = {name for words in WHERE[place] for name in options_of(*words)}
        wrong += [f"{text.where}: {name} in {text.text}" for name in named - known]
    assert not wrong, "\n".join(wrong)


def test_the_tables_name_what_is_there():
    assert [place for place in (*WHERE, *RUNNING, *NO_ADVICE) if not (ROOT / place).exists()] == []


def test_the_next_commands_of_a_new_plugin_can_be_given():
    for kind in scaffold.GROUPS:
        given = scaffold.next_commands(kind, "mine", Path("there"))
        ours = [command for command in given if command.startswith("arcterm")]
        assert ours
        for command in ours:
            assert parsed(command)


def test_the_commands_of_the_documentation_can_be_given():
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.split(r"\s{2,}|#", line.strip().removeprefix("$ "))[0].strip()
                if re.match(r"arcterm [a-z]", command) and not re.search(r"…|\.\.\.|  [A-Z]", line):
                    found.append(command)
                    assert parsed(re.split(r" [|&>;]", command)[0]), (page.name, command)
    assert len(found) > 8
