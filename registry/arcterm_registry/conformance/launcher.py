"""Checks of a launcher, against `contracts.LauncherFactory`. Nothing is submitted."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from arcterm_registry.conformance.findings import Skipped, Warned, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.conformance.tracker import asks_secret
from arcterm_registry.contracts import EngineState, LauncherFactory, Submission

_METHODS = ("check", "describe", "submit", "state", "stop", "logs")
_STATES = ("queued", "running", "ended", "unknown")
_NOBODY = "arcterm-conformance-no-such-id"
_HOSTILE = 'it\'s $(touch x) `touch y`; touch z & "q" > w * #SBATCH -p x \\ é'
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn")


def secrets(subject: Subject) -> str:
    """No option is made for a secret: options are recorded in the run, and in its command."""
    asks = [option.name for option in subject.declaration.options if asks_secret(option)]
    require(
        not asks,
        f"option {', '.join(asks)} asks for a secret, and options are recorded in run.json",
        "read it from an environment variable or a file of the user's",
    )
    return "none of its options is one"


@foundation
def build(subject: Subject) -> str:
    """The factory takes the options and returns something with the methods of a launcher."""
    made = subject.factory()(**subject.settings())
    lacking = [name for name in _METHODS if not callable(getattr(made, name, None))]
    require(not lacking, f"it has no {', '.join(lacking)}", "see arcterm_registry.contracts.LauncherFactory")
    return type(made).__name__


@foundation
def describe(subject: Subject) -> str:
    """A text with every word of the command, the same each time, for which no process is started."""
    with _folder() as folder:
        for given in (_submission(folder), _submission(folder, hosts=4, gpus=8, ranks=8)):
            made = _make(subject)
            with _watched() as started:
                text = made.describe(given)
            require(
                isinstance(text, str) and text.strip(),
                f"it is {type(text).__name__}, not a text",
                "return what would be handed in",
            )
            require(not started, f"it starts a process ({', '.join(started)})", "a plan starts nothing")
            missing = [word for word in given.command if not _stands(word, text)]
            require(
                not missing,
                f"the command's {', '.join(map(repr, missing))} is not in it",
                "hand submission.command in, word by word",
            )
            require(
                _make(subject).describe(given) == text, "it differs from call to call", "leave out the time"
            )
        require(not list(folder.iterdir()), "it writes into the run's directory", "write in submit() only")
    return f"{len(text.splitlines())} lines"


def quoted(subject: Subject) -> str:
    """What is special in a shell, in a name, a path or an option, stays one word of what is handed in."""
    with _folder() as folder:
        place = folder / _HOSTILE
        given = _submission(place, name=_HOSTILE)
        texts = {"": _make(subject).describe(given)}
        free = [o.name for o in subject.declaration.options if o.type is str and not o.choices]
        for option in free:
            with contextlib.suppress(ValueError):  # one that takes only what is harmless
                texts[option] = _make(subject, **{option: _HOSTILE}).describe(given)
    for option, text in texts.items():
        for word in given.command:
            where = f" with option {option}" if option else ""
            require(
                _stands(word, text),
                f"the command's {word!r} is not quoted{where}",
                "quote each word, shlex.quote() in a shell's script, or use a library that writes the format",
            )
        bare = [line for line in text.splitlines() if _is_bare(line)]
        require(not bare, f"{bare[0]!r} has the value as it is" if bare else "", "quote every value")
    return f"in the command and {len(free)} option{'s' * (len(free) != 1)}"


def check(subject: Subject) -> str:
    """It answers with a list of texts, whatever is asked for, and writes nothing."""
    with _folder() as folder:
        found: list[str] = []
        for given in (_submission(folder), _submission(folder, hosts=10_000, gpus=64, ranks=64)):
            found = _make(subject).check(given)
            require(
                isinstance(found, list) and all(isinstance(text, str) for text in found),
                f"it returns {found!r:.100}, not a list of texts",
                'return [] or ["problem → next step"]',
            )
        require(not list(folder.iterdir()), "it writes into the run's directory", "write in submit() only")
    return f"{len(found)} problems with 10,000 hosts"


def state(subject: Subject) -> str:
    """An id that the engine does not have is unknown; none at all is no error."""
    made = _make(subject)
    try:
        found = made.state([_NOBODY, ""])
    except Exception as error:  # noqa: BLE001  whatever a stranger's engine says
        raise Skipped(f"its engine can't be asked here: {' '.join(str(error).split())[:200]}") from None
    require(isinstance(found, Mapping), f"it returns {type(found).__name__}", "return a state for each id")
    for each in (_NOBODY, ""):
        said = found.get(each)
        require(
            isinstance(said, EngineState) and said.state in _STATES,
            f"it says {said!r:.100} of {each!r}",
            "return an EngineState for each id that is given",
        )
        require(
            said is not None and said.state == "unknown",
            f"it says that {each!r}, which nobody submitted, is {said.state if said else None}",
            'return EngineState(state="unknown")',
        )
    require(not made.state([]), "it has states of no ids", "return an empty mapping")
    return "unknown"


def logs(subject: Subject) -> str:
    """An id that the engine does not have has no logs."""
    try:
        found = _make(subject).logs(_NOBODY)
    except Exception as error:  # noqa: BLE001  whatever a stranger's engine says
        raise Skipped(f"its engine can't be asked here: {' '.join(str(error).split())[:200]}") from None
    require(isinstance(found, list) and not found, f"it returns {found!r:.100}", "return []")
    return "none"


def options(subject: Subject) -> str:
    """It describes a submission at each option's choices and bounds."""
    tried = 0
    with _folder() as folder:
        for change in subject.variations():
            text = _make(subject, **change).describe(_submission(folder))
            require(
                isinstance(text, str) and text.strip(), f"{change} gives no text", "describe it all the same"
            )
            tried += 1
    if not tried:
        raise Skipped("it has no option with choices or bounds")
    return f"{tried} values"


