"""The networks of 2018 as MXNet symbols, small and full size; for the environment that has MXNet.

Layers, their order and their attributes are those of InsightFace's symbol files, with attributes left out
where those leave them out. Sizes are such that arcterm builds the same.
"""

from __future__ import annotations

import functools

from mxnet import gluon, sym
from mxnet.gluon import nn

EPS = 2e-5
EMBEDDING = 16


def normalised():
    return (sym.identity(sym.Variable("data"), name="id") - 127.5) * 0.0078125


def norm(x, name, eps=EPS, fixed=False):
    return sym.BatchNorm(x, fix_gamma=fixed, eps=eps, momentum=0.9, name=name)


def conv(x, name, channels, kernel, stride=1, pad=0, groups=1, bias=False):
    return sym.Convolution(
        x,
        num_filter=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=groups,
        no_bias=not bias,
        name=name,
    )


def act(x, name, kind="prelu"):
    if kind == "prelu":
        return sym.LeakyReLU(x, act_type="prelu", name=name)
    return sym.Activation(x, act_type=kind, name=name)


def dense(x, name, size=None):
    return sym.FullyConnected(x, num_hidden=size or EMBEDDING, name=name)


def average(x, name):
    return sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name=name)


# --- output parts ---------------------------------------------------------------------------------------


def head(x, letter="E", channels=512):
    if letter == "GDC":
        x = sym.Convolution(
            x, num_filter=channels, num_group=channels, kernel=(7, 7), no_bias=True, name="conv_6dw7_7_conv2d"
        )
        x = sym.BatchNorm(x, fix_gamma=False, momentum=0.9, name="conv_6dw7_7_batchnorm")
        return norm(dense(x, "pre_fc1"), "fc1", fixed=True)
    if letter.startswith("GNAP"):
        return norm_aware(x, channels, EMBEDDING if letter == "GNAP" else 2 * channels)
    if letter in ("E", "F", "G", "I", "Z"):
        x = norm(x, "bn1")
    if letter in ("E", "F", "Z"):
        x = sym.Dropout(x, p=0.4)
    if letter == "Z":
        return x
    if letter in ("F", "G", "H"):
        return dense(x, "fc1")
    if letter in ("E", "I", "J"):
        return norm(dense(x, "pre_fc1"), "fc1", fixed=True)
    x = sym.Flatten(average(act(norm(x, "bn1"), "relu1"), "pool1"))
    if letter.endswith("X"):
        x = sym.Dropout(x, p=0.2)
    if letter[0] == "A":
        return x
    x = dense(x, "pre_fc1")
    if letter[0] == "B":
        return x
    x = norm(x, "fc1", fixed=True)
    return act(x, "fc1_relu") if letter[0] == "D" else x


def norm_aware(x, channels, size):
    if size > channels:
        x = act(norm(conv(x, "convx", size, 1), "convx_bn"), "convx_relu")
        channels = size
    x = norm(x, "bn6f", fixed=True)
    length = sym.sqrt(sym.sum(x * x, axis=1, keepdims=True))
    factor = sym.broadcast_div(sym.mean(length), length)
    x = sym.Pooling(
        x * sym.tile(factor, reps=(1, channels, 1, 1)), kernel=(7, 7), global_pool=True, pool_type="avg"
    )
    x = dense(norm(x, "bn6w", fixed=True), "pre_fc1", size) if size < channels else sym.Flatten(x)
    return norm(x, "fc1", fixed=True)


def headed(letter):
    """An output part on a small map."""
    x = act(conv(normalised(), "conv0", 24, 5, 4, 1), "relu0")
    return head(x, letter, 24)


# --- residual networks ----------------------------------------------------------------------------------


