"""What MXNet itself reads, writes and computes; for the environment that has it: oracle.py VERB FOLDER.

Every verb takes what the tests put into the folder and adds what MXNet makes of it.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import zlib
from pathlib import Path

import numpy as np

for alias in (
    "bool",
    "int",
    "float",
    "complex",
    "object",
    "str",
):  # gone from numpy since MXNet's last release
    setattr(np, alias, getattr(builtins, alias))

os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"  # each operator by itself, as its documentation has it

import mxnet as mx  # noqa: E402 - not without the aliases
from mxnet import recordio  # noqa: E402

WEIGHTED = ("Convolution", "FullyConnected", "BatchNorm", "LeakyReLU")
SAMPLE = 2048


def records(folder: Path) -> None:
    """Read ours.rec both ways, and write the same payloads and labels as theirs."""
    wanted = json.loads((folder / "wanted.json").read_text())
    ours = recordio.MXRecordIO(str(folder / "ours.rec"), "r")
    one_by_one = []
    while (payload := ours.read()) is not None:
        one_by_one.append(payload.hex())
    indexed = recordio.MXIndexedRecordIO(str(folder / "ours.idx"), str(folder / "ours.rec"), "r")
    by_key = {str(key): indexed.read_idx(key).hex() for key in indexed.keys}
    theirs = recordio.MXIndexedRecordIO(str(folder / "theirs.idx"), str(folder / "theirs.rec"), "w")
    for key, payload in enumerate(wanted["payloads"]):
        theirs.write_idx(key, bytes.fromhex(payload))
    theirs.close()
    packed, unpacked = [], []
    for number, label in enumerate(wanted["labels"]):
        header = recordio.IRHeader(0, label, number, 0)
        packed.append(recordio.pack(header, b"image").hex())
    for payload in wanted["packed"]:
        found, image = recordio.unpack(bytes.fromhex(payload))
        label = found.label.tolist() if isinstance(found.label, np.ndarray) else found.label
        unpacked.append([found.flag, label, found.id, found.id2, image.hex()])
    answer = {"read": one_by_one, "by_key": by_key, "packed": packed, "unpacked": unpacked}
    (folder / "answer.json").write_text(json.dumps(answer))


def pack(folder: Path) -> None:
    """Read the face pack `ours` as the trainer of 2018 does, and write `theirs` as its packer does."""
    source = recordio.MXIndexedRecordIO(str(folder / "ours/train.idx"), str(folder / "ours/train.rec"), "r")
    header, _ = recordio.unpack(source.read_idx(0))
    end, stop = (int(label) for label in header.label)
    images, labels, ranges = [], [], []
    for key in range(1, end):
        found, image = recordio.unpack(source.read_idx(key))
        images.append(mx.image.imdecode(image).asnumpy())
        labels.append(found.label[0])
    for key in range(end, stop):
        ranges.append(recordio.unpack(source.read_idx(key))[0].label)
    np.savez(folder / "read.npz", images=images, labels=labels, ranges=ranges)

    (folder / "theirs").mkdir()
    target = recordio.MXIndexedRecordIO(
        str(folder / "theirs/train.idx"), str(folder / "theirs/train.rec"), "w"
    )
    for key in range(1, end):
        image = recordio.unpack(source.read_idx(key))[1]
        target.write_idx(key, recordio.pack(recordio.IRHeader(0, [labels[key - 1], 1], key, 0), image))
    target.write_idx(0, recordio.pack(recordio.IRHeader(0, [end, stop], 0, 0), b""))
    for key, (first, last) in enumerate(ranges, end):
        target.write_idx(key, recordio.pack(recordio.IRHeader(0, [first, last], key, 0), b""))
    target.close()
    (folder / "theirs/property").write_text((folder / "ours/property").read_text())


def pixels(folder: Path) -> None:
    """Decode every file of `images`."""
    for path in sorted((folder / "images").iterdir()):
        np.save(folder / f"{path.name}.npy", mx.image.imdecode(path.read_bytes()).asnumpy())


def arrays(folder: Path) -> None:
    """Load every file of `ours`, and save what given.npz holds: named, unnamed, and with numpy's shapes."""
    for path in sorted((folder / "ours").iterdir()):
        with mx.util.np_shape(path.stem.startswith("v3")):
            found = mx.nd.load(str(path))
        named = found if isinstance(found, dict) else {str(i): each for i, each in enumerate(found)}
        np.savez(folder / f"{path.stem}.npz", **{name: each.asnumpy() for name, each in named.items()})
    given = np.load(folder / "given.npz")
    filled = {f"arg:{k}": mx.nd.array(v, dtype=v.dtype) for k, v in given.items() if v.size and v.ndim}
    mx.nd.save(str(folder / "named.params"), filled)
    mx.nd.save(str(folder / "unnamed.params"), list(filled.values()))
    mx.nd.save(str(folder / "sparse.params"), {"w": mx.nd.ones((2, 2)).tostype("row_sparse")})
    with mx.util.np_shape(True):
        mx.nd.save(
            str(folder / "v3.params"),
            {f"arg:{k}": mx.np.array(v, dtype=v.dtype).as_nd_ndarray() for k, v in given.items()},
        )


def defaults(folder: Path) -> None:
    """What the operators' documentation says of their attributes."""
    names = json.loads((folder / "wanted.json").read_text())
    described = {name: getattr(mx.sym, name, None) or getattr(mx.sym._internal, name) for name in names}
    (folder / "answer.json").write_text(json.dumps({name: op.__doc__ for name, op in described.items()}))


