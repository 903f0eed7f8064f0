"""``arcterm model``, ``embed`` and ``compare``: what they print and leave, and what they refuse."""

from __future__ import annotations

import io
import json

import cv2
import msgspec
import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.export import model
from arcterm.export.verbs import VERBS
from arcterm.formats import modelfile
from arcterm.formats.modelfile import ModelFacts, SetScore

from ..inprocess import in_process

pytestmark = pytest.mark.long

FACTS = ModelFacts(
    backbone="tiny",
    options={"embedding_size": 64, "dropout": 0.4},
    embedding_size=64,
    source="first/step-0000000100",
    step=100,
    scores=[SetScore(set="lfw", pairs=60, accuracy=0.9, std=0.1, threshold=1.5, tar=0.5, far_threshold=0.5)],
)


SAFE = ("--format", "safetensors")
READING = "reading {}; PyTorch takes a few seconds to start\n"
EMBEDDING = "embedding 2 images with ours.safetensors; PyTorch takes a few seconds to start\n"


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder; the process is played here."""

    def ask(verb, request, progress=None):
        return json.loads(json.dumps(VERBS[verb](json.loads(json.dumps(request)), progress)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    monkeypatch.setattr("arcterm.processes.child.ask", ask)

    call = in_process(monkeypatch, capsys)

    def run(*words: str) -> tuple[int, str, str]:
        told = call(*words)
        assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
        return told

    return run


def network(seed=0):
    torch.manual_seed(seed)
    return get("backbone", "tiny").make(embedding_size=64).eval()


@pytest.fixture
def ours(tmp_path):
    """ours.safetensors, a model file."""
    model.save(model.Model(FACTS, network()), tmp_path / "ours.safetensors")


@pytest.fixture
def theirs(tmp_path):
    """theirs.v2.pth, another program's, with 3 class weights."""
    torch.save(dict(network().state_dict()) | {"head.weight": torch.ones(3, 64)}, tmp_path / "theirs.v2.pth")


@pytest.fixture
def pictures(tmp_path):
    """a.png and b.png to embed, wide.png of another size and note.png, which is no image."""
    for seed, (name, size) in enumerate({"a": (112, 112), "b": (112, 112), "wide": (60, 80)}.items()):
        noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), noise)
    (tmp_path / "note.png").write_text("not a picture")


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_import(arcterm, theirs, tmp_path):
    code, out, err = arcterm("model", "import", "theirs.v2.pth")
    assert (code, out) == (0, f"{tmp_path}/theirs.v2.safetensors\n")
    for said in (
        "tiny embedding_size=64 dropout=0.4",
        "330,080",
        "RGB 112×112, (image - 127.5) / 127.5",
        "none",
    ):
        assert said in err
    facts = modelfile.read_facts(tmp_path / "theirs.v2.safetensors")
    assert (facts.source, facts.scale, facts.classes) == ("theirs.v2.pth", 1 / 127.5, 0)

    code, out, err = arcterm("model", "import", "theirs.v2.pth")
    assert code == 3
    assert "theirs.v2.safetensors exists" in err

    words = ("--force", "--head", "keep", "--mean", "127", "--scale", "0.01", "--json")
    known = ("--backbone", "tiny", "--set", "dropout=0.1")
    code, out, err = arcterm("model", "import", "theirs.v2.pth", *words, *known)
    told = json.loads(out)
    assert (code, err, told["path"]) == (
        0,
        READING.format("theirs.v2.pth"),
        f"{tmp_path}/theirs.v2.safetensors",
    )
    assert (told["facts"]["classes"], told["facts"]["mean"], told["facts"]["scale"]) == (3, 127.0, 0.01)
    assert told["facts"]["options"]["dropout"] == 0.1
    assert msgspec.convert(told["facts"], ModelFacts) == modelfile.read_facts(
        tmp_path / "theirs.v2.safetensors"
    )
    assert left(tmp_path) == ["theirs.v2.pth", "theirs.v2.safetensors"]


