"""The fused kernels against a naive head in float64: on the GPU, or else in Triton's interpreter.

Triton reads TRITON_INTERPRET when it is first imported, and torch's optimizers import it: hence a process of
its own, which runs this file again.
"""

from __future__ import annotations

import math
import os
import runpy
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F
from arcterm_registry import get

from arcterm.train.head import fused, products
from arcterm.train.head.head import Head
from arcterm.train.head.rowgradients import Collected
from arcterm.train.world import World

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NAMES = ("lse", "highest", "dunit", "dweight")


def _version(name):
    """Major and minor number of what is installed; (0, 0) if it is not."""
    if find_spec(name) is None:
        return 0, 0
    return tuple(int(part) for part in metadata.version(name).split(".")[:2])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.skipif(fused.available(DEVICE), reason="the kernels run in this process")
@pytest.mark.skipif(
    _version("triton") < (3, 7) and _version("numpy") >= (2, 4),
    reason="Triton's interpreter before 3.7 makes an index of an array, which NumPy 2.4 refuses",
)
def test_kernels_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "TestKernels", __file__]
    env = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_needs_no_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert runpy.run_path(fused.__file__)["available"]


def test_available_only_where_the_kernels_run(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert fused.available(torch.device("cpu")) == (find_spec("triton") is not None)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert not fused.available(torch.device("cpu"))
    assert not fused.available(torch.device("meta"))


@pytest.mark.parametrize("error", [RuntimeError("Failed to find C compiler.\n Set CC"), None])
def test_kernels_that_fail_are_done_without_and_said(monkeypatch, error):
    def rivals(unit, *_):
        if error:
            raise error
        return torch.zeros(len(unit)), torch.zeros(len(unit))

    monkeypatch.setattr(fused, "available", lambda _: True)
    monkeypatch.setattr(fused, "rivals", rivals)
    monkeypatch.setattr(fused, "gradients", lambda unit, *_: unit)
    fused.failure.cache_clear()
    products.has_kernels.cache_clear()
    try:
        head = Head(50, 8, get("loss", "arcface").make(), World(), 0, dtype=torch.bfloat16)
        found = head.remark
        head(torch.randn(4, 8), torch.arange(4), 1).loss.backward()
    finally:
        fused.failure.cache_clear()
        products.has_kernels.cache_clear()
    assert "can't be used: " in found and "cuBLAS" in found and "python3-dev" in found
    assert ("Failed to find C compiler. Set CC" if error else "their sums are wrong") in found
    assert head.weight.grad.isfinite().all()


def test_memory_that_is_used_up_says_nothing_of_the_kernels(monkeypatch):
    def rivals(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fused, "rivals", rivals)
    fused.failure.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        fused.failure(torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("unit", torch.zeros(4, 6), "are needed, not"),
        ("targets", torch.zeros(3, dtype=torch.int64), "are needed, not"),
        ("unit", torch.zeros(4, 5, dtype=torch.float64), "unit and inverse must be float32"),
        ("weight", torch.zeros(9, 5, dtype=torch.float16), "weight must be contiguous"),
        ("weight", torch.zeros(5, 9).T, "weight must be contiguous"),
    ],
)
def test_refuses(name, value, message):
    given = {"unit": torch.zeros(4, 5), "weight": torch.zeros(9, 5), "inverse": torch.zeros(9)}
    given |= {"targets": torch.zeros(4, dtype=torch.int64), "scale": torch.tensor(1.0), name: value}
    with pytest.raises(ValueError, match=message):
        fused.rivals(**given)
    with pytest.raises(ValueError, match=message):
        fused.gradients(**given, lse=torch.zeros(4), grad=torch.zeros(4), to=Collected(torch.zeros(9, 5)))


class Problem:
    """Features near their class, so that a target among the rivals shows; some targets are elsewhere."""

    def __init__(self, B, C, D, scale=64.0, targets=None, dtype=torch.float32):
        generator = torch.Generator().manual_seed(B + C + D)
        self.weight = (torch.randn(C, D, generator=generator) * 0.1).to(dtype).to(DEVICE)
        self.targets = torch.randint(-1, C, (B,), generator=generator).to(DEVICE)
        if targets is not None:
            self.targets = torch.tensor(targets, device=DEVICE)
        noise = F.normalize(torch.randn(B, D, generator=generator)).to(DEVICE)
        self.unit = F.normalize(noise + F.normalize(self.weight.float())[self.targets])
        self.grad = (torch.rand(B, generator=generator) / B).to(DEVICE)
        self.scale = torch.tensor(scale, device=DEVICE)

    def fused(self, precision="bf16", lse=None, targets=None):
        """lse, highest, dunit, dweight."""
        targets = self.targets if targets is None else targets
        inverse = 1 / torch.linalg.vector_norm(self.weight, dim=1, dtype=torch.float32)
        given = (self.unit, self.weight, inverse, targets, self.scale)
        own, highest = fused.rivals(*given, precision=precision)
        lse = own if lse is None else lse
        rows = Collected(self.weight.float())
        dunit = fused.gradients(*given, lse, self.grad, rows, precision=precision)
        return own, highest, dunit, rows.weight

    def naive(self, constant_norm=False):
        """The same by autograd in float64; `constant_norm` leaves out the Jacobian of the normalisation."""
        unit, weight = (x.double().requires_grad_() for x in (self.unit, self.weight))
        norm = weight.norm(dim=1, keepdim=True)
        logits = self.scale * unit @ (weight / (norm.detach() if constant_norm else norm)).T
        is_target = torch.arange(len(weight), device=DEVICE) == self.targets[:, None]
        others = logits.masked_fill(is_target, -math.inf)
        lse = others.logsumexp(1)
        dunit, dweight = torch.autograd.grad((lse * self.grad).sum(), (unit, weight))
        return lse.detach(), others.detach().amax(1) / self.scale, dunit, dweight


