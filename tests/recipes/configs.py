"""Twelve configs of the shapes in use, each with what becomes of it. None of them may be run."""

from __future__ import annotations

from typing import Any, NamedTuple

HEAD = "from easydict import EasyDict as edict\n\n"
DATA = 'config.rec = "/train_tmp/faces"\nconfig.num_classes = 93431\nconfig.num_image = 5179510\n'
BASE = (
    HEAD
    + """
config = edict()
config.margin_list = (1.0, 0.5, 0.0)
config.network = "r50"
config.resume = False
config.save_all_states = False
config.output = "base"
config.embedding_size = 512
config.sample_rate = 1
config.interclass_filtering_threshold = 0
config.fp16 = False
config.batch_size = 128
config.optimizer = "sgd"
config.lr = 0.1
config.momentum = 0.9
config.weight_decay = 5e-4
config.verbose = 2000
config.frequent = 10
config.dali = False
config.gradient_acc = 1
config.seed = 2048
config.num_workers = 2
config.wandb_key = "secret-of-mine"
config.using_wandb = False
"""
)


class Case(NamedTuple):
    """A config's file and text; what its recipe sets, options as ``loss.margin``; words of the remarks.

    `images` are those of a step that the rate is for. `base` is the text of the ``base.py`` beside, if any.
    """

    name: str
    text: str
    sets: dict[str, Any]
    images: int = 1024
    said: tuple[str, ...] = ()
    base: str = BASE


ARC = """config = edict()
config.margin_list = (1.0, 0.5, 0.0)
config.network = "r100"
config.output = None
config.fp16 = True
config.num_epoch = 20
config.warmup_epoch = 0
config.val_targets = ["lfw", 'cfp_fp', "agedb_30"]
"""
NOISY = """config = edict()
config.margin_list = (1.0, 0.0, 0.4)
config.network = "r50"
config.sample_rate = 0.1
config.interclass_filtering_threshold = 0.4
config.num_epoch = 20
config.warmup_epoch = config.num_epoch // 10
config.val_targets = []
"""
VIT = """config = edict()
config.margin_list = (1.0, 0.0, 0.4)
config.network = "vit_b_dp005_mask_005"
config.sample_rate = 1.0
config.weight_decay = 0.1
config.batch_size = 256
config.gradient_acc = 12  # 24,576 images a step
config.optimizer = "adamw"
config.lr = 0.001
config.num_epoch = 40
config.warmup_epoch = config.num_epoch // 10
"""
SYNTHETIC = """config = edict()
config.margin_list = (1.0, 0.0, 0.4)
config.network = "mbf"
config.batch_size = 64
config.sample_rate = 0.5
config.rec = "synthetic"
config.num_classes = 3 * 10000
config.num_image = 100000
config.num_epoch = 30
config.warmup_epoch = -1
"""
FUNCTION = """config = edict()
config.loss = "cosface"
config.network = "r18"
config.weight_decay = 5e-4
config.batch_size = 64
config.lr = 0.1  # batch size is 512
config.num_epoch = 25
config.warmup_epoch = -1

def lr_step_func(epoch):
    return ((epoch + 1) / (4 + 1)) ** 2 if epoch < config.warmup_epoch else 0.1 ** len(
        [m for m in [11, 17, 22] if m - 1 <= epoch])
config.lr_func = lr_step_func
"""
EPOCHS = """config = edict()
config.loss = "arcface"
config.network = "r34"
config.batch_size = 128
config.lr = 0.1
config.num_epoch = 30
config.warmup_epoch = 1
config.decay_epoch = [10, 16, 22]
"""
BRANCHES = """config = edict()
config.dataset = "faces"
config.batch_size = 128
config.lr = 0.1
config.s = 64.0
config.m = 0.50
config.std = 0.0175
config.loss = "ElasticArcFacePlus"
config.network = "iresnet100"
config.SE = False
config.global_step = 0

if config.dataset == "others":
    config.num_epoch = 99
elif config.dataset == "faces":
    config.num_epoch = 26
    config.warmup_epoch = -1
    config.eval_step = 5686
    def lr_step_func(epoch):
        return 0.1 ** len([m for m in [8, 14, 20, 25] if m - 1 <= epoch])
    config.lr_func = lr_step_func
"""
IMPORTED = """from configs.base import config as cfg

gpus = 16
cfg.network = "r200"
cfg.margin_list = (1.0, 0.0, 0.4)
cfg.batch_size = 4096 // gpus
cfg.lr = 0.1 * 4
cfg.num_epoch = 16
cfg.warmup_epoch = 2
"""
TABLE = """config = edict({
    "network": "vit_t_dp005_mask0",
    "margin_list": [1, 0, 0.4],
    "optimizer": "adamw",
    "lr": 1e-3,
})
config.update(dict(weight_decay=0.1, num_epoch=40))
config["warmup_epoch"] = 4
config.batch_size: int = 512
config.seed += 1
"""
MARGINS = """config = edict()
config.margin_list = (1.0, 0.3, 0.2)
config.network = "mbf_large"
config.embedding_size = 256
config.optimizer = "lion"
config.momentum = 0.5
config.dali = True
config.using_wandb = True
config.attention_heads = 4
config.num_epoch = 10
"""
STRANGE = """import os
config = edict()
config.network = "r2060"
config.margin_list = (0.9, 0.5, 0.0)
config.output = os.path.join("work_dirs", "x")
config.lr = pow(10, -1)
config.batch_size = 9 ** 9 ** 9
config.num_epoch = 20 if os.cpu_count() > 4 else 10
config.sample_rate = 0
for path in os.listdir("/"):
    print(path)
config.lr_func = lambda epoch: 0.1
raise RuntimeError("this file was run")
"""
SUBCLASSES = '''"""A docstring that is none of our business, \\d."""
config = edict()
config.network = "r50"
config.margin_list = (2.0, 0.0, 0.0)
config.num_epoch = "20"
config.lr = 0.02
config.fp16 = True
'''