def test_show(arcterm, ours, theirs):
    code, out, err = arcterm("model", "show", "ours.safetensors")
    assert (code, err) == (0, READING.format("ours.safetensors"))
    for said in (
        "tiny embedding_size=64",
        "(image - 127.5) / 128",
        "first/step-0000000100",
        "0.9000 ± 0.1000",
    ):
        assert said in out
    code, out, err = arcterm("model", "show", "ours.safetensors", "--json")
    assert msgspec.convert(json.loads(out)["facts"], ModelFacts) == FACTS
    code, out, err = arcterm("model", "show", "theirs.v2.pth")
    assert code == 0
    assert "class weights  3" in out


@pytest.mark.parametrize("words", [("--format", "torchscript"), ("--format", "safetensors")])
def test_export(arcterm, ours, tmp_path, words):
    source = ("model", "export", "ours.safetensors", *words)
    target = tmp_path / "new.ts" if "torchscript" in words else tmp_path / "new.safetensors"
    code, out, err = arcterm(*source, "-o", target.name)
    assert (code, out) == (0, f"{target}\n")
    assert "batch 1: " in err
    assert "batch 7: " in err
    assert left(tmp_path) == [target.name, f"{target.name}.md", "ours.safetensors"]
    assert "Backbone `tiny`" in (tmp_path / f"{target.name}.md").read_text()
    code, out, err = arcterm(*source, "-o", target.name)
    assert code == 3
    assert f"{target.name} exists" in err
    code, out, err = arcterm(
        "model", "export", "ours.safetensors", *words, "-o", target.name, "--force", "--json"
    )
    assert set(json.loads(out)["differences"]) == {"1", "7"}


def test_an_export_that_fails_leaves_what_was_there(arcterm, ours, tmp_path, monkeypatch):
    from arcterm.errors import ArctermError

    def refuse(*_):
        raise ArctermError("the file's embeddings are 1.0e-03 away")

    (tmp_path / "ours.ts").write_text("old")
    (tmp_path / "ours.ts.md").write_text("old card")
    monkeypatch.setattr("arcterm.export.writers.compare", refuse)
    code, out, err = arcterm("model", "export", "ours.safetensors", "--format", "torchscript", "--force")
    assert (code, out) == (1, "")
    assert "1.0e-03 away" in err
    assert (tmp_path / "ours.ts").read_text() == "old"
    assert (tmp_path / "ours.ts.md").read_text() == "old card"


def test_embed(arcterm, ours, pictures, tmp_path):
    code, out, err = arcterm("embed", "ours.safetensors", "a.png", "b.png")
    assert code == 0
    assert out.splitlines()[0].split() == ["IMAGE", "NORM"]
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["a.png", "b.png"]
    assert "2 embeddings of 64 numbers; --output FILE.npz keeps them" in err

    code, out, err = arcterm("embed", "ours.safetensors", "a.png", "b.png", "--json")
    told = json.loads(out)
    assert (code, err, [row["file"] for row in told]) == (0, EMBEDDING, ["a.png", "b.png"])
    assert [np.linalg.norm(row["embedding"]) for row in told] == pytest.approx([row["norm"] for row in told])

    code, out, err = arcterm("embed", "ours.safetensors", "a.png", "b.png", "-o", "e.npz", "--flip")
    kept = np.load(tmp_path / "e.npz")
    assert kept["files"].tolist() == ["a.png", "b.png"]
    assert kept["embeddings"].dtype == np.float32
    rgb = cv2.imread("a.png")[:, :, ::-1].copy()
    x = (torch.from_numpy(rgb).permute(2, 0, 1)[None].float() - 127.5) / 128
    with torch.inference_mode():
        plain, mirrored = network()(x)[0], network()(x.flip(3))[0]
    assert told[0]["embedding"] == pytest.approx(plain.tolist(), rel=1e-3, abs=1e-4)
    assert kept["embeddings"][0] == pytest.approx((plain + mirrored).numpy(), rel=1e-3, abs=1e-4)
    assert arcterm("embed", "ours.safetensors", "a.png", "-o", "e.npz")[0] == 3
    code, out, err = arcterm("embed", "ours.safetensors", "a.png", "-o", "e.npz", "--force", "--json")
    assert json.loads(out)[0]["embedding"] == []