def errors(ours, naive):
    """Frobenius errors relative to the naive result."""
    return {n: ((a - b).norm() / b.norm()).item() for n, a, b in zip(NAMES, ours, naive, strict=True)}


class TestKernels:
    __test__ = fused.available(DEVICE)

    @pytest.mark.parametrize("shape", [(5, 7, 3), (33, 129, 96), (130, 140, 70)])
    def test_fp32(self, shape):
        problem = Problem(*shape)
        assert max(errors(problem.fused("fp32"), problem.naive()).values()) < 1e-5

    # The interpreter cuts bfloat16 off where a GPU rounds it: a higher scale would show that alone.
    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [
            ((5, 7, 3), torch.bfloat16),
            ((40, 300, 96), torch.bfloat16),
            ((130, 257, 70), torch.float32),
        ],
    )
    def test_bf16(self, shape, dtype):
        problem = Problem(*shape, scale=4.0, dtype=dtype)
        assert max(errors(problem.fused(), problem.naive()).values()) < 1e-2

    def test_bf16_weight_in_fp32(self):
        problem = Problem(9, 70, 40, dtype=torch.bfloat16)
        assert max(errors(problem.fused("fp32"), problem.naive()).values()) < 1e-5

    def test_the_trial_passes(self):
        assert not fused.failure(DEVICE)

    @pytest.mark.parametrize("targets", [[-1] * 6, [69] * 6, [64, 0, 63, 64, -1, 69]])
    def test_targets(self, targets):
        problem = Problem(6, 70, 20, targets=targets)
        assert max(errors(problem.fused("fp32"), problem.naive()).values()) < 1e-5

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_no_rival(self, precision):
        lse, highest, dunit, dweight = Problem(2, 1, 16, targets=[0, 0]).fused(precision)
        assert lse.tolist() == highest.tolist() == [-math.inf] * 2
        assert not dunit.any() and not dweight.any()

    def test_rank_without_classes(self):
        problem = Problem(3, 5, 4)
        whole = problem.fused()[0]
        problem.weight, problem.targets = problem.weight[:0], torch.full_like(problem.targets, -1)
        lse, highest, dunit, dweight = problem.fused(lse=whole)
        assert lse.tolist() == highest.tolist() == [-math.inf] * 3
        assert not dunit.any() and dweight.shape == (0, 4)

    def test_two_ranks_make_one(self):
        problem = Problem(20, 100, 24)
        naive, whole = problem.naive(), problem.weight
        ranks = [(whole[:37], problem.targets), (whole[37:], problem.targets - 37)]
        parts = []
        for weight, targets in ranks:
            problem.weight, problem.targets = (
                weight,
                targets.where((targets >= 0) & (targets < len(weight)), -1),
            )
            parts.append(problem.fused("fp32", lse=naive[0].float()))
        (lse1, high1, dunit1, dw1), (lse2, high2, dunit2, dw2) = parts
        ours = (
            torch.logaddexp(lse1, lse2),
            torch.maximum(high1, high2),
            dunit1 + dunit2,
            torch.cat((dw1, dw2)),
        )
        assert max(errors(ours, naive).values()) < 1e-5

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_little_scratch_means_many_runs(self, monkeypatch, precision):
        problem = Problem(7, 300, 16, scale=8.0, dtype=torch.bfloat16)
        once = problem.fused(precision)
        monkeypatch.setattr(fused, "_SCRATCH", 1)
        many = problem.fused(precision)
        assert max(errors(many, once).values()) < 1e-6

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_same_bits_twice(self, precision):
        problem = Problem(70, 130, 20)
        first, second = problem.fused(precision), problem.fused(precision)
        assert all(map(torch.equal, first, second))

    @pytest.mark.parametrize("kept", [1, 64, 65, 130])
    def test_only_the_first_rows_take_part(self, kept):
        problem = Problem(130, 140, 70)
        lse = problem.fused("fp32")[0]
        count = torch.tensor(kept, dtype=torch.int32, device=DEVICE)
        rows, inverse = Collected(problem.weight), 1 / problem.weight.norm(dim=1)
        given = (problem.unit, problem.weight, inverse, problem.targets, problem.scale, lse, problem.grad)
        ours = fused.gradients(*given, rows, "fp32", kept=count), rows.weight
        problem.grad[kept:] = 0
        wanted = problem.fused("fp32", lse=lse)[2:]
        assert not ours[0][kept:].any()
        for a, b in zip(ours, wanted, strict=True):
            assert ((a - b).norm() / b.norm()).item() < 1e-5

    def test_a_head_leaves_out_what_is_told_apart(self, monkeypatch):
        plain, counts = fused.gradients, []

        def counted(*arguments, **further):
            counts.append(int(further["kept"]) if further else None)
            return plain(*arguments, **further)

        monkeypatch.setattr(fused, "gradients", counted)
        found = []
        for filtered in (False, True):
            torch.manual_seed(5)  # the rows are drawn with 0
            margin = get("loss", "arcface").make()
            head = Head(150, 40, margin, World(device=DEVICE), 0, dtype=torch.bfloat16, filtered=filtered)
            labels = torch.arange(30, device=DEVICE)
            near = torch.where(labels[:, None] < 20, 0.0, 1.0) * torch.randn(30, 40, device=DEVICE)
            x = (F.normalize(head.weight.detach()[:30]) + 0.3 * near).requires_grad_()
            head(x, labels, 5).loss.backward()
            found.append((x.grad, head.weight.grad))
        assert counts[-2] is None and 0 < counts[-1] < 30
        for ours, wanted in zip(*found, strict=True):
            assert ((ours - wanted).norm() / wanted.norm()).item() < 2**-9

    def test_gradient_of_a_mean(self):
        problem = Problem(6, 70, 20)
        problem.grad = torch.tensor(1 / 6, device=DEVICE).expand(6)
        assert max(errors(problem.fused("fp32"), problem.naive()).values()) < 1e-5

    def test_gradient_leaves_the_norm_alone(self):
        problem = Problem(20, 70, 24)
        dweight = problem.fused("fp32")[3]
        along = (dweight * problem.weight).sum(1) / problem.weight.norm(dim=1)
        assert along.norm() / dweight.norm() < 1e-6

    def test_the_comparison_sees_a_mistake(self):
        problem = Problem(33, 129, 30, scale=16.0)
        naive, right = problem.naive(), problem.fused("fp32")
        unmasked = errors(problem.fused("fp32", targets=torch.full_like(problem.targets, -1)), naive)
        assert min(unmasked.values()) > 1e-3
        shifted = errors(problem.fused("fp32", lse=right[0] + 1e-3), naive)
        assert shifted["dunit"] > 5e-4 and shifted["dweight"] > 5e-4
        assert errors(right, problem.naive(constant_norm=True))["dweight"] > 1e-2

    @pytest.mark.parametrize("name", ["arcface", "sphereface"])
    def test_the_head_trains_on_them(self, name, monkeypatch):
        """All of the loss, the norms of raw features and the targets' own gradient included."""
        called = []
        for kernel in ("rivals", "gradients"):
            plain = getattr(fused, kernel)
            monkeypatch.setattr(
                fused, kernel, lambda *a, _plain=plain, _name=kernel: called.append(_name) or _plain(*a)
            )
        found = []
        for dtype in (torch.bfloat16, torch.float32):
            torch.manual_seed(0)
            margin = get("loss", name).make()
            margin.scale = 4.0 if name == "arcface" else 1.0
            head = Head(150, 40, margin, World(device=DEVICE), 0, dtype=dtype)
            x = torch.randn(30, 40, device=DEVICE).requires_grad_()
            out = head(x, torch.arange(30, device=DEVICE) % 7, 5)
            out.loss.backward()
            found.append((out.loss.detach(), x.grad, head.weight.grad))
        assert called == ["rivals", "gradients"]
        for ours, wanted in zip(*found, strict=True):
            assert ((ours - wanted).norm() / wanted.norm()).item() < 1e-2

    @pytest.mark.skipif(DEVICE.type == "cpu", reason="needs a GPU with 16 GiB")
    def test_more_elements_than_int32_counts(self, C=4_400_000):
        problem = Problem(16, 300, 512, scale=32.0)
        problem.weight = torch.randn(C, 512, device=DEVICE, dtype=torch.bfloat16)
        problem.targets[:2] = torch.tensor([C - 1, C - 2])
        lse, _, _, dweight = problem.fused()
        norm = problem.weight[-300:].float().norm(dim=1)
        rows = problem.weight[-300:].float() / norm[:, None]
        cosines = problem.unit @ rows.T
        p = (problem.scale * cosines - lse[:, None]).exp() * (problem.grad * problem.scale)[:, None]
        p[0, -1] = p[1, -2] = 0
        expected = (p.T @ problem.unit - rows * (p * cosines).sum(0)[:, None]) / norm[:, None]
        assert (dweight[-300:] - expected).norm() / expected.norm() < 2e-2
