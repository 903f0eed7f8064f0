"""The options of ``train_softmax.py``: names, types, defaults and help."""

from __future__ import annotations

from typing import Any

from arcterm_registry import Option


def _option(name: str, default: Any, help: str, kind: type | None = None) -> Option:
    return Option(name=name, type=kind or type(default), default=default, help=help)


OPTIONS: tuple[Option, ...] = (
    _option("data_dir", "", "Face pack: property, train.rec, train.idx, *.bin."),
    _option("prefix", "../model/model", "Of MXNet's files: PREFIX-symbol.json, PREFIX-0001.params."),
    _option("pretrained", "", "PREFIX,N of MXNet's files to start from; a run or a model file also does."),
    _option("retrain", False, "Does nothing, as in 2018."),
    _option("ckpt", 1, "MXNet's files: 0 none, 1 after verifications that are worth it, 2 after each."),
    _option("network", "s20", "r50, r100, m1, y1, p107, d121, i2, s20, …"),
    _option("version_se", 0, "1: squeeze and excite, in ResNets."),
    _option("version_input", 1, "0: a stem as for ImageNet; 2: grouped bottlenecks from r101 on."),
    _option("version_output", "E", "Output part: E, F, G, H, I, J, A, B, C, D, Z, GAP, GDC, GNAP."),
    _option("version_unit", 3, "Residual unit: 1, 2, 3, 4."),
    _option("version_act", "prelu", "Activation of ResNets: prelu, relu, sigmoid, tanh, softrelu."),
    _option("version_multiplier", 1.0, "Factor of m1's channels."),
    _option("end_epoch", 100000, "Passes over the data; the default ends when it is stopped."),
    _option("noise_sgd", 0.0, "Refused above 0."),
    _option("lr", 0.1, "Learning rate, whatever the batch."),
    _option("lr_steps", "", "Steps after which it falls to a tenth; for the default see docs/2018.md."),
    _option("wd", 0.0005, "Weight decay, of everything."),
    _option("mom", 0.9, "Momentum, with the rate inside it."),
    _option("emb_size", 512, "Length of the embedding."),
    _option("per_batch_size", 128, "Images a GPU; 0 is 128."),
    _option("margin_m", 0.35, "Margin of losses 2, 3, 4 and 5."),
    _option("margin_s", 64.0, "Scale."),
    _option("margin_a", 1.0, "Loss 5 of March 2018 on: factor of the angle."),
    _option("margin_b", 0.0, "Loss 5 of March 2018 on: subtracted from the cosine."),
    _option("easy_margin", 0, "1: loss 4 has its margin below 90 degrees only."),
    _option("margin_verbose", 0, "Does nothing: each step shows the target angle."),
    _option("c2c_threshold", 0.0, "Refused: filtering by a side file."),
    _option("c2c_mode", -10, "Refused, likewise."),
    _option("output_c2c", 0, "Refused, likewise."),
    _option("margin", 4, "Loss 1: factor of the angle."),
    _option("beta", 1000.0, "Loss 1: share of the plain cosine at first."),
    _option("beta_min", 5.0, "Loss 1: share that it falls to."),
    _option("beta_freeze", 0, "Loss 1: steps before it falls; 5000 above 20,000 people."),
    _option("gamma", 0.12, "Loss 1: how fast it falls; 0.06 above 20,000 people."),
    _option("power", 1.0, "Loss 1: exponent of the fall."),
    _option("scale", 0.9993, "Does nothing, as in 2018."),
    _option("center_alpha", 0.5, "Loss 8, which is refused."),
    _option("center_scale", 0.003, "Loss 8, which is refused."),
    _option("images_per_identity", 0, "Loss 12: images of a person in a bag; 0 is 5."),
    _option("triplet_bag_size", 3600, "Loss 12: images embedded per round of mining."),
    _option("triplet_alpha", 0.3, "Loss 12: wanted gap of squared distances."),
    _option("triplet_max_ap", 0.0, "Loss 12: above 0, leave out positives that are farther."),
    _option("verbose", 2000, "Steps between verifications."),
    _option("loss_type", 1, "0 softmax, 1 SphereFace, 2 CosFace, 3, 4 ArcFace, 5, 12 triplet."),
    _option("incay", 0.0, "Refused above 0."),
    _option("use_deformable", 0, "Does nothing, as in 2018."),
    _option("patch", "0_0_96_112_0", "Does nothing, as in 2018."),
    _option("rand_mirror", 1, "1: mirror half of the images."),
    _option("cutoff", 0, "Above 0: half of the images get a grey square of this side."),
    _option("color", 0, "1: jitter colours; 2: and compress half of the images."),
    _option("max_steps", 0, "Above 0: end after this many steps, the state saved."),
    _option("target", "lfw,cfp_ff,cfp_fp,agedb_30", "Verification sets; those that are there."),
    _option("fc7_wd_mult", 1.0, "Does nothing, as in 2018."),
    _option("fc7_lr_mult", 1.0, "Does nothing, as in 2018."),
    _option("fc7_no_bias", False, "Refused with loss 0."),
    _option("bn_mom", 0.9, "Refused but for 0.9."),
    _option("image_size", "112,112", "Refused but for 112,112."),
    _option("images_filter", 0, "Leave out people with fewer images."),
    _option("ce_loss", False, "Show the loss in lines of --log 2018."),
)

DEFAULTS: dict[str, Any] = {option.name: option.default for option in OPTIONS}