def test_embed_takes_folders(arcterm, ours, pictures, tmp_path):
    for name in ("p10/2.png", "p10/10.png", "p9/1.png"):
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "people" / "notes.txt").write_text("x")
    code, out, err = arcterm("embed", "ours.safetensors", "people", "a.png", "-o", "e.npz")
    names = ["people/p9/1.png", "people/p10/2.png", "people/p10/10.png", "a.png"]
    assert (code, [line.split()[0] for line in out.splitlines()[1:]]) == (0, names), err
    assert "4 embeddings of 64 numbers in" in err and "embedding images with ours" in err
    kept = np.load(tmp_path / "e.npz")
    assert kept["files"].tolist() == names and kept["embeddings"].shape == (4, 64)
    (tmp_path / "empty").mkdir()
    code, _, err = arcterm("embed", "ours.safetensors", "empty", "a.png")
    assert (code, "has no image in it" in err) == (3, True)


def test_compare(arcterm, ours, pictures, tmp_path):
    code, out, err = arcterm("compare", "ours.safetensors", "a.png", "a.png")
    assert (code, err) == (0, EMBEDDING)
    assert out.splitlines() == [
        "cosine 1.0000  squared distance 0.0000",
        "lfw: one person at 1.500 (best accuracy), one person at 0.500 (FAR 1e-3)",
    ]
    code, out, err = arcterm("compare", "ours.safetensors", "a.png", "b.png", "--json")
    told = json.loads(out)
    assert told["distance"] == pytest.approx(2 - 2 * told["cosine"])
    verdict = told["verdicts"][0]
    assert verdict["same"] is (told["distance"] < 1.5)
    assert verdict["same_at_far"] is (told["distance"] < 0.5)
    bare = ModelFacts(backbone="tiny", options={"embedding_size": 64}, embedding_size=64)
    model.save(model.Model(bare, network()), tmp_path / "bare.safetensors")
    code, out, err = arcterm("compare", "bare.safetensors", "a.png", "b.png")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "no thresholds" in err


def test_a_set_of_one_kind_of_pairs_judges_nobody(arcterm, pictures, tmp_path):
    """Its threshold was 3.5, which no two faces are apart."""
    bare = {"accuracy": None, "std": None, "threshold": None, "tar": None, "far_threshold": None}
    score = SetScore(set="lfw", pairs=60, withheld="all 60 pairs of lfw are same", **bare)
    model.save(
        model.Model(msgspec.structs.replace(FACTS, scores=[score]), network()), tmp_path / "one.safetensors"
    )
    code, out, _err = arcterm("compare", "one.safetensors", "a.png", "b.png")
    assert code == 0
    assert out.splitlines()[1:] == ["lfw: no threshold (all 60 pairs of lfw are same)"]
    (verdict,) = json.loads(arcterm("compare", "one.safetensors", "a.png", "b.png", "--json")[1])["verdicts"]
    assert verdict == {"set": "lfw", "withheld": score.withheld} | dict.fromkeys(
        ("threshold", "far_threshold", "same", "same_at_far")
    ) | {"rates": []}
    assert "lfw            – (all 60 pairs" in arcterm("model", "show", "one.safetensors")[1]
    assert arcterm("model", "export", "one.safetensors", "--format", "torchscript")[0] == 0
    card = (tmp_path / "one.ts.md").read_text()
    assert "| lfw | 60 | – | – | – | – |" in card
    assert "lfw has no numbers: all 60 pairs of lfw are same." in card


def test_a_set_without_a_strict_threshold_has_one_verdict(arcterm, pictures, tmp_path):
    score = msgspec.structs.replace(FACTS.scores[0], far_threshold=None, threshold=0.0)
    facts = msgspec.structs.replace(FACTS, scores=[score])
    model.save(model.Model(facts, network()), tmp_path / "one.safetensors")
    _, out, _ = arcterm("compare", "one.safetensors", "a.png", "b.png")
    assert out.splitlines()[1] == "lfw: two people at 0.000 (best accuracy)"
    _, out, _ = arcterm("compare", "one.safetensors", "a.png", "b.png", "--json")
    assert json.loads(out)["verdicts"][0]["same_at_far"] is None


def test_an_image_of_another_size_is_stretched_when_asked(arcterm, ours, pictures):
    code, out, err = arcterm("embed", "ours.safetensors", "a.png", "wide.png")
    assert (code, out) == (3, "")
    assert "wide.png is 80×60, the model takes aligned 112×112" in err
    assert "--resize" in err
    assert arcterm("embed", "ours.safetensors", "a.png", "wide.png", "--resize")[0] == 0
    assert arcterm("compare", "ours.safetensors", "a.png", "wide.png", "--resize")[0] == 0


