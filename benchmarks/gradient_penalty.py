"""The critic's gradient penalty by autograd's double backward and written out: value, weights' gradients, seconds.

The published critic (convolutions and LeakyReLUs) at random points; forward and backward together, as in a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from measuring import count_flops, environment, interleaved, parser, prepare, save, table
from torch import Tensor

from aucond import PatchCritic, gradient_penalty
from aucond.losses import PenaltyMethod

METHODS: tuple[PenaltyMethod, PenaltyMethod] = ("autograd", "explicit")


def penalise(critic: PatchCritic, points: Tensor, method: PenaltyMethod) -> Tensor:
    """The penalty, with its gradient left in the critic's weights."""
    critic.zero_grad(set_to_none=True)
    penalty = gradient_penalty(critic, points, method=method)
    torch.autograd.backward(penalty)
    return penalty.detach()


def difference(critic: PatchCritic, points: Tensor) -> float:
    """The largest difference of the weights' gradients between both methods, relative to the largest gradient."""
    found = []
    for method in METHODS:
        penalise(critic, points, method)
        found.append([torch.zeros(()) if p.grad is None else p.grad.clone() for p in critic.parameters()])
    largest = max(float(g.abs().max()) for g in found[0])
    pairs = zip(*found, strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs) / largest


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="image sizes, pixels")
    made.add_argument("--batch", type=int, help="images a batch; default 25 on a GPU, 8 on a CPU")
    options = made.parse_args()
    device = prepare(options)
    batch = options.batch or (25 if device.type == "cuda" else 8)
    channels, layers, sizes = (4, 3, [16]) if options.quick else (64, 6, options.sizes)
    rounds = options.rounds or (2 if options.quick else 10)
    rows: list[dict[str, Any]] = []
    info = environment(device, options.quick)
    for size in sizes:
        torch.manual_seed(0)
        critic = PatchCritic(base_channels=channels, num_layers=layers).to(device)
        critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        points = torch.rand(batch, 3, size, size).to(device, memory_format=torch.channels_last) * 2 - 1
        flops = {method: count_flops(partial(penalise, critic, points, method)) for method in METHODS}
        works: dict[str, Callable[[], object]] = {
            method: partial(penalise, critic, points, method) for method in METHODS
        }
        seconds = interleaved(works, device, rounds=rounds)
        exact = difference(critic.cpu().double(), points[:2].cpu().double())
        rows.append(
            {
                "size": size,
                "batch": batch,
                **{f"{m}_seconds": seconds[m] for m in METHODS},
                "speedup": seconds["autograd"] / seconds["explicit"],
                "flops_ratio": flops["autograd"] / flops["explicit"],
                "difference_float64": exact,
            }
        )
    print(table(rows))
    save("gradient_penalty", {"environment": info, "rounds": rounds, "rows": rows}, options)


if __name__ == "__main__":
    main()
