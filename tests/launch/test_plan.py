"""From what was asked for to a complete config."""

from __future__ import annotations

import importlib
import re
import shlex

import numpy as np
import pytest
from arcterm_registry import PluginError
from arcterm_registry.contracts import DatasetFacts

from arcterm.commandline import training as command
from arcterm.errors import ArctermError, ConfigError, DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.inputs import sources
from arcterm.launch.estimate import grouping
from arcterm.launch.plan import make_plan
from arcterm.overrides import merge, parse_assignments, read_settings
from arcterm.schedules.rate import warm_steps
from arcterm.text import duration

DATA = """
from arcterm_registry import Dataset, Option
data = Dataset(
    summary="counts", factory="counted:make", inspect="counted:inspect", takes_path=False,
    options=(Option(name="images", type=int, default=1000, low=1, help="how many"),
             Option(name="classes", type=int, default=10, low=1, help="people")),
)
def inspect(images, classes):
    from arcterm_registry.contracts import DatasetFacts
    return DatasetFacts(images=images, classes=classes, image_size=(112, 112), fingerprint="f",
                        verification={"lfw": 6000})
def make(**options): raise RuntimeError("not here")
"""


@pytest.fixture(autouse=True)
def counted(distribution, monkeypatch):
    distribution("counted", entry_points="[arcterm.datasets]\ncounted = counted:data\n", counted=DATA)
    monkeypatch.setattr("arcterm.launch.devices.gpus.select", lambda wanted: wanted)
    monkeypatch.setattr("arcterm.launch.devices.torch_has_cuda", lambda: True)
    monkeypatch.setattr("arcterm.launch.devices.cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("arcterm.launch.estimate.seconds.cores", lambda: 4)


def ask(**settings):
    return make_plan({"backbone": "tiny", "loss": "arcface", "dataset": "counted", **settings})


def test_defaults_are_worked_out_and_said():
    made = ask()
    config = made.config
    assert (config.device, config.nproc, config.batch_size, config.threads) == ("cpu", 1, 32, 4)
    assert (config.epochs, config.steps) == (20, 20 * (1000 // 32))
    assert config.lr == 0.02
    assert config.loss_options["margin"] == 0.5
    said = "\n".join(made.notes)
    for words in (
        "1,000 images of 10 people",
        "lfw (6000 pairs)",
        "32 × 1 CPU rank = 32",
        "620 steps",
        "lr        0.02",
    ):
        assert words in said


def test_a_batch_in_parts_is_planned_as_a_whole():
    made = ask(batch_size=10, nproc=2, accumulate=4)
    config = made.config
    assert (config.share, config.micro_batch, config.global_batch) == (40, 20, 80)
    assert (config.epochs, config.steps, config.lr) == (20, 20 * (1000 // 80), 0.02)
    assert "batch     10 × 2 CPU ranks × 4 passes = 80 images a step" in made.notes
    assert "--set accumulate=4" in config.command
    assert ask(batch_size=300, accumulate=2).config.lr == pytest.approx(0.1 * 600 / 1024)


def test_gpus_change_the_defaults():
    config = ask(gpus="0,2,3", dataset_options={"images": 5000}).config
    assert (config.device, config.nproc, config.gpus, config.batch_size) == ("cuda", 3, [0, 2, 3], 128)
    assert config.lr == pytest.approx(0.1 * 384 / 1024)
    assert config.loader_threads == 0
    assert any(line.endswith("decoding threads a rank, by the cores") for line in ask(gpus="0").notes)
    assert ask(gpus="0-3", nproc=2, dataset_options={"images": 5000}).config.gpus == [0, 1]


def test_steps_and_epochs():
    config = ask(steps=100).config
    assert (config.steps, config.epochs) == (100, 4)
    assert ask(epochs=3).config.steps == 93
    with pytest.raises(ConfigError, match="both --epochs and --steps"):
        merge({"epochs": 1, "steps": 2})


def test_times_are_steps_or_epochs(tmp_path):
    given = parse_assignments(
        ["warmup=2e", "schedule=multistep", "milestones=300,15.5e", "checkpoint_every=0.1e"]
    )
    made = ask(**given, verify_every="0.5e")  # 31 steps an epoch, 20 epochs
    config = made.config
    assert (config.verify_every, config.checkpoint_every, config.milestones) == (16, 3, [300, 15 * 31 + 16])
    assert warm_steps(config) == 62
    said = "\n".join(made.notes)
    assert "every 16 steps (0.5e) and at the end" in said
    assert "× 0.1 at 300, 481 (300,15.5e), warm-up 62 steps (2e)" in said
    # the command and the form ask for epochs again, and so a file may
    assert shlex.split(config.command)[4:] == shlex.split(made_again(config))[4:]
    assert "--verify-every 0.5e" in config.command
    assert config.form[1]["milestones"] == "300,15.5e"
    path = tmp_path / "run.toml"
    path.write_text(
        'warmup = "2e"\nmilestones = [300, "15.5e"]\nverify_every = "0.5e"\nschedule = "multistep"\n'
    )
    assert ask(**read_settings(path), checkpoint_every="0.1e").config == config
    steps = ask(warmup=50.0).config
    assert (warm_steps(steps), steps.durations) == (50, {"warmup": "50"})
    assert ask().config.durations == {}


def test_balanced_sampling_is_said_and_refused_where_the_loss_chooses():
    assert "32 images a step; each person equally often" in "\n".join(ask(sampling="balanced").notes)
    with pytest.raises(ConfigError, match="loss triplet chooses the images of a step itself"):
        ask(loss="triplet", sampling="balanced")


def made_again(config):
    return make_plan(config.settings()).config.command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("verify_every=0", "steps, e.g. 2000, or epochs, e.g. 0.5e, above 0, not 0"),
        ("verify_every=0e", "above 0, not '0e'"),
        ("checkpoint_every=1.5", "not '1.5'"),
        ("checkpoint_every=3 epochs", "not '3 epochs'"),
        ("warmup=1.5", "a share of the steps below 1, e.g. 0.1, steps, e.g. 2000, or epochs"),
        ("warmup=-1e", "warmup is"),
        ("warmup=20e", "a warm-up of 620 steps leaves none of the run's 620"),
        ("milestones=5e,1e", "do not rise"),
        ("milestones=5e,x", "'x' is not a list of numbers"),
    ],
)
def test_what_is_no_time_is_refused(text, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        ask(schedule="multistep", **parse_assignments([text]))


def test_later_layers_win_and_options_are_merged():
    file = {"epochs": 3, "lr": 0.5, "loss_options": {"margin": 0.3, "scale": 32.0}}
    merged = merge(file, parse_assignments(["loss.margin=0.2", "weight_decay=0"]), {"steps": 10})
    assert "epochs" not in merged
    assert merged["loss_options"] == {"margin": "0.2", "scale": 32.0}
    config = make_plan({"backbone": "tiny", "loss": "cosface", "dataset": "counted", **merged}).config
    assert (config.loss_options["margin"], config.loss_options["scale"], config.weight_decay) == (
        0.2,
        32.0,
        0.0,
    )


def test_a_toml_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'backbone = "tiny"\nloss = "cosface"\nlr = 1\nmilestones = [5, 9]\n[loss_options]\nmargin = 0.1\n'
    )
    settings = read_settings(path)
    assert settings["lr"] == 1.0
    config = make_plan({**settings, "dataset": "counted", "schedule": "multistep"}).config
    assert (config.milestones, config.loss_options["margin"]) == ([5, 9], 0.1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr = ", "is not TOML"),
        ("lrr = 1", "no setting 'lrr'"),
        ("lr = 'x'", "lr is a number"),
        ("loss_options = 1", "table"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, said):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        read_settings(path)
    assert "run.toml" in str(error.value) or "lr" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"backbone": "r5"}, PluginError, "did you mean r50"),
        ({"loss": "archface"}, PluginError, "did you mean arcface"),
        ({"dataset": "ms1m"}, PluginError, "there is no dataset 'ms1m'"),
        ({"dataset": "/no/such/place"}, DataError, "is not a directory"),
        ({"backbone": None}, ConfigError, "no backbone is chosen"),
        ({"loss_options": {"margin": 3.5}}, ConfigError, "0 ≤ margin < 1.57"),
        ({"loss_options": {"margin": "wide"}}, ConfigError, "margin is a number"),
        ({"loss_options": {"margn": 0.1}}, ConfigError, "did you mean margin"),
        ({"loss": "softmax", "loss_options": {"margin": 0.1}}, ConfigError, "has no option 'margin'"),
        ({"batch_size": 1001}, ConfigError, "lower --batch-size"),
        ({"nproc": 11, "batch_size": 1}, ConfigError, "lower --nproc to 10"),
        ({"nproc": 500}, ConfigError, "change --nproc"),
        ({"gpus": "0", "nproc": 2}, ConfigError, "one rank a GPU"),
        ({"gpus": "zero"}, ConfigError, "--gpus 'zero' is not a list"),
        ({"gpus": "3-1"}, ConfigError, "--gpus '3-1' is not a list"),
        ({"gpus": "0-9999999"}, ConfigError, "--gpus '0-9999999' names too many"),
        ({"lr": -1.0}, ConfigError, "change --lr"),
        ({"dataset_options": {"classes": 1}}, ConfigError, "2 people or more"),
        ({"schedule": "multistep", "milestones": "9,5"}, ConfigError, "rising order"),
        (
            {"batch_size": 300, "accumulate": 4},
            ConfigError,
            "(or --nproc, --set accumulate)",
        ),
        ({"accumulate": 0}, ConfigError, "1 ≤ accumulate"),
        ({"loss": "triplet", "accumulate": 2}, ConfigError, "loss triplet compares the images of a step"),
    ],
)
def test_what_can_not_be_is_one_clear_error(settings, error, said):
    with pytest.raises(error) as raised:
        ask(**settings)
    assert said in str(raised.value)
    assert "\n  → " in str(raised.value)