def networks(folder: Path) -> None:
    """Save every network, and what its weighted layers and its end make of two images."""
    from networks import CASES

    for name, (make, side) in CASES.items():
        symbol = make()
        random = np.random.RandomState(zlib.crc32(name.encode()))
        images = pictures(side, random)
        args, aux = weights(symbol, images.shape, random)
        if name == "spherenet":  # without batch norms its sums would grow and grow
            args = {name: array * (0.6 if array.ndim > 1 else 1) for name, array in args.items()}
        mx.model.save_checkpoint(str(folder / name), 0, symbol, args, aux)
        symbol, args, aux = mx.model.load_checkpoint(str(folder / name), 0)
        end = symbol[0] if len(symbol.list_outputs()) > 1 else symbol
        nodes = json.loads(end.tojson())["nodes"]
        kept = [
            node["name"]
            for node in nodes
            if node["op"] in WEIGHTED and node.get("attrs", {}).get("act_type", "prelu") == "prelu"
        ]
        inside = end.get_internals()
        outputs = mx.sym.Group([end, *(inside[f"{layer}_output"] for layer in kept)])
        program = outputs.bind(
            mx.cpu(), {**only(args, outputs.list_arguments()), "data": mx.nd.array(images)}, aux_states=aux
        )
        embeddings, *layers = [each.asnumpy() for each in program.forward(is_train=False)]
        samples = {f"layer{i:03}": sampled(each) for i, each in enumerate(layers)}
        order = np.array([node["name"] for node in nodes])
        np.savez(folder / f"{name}.npz", images=images, embeddings=embeddings, order=order, **samples)


def plans(folder: Path) -> None:
    """Save the symbols of the full-size networks, and the shapes of their arrays."""
    import networks

    networks.EMBEDDING = 512
    for name, make in networks.FULL.items():
        symbol = make()
        symbol.save(str(folder / f"{name}-symbol.json"))
        shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, 112, 112))
        names = symbol.list_arguments() + symbol.list_auxiliary_states()
        (folder / f"{name}.json").write_text(json.dumps(dict(zip(names, shapes + aux_shapes, strict=True))))


def symbols(folder: Path) -> None:
    """Load the networks that were written, as programs of 2018 did, and run them on their images."""
    for path in sorted(folder.glob("*-symbol.json")):
        name = path.name.removesuffix("-symbol.json")
        symbol, args, aux = mx.model.load_checkpoint(str(folder / name), 7)
        images = np.load(folder / f"{name}.npz")["images"]
        results = {}
        for key, end, label in (("embeddings", symbol[0], None), ("chances", symbol[1], ["softmax_label"])):
            found = mx.mod.Module(symbol=end, context=mx.cpu(), label_names=label)
            labels = [(name, (len(images),)) for name in label or ()] or None
            found.bind(data_shapes=[("data", images.shape)], label_shapes=labels, for_training=False)
            found.set_params(args, aux)
            found.forward(mx.io.DataBatch(data=[mx.nd.array(images)]), is_train=False)
            results[key] = found.get_outputs()[0].asnumpy()
        np.savez(folder / f"{name}-theirs.npz", **results)


def optimizer(folder: Path) -> None:
    """Take the steps of given.npz with MXNet's SGD, made by hand as in 2018."""
    given = np.load(folder / "given.npz")
    sgd = mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=5e-4, rescale_grad=1.0)
    weight = mx.nd.array(given["start"])
    state = sgd.create_state(0, weight)
    path = []
    for rate, gradient in zip(given["rates"], given["gradients"], strict=True):
        sgd.lr = float(rate)
        sgd.update(0, weight, mx.nd.array(gradient), state)
        path.append(weight.asnumpy().copy())
    np.save(folder / "path.npy", np.array(path))


def only(arrays: dict, names: list) -> dict:
    return {name: array for name, array in arrays.items() if name in names}


def sampled(output: np.ndarray) -> np.ndarray:
    """Some values, evenly spread."""
    flat = output.ravel()
    return flat[:: max(1, flat.size // SAMPLE)].copy()


def pictures(side: int, random: np.random.RandomState) -> np.ndarray:
    """Two images of 0..255: a few coarse fields, so that averages differ, and noise."""
    fields = np.kron(random.uniform(20, 236, (2, 3, 7, 7)), np.ones((side // 7, side // 7)))
    return np.round(fields + random.uniform(-20, 20, fields.shape)).astype(np.float32)


def weights(symbol: mx.sym.Symbol, images: tuple, random: np.random.RandomState) -> tuple[dict, dict]:
    """Random arrays, none of them neutral: gains that MXNet must ignore are as far from 1 as the others."""
    shapes, _, aux_shapes = symbol.infer_shape(data=images)
    args, aux = {}, {}
    for name, shape in zip(symbol.list_arguments(), shapes, strict=True):
        if name in ("data", "softmax_label"):
            continue
        if name.endswith("_weight"):
            array = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        elif name.endswith("_gamma"):
            array = random.uniform(0.35, 1.35, shape)
        else:
            array = random.normal(0, 0.2, shape)
        args[name] = mx.nd.array(array)
    for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes, strict=True):
        low, high = (0.6, 2.4) if name.endswith("var") else (-0.5, 0.5)
        aux[name] = mx.nd.array(random.uniform(low, high, shape))
    return args, aux


if __name__ == "__main__":
    verb, place = sys.argv[1:]
    verbs = (records, pack, pixels, arrays, defaults, networks, plans, symbols, optimizer)
    {each.__name__: each for each in verbs}[verb](Path(place))
