#!/usr/bin/env python3
"""Writes tests/golden/schedules.csv: learning rates and momenta of PyTorch's schedulers.

Usage: scripts/golden_schedules.py [--out tests/golden]

Needs PyTorch.  A run of 80 steps, 10 an epoch, base LR 0.1, momentum 0.9; every scheduler is stepped
once per optimizer step.  tests/unit/test_schedule_torch.c has the same schedules, by name, for
lockstep.
"""
import argparse
import pathlib

import torch
from torch.optim import lr_scheduler as torch_lr

STEPS, STEPS_PER_EPOCH, LR, MOMENTUM = 80, 10, 0.1, 0.9
WARMUP, WARMUP_FACTOR = 15, 0.1


def cyclic(mode, half):
    return lambda o: torch_lr.CyclicLR(o, 0.02, LR, step_size_up=half, mode=mode, cycle_momentum=False)


def one_cycle(steps=STEPS, **options):
    return lambda o: torch_lr.OneCycleLR(o, LR, total_steps=steps, **options)


def warmup(optimizer):
    return torch_lr.LinearLR(optimizer, start_factor=WARMUP_FACTOR, total_iters=WARMUP)


def after_warmup(then):
    return lambda o: torch_lr.SequentialLR(o, [warmup(o), then(o)], [WARMUP])


def during_warmup(other):
    return lambda o: torch_lr.ChainedScheduler([warmup(o), other(o)])


def step(optimizer):
    return torch_lr.StepLR(optimizer, 3 * STEPS_PER_EPOCH, gamma=0.1)


def multistep(optimizer):
    epochs = [1, 2, 5]
    return torch_lr.MultiStepLR(optimizer, [STEPS_PER_EPOCH * e for e in epochs], gamma=0.3)


def cosine(steps):
    return lambda o: torch_lr.CosineAnnealingLR(o, steps, eta_min=0.001)


def polynomial(steps):
    return lambda o: torch_lr.PolynomialLR(o, steps, power=0.9)


SCHEDULERS = {
    "step": step,
    "multistep": multistep,
    "exponential": lambda o: torch_lr.ExponentialLR(o, 0.6 ** (1 / STEPS_PER_EPOCH)),
    "polynomial": polynomial(STEPS),
    "cosine": cosine(STEPS),
    "cosine_restarts": lambda o: torch_lr.CosineAnnealingWarmRestarts(o, 10, 2, eta_min=0.001),
    "cosine_restarts_equal": lambda o: torch_lr.CosineAnnealingWarmRestarts(o, 16, 1),
    "triangular": cyclic("triangular", 12),
    "triangular_odd": cyclic("triangular", 12.5),
    "triangular2": cyclic("triangular2", 12),
    "one_cycle": one_cycle(),
    "one_cycle_linear": one_cycle(pct_start=0.45, anneal_strategy="linear", div_factor=10,
                                  final_div_factor=100, base_momentum=0.8, max_momentum=0.9),
    "warmup_step": during_warmup(step),
    "warmup_multistep": during_warmup(multistep),
    "warmup_cosine": after_warmup(cosine(STEPS - WARMUP)),
    "warmup_polynomial": after_warmup(polynomial(STEPS - WARMUP)),
}


def curve(make):
    """(lr, momentum) of each step."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=LR, momentum=MOMENTUM)
    scheduler = make(optimizer)
    for index in range(STEPS):
        group = optimizer.param_groups[0]
        yield float(group["lr"]), float(group["momentum"])
        optimizer.step()
        if index + 1 < STEPS:
            scheduler.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/golden"))
    arguments = parser.parse_args()
    lines = ["schedule,step,lr,momentum"]
    for name, make in SCHEDULERS.items():
        lines += [f"{name},{i},{lr!r},{mu!r}" for i, (lr, mu) in enumerate(curve(make))]
    path = arguments.out / "schedules.csv"
    path.write_text("\n".join(lines) + "\n")
    print(f"{path}: {len(SCHEDULERS)} schedules, {STEPS} steps, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