@pytest.mark.parametrize("text", ["nonsense", "weight_decay", "weight_dcay=1", "loss.=", "keep_last=1"])
def test_bad_assignments(text):
    with pytest.raises(ArctermError):
        ask(**parse_assignments([text]))


def test_a_dataset_that_raises_is_named(distribution):
    distribution(
        "faulty",
        entry_points="[arcterm.datasets]\nfaulty = faulty:data\n",
        faulty=DATA.replace("counted", "faulty").replace(
            "return Datas", "raise OSError('gone')\n    return Datas"
        ),
    )
    with pytest.raises(DataError, match="dataset 'faulty' can't be read: OSError: gone"):
        ask(dataset="faulty")


def test_what_takes_long_says_so_with_the_faster_choice(monkeypatch):
    monkeypatch.setattr("arcterm.launch.estimate.seconds._cpu_flops", lambda: 60e9)
    long = ask(backbone="r50", dataset_options={"images": 100_000})
    assert "this will take about" in long.warning
    assert "--steps" in long.warning
    assert "arcterm train tiny" in long.warning
    assert ask(steps=1).warning == ""


def test_the_command_asks_for_the_same():
    settings = {
        "backbone": "tiny",
        "loss": "cosface",
        "dataset": "counted",
        "lr": 0.05,
        "steps": 7,
        "nproc": 2,
        "mirror": 0.25,
        "weight_decay": 0.0,
        "loss_options": {"margin": 0.25},
        "dataset_options": {"images": 64},
    }
    words = shlex.split(command(settings))
    assert words[:4] == ["arcterm", "train", "tiny", "cosface"]
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    again = {
        "backbone": "tiny",
        "loss": "cosface",
        "dataset": words[words.index("--dataset") + 1],
        "lr": float(words[words.index("--lr") + 1]),
        "steps": int(words[words.index("--steps") + 1]),
        "nproc": int(words[words.index("--nproc") + 1]),
        "loss_options": {"margin": float(words[words.index("--margin") + 1])},
    }
    assert make_plan(merge(parse_assignments(sets), again)).config == make_plan(settings).config


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (600, "10 min"), (12_000, "3 h 20 min"), (400_000, "5 days")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_pack_with_a_missing_file_says_which(tmp_path):
    (tmp_path / "train.rec").write_bytes(b"")
    with pytest.raises(DataError, match=r"looks like a recordio data set but has no train\.idx"):
        sources.find(str(tmp_path), {})


