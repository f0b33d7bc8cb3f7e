"""Several processes train one run as if they were one: the same command, started by `torchrun`.

    torchrun --nproc-per-node 4 -m core train --model resnet18 --batch-size 256

Each process holds the whole network and sees its part of every batch; DistributedDataParallel (Li
et al. 2020) averages the gradients, over gloo on processors and NCCL on GPUs. `batch_size` stays
the batch of all together, and seeds, order and views are those of one process. So the loss is that
of one process at the same batch, up to the order in which numbers are added. For that BatchNorm
must see the whole batch: torch's SyncBatchNorm on GPUs, `WholeBatchNorm2d` on processors. Dropout
is the exception: each process draws its own.

Only the first process writes, and what all must know (settings, a stored state) it tells the rest.
"""

import inspect
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.errors import ConfigError
from core.i18n import _

PATIENCE = timedelta(minutes=30)
"""The first process may be decoding photographs while the others wait."""


class PeerError(ConfigError):
    """Another process of this training has failed or gone; it says itself why, if it can."""


@dataclass(frozen=True)
class World:
    """The processes of one training, seen from one of them; by default it is alone."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def part(self, rows: Tensor) -> Tensor:
        """This process' part of a batch's row numbers (B,): all parts together are the batch."""
        return rows if self.size == 1 else rows.tensor_split(self.size)[self.rank]

    def takes(self, number: int) -> bool:
        """Whether the work of this number is this process' to do."""
        return number % self.size == self.rank

    def add(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the CPU; where all but one give 0, exactly that one's."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, happened: bool) -> bool:
        """Whether it happened in any process."""
        return happened if self.size == 1 else bool(self.add(torch.tensor([int(happened)])).item())

    def share_bytes(self, data: bytes | None) -> bytes | None:
        """What the first process gives; what the others give does not matter."""
        if self.size == 1:
            return data
        length = torch.tensor([-1 if data is None else len(data)])
        dist.broadcast(length, src=0)
        if int(length) < 0:
            return None
        content = torch.empty(int(length), dtype=torch.uint8)
        if self.leads and data:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(content, src=0)
        return content.numpy().tobytes()

    def share(self, content: Any) -> Any:
        """What the first process gives, if JSON can hold it."""
        if self.size == 1:
            return content
        shared = self.share_bytes(json.dumps(content).encode() if self.leads else None)
        assert shared is not None  # the first process gives bytes
        return json.loads(shared)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A step that must succeed everywhere: where it fails in one process, all leave it.

        The one raises what went wrong, the others PeerError. Inside, nothing may be exchanged.
        """
        if self.size == 1:
            yield
            return
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
        failed = self.any(failure is not None)
        if failure is not None:
            raise failure
        if failed:
            raise _peer_error()

    def wrap(self, net: nn.Module) -> nn.Module:
        """What to call for a training step: `net` itself, or DDP around it where there are more.

        `net`'s BatchNorm layers must be `whole_batch` ones by then; its weights become the first
        process' own.
        """
        if self.size == 1:
            return net
        gpus = [torch.device(self.device)] if torch.device(self.device).type == "cuda" else None
        ddp = nn.parallel.DistributedDataParallel
        # running statistics are equal everywhere already: nothing to send before each step
        renamed = "forward_sync_buffers" in inspect.signature(ddp).parameters
        silent: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
        return ddp(net, device_ids=gpus, **silent)

    def whole_batch(self, net: nn.Module) -> nn.Module:
        """The network with BatchNorm over the batch of all processes; tensors and names stay."""
        if self.size == 1:
            return net
        if torch.device(self.device).type == "cuda":
            synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(net)
            return synchronised
        for module in net.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = WholeBatchNorm2d
        return net


ALONE = World()


class _Summed(torch.autograd.Function):
    """Sum over all processes; each one's share of the gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


class WholeBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the parts of a batch that all processes hold (what SyncBatchNorm, which
    knows no processors, does on GPUs). The parts may differ in size."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), in the dtype of `x`; computed in float32."""
        if not self.training:
            return super().forward(x)
        values = x if x.dtype == torch.float64 else x.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        added = _Summed.apply(torch.cat([values.sum((0, 2, 3)), count]))  # (C + 1,)
        n, mean = added[-1].detach(), added[:-1] / added[-1].detach()
        centred = values - mean.view(1, -1, 1, 1)
        variance = _Summed.apply(centred.square().sum((0, 2, 3))) / n  # (C,)
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        y = centred * (variance + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            y = y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def leads() -> bool:
    """Whether this process writes and speaks: the first of those `torchrun` started, or alone."""
    return _number("RANK", 0) == 0


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Meet the other processes that `torchrun` has started, if it has; then train on `device`.

    Each process of a machine takes the GPU of its number. Raises ConfigError where they cannot
    meet or there are too few GPUs; PeerError when another process goes while they work.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield World(device=device)
        return
    place, kind = _number("LOCAL_RANK", _number("RANK", 0)), torch.device(device).type
    if kind == "mps":
        raise ConfigError(_("Apple's GPU trains in one process only: leave torchrun out."))
    if kind == "cuda":
        if place >= torch.cuda.device_count():
            raise ConfigError(
                _("This machine has {n} GPUs: start no more processes than that.").format(
                    n=torch.cuda.device_count()
                )
            )
        device = f"cuda:{place}"
        torch.cuda.set_device(place)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            _("The processes of this training do not find each other: {why}").format(
                why=str(error).splitlines()[0]
            )
        ) from error
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    except RuntimeError as error:
        # no goodbye (destroy_process_group): it would wait for those who are gone
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise _peer_error() from error
        raise
    dist.destroy_process_group()


def _peer_error() -> PeerError:
    return PeerError(
        _(
            "Another process of this training has ended: its own lines say why. What is finished "
            "is kept; the same command goes on there."
        )
    )


def _number(name: str, default: int) -> int:
    """A variable that `torchrun` sets. Raises ConfigError if it is no whole number."""
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit():
        raise ConfigError(
            _("{name} must be a whole number, not {text}: torchrun sets it.").format(
                name=name, text=repr(text)
            )
        )
    return int(text)
