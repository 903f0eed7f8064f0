"""The numbers of an event, by the name under which a tracker has them."""

from __future__ import annotations

from arcterm.runs.events import AnyEvent, Checkpoint, Gpu, Gpus, Mined, Rank, Step, Verify

_STEP = (
    *("loss", "accuracy", "angle", "active", "teacher", "lr", "margin", "scale"),
    *("images_per_second", "data_wait", "epoch", "samples", "gradient_scale", "gradient_norm"),
)
_VERIFY = ("accuracy", "std", "tar", "threshold", "far_threshold", "xnorm", "seconds")
_MINED = ("round", "bags", "images", "pairs", "triplets", "seconds")
_GPU = ("utilisation", "memory_used", "temperature", "power", "clock")


def values_of(event: AnyEvent) -> dict[str, float]:  # noqa: PLR0911  one a kind of event
    """The values of an event that rank 0 wrote, by name; none of one that has no numbers to draw.

    What is None in the event is left out; a number that is not finite is one here.
    """
    match event:
        case Step():
            times = {f"time/{name}": value for name, value in event.times.items()}
            flags = {"train/skipped": float(event.skipped)}
            if event.gradient_scale is not None:
                flags["train/overflow"] = float(event.overflow)
            return _numbers(event, "train", _STEP) | times | flags
        case Verify():
            rates = {f"verify/{event.set}/tar@{rate.far:g}": rate.tar for rate in event.rates}
            return _numbers(event, f"verify/{event.set}", _VERIFY) | rates
        case Mined():
            return _numbers(event, "mined", _MINED)
        case Checkpoint():
            return _numbers(event, "checkpoint", ("bytes", "seconds"))
        case Gpus():
            return {name: value for gpu in event.gpus for name, value in _of_gpu(gpu).items()}
        case Rank(rank=0):
            return _numbers(event, "rank/0", ("cpu", "memory", "gpu_peak"))
        case _:
            return {}


def _of_gpu(gpu: Gpu) -> dict[str, float]:
    return _numbers(gpu, f"gpu/{gpu.index}", _GPU)


def _numbers(event: object, group: str, names: tuple[str, ...]) -> dict[str, float]:
    found = {name: getattr(event, name) for name in names}
    return {f"{group}/{name}": float(value) for name, value in found.items() if value is not None}