def triplet(batch_size=None, nproc=1, **options):
    settings = {} if batch_size is None else {"batch_size": batch_size}
    return ask(loss="triplet", nproc=nproc, **settings, loss_options=options)


def test_a_loss_over_triplets_gets_a_batch_that_can_be_split():
    made = triplet()
    assert made.config.batch_size == 30
    assert any("10 triplets" in note for note in made.notes)
    large = ask(loss="triplet", gpus="0,1", dataset_options={"images": 9000}).config
    assert (large.batch_size, large.global_batch) == (126, 252)
    assert triplet(33, 2).config.global_batch == 66


def test_a_loss_over_people_gets_a_batch_of_whole_people():
    made = triplet(mining="batch-hard")
    assert made.config.batch_size == 30
    assert any("5 each of 6 people" in note for note in made.notes)
    assert triplet(mining="batch-hard", images_per_identity=40).config.batch_size == 80
    assert triplet(nproc=2, mining="batch-hard", images_per_identity=6).config.batch_size == 30
    assert triplet(nproc=4, batch_size=5, mining="batch-hard", images_per_identity=10).config.batch_size == 5


@pytest.mark.parametrize(
    ("batch_size", "nproc", "options", "said"),
    [
        (32, 1, {}, "change --batch-size: 30 or 33 works"),
        (20, 3, {}, "a rank's batch of 20 images can't be split"),
        (1, 1, {}, "--batch-size: 3 works"),
        (32, 1, {"mining": "batch-hard"}, "change --batch-size: 30 or 35 works"),
        (5, 1, {"mining": "batch-hard"}, "change --batch-size: 10 works"),
        (7, 2, {"mining": "batch-hard", "images_per_identity": 4}, "7 × 2 = 14 images are not 4 each"),
        (7, 2, {"mining": "batch-hard", "images_per_identity": 4}, "change --batch-size: 6 or 8 works"),
        (60, 1, {"mining": "batch-hard"}, "takes 12 people and the data set has 10"),
        (60, 2, {"bag": 90}, "raise --set loss.bag to 120"),
    ],
)
def test_a_batch_that_can_not_be_shared_out_is_refused(batch_size, nproc, options, said):
    with pytest.raises(ConfigError) as raised:
        triplet(batch_size, nproc, **options)
    assert said in str(raised.value)


