"""What other programs suggest, read off a curve of raw losses: each with its own smoothing and cuts.

fastai's four and Smith's bounds come from `lockstep suggest` itself.
"""
import math

import numpy as np


def exponential(loss, share):
    """s_i = share loss_i + (1 - share) s_{i-1}, s_0 = loss_0: torch-lr-finder and Ignite."""
    smoothed = []
    for value in loss:
        smoothed.append(share * value + (1 - share) * smoothed[-1] if smoothed else value)
    return np.array(smoothed)


def unbiased(loss, beta):
    """Bias-corrected moving average: Lightning, fastai."""
    average, smoothed = 0.0, []
    for i, value in enumerate(loss):
        average = beta * average + (1 - beta) * value
        smoothed.append(average / (1 - beta**(i + 1)))
    return np.array(smoothed)


def lightning(lr, loss):
    """Lightning 2.x, tuner/lr_finder.py, _LRFinder.suggestion: the smallest slope over the linear LR
    of the average with beta 0.98, without the first 10 points and the last."""
    smoothed = unbiased(loss, 0.98)[10:-1]
    rates = np.asarray(lr)[10:-1]
    finite = np.isfinite(smoothed)
    smoothed, rates = smoothed[finite], rates[finite]
    return float(rates[np.argmin(np.gradient(smoothed, rates))]) if len(rates) >= 2 else None


def torch_lr_finder(lr, loss):
    """torch-lr-finder 0.2.1, LRFinder.plot(suggest_lr=True): the smallest index gradient of the
    average with smooth_f 0.05, without the first 10 points and the last 5."""
    smoothed, rates = exponential(loss, 0.05)[10:-5], np.asarray(lr)[10:-5]
    return float(rates[np.argmin(np.gradient(smoothed))]) if len(rates) >= 2 else None


def ignite(lr, loss):
    """Ignite 0.4 and 0.5, handlers/lr_finder.py, FastaiLRFinder.lr_suggestion: the smallest central
    difference of the average with smooth_f 0.05, up to its minimum."""
    smoothed = exponential(loss, 0.05)
    falling = smoothed[:int(np.argmin(smoothed)) + 1]
    if len(falling) < 3:
        return None
    return float(lr[int(np.argmin(0.5 * (falling[2:] - falling[:-2]))) + 1])


PEERS = {"lightning": lightning, "torch-lr-finder": torch_lr_finder, "ignite": ignite}


def suggest(lr, loss):
    """{rule: LR}, only of those that suggest one."""
    kept = [(a, b) for a, b in zip(lr, loss) if math.isfinite(b)]
    if len(kept) < 20:
        return {}
    rates, losses = zip(*kept)
    found = {name: rule(rates, losses) for name, rule in PEERS.items()}
    return {name: value for name, value in found.items() if value}