CASES = [
    Case(
        "ms1mv3_r100",
        HEAD + ARC + DATA,
        {"backbone": "r100", "loss": "arcface", "epochs": 20, "batch_size": 128, "lr": 0.1, "power": 1.0}
        | {"clip": 5.0, "backbone.dropout": 0.0, "loss.margin": 0.5, "loss.fallback": "none"}
        | {"loss.gradient": "detached", "weight_decay": 5e-4, "seed": 2048},
        said=("rec /train_tmp/faces is not here", "8 GPUs, since it does not say", "fp16", "val_targets lfw"),
    ),
    Case(
        "wf12m_flip_pfc01_filter04_r50",
        HEAD + NOISY + DATA,
        {"loss": "cosface", "loss.margin": 0.4, "sample_rate": 0.1, "interclass_filter": 0.4, "warmup": "2e"},
    ),
    Case(
        "wf42m_40epoch_8gpu_vit_b",
        HEAD + VIT + DATA,
        {"backbone": "vit_b", "optimizer": "adamw", "accumulate": 12, "warmup": "4e", "weight_decay": 0.1}
        | {"backbone.drop_path": 0.05, "backbone.mask": 0.1},
        images=256 * 8 * 12,
        said=("8 GPUs, by its name",),
    ),
    Case(
        "speed_onegpu",
        HEAD + SYNTHETIC,
        {"backbone": "y1", "backbone.scale": 2, "dataset": "synthetic", "dataset.classes": 30_000},
        images=64,
        said=("1 GPU, by its name",),
    ),
    Case(
        "ms1mv3_r18_2021",
        HEAD + FUNCTION + DATA,
        {"backbone": "r18", "loss": "cosface", "loss.margin": 0.4, "schedule": "multistep"}
        | {"milestones": "10e,16e,21e", "batch_size": 64, "clip": 5.0},
        images=512,
        said=("lr is for 512 images a step", "no base.py lies beside it"),
        base="",
    ),
    Case(
        "decayed",
        HEAD + EPOCHS + DATA,
        {"milestones": "10e,16e,22e", "warmup": "1e", "loss": "arcface", "backbone": "r34"},
        images=512,
        said=("rises in a straight line here",),
    ),
    Case(
        "elastic",
        HEAD + BRANCHES + DATA,
        {"backbone": "r100", "loss": "elasticface", "loss.base": "arcface", "loss.plus": True, "epochs": 26}
        | {"loss.sigma": 0.0175, "loss.margin": 0.5, "milestones": "7e,13e,19e,24e"},
        images=512,
        said=("eval_step is not taken over: give --set verify_every",),
        base="",
    ),
    Case(
        "wf42m_16gpus_r200",
        IMPORTED,
        {"backbone": "r200", "batch_size": 256, "lr": 0.4, "epochs": 16, "warmup": "2e", "seed": 2048},
        images=4096,
    ),
    Case(
        "table",
        HEAD + TABLE,
        {"backbone": "vit_t", "batch_size": 512, "epochs": 40, "warmup": "4e", "weight_decay": 0.1}
        | {"seed": 2049, "backbone.mask": 0.0},
        images=4096,
    ),
    Case(
        "margins",
        HEAD + MARGINS,
        {"loss": "cosface", "loss.margin": 0.2, "backbone": "y1", "backbone.blocks": "2,8,12,4"}
        | {"backbone.embedding_size": 256, "backbone.scale": 4},
        said=(
            *("uses 0.2 alone", "optimizer lion is not here", "momentum is 0.9", "dali is not taken over"),
            *("give --track wandb", "attention_heads is not taken over: there is no such setting here"),
        ),
    ),
    Case(
        "strange",
        HEAD + STRANGE,
        {"loss": "combined", "loss.m1": 0.9, "loss.m2": 0.5, "lr": 0.1, "batch_size": 128, "epochs": 20},
        said=(
            *(
                "network r2060 is not here",
                "line 7: `config.output = …`",
                "line 8: `config.lr = …`",
            ),
            *("line 9: `config.batch_size = …`", "line 10: `config.num_epoch = …`"),
            *("sample_rate 0 is outside", "line 12: `for path in", "line 14: `config.lr_func = …`"),
            "line 15: `raise RuntimeError",
        ),
    ),
    Case(
        "typed",
        SUBCLASSES,
        {"loss": "combined", "loss.m1": 2.0, "lr": 0.02},
        said=("num_epoch = '20' is not taken over: it is not of the usual type",),
    ),
]