def test_a_loss_that_does_not_say_how_it_is_fed_is_refused(distribution):
    source = "from arcterm_registry import Loss\nl = Loss(summary='x', factory='mute:l', form='tuples')\n"
    distribution("mute", entry_points="[arcterm.losses]\nmute = mute:l\n", mute=source)
    with pytest.raises(PluginError, match="does not say how they are chosen"):
        ask(loss="mute")
    broken = source.replace("form=", "feeding='nowhere:f', form=").replace("mute", "broken")
    distribution("broken", entry_points="[arcterm.losses]\nbroken = broken:l\n", broken=broken)
    with pytest.raises(PluginError, match="can't say how its images are chosen: ModuleNotFoundError"):
        ask(loss="broken")


def test_decoded_images_need_memory_that_is_free(monkeypatch):
    assert "cache     1,000 of 1,000 images kept decoded, 35 MiB" in ask(decoded_cache=100).notes
    assert "cache     278 of 1,000 images kept decoded, 9 MiB" in ask(decoded_cache=10).notes
    assert not any("decoded" in note for note in ask().notes)
    monkeypatch.setattr("arcterm.launch.estimate.room.host_memory", lambda: 20 << 20)
    with pytest.raises(ConfigError, match="1,000 decoded images take 35 MiB and 20 are free") as error:
        ask(decoded_cache=100)
    assert "decoded_cache=15" in error.value.hint


def test_a_verification_set_too_small_for_the_folds_is_set_aside(monkeypatch):
    sets = {"mine": 10, "few": 9}
    told = DatasetFacts(
        images=100, classes=5, image_size=(112, 112), fingerprint="f", verification=sets, set_aside={}
    )
    monkeypatch.setattr(sources.DataSource, "inspect", lambda *_: told)
    made = ask()
    assert (dict(made.facts.verification), list(made.facts.set_aside)) == ({"mine": 10}, ["few"])
    assert any("few is set aside" in n and "9 pairs, fewer than the 10 folds" in n for n in made.notes)


SETS = """
from arcterm_registry import Dataset
data = Dataset(summary="sets", factory="setful:make", inspect="setful:inspect", takes_path=False)
def inspect():
    from arcterm_registry.contracts import DatasetFacts
    return DatasetFacts(images=100, classes=5, image_size=(112, 112), fingerprint="f",
                        verification={"good": 10, "small": 10, "odd": 10, "raises": 10, "alike": 10})
class Sets(dict):
    def __getitem__(self, name):
        if name == "raises":
            raise OSError("gone")
        return super().__getitem__(name)
def make():
    import numpy as np
    from types import SimpleNamespace
    def pairs(*shape, images=20, same=(True, False) * 5):
        return SimpleNamespace(images=[np.zeros(shape, np.uint8)] * images, same=np.array(same))
    sets = Sets(good=pairs(112, 112, 3), small=pairs(96, 112, 3), odd=pairs(112, 112, images=7), raises=None,
                alike=pairs(112, 112, 3, same=[False] * 10))
    return SimpleNamespace(verification=sets)
"""


