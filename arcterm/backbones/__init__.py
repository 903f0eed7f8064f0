"""The backbones that come with arcterm, as declarations; one family per module behind them.

`parameters` counts the learnable arrays of MXNet, frozen gammas included; `gmacs` the multiply-adds of
convolutions, fully connected layers and attention's products for one 112×112 image. Both are for the default
options.
"""

from __future__ import annotations

from arcterm_registry import Backbone, Option, Preprocess

from arcterm.backbones.sizes import LARGEST, OUTPUTS


def _embedding_size(default: int = 512, high: int = LARGEST) -> Option:
    return Option(
        name="embedding_size",
        type=int,
        default=default,
        help="length of the embedding; outputs A, AX and Z have that of their map",
        low=32,
        high=high,
    )


def _share(name: str, default: float, help: str) -> Option:
    return Option(name=name, type=float, default=default, help=help, low=0.0, high=1.0, open_high=True)


def _input(*choices: int) -> Option:
    return Option(
        name="input",
        type=int,
        default=1,
        choices=choices,
        help="stem: 1 starts at full size, 0 at half or a quarter as for ImageNet; "
        "2, from 101 layers on, is 1 with bottlenecks in 32 groups",
    )


_DROPOUT = _share("dropout", 0.4, "share of the last features that is dropped in training")
_OUTPUT = Option(
    name="output",
    type=str,
    default="E",
    choices=OUTPUTS,
    help="last layers, by InsightFace's letters: E is norm, dropout, fully connected, norm; A to D average "
    "the map; GDC is a depthwise convolution; GNAP depends on the batch",
)
_UNIT = Option(
    name="unit",
    type=int,
    default=3,
    choices=(1, 2, 3, 4),
    help="residual unit: 3 is IR, 1 and 2 the first and second ResNet, 4 lacks the shortcuts that project",
)
_SE = Option(name="se", type=bool, default=False, help="squeeze and excite every unit's channels")
_ACTIVATION = Option(
    name="activation",
    type=str,
    default="prelu",
    choices=("prelu", "relu", "sigmoid", "tanh", "softrelu"),
    help="what stands between layers, the output part excepted",
)
_BLOCK_DROPOUT = _share(
    "block_dropout", 0.2, "share of every convolution's output that is dropped in training"
)
_DROP_PATH = _share(
    "drop_path",
    0.05,
    "share of images for which training skips a branch of the last block; it grows from 0 in the first",
)
_ATTENTION_DROPOUT = _share(
    "attention_dropout", 0.0, "share of the attention weights that is dropped in training"
)


def _resnet(depth: int, parameters: int, gmacs: float) -> Backbone:
    deep = depth >= 101
    return Backbone(
        summary=f"LResNet{depth}E-IR: improved residual {'bottlenecks' if deep else 'units'}, {depth} layers",
        factory=f"arcterm.backbones.resnet:r{depth}",
        parameters=parameters,
        gmacs=gmacs,
        options=(
            _embedding_size(high=49 * (2048 if deep else 512)),
            _DROPOUT,
            _OUTPUT,
            _SE,
            _input(0, 1, 2) if deep else _input(0, 1),
            _UNIT,
            _ACTIVATION,
        ),
        check=f"arcterm.backbones.sizes:{'bottleneck' if deep else 'basic'}",
        variants="arcterm.backbones._variants:resnet",
    )


def _spherenet(depth: int, parameters: int, gmacs: float) -> Backbone:
    return Backbone(
        summary=f"SphereNet-{depth}: residual pairs without any batch norm, {depth} layers",
        factory=f"arcterm.backbones.spherenet:s{depth}",
        parameters=parameters,
        gmacs=gmacs,
        options=(_embedding_size(),),
    )


def _mask(default: float) -> Option:
    # arcface_torch hides a tenth of the patches wherever a network's name promises any masking: 0.1 is what
    # its published ViT-B and ViT-L, named mask_005, were trained with.
    return Option(
        name="mask",
        type=float,
        default=default,
        help="share of an image's patches that training hides from the blocks",
        low=0.0,
        high=0.9,
    )


def _dpn(depth: int, parameters: int, gmacs: float) -> Backbone:
    return Backbone(
        summary=f"DPN-{depth}: a residual and a dense path side by side",
        factory=f"arcterm.backbones.dpn:p{depth}",
        parameters=parameters,
        gmacs=gmacs,
        options=(_embedding_size(high=49 * (2368 if depth == 68 else 2688)), _DROPOUT, _OUTPUT, _input(0, 1)),
        check=f"arcterm.backbones.sizes:{'dpn68' if depth == 68 else 'dpn'}",
        variants="arcterm.backbones._variants:strided",
    )


def _densenet(depth: int, channels: int, parameters: int, gmacs: float) -> Backbone:
    return Backbone(
        summary=f"DenseNet-{depth}: every layer sees the outputs of all before it",
        factory=f"arcterm.backbones.densenet:d{depth}",
        parameters=parameters,
        gmacs=gmacs,
        options=(_embedding_size(high=49 * channels), _DROPOUT, _OUTPUT, _input(0, 1), _BLOCK_DROPOUT),
        check=f"arcterm.backbones.sizes:d{depth}",
        variants="arcterm.backbones._variants:strided",
    )