def scale(subject: Subject) -> str:
    """Several hosts are described otherwise than one; one that can't have them says so in `check`."""
    with _folder() as folder:
        one, two = _submission(folder), _submission(folder, hosts=2)
        made = _make(subject)
        if made.describe(one) == made.describe(two) and not made.check(two):
            raise Warned("it describes two hosts as it does one → start the command once on each host")
    return "hosts are heeded"


def _make(subject: Subject, **changed: Any) -> LauncherFactory:
    return cast(LauncherFactory, subject.factory()(**subject.settings(**changed)))


def _submission(
    folder: Path, *, name: str = "mine", hosts: int = 1, gpus: int = 0, ranks: int = 1
) -> Submission:
    return Submission(
        run="20260101T000000Z-tiny-arcface-0000",
        name=name,
        folder=folder,
        command=[sys.executable, "-m", "arcterm.processes.host", str(folder)],
        hosts=hosts,
        ranks=ranks,
        gpus=gpus,
        threads=2,
        grace=30.0,
    )


def _stands(word: str, text: str) -> bool:
    """Whether a word of a command is in a text: as a shell, JSON or YAML reads it as that one word."""
    if shlex.quote(word) == word:
        return word in text
    single = "'" + word.replace("'", "''") + "'"
    forms = [shlex.quote(word), json.dumps(word), json.dumps(word, ensure_ascii=False), single]
    forms += [json.dumps(shlex.quote(word))[1:-1], shlex.quote(shlex.quote(word))]
    # a library that writes YAML breaks long lines where a blank is
    flat = " ".join(text.split())
    return any(form in text or " ".join(form.split()) in flat for form in forms)


def _is_bare(line: str) -> bool:
    """Whether a line of a script has the hostile value with nothing around it that quotes it."""
    before, found, _ = line.partition(_HOSTILE)
    return bool(found) and not before.rstrip().endswith(("'", '"'))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="arcterm-launcher-") as name:
        yield Path(name)


_watching: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _STARTS:
        _watching[-1].append(event)


@contextlib.contextmanager
def _watched() -> Iterator[list[str]]:
    """Give a list of the processes that are started meanwhile, by the name of the call."""
    if not _hooked:
        sys.addaudithook(_hear)  # there is no taking it away again
        _hooked.append(True)
    started: list[str] = []
    _watching.append(started)
    try:
        yield started
    finally:
        _watching.pop()


_hooked: list[bool] = []

CHECKS = (secrets, build, describe, quoted, check, state, logs, options, scale)