def test_a_plug_ins_sets_are_decoded_before_the_launch(distribution, monkeypatch):
    distribution("setful", entry_points="[arcterm.datasets]\nsetful = setful:data\n", setful=SETS)
    made = ask(dataset="setful")
    assert dict(made.facts.verification) == {"good": 10, "alike": 10}
    assert made.facts.set_aside == {
        "small": "small.bin image 0: the image is 112×96, not 112×112",
        "odd": "it has 7 images for 10 pairs",
        "raises": "OSError: gone",
    }
    monkeypatch.setattr("arcterm.formats.pairs.usable.decode", None)  # a form asks again and again
    assert ask(dataset="setful").facts == made.facts
    assert sum("is set aside, the run goes on without it" in note for note in made.notes) == 3
    assert any("set alike has only pairs of two people" in note for note in made.notes)


def test_sets_that_can_not_be_looked_at_are_said():
    assert any(
        "weren't looked at: dataset 'counted' can't be read: RuntimeError: not here" in note
        for note in ask().notes
    )


def outside(path, pairs):
    image = encode_jpeg(np.zeros((112, 112, 3), np.uint8))
    write_pairs(path, [image] * 2 * pairs, [n % 2 == 0 for n in range(pairs)])
    return path


def test_verification_sets_are_chosen_by_name_and_taken_from_elsewhere(tmp_path, monkeypatch):
    whole = outside(tmp_path / "mine.bin", 12)
    monkeypatch.setattr("arcterm.launch.sets.inspect", lambda source, progress: source.inspect())
    made = ask(verify_sets=f"lfw, {whole}")
    assert dict(made.facts.verification) == {"lfw": 6000, "mine": 12}
    monkeypatch.chdir(tmp_path)
    alone = ask(verify_sets="mine.bin")
    assert dict(alone.facts.verification) == {"mine": 12}
    assert alone.config.verify_sets == str(whole)
    assert "mine (12 pairs)" in "\n".join(alone.notes)


def test_a_chosen_set_that_cannot_be_used_is_set_aside_and_an_unknown_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("arcterm.launch.sets.inspect", lambda source, progress: source.inspect())
    few = outside(tmp_path / "few.bin", 3)
    (tmp_path / "odd.bin").write_bytes(b"no pickle")
    facts = ask(verify_sets=f"lfw,{few},{tmp_path / 'odd.bin'}").facts
    assert dict(facts.verification) == {"lfw": 6000}
    assert "3 pairs, fewer than the 10 folds" in facts.set_aside["few"]
    assert "odd.bin" in facts.set_aside["odd"]
    with pytest.raises(ConfigError, match="no verification set 'agedb'; it has: lfw"):
        ask(verify_sets="agedb")


def test_groups_of_parameters_have_a_line():
    assert not [note for note in ask().notes if note.startswith("groups")]
    quick = ask(decay_on="no-norms", freeze="stem, head", bn_momentum=0.2).notes
    assert (
        "groups    decay 0.0005, no-norms; stem frozen; class weights frozen; batch norms' momentum 0.2"
        in quick
    )
    own = ask(head_lr_factor=10, head_decay=0).notes
    assert "groups    class weights with decay 0, 10 × the rate" in own


class InProcess:
    """Answers as the process for a verb does, in this one."""

    def __init__(self, module, verb):
        self.answer = importlib.import_module(module).VERBS[verb]

    def ask(self, request):
        return self.answer(request, lambda *counts: None)


@pytest.mark.long
def test_the_groups_of_a_backbone_are_counted_and_its_parts_known(monkeypatch):
    monkeypatch.setattr(grouping, "Child", InProcess)
    asked = {"backbone": "tiny", "loss": "arcface", "dataset": "counted", "decay_on": "no-vectors"}
    counted = next(n for n in make_plan(asked, look="tight").notes if n.startswith("groups"))
    assert re.fullmatch(r"groups    backbone \S+( M)? with decay 0.0005, \S+ with no decay", counted)
    with pytest.raises(ConfigError, match="backbone 'tiny' has no part 'stage9' to freeze"):
        make_plan({**asked, "freeze": "stage9"}, look="tight")


@pytest.mark.parametrize("given", [{"head_lr_factor": 2}, {"head_decay": 0.1}, {"freeze": "head"}])
def test_settings_of_class_weights_are_refused_where_there_are_none(given):
    with pytest.raises(ConfigError, match="compares no classes"):
        ask(loss="triplet", **given)