def _vit(letter: str, parameters: int, gmacs: float, mask: float) -> Backbone:
    return Backbone(
        summary=f"Face ViT-{letter.upper()}: a vision transformer over 144 patches",
        factory=f"arcterm.backbones.vit:vit_{letter}",
        parameters=parameters,
        gmacs=gmacs,
        preprocess=Preprocess(scale=1 / 127.5),
        options=(_embedding_size(), _DROP_PATH, _mask(mask), _ATTENTION_DROPOUT),
        # arcface_torch's, on WebFace42M
        usual={
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 0.1,
            "power": 1.0,
            "warmup": 0.1,
            "clip": 5.0,
        },
    )


r18 = _resnet(18, 24_025_600, 2.61)
r34 = _resnet(34, 34_139_328, 4.46)
r50 = _resnet(50, 43_590_848, 6.31)
r74 = _resnet(74, 55_996_864, 9.08)
r90 = _resnet(90, 63_677_120, 10.93)
r100 = _resnet(100, 65_156_160, 12.09)
r101 = _resnet(101, 93_955_712, 9.18)
r152 = _resnet(152, 109_637_760, 12.89)
r200 = _resnet(200, 114_139_264, 16.39)
r269 = _resnet(269, 151_602_816, 21.41)

m1 = Backbone(
    summary="LMobileNetE: depthwise-separable convolutions from full size on",
    factory="arcterm.backbones.mobilenet:m1",
    parameters=28_911_616,
    gmacs=0.593,
    options=(
        _embedding_size(high=49 * 2048),
        _DROPOUT,
        _OUTPUT,
        _input(0, 1),
        Option(
            name="multiplier", type=float, default=1.0, help="factor for all channels", low=0.125, high=2.0
        ),
    ),
    check="arcterm.backbones.sizes:mobilenet",
    variants="arcterm.backbones._variants:mobilenet",
)

m2 = Backbone(
    summary="MobileNetV2 from full size on: inverted residuals, as InsightFace built it",
    factory="arcterm.backbones.mobilenetv2:m2",
    parameters=33_970_256,
    gmacs=0.367,
    options=(_embedding_size(high=49 * 1280), _DROPOUT, _OUTPUT),
    check="arcterm.backbones.sizes:mobilenetv2",
    variants="arcterm.backbones._variants:outputs",
)

y1 = Backbone(
    summary="MobileFaceNet: inverted residuals and a global depthwise convolution, for phones",
    factory="arcterm.backbones.mobilefacenet:y1",
    parameters=1_201_024,
    gmacs=0.2212,
    options=(
        _embedding_size(),
        Option(
            name="output",
            type=str,
            default="GDC",
            choices=("GDC", "GNAP", "GAP", "E"),
            help="last layers: GDC is a depthwise convolution; GNAP averages, and depends on the batch; GAP "
            "averages; E is fully connected",
        ),
        Option(
            name="scale",
            type=int,
            default=1,
            help="factor for the channels between blocks; 2 is arcface_torch's mbf",
            low=1,
            high=8,
        ),
        Option(
            name="blocks",
            type=str,
            default="1,4,6,2",
            help="residual blocks at 56, 28, 14 and 7 pixels; scale 4 with 2,8,12,4 is mbf_large",
        ),
        Option(
            name="style",
            type=str,
            default="insightface",
            choices=("insightface", "foamliu"),
            help="foamliu's has ReLU6 for PReLU, and a separable convolution as its second layer",
        ),
    ),
    check="arcterm.backbones.sizes:mobilefacenet",
    variants="arcterm.backbones._variants:mobilefacenet",
)

i2 = Backbone(
    summary="Inception-ResNet-v2: mixed kernels in residual blocks, on a 12×12 map",
    factory="arcterm.backbones.inception_resnet:i2",
    parameters=167_723_292,
    gmacs=27.89,
    options=(_embedding_size(high=144 * 1536), _DROPOUT, _OUTPUT, _input(0, 1)),
    check="arcterm.backbones.sizes:inception",
    variants="arcterm.backbones._variants:strided",
)

p68 = _dpn(68, 93_661_152, 7.01)
p92 = _dpn(92, 102_488_256, 7.06)
p107 = _dpn(107, 151_696_128, 18.64)
p131 = _dpn(131, 144_035_904, 16.37)

d121 = _densenet(121, 1024, 32_716_288, 3.35)
d161 = _densenet(161, 2208, 81_890_400, 8.08)
d169 = _densenet(169, 1664, 54_303_232, 3.89)
d201 = _densenet(201, 1920, 66_334_208, 4.83)

vit_t = _vit("t", 19_137_792, 1.505, 0.0)
vit_s = _vit("s", 76_023_296, 5.747, 0.0)
vit_b = _vit("b", 113_833_472, 11.44, 0.1)
vit_l = _vit("l", 255_684_352, 25.34, 0.1)

s20 = _spherenet(20, 24_501_952, 2.04)
s36 = _spherenet(36, 34_606_400, 3.89)
s60 = _spherenet(60, 47_661_504, 6.67)
s64 = _spherenet(64, 50_021_824, 7.13)
s104 = _spherenet(104, 73_625_024, 11.75)

tiny = Backbone(
    summary="A small network for the demo and tests: hundreds of images a second on two CPU cores",
    factory="arcterm.backbones.small:tiny",
    parameters=559_520,
    gmacs=0.00836,
    embedding_size=128,
    options=(_embedding_size(128), _DROPOUT),
)