def test_progress_is_said_in_a_terminal_and_never_on_stdout(arcterm, ours, pictures, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    code, out, _ = arcterm("embed", "ours.safetensors", "a.png", "--json")
    assert code == 0
    assert json.loads(out)[0]["file"] == "a.png"
    first, _, rest = terminal.getvalue().partition("\n")
    assert "PyTorch takes a few seconds" in first and rest.startswith("\r")
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["model"], 2, "Turn another program's model into a file of ours"),
        (["model", "import", "theirs.v2.pth", "--set", "dropout=0"], 2, "give --backbone NAME too"),
        (["model", "import", "none.pth"], 3, "there is no file none.pth"),
        (["model", "import", "theirs.v2.pth", "-o", "x.pth"], 2, "does not end in .safetensors"),
        (["model", "import", "theirs.v2.pth", "-o", "no/x.safetensors"], 3, "no is not a directory"),
        (["model", "import", "theirs.v2.pth", "--backbone", "r5"], 2, "did you mean r50"),
        (["model", "import", "theirs.v2.pth", "--backbone", "y1"], 3, "those of y1"),
        (["model", "import", "theirs.v2.pth", "--backbone", "tiny", "--set", "width=3"], 2, "'width'"),
        (["model", "import", "theirs.v2.pth", "--backbone", "tiny", "--set", "embedding_size=1"], 2, "32 ≤"),
        (["model", "import", "theirs.v2.pth", "--set", "embedding_size"], 2, "has no '='"),
        (["model", "import", "theirs.v2.pth", "--scale", "0"], 2, "--scale 0.0 is no factor"),
        (["model", "import", "theirs.v2.pth", "--scale", "nan"], 2, "--scale nan is no factor"),
        (["model", "import", "theirs.v2.pth", "--mean", "inf"], 2, "--mean inf is no number"),
        (["model", "import", "theirs.v2.pth", "--head", "some"], 2, "some"),
        (["model", "import", "a.png"], 3, "a.png is no model file"),
        (["model", "import", "nets,5"], 3, "nets,5 needs nets-symbol.json"),
        (["model", "show", "nothing"], 4, "no run 'nothing'"),
        (["model", "export", "ours.safetensors", "--format", "tflite"], 2, "tflite"),
        (["model", "export", "ours.safetensors", "-o", "x.bin"], 2, "does not end in .onnx"),
        (["model", "export", "ours.safetensors", "--head", "keep"], 2, "onnx has no place for class weights"),
        (
            ["model", "export", "ours.safetensors", *SAFE, "--preprocess", "inside"],
            2,
            "no graph to put preprocessing in",
        ),
        (
            [
                "model",
                "export",
                "ours.safetensors",
                "--format",
                "safetensors",
                "--head",
                "keep",
                "-o",
                "x.safetensors",
            ],
            3,
            "holds no class weights",
        ),
        (["model", "export", "ours.safetensors", *SAFE], 3, "ours.safetensors exists"),
        (["embed", "ours.safetensors"], 2, "Missing argument"),
        (["embed", "ours.safetensors", "none.png"], 3, "none.png can't be read"),
        (["embed", "ours.safetensors", "note.png"], 3, "note.png: these 13 bytes aren't a whole image"),
        (["embed", "ours.safetensors", "a.png", "-o", "e.csv"], 2, "does not end in .npz"),
        (["embed", "ours.safetensors", "none.png", "-o", "e.npz"], 3, "none.png can't be read"),
        (["compare", "ours.safetensors", "a.png"], 2, "B"),
        (["compare", "ours.safetensors", "a.png", "note.png"], 3, "note.png"),
        (["compare", "none.safetensors", "a.png", "b.png"], 3, "there is no file none.safetensors"),
    ],
)
def test_a_mistake_is_told_with_its_code_and_leaves_nothing(
    arcterm, ours, theirs, pictures, tmp_path, words, code, said
):
    before = left(tmp_path)
    got, out, err = arcterm(*words)
    assert got == code, err
    assert said in (out if code == 0 else err)
    assert out == "" or code == 0
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    ("value", "kind"), [(float("nan"), "not finite"), (float("inf"), "not finite"), (0, "zero")]
)
def test_embeddings_that_say_nothing_are_refused_by_name(arcterm, pictures, tmp_path, value, kind):
    damaged = network()
    with torch.no_grad():
        for parameter in damaged.fc.parameters():
            parameter.fill_(value)
        damaged.features.running_mean.zero_()
    model.save(model.Model(FACTS, damaged), tmp_path / "dead.safetensors")
    for words, named in (
        (("embed", "dead.safetensors", "a.png", "-o", "e.npz"), "a.png"),
        (("embed", "dead.safetensors", "b.png", "a.png", "--json"), "b.png and of 1 more"),
        (("compare", "dead.safetensors", "b.png", "a.png"), "b.png"),
        (("model", "export", "dead.safetensors", "--format", "torchscript"), "noise image 0"),
        (("model", "export", "dead.safetensors", *SAFE, "-o", "x.safetensors"), "noise image 0"),
    ):
        code, out, err = arcterm(*words)
        assert (code, out) == (3, "")
        assert f"{FACTS.source}: the embeddings are {kind}: that of {named}" in err
    assert left(tmp_path) == ["a.png", "b.png", "dead.safetensors", "note.png", "wide.png"]