def squeeze(x, name, channels, kind):
    y = average(x, f"{name}_se_pool1")
    y = act(conv(y, f"{name}_se_conv1", channels // 16, 1, bias=True), f"{name}_se_relu1", kind)
    y = conv(y, f"{name}_se_conv2", channels, 1, bias=True)
    return sym.broadcast_mul(x, sym.Activation(y, act_type="sigmoid", name=f"{name}_se_sigmoid"))


def shapes(channels, stride, unit, input, deep):
    """Channels, kernel, stride and groups of a unit's convolutions."""
    width, groups = (channels // 2, 32) if input == 2 else (channels // 4, 1)
    if not deep:
        first, last = (stride, 1) if unit == 2 or (unit == 1 and input == 0) else (1, stride)
        return [(channels, 3, first, 1), (channels, 3, last, 1)]
    strides = [1, 1, stride]
    if unit == 2:
        strides = [1, stride, 1]
    elif unit == 1 and input == 0:
        strides = [stride, 1, 1]
    kernels = [(width, 1, groups), (width, 3, groups), (channels, 1, 1)]
    return [(c, k, s, g) for (c, k, g), s in zip(kernels, strides, strict=True)]


def unit_conv_first(x, name, parts, kind):
    """conv, BN and activation in turn, without the last activation."""
    for i, (channels, kernel, stride, groups) in enumerate(parts, 1):
        x = norm(conv(x, f"{name}_conv{i}", channels, kernel, stride, kernel // 2, groups), f"{name}_bn{i}")
        if i < len(parts):
            x = act(x, f"{name}_relu{i}", kind)
    return x


def unit1(x, name, channels, stride, first, parts, se, kind):
    y = unit_conv_first(x, name, parts, kind)
    y = squeeze(y, name, channels, kind) if se else y
    if first:
        x = norm(conv(x, f"{name}_conv1sc", channels, 1, stride), f"{name}_sc")
    return act(y + x, f"{name}_relu3", kind)


def unit2(x, name, channels, stride, first, parts, se, kind):
    y, start = x, None
    for i, (width, kernel, step, groups) in enumerate(parts, 1):
        y = act(norm(y, f"{name}_bn{i}"), f"{name}_relu{i}", kind)
        start = start if start is not None else y
        y = conv(y, f"{name}_conv{i}", width, kernel, step, kernel // 2, groups)
    y = squeeze(y, name, channels, kind) if se else y
    return y + (conv(start, f"{name}_sc", channels, 1, stride) if first else x)


def unit3(x, name, channels, stride, first, parts, se, kind, projects=True):
    y = norm(x, f"{name}_bn1")
    for i, (width, kernel, step, groups) in enumerate(parts, 1):
        y = norm(conv(y, f"{name}_conv{i}", width, kernel, step, kernel // 2, groups), f"{name}_bn{i + 1}")
        if i < len(parts):
            y = act(y, f"{name}_relu{i}", kind)
    y = squeeze(y, name, channels, kind) if se else y
    if not first:
        return y + x
    return y + norm(conv(x, f"{name}_conv1sc", channels, 1, stride), f"{name}_sc") if projects else y


UNITS = {1: unit1, 2: unit2, 3: unit3, 4: functools.partial(unit3, projects=False)}


def resnet(units=(1, 2, 1, 1), unit=3, input=1, se=False, deep=False, kind="prelu"):
    x = normalised()
    x = conv(x, "conv0", 64, 3, 1, 1) if input else conv(x, "conv0", 64, 7, 2, 3)
    x = act(norm(x, "bn0"), "relu0", kind)
    if not input:
        x = sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    for stage, count in enumerate(units):
        channels = (256 if deep else 64) << stage
        for number in range(count):
            first = number == 0
            stride = 2 if first and (stage or input) else 1
            parts = shapes(channels, stride, unit, input, deep)
            name = f"stage{stage + 1}_unit{number + 1}"
            x = UNITS[unit](x, name, channels, stride, first, parts, se, kind)
    return head(x)


def trained():
    """What training saves: the embedding for verification, and the loss on class weights."""
    embedding = resnet((1, 1, 1, 1))
    weight = sym.L2Normalization(sym.Variable("fc7_weight", shape=(10, EMBEDDING)), mode="instance")
    unit = sym.L2Normalization(embedding, mode="instance", name="fc1n") * 64
    fc7 = sym.FullyConnected(unit, weight=weight, no_bias=True, num_hidden=10, name="fc7")
    loss = sym.SoftmaxOutput(fc7, sym.Variable("softmax_label"), name="softmax", normalization="valid")
    return sym.Group([sym.BlockGrad(embedding), loss])


# --- other families -------------------------------------------------------------------------------------


def separable(x, name, channels, kernel, stride=1, groups=1, fixed=True, linear=False):
    """MobileNets' convolution; the batch norm says nothing of eps."""
    x = conv(x, f"{name}_conv2d", channels, kernel, stride, kernel // 2, groups)
    x = sym.BatchNorm(x, fix_gamma=fixed, name=f"{name}_batchnorm")
    return x if linear else act(x, f"{name}_relu")


def mobilenet(base=8):
    x, channels = separable(normalised(), "conv_1", base, 3), base
    outputs = [2, 4, 4, 8, 8, 16, *[16] * 5, 32, 32]
    for number, factor in enumerate(outputs, 2):
        stride = 2 if number in (3, 5, 7, 13) else 1
        x = separable(x, f"conv_{number}_dw", channels, 3, stride, channels)
        channels = factor * base
        x = separable(x, f"conv_{number}", channels, 1)
    return head(x)


def mobilefacenet(blocks=(1, 2, 1)):
    convolution = functools.partial(separable, fixed=False)

    def bottleneck(x, name, width, channels, stride):
        x = convolution(x, f"{name}_conv_sep", width, 1)
        x = convolution(x, f"{name}_conv_dw", width, 3, stride, width)
        return convolution(x, f"{name}_conv_proj", channels, 1, linear=True)

    x = convolution(normalised(), "conv_1", 64, 3, 2)
    x = convolution(x, "conv_2_dw", 64, 3, groups=64)
    widths = [(128, 64, 128), (256, 128, 256), (512, 128, 256)]
    for number, (count, (reducing, channels, width)) in enumerate(zip(blocks, widths, strict=True), 2):
        x = bottleneck(x, f"dconv_{number}{number + 1}", reducing, channels, 2)
        for i in range(count):
            x = bottleneck(x, f"res_{number + 1}_block{i}", width, channels, 1) + x
    x = convolution(x, "conv_6sep", 512, 1)
    return head(x, "GDC")


class Inverted(gluon.HybridBlock):
    def __init__(self, width, channels, stride, project):
        super().__init__()
        self.added = stride == 1
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(
                gluon_conv(width, 1),
                gluon_conv(width, 3, stride, groups=width),
                gluon_conv(channels, 1, linear=True),
            )
            self.project = gluon_conv(channels, 1) if self.added and project else None

    def hybrid_forward(self, F, x):
        y = self.body(x)
        if not self.added:
            return y
        return F.elemwise_add(y, self.project(x) if self.project else x)


def gluon_conv(channels, kernel, stride=1, groups=1, linear=False):
    block = nn.HybridSequential()
    block.add(
        nn.Conv2D(channels, kernel, stride, kernel // 2, groups=groups, use_bias=False),
        nn.BatchNorm(scale=True),
    )
    if not linear:
        block.add(nn.Activation("relu"))
    return block


def mobilenet_v2():
    body, before = nn.HybridSequential(), 32
    body.add(gluon_conv(32, 3))
    stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 1),
        (6, 96, 3, 2),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expansion, channels, count, stride in stages:
        for number in range(count):
            body.add(Inverted(expansion * before, channels, stride if number == 0 else 1, number == 0))
        before = channels
    body.add(gluon_conv(1280, 1))
    return head(body(normalised()))


def stem(channels):
    """What DPN and DenseNet share."""
    channels = min(channels, 64)
    x = act(norm(conv(normalised(), "conv0", channels, 3, 1, 1), "bn0"), "relu0")
    return unit3(x, "head", channels, 2, True, shapes(channels, 2, 3, 1, False), False, "prelu")


def dpn(blocks=(1, 2, 1, 1), growth=(4, 8, 4, 8), width=32, groups=8):
    def layer(x, name, channels, kernel, stride=1, groups=1):
        x = sym.BatchNorm(x, fix_gamma=False, momentum=0.9, name=f"{name}__bn__bn")
        x = sym.Activation(x, act_type="relu", name=f"{name}__ac__relu")
        return conv(x, f"{name}__conv", channels, kernel, stride, kernel // 2, groups)

    def split(x, name, at, end):
        parts = [(0, at), (at, end)]
        return [
            sym.slice_axis(x, axis=1, begin=a, end=b, name=f"{name}-split{i}")
            for i, (a, b) in enumerate(parts, 1)
        ]

    x = stem(128)
    for stage, (count, more) in enumerate(zip(blocks, growth, strict=True)):
        residual, inner = 256 << stage, width << stage
        for number in range(1, count + 1):
            name, stride = f"conv{stage + 2}_x__{number}", 2 if number == 1 and stage else 1
            joined = sym.Concat(*x, name=f"{name}_cat-input") if isinstance(x, list) else x
            if number == 1:
                ends = f"{name}_c1x1-w(s/{stride})"
                projected = layer(joined, ends, residual + 2 * more, 1, stride)
                x = split(projected, ends, residual, residual + 2 * more)
            y = layer(joined, f"{name}_c1x1-a", inner, 1)
            y = layer(y, f"{name}_c3x3-b", inner, 3, stride, groups)
            y = split(
                layer(y, f"{name}_c1x1-c", residual + more, 1), f"{name}_c1x1-c", residual, residual + more
            )
            x = [
                sym.ElementWiseSum(x[0], y[0], name=f"{name}_sum"),
                sym.Concat(x[1], y[1], name=f"{name}_cat"),
            ]
    return head(sym.Concat(*x, name="conv5_x_x_cat-final"))


def densenet(layers=(1, 2, 1, 1), growth=40):
    def layer(x, name, number, channels, kernel):
        x = act(norm(x, f"{name}_bn{number}"), f"{name}_relu{number}", "relu")
        x = conv(x, f"{name}_conv{number}", channels, kernel, 1, kernel // 2)
        return sym.Dropout(x, p=0.2, name=f"{name}_dp{number}")

    x, counted = stem(2 * growth), 2 * growth
    for stage, count in enumerate(layers, 1):
        for number in range(1, count + 1):
            name = f"DBstage{stage}_unit{number}"
            y = layer(layer(x, name, 1, 4 * growth, 1), name, 2, growth, 3)
            x = sym.Concat(x, y, name=f"DBstage{stage}_concat{number}")
        if stage < 4:
            counted = (counted + count * growth) // 2
            x = layer(x, f"TBstage{stage}", 1, counted, 1)
            x = sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg", name=f"TBstage{stage}_pool")
    return head(x)


def inception(repeats=(1, 1, 1)):
    """Nothing has a name, and batch norms say nothing at all."""

    def layer(x, channels, kernel, pad=(0, 0), stride=1, active=True):
        x = sym.Convolution(x, num_filter=channels, kernel=kernel, stride=(stride, stride), pad=pad)
        x = sym.BatchNorm(x)
        return sym.Activation(x, act_type="relu") if active else x

    def chain(x, *layers):
        for each in layers:
            x = layer(x, *each)
        return x

    def pooled(x, kind="max", stride=2, pad=0):
        return sym.Pooling(x, kernel=(3, 3), stride=(stride, stride), pad=(pad, pad), pool_type=kind)

    def block(x, scale, channels, chains, last=False):
        mixed = sym.Concat(*[chain(x, *layers) for layers in chains])
        total = x + scale * layer(mixed, channels, (1, 1), active=False)
        return total if last else sym.Activation(total, act_type="relu")

    one, three, same = (1, 1), (3, 3), (1, 1)
    x = chain(normalised(), (32, three), (32, three), (64, three, same), (80, one), (192, three))
    x = pooled(x)
    chains = [
        [(96, one)],
        [(48, one), (64, (5, 5), (2, 2))],
        [(64, one), (96, three, same), (96, three, same)],
    ]
    x = sym.Concat(*[chain(x, *layers) for layers in chains], chain(pooled(x, "avg", 1, 1), (64, one)))
    chains = [[(32, one)], [(32, one), (32, three, same)], [(32, one), (48, three, same), (64, three, same)]]
    for _ in range(repeats[0]):
        x = block(x, 0.17, 320, chains)
    half = (0, 0), 2
    chains = [[(384, three, *half)], [(256, one), (256, three, same), (384, three, *half)]]
    x = sym.Concat(*[chain(x, *layers) for layers in chains], pooled(x))
    chains = [[(192, one)], [(129, one), (160, (1, 7), (1, 2)), (192, (7, 1), (2, 1))]]
    for _ in range(repeats[1]):
        x = block(x, 0.1, 1088, chains)
    chains = [
        [(256, one), (384, three, *half)],
        [(256, one), (288, three, *half)],
        [(256, one), (288, three, same), (320, three, *half)],
    ]
    x = sym.Concat(*[chain(x, *layers) for layers in chains], pooled(x))
    chains = [[(192, one)], [(192, one), (224, (1, 3), (0, 1)), (256, (3, 1), (1, 0))]]
    for _ in range(repeats[2]):
        x = block(x, 0.2, 2080, chains)
    x = block(x, 1.0, 2080, chains, last=True)
    return head(layer(x, 1536, one))


def spherenet(pairs=(1, 2, 4, 1)):
    x = normalised()
    for stage, count in enumerate(pairs, 1):
        channels = 32 << stage
        x = act(conv(x, f"conv{stage}_1", channels, 3, 2, 1, bias=True), f"relu{stage}_1")
        for number in range(2, 2 + 2 * count, 2):
            y = act(conv(x, f"conv{stage}_{number}", channels, 3, 1, 1), f"relu{stage}_{number}")
            y = act(conv(y, f"conv{stage}_{number + 1}", channels, 3, 1, 1), f"relu{stage}_{number + 1}")
            x = x + y
    return sym.FullyConnected(
        x,
        weight=sym.Variable("fc1_weight", lr_mult=1.0),
        bias=sym.Variable("fc1_bias", lr_mult=2.0, wd_mult=0.0),
        num_hidden=EMBEDDING,
        name="fc1",
    )


HEADS = ["E", "F", "G", "H", "I", "J", "A", "B", "C", "D", "AX", "Z", "GDC", "GNAP", "GNAP-wide"]
CASES = {
    **{f"head-{letter}": (functools.partial(headed, letter), 28) for letter in HEADS},
    "resnet": (resnet, 112),
    "resnet-trained": (trained, 112),
    "resnet-unit1": (functools.partial(resnet, unit=1), 112),
    "resnet-unit1-input0": (functools.partial(resnet, unit=1, input=0), 112),
    "resnet-unit2-se": (functools.partial(resnet, unit=2, se=True), 112),
    "resnet-unit4": (functools.partial(resnet, unit=4), 112),
    "resnet-se-relu": (functools.partial(resnet, se=True, kind="relu"), 112),
    "resnet-deep": (functools.partial(resnet, deep=True), 112),
    "resnet-deep-unit1-input0": (functools.partial(resnet, deep=True, unit=1, input=0), 112),
    "resnet-deep-unit2": (functools.partial(resnet, deep=True, unit=2), 112),
    "resnet-deep-input2-se": (functools.partial(resnet, deep=True, input=2, se=True), 112),
    "mobilenet": (mobilenet, 112),
    "mobilenet_v2": (mobilenet_v2, 112),
    "mobilefacenet": (mobilefacenet, 112),
    "dpn": (dpn, 112),
    "densenet": (densenet, 112),
    "inception": (inception, 112),
    "spherenet": (spherenet, 112),
}
"""Names → (what makes the symbol, side of its images in pixels)."""

PLAIN = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    74: (3, 6, 24, 3),
    90: (3, 8, 30, 3),
    100: (3, 13, 30, 3),
}
DEEP = {101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3), 269: (3, 30, 48, 8)}
DPN = {
    68: ((3, 4, 12, 3), (16, 32, 32, 64), 128, 32),
    92: ((3, 4, 20, 3), (16, 32, 24, 128), 96, 32),
    107: ((4, 8, 20, 3), (20, 64, 64, 128), 200, 50),
    131: ((4, 8, 28, 3), (16, 32, 32, 128), 160, 40),
}
DENSE = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
}
SPHERE = {20: (1, 2, 4, 1), 36: (2, 4, 8, 2), 60: (3, 8, 14, 3), 64: (3, 8, 16, 3), 104: (3, 8, 36, 3)}
FULL = {
    **{f"r{depth}": functools.partial(resnet, units) for depth, units in PLAIN.items()},
    **{f"r{depth}": functools.partial(resnet, units, deep=True) for depth, units in DEEP.items()},
    **{f"p{depth}": functools.partial(dpn, *shape) for depth, shape in DPN.items()},
    **{f"d{depth}": functools.partial(densenet, *shape) for depth, shape in DENSE.items()},
    **{f"s{depth}": functools.partial(spherenet, pairs) for depth, pairs in SPHERE.items()},
    "m1": functools.partial(mobilenet, 32),
    "m2": mobilenet_v2,
    "y1": functools.partial(mobilefacenet, (4, 6, 2)),
    "i2": functools.partial(inception, (10, 20, 9)),
}
"""Names of backbones → what makes their symbols, with an embedding of `EMBEDDING`."""