def test_a_guess_is_said_and_can_be_given(arcterm, theirs, pictures, tmp_path):
    code, _, err = arcterm("model", "import", "theirs.v2.pth", "-o", "a.safetensors")
    assert code == 0
    assert "RGB 112×112, (image - 127.5) / 127.5 (as arcface_torch feeds it, a guess" in err
    code, _, err = arcterm("compare", "a.safetensors", "a.png", "b.png")
    assert "a.safetensors's input: as arcface_torch feeds it, a guess" in err
    given = ("--channels", "bgr", "--mean", "1,2,3", "--std", "50,60,70")
    alike = [arcterm("compare", "theirs.v2.pth", "a.png", "b.png", *more)[1] for more in ((), given)]
    assert alike[0] != alike[1]
    code, _, err = arcterm("embed", "a.safetensors", "a.png", *given)
    assert (code, "a.safetensors says itself how images enter it" in err) == (3, True)
    code, out, _ = arcterm("model", "import", "theirs.v2.pth", "-o", "b.safetensors", "--json", *given)
    facts = json.loads(out)["facts"]
    assert (facts["mean"], facts["channels"]) == ([1, 2, 3], "rgb")
    assert facts["scale"] == pytest.approx([1 / 50, 1 / 60, 1 / 70])
    assert "turned around" in facts["input_basis"]
    code, out, _ = arcterm("model", "show", "b.safetensors")
    assert "RGB 112×112, (image - (1, 2, 3)) / (50, 60, 70)" in out
    for words, said in (
        (("--channels", "grey"), "--channels is rgb or bgr"),
        (("--mean", "0.5"), "looks like fractions of 1"),
        (("--std", "128", "--scale", "1"), "--std and --scale say the same"),
    ):
        assert said in arcterm("model", "import", "theirs.v2.pth", "-o", "c.safetensors", *words)[2]


def test_an_onnx_file_is_a_model(arcterm, ours, pictures, tmp_path):
    assert arcterm("model", "export", "ours.safetensors", "--preprocess", "inside")[0] == 0
    shown = {}
    for name in ("ours.onnx", "ours.safetensors"):
        code, out, err = arcterm("compare", name, "a.png", "b.png", "--json")
        assert code == 0, err
        shown[name] = json.loads(out)["cosine"]
    assert shown["ours.onnx"] == pytest.approx(shown["ours.safetensors"], abs=1e-5)
    code, out, _ = arcterm("model", "show", "ours.onnx")
    assert code == 0
    assert "tiny embedding_size=64" in out
    assert "RGB 112×112, (image - 0) / 1" in out
    for words in (("model", "import", "ours.onnx"), ("model", "export", "ours.onnx", "-o", "b.onnx")):
        code, out, err = arcterm(*words)
        assert (code, out) == (3, "")
        assert "ours.onnx is a graph that onnxruntime runs, not weights of a backbone" in err
