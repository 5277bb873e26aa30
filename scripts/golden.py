#!/usr/bin/env python3
"""Writes tests/golden: small networks trained by PyTorch, the reference for lockstep's tests.

Usage: scripts/golden.py [--out tests/golden] [NET...]
Needs torch, numpy, h5py, and the Fashion-MNIST files (Debian: dataset-fashion-mnist).

For each network a configuration <net>.yaml and a file <net>.h5 with
  train/inputs, train/targets   the dataset, as `data.file` expects it
  params/<name>                 where training starts, in lockstep's names and shapes
  first/loss, first/gradients/  mean loss of the first batch and its gradients, computed in float64
  losses                        mean loss of each of the first 100 steps, computed in float32
  after/params/<name>           weights and running statistics after these steps
  after/loss, after/correct     evaluation over the whole set with these
The optimizer's runs, mlp_*, are 200 steps of net mlp under other rules: they start from what mlp.h5
has, and their own files hold the last three lines only.
Batches are consecutive, epoch after epoch, the last one of an epoch partial.  As in lockstep, the
forward and backward pass run slice by slice: batch norm normalises with the slice's own statistics.
"""
import argparse
import copy
import gzip
import pathlib
from dataclasses import dataclass, field, replace

import h5py
import numpy as np
import torch
from torch import nn

MOMENTUM = 0.9
# Of float32 from float64, a tenth of what the test allows: more would make a test of the last bits.
LARGEST_LOSS_DRIFT = 1e-4    # relative
LARGEST_ARRAY_DRIFT = 1e-5  # of weights and statistics, relative to an array's largest element
# Gradients that are off by this share of their largest element, more than any order of summation
# makes them, must stay within what the test allows: where the sign of a ReLU's input changes a step
# sooner or later, some networks leave the path for good.
DISTURBANCE = 1e-6
DISTURBED = 4  # trainings


@dataclass
class Net:
    """One network, its data and how it is trained."""
    layers: list
    inputs: np.ndarray
    targets: np.ndarray
    lr: float
    batch: int = 24
    slices: int = 4
    normalize: bool = False
    label_smoothing: float = 0.0
    class_weights: list | None = None
    optimizer: str = "sgd"
    trust: float = 0.001  # of lars
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_all: bool = False
    steps: int = 100
    schedule: dict = field(default_factory=lambda: {"kind": "constant"})
    origin: str | None = None  # the net whose dataset and starting point it takes; None: its own

    @property
    def epoch(self):
        """Steps, the last one over a partial batch."""
        return -(-len(self.inputs) // self.batch)

    @property
    def regression(self):
        return self.targets.dtype.kind == "f"

    def scaled_weights(self, dtype):
        """The class weights, by scale: their mean over the samples is 1."""
        if self.class_weights is None:
            return None
        weights = np.array(self.class_weights, np.float64)
        return torch.from_numpy(weights / weights[self.targets].mean()).to(dtype)

    @property
    def outputs(self):
        return self.targets.shape[1] if self.regression else int(self.targets.max()) + 1


# ---- data ---------------------------------------------------------------------------------------

def fashion(folder, count):
    """The first `count` training images, (count, 28, 28), and their classes."""
    def read(name, header):
        with gzip.open(pathlib.Path(folder) / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)
    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:count]
    return images, read("train-labels-idx1-ubyte.gz", 8)[:count]


def interleaved(images):
    """(N, 28, 28) as four images of every second row and column, (N, 4, 14, 14)."""
    count = len(images)
    parts = images.reshape(count, 14, 2, 14, 2).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(parts.reshape(count, 4, 14, 14))


def clusters(rng, count, features, classes):
    """Classes around random centres, (N, features)."""
    targets = rng.integers(0, classes, count)
    centres = rng.normal(size=(classes, features))
    return (centres[targets] + rng.normal(size=(count, features))).astype(np.float32), targets


def waves(rng, count, length):
    """A noisy wave in two channels, (N, 2, length); its amplitude, frequency, phase's cosine."""
    amplitude, frequency = rng.uniform(0.5, 1.5, count), rng.uniform(1, 4, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    angle = frequency[:, None] * np.linspace(0, 2 * np.pi, length) + phase[:, None]
    inputs = amplitude[:, None, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    inputs += 0.1 * rng.normal(size=inputs.shape)
    return inputs, np.stack([amplitude, frequency, np.cos(phase)], axis=1)


# ---- networks -----------------------------------------------------------------------------------

def layer(kind, **options):
    return kind, options


def conv_norm(filters, **options):
    return [layer("conv", filters=filters, bias=False, **options), layer("batch_norm")]


def networks(folder):
    rng = np.random.default_rng(20)
    images, classes = fashion(folder, 88)
    nets = {}
    # The last batch has 3 samples for 5 slices: some are empty.
    nets["mlp"] = Net(
        [layer("dense", units=32), layer("gelu"), layer("dense", units=24), layer("tanh"),
         layer("dense", units=16), layer("leaky_relu", slope=0.1), layer("dense", units=5)],
        *clusters(rng, 75, 40, 5), lr=0.005, slices=5, nesterov=True, weight_decay=0.01)
    nets["lenet"] = Net(
        [layer("conv", filters=6, kernel=5, padding=2), layer("relu"), layer("max_pool", size=2),
         layer("conv", filters=12, kernel=5), layer("relu"), layer("max_pool", size=2),
         layer("flatten"), layer("dense", units=32), layer("relu"), layer("dense", units=10)],
        images[:, None], classes, lr=0.002, steps=40, normalize=True, label_smoothing=0.1)
    nets["resnet"] = Net(
        [*conv_norm(8, kernel=3, padding=1), layer("relu"),
         layer("max_pool", size=3, stride=2, padding=1),
         layer("residual", body=[*conv_norm(8, kernel=3, padding=1), layer("relu"),
                                 *conv_norm(8, kernel=3, padding=1)]),
         layer("relu"),
         layer("residual", body=[*conv_norm(12, kernel=3, stride=2, padding=1), layer("relu"),
                                 *conv_norm(12, kernel=3, padding=1)],
               projection=conv_norm(12, kernel=1, stride=2)),
         layer("relu"), layer("global_avg_pool"), layer("dense", units=10)],
        interleaved(images), classes, lr=0.003, steps=40, normalize=True, weight_decay=5e-4)
    # Slices of 5 and 4 samples: their statistics weigh unequally.
    nets["conv3d"] = Net(
        [*conv_norm(4, kernel=3, padding=1), layer("relu"), layer("max_pool", size=2),
         layer("conv", filters=8, kernel=[2, 3, 3], padding=[0, 1, 1], groups=2), layer("gelu"),
         layer("batch_norm", momentum=0.2, epsilon=1e-3),
         layer("avg_pool", size=[1, 3, 3], stride=[1, 2, 2], padding=[0, 1, 1]),
         layer("flatten"), layer("dense", units=10)],
        interleaved(images).astype(np.int16)[:, None], classes, lr=0.005, slices=5, normalize=True)
    nets["regression"] = Net(
        [layer("conv", filters=8, kernel=5, stride=2, padding=2), layer("leaky_relu"),
         layer("residual", body=[
             layer("conv", filters=8, kernel=3, dilation=2, padding=2, groups=2),
             layer("sigmoid")]),
         layer("avg_pool", size=2), layer("flatten"), layer("dense", units=3)],
        *waves(rng, 66, 40), lr=0.01, slices=6, weight_decay=0.01, decay_all=True)
    # The optimizer's runs: the LR falls at steps 60, 120 and 180.
    mlp = replace(nets["mlp"], origin="mlp", steps=200, nesterov=False,
                  schedule={"kind": "step", "every_epochs": 15, "factor": 0.3})
    nets["mlp_momentum"] = replace(mlp, lr=0.01)
    nets["mlp_nesterov"] = replace(mlp, lr=0.01, nesterov=True)
    nets["mlp_one_cycle"] = replace(mlp, lr=0.02, decay_all=True, schedule={"kind": "one_cycle"})
    nets["mlp_adamw"] = replace(mlp, optimizer="adamw", lr=0.003, weight_decay=0.1)
    nets["mlp_adamw_cycle"] = replace(mlp, optimizer="adamw", lr=0.005,
                                      schedule={"kind": "one_cycle"})
    nets["mlp_lars"] = replace(mlp, optimizer="lars", lr=0.2, trust=0.02)
    nets["weights"] = replace(nets["mlp"], lr=0.01, label_smoothing=0.1,
                              class_weights=[3, 0.5, 1, 0, 1.25])
    return nets


# ---- the same network in PyTorch ----------------------------------------------------------------

class Residual(nn.Module):
    def __init__(self, body, projection):
        super().__init__()
        self.body, self.projection = body, projection

    def forward(self, x):
        return self.body(x) + self.projection(x)


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU,
               "leaky_relu": nn.LeakyReLU}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def spread(value, default, dims):
    """An option of a window, one number for each spatial dimension."""
    value = default if value is None else value
    return value if isinstance(value, list) else [value] * dims


def make_layer(kind, options, channels, dims):
    """The module of one layer, for inputs of `channels` channels and `dims` spatial dimensions."""
    def get(name, default=None):
        return spread(options.get(name), default, dims)
    if kind == "dense":
        return nn.Linear(channels, options["units"])
    if kind == "conv":
        return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](
            channels, options["filters"], get("kernel"), get("stride", 1), get("padding", 0),
            get("dilation", 1), options.get("groups", 1), options.get("bias", True))
    if kind == "batch_norm":
        # With momentum 1 the running statistics are those of the last slice, see Trainer.
        return NORMS[max(dims, 1) - 1](channels, options.get("epsilon", 1e-5), momentum=1.0)
    if kind == "max_pool":
        return (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[dims - 1](
            get("size"), get("stride", options["size"]), get("padding", 0))
    if kind == "avg_pool":
        return (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[dims - 1](
            get("size"), get("stride", options["size"]), get("padding", 0), count_include_pad=False)
    if kind == "global_avg_pool":
        return nn.Sequential((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
                              nn.AdaptiveAvgPool3d)[dims - 1](1), nn.Flatten())
    if kind == "flatten":
        return nn.Flatten()
    if kind == "leaky_relu":
        return nn.LeakyReLU(options.get("slope", 0.01))
    return ACTIVATIONS[kind]()


def make_network(layers, probe):
    """The modules of a list of layers under lockstep's default names, and what `probe` becomes."""
    network, counts = nn.Sequential(), {}
    for kind, options in layers:
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "residual":
            body, out = make_network(options["body"], probe)
            projection, _ = make_network(options.get("projection", []), probe)
            module, probe = Residual(body, projection), out
        else:
            module = make_layer(kind, options, probe.shape[1], probe.ndim - 2)
            probe = module(probe)
        network.add_module(f"{kind}{counts[kind]}", module)
    return network, probe


def arrays(network):
    """All parameters and running statistics under lockstep's names: (name, role, tensor)."""
    norm_roles = {"weight": "scale", "bias": "shift", "running_mean": "running_mean",
                  "running_var": "running_variance"}
    for path, module in network.named_modules():
        for name, tensor in [*module.named_parameters(recurse=False),
                             *module.named_buffers(recurse=False)]:
            if tensor.ndim:  # without the counter that batch norm keeps
                role = norm_roles[name] if isinstance(module, NORMS) else name
                yield f"{path.replace('.', '/')}/{role}", role, tensor


def start(network, generator):
    """He et al. 2015; small random biases, shifts and scales, so that none is special."""
    with torch.no_grad():
        for _, role, tensor in arrays(network):
            noise = torch.randn(tensor.shape, generator=generator)
            if role == "weight":
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
            elif role in ("scale", "running_variance"):
                tensor.copy_(1 + 0.1 * noise.abs())
            else:
                tensor.copy_(0.1 * noise)


def slice_places(first, count, slices):
    """A batch's slices, empty ones left out: equal shares, the first with one sample more."""
    share, extra = divmod(count, slices)
    for k in range(slices):
        samples = share + (k < extra)
        if samples:
            yield slice(first, first + samples)
        first += samples


class Lars(torch.optim.Optimizer):
    """You, Gitman and Ginsburg 2017, algorithm 1: lr and momentum are those of the groups."""
    def __init__(self, groups, lr, momentum, trust):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "trust": trust})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                decay, scale = group["weight_decay"], 1.0
                if group["scaled"]:
                    norm = torch.linalg.vector_norm(w)
                    gradient = torch.linalg.vector_norm(w.grad)
                    scale = group["trust"] * norm / (gradient + decay * norm)
                v = self.state[w].setdefault("v", torch.zeros_like(w))
                v.mul_(group["momentum"]).add_(group["lr"] * scale * (w.grad + decay * w))
                w.sub_(v)


def make_optimizer(net, groups):
    if net.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=net.lr, betas=(MOMENTUM, 0.999), eps=1e-8)
    if net.optimizer == "lars":
        return Lars(groups, net.lr, MOMENTUM, net.trust)
    return torch.optim.SGD(groups, lr=net.lr, momentum=MOMENTUM, nesterov=net.nesterov)


def make_scheduler(net, optimizer):
    """The schedule of `net`, to be stepped after every step."""
    schedulers, options = torch.optim.lr_scheduler, net.schedule
    if options["kind"] == "step":
        return schedulers.StepLR(optimizer, options["every_epochs"] * net.epoch, options["factor"])
    if options["kind"] == "one_cycle":  # also cycles the momentum, from 0.95 to 0.85 and back
        return schedulers.OneCycleLR(optimizer, net.lr, total_steps=net.steps)
    return schedulers.ConstantLR(optimizer, factor=1.0)


class Trainer:
    """Runs steps as lockstep defines them."""
    def __init__(self, net, network, dtype):
        self.net, self.network = net, copy.deepcopy(network).to(dtype)
        self.inputs, self.targets = tensors(net, dtype)
        decayed, exempt = [], []
        for _, role, tensor in arrays(self.network):
            if isinstance(tensor, nn.Parameter):
                (decayed if role == "weight" or net.decay_all else exempt).append(tensor)
        self.optimizer = make_optimizer(
            net, [{"params": decayed, "weight_decay": net.weight_decay, "scaled": True},
                  {"params": exempt, "weight_decay": 0.0, "scaled": False}])
        self.norms = [module for module in self.network.modules() if isinstance(module, NORMS)]
        momentums = norm_momentums(net.layers)
        self.running = [[momentum, norm.running_mean.clone(), norm.running_var.clone()]
                        for momentum, norm in zip(momentums, self.norms, strict=True)]

    def loss(self, outputs, targets):
        """The sum over the samples."""
        if self.net.regression:
            return ((outputs - targets) ** 2).mean(dim=1).sum()
        return nn.functional.cross_entropy(outputs, targets, reduction="sum",
                                           weight=self.net.scaled_weights(outputs.dtype),
                                           label_smoothing=self.net.label_smoothing)

    def gradients(self, batch):
        """Mean loss and, in .grad, mean gradients of batch `batch`, slice by slice."""
        first, end = batch * self.net.batch, min((batch + 1) * self.net.batch, len(self.inputs))
        count, total = end - first, 0.0
        statistics = [[0.0, 0.0] for _ in self.norms]
        self.optimizer.zero_grad()
        for places in slice_places(first, count, self.net.slices):
            samples = places.stop - places.start
            loss = self.loss(self.network(self.inputs[places]), self.targets[places])
            (loss / count).backward()
            total += loss.item()
            for sums, norm in zip(statistics, self.norms):
                sums[0] = sums[0] + norm.running_mean * (samples / count)
                sums[1] = sums[1] + norm.running_var * (samples / count)
        for (mean, variance), running in zip(statistics, self.running):
            momentum = running[0]
            running[1] = (1 - momentum) * running[1] + momentum * mean
            running[2] = (1 - momentum) * running[2] + momentum * variance
        return total / count

    def disturb(self, generator):
        for w in self.network.parameters():
            noise = torch.randn(w.grad.shape, generator=generator, dtype=w.dtype)
            w.grad += DISTURBANCE * w.grad.abs().max() * noise

    def train(self, generator=None):
        """The mean loss of each step; generator: of the noise in gradients."""
        scheduler = make_scheduler(self.net, self.optimizer)
        losses = []
        for step in range(self.net.steps):
            losses.append(self.gradients(step % self.net.epoch))
            if generator:
                self.disturb(generator)
            self.optimizer.step()
            if step + 1 < self.net.steps:
                scheduler.step()
        for norm, (_, mean, variance) in zip(self.norms, self.running):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        return np.array(losses)

    def evaluate(self):
        """Mean loss and correct samples of the whole set, with the running statistics."""
        self.network.eval()
        with torch.no_grad():
            outputs = self.network(self.inputs)
            correct = 0 if self.net.regression else (outputs.argmax(1) == self.targets).sum().item()
            return self.loss(outputs, self.targets).item() / len(self.inputs), correct


def norm_momentums(layers):
    """Of every batch norm, in the order of nn.Module.modules()."""
    for kind, options in layers:
        if kind == "batch_norm":
            yield options.get("momentum", 0.1)
        elif kind == "residual":
            yield from norm_momentums(options["body"])
            yield from norm_momentums(options.get("projection", []))


def tensors(net, dtype):
    inputs = net.inputs.astype(np.float64)
    if net.normalize:
        axes = (0, *range(2, inputs.ndim))
        inputs = (inputs - inputs.mean(axes, keepdims=True)) / inputs.std(axes, keepdims=True)
    # Rounded to float32 first, as lockstep gives them to the network.
    inputs = torch.from_numpy(inputs.astype(np.float32)).to(dtype)
    targets = net.targets.astype(np.float32 if net.regression else np.int64)
    targets = torch.from_numpy(targets)
    return inputs, targets.to(dtype) if net.regression else targets


# ---- files --------------------------------------------------------------------------------------

def scalar(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(scalar, value)) + "]"
    return str(value)


def yaml_layers(layers, indent):
    lines = []
    for kind, options in layers:
        if kind == "residual":
            lines.append(f"{indent}- residual:")
            for part in ("body", "projection"):
                if part in options:
                    lines.append(f"{indent}    {part}:")
                    lines += yaml_layers(options[part], indent + "      ")
        elif options:
            inner = ", ".join(f"{key}: {scalar(value)}" for key, value in options.items())
            lines.append(f"{indent}- {kind}: {{{inner}}}")
        else:
            lines.append(f"{indent}- {kind}")
    return lines


def yaml(name, net):
    loss = "mean_squared_error" if net.regression else "cross_entropy"
    return "\n".join([
        f"# {name}: golden data, see scripts/golden.py, which wrote this file.",
        "seed: 1",
        "data:",
        f"  file: tests/golden/{net.origin or name}.h5",
        "  test_inputs: train/inputs",
        "  test_targets: train/targets",
        f"  normalize: {scalar(net.normalize)}",
        "  shuffle: false",
        "batch:",
        f"  size: {net.batch}",
        f"  slices: {net.slices}",
        "train:",
        f"  epochs: {-(-net.steps // net.epoch)}",
        f"  lr: {net.lr}",
        f"  momentum: {MOMENTUM}",
        *([f"  optimizer: {net.optimizer}"] if net.optimizer != "sgd" else []),
        *([f"  trust: {net.trust}"] if net.optimizer == "lars" else []),
        f"  nesterov: {scalar(net.nesterov)}",
        f"  weight_decay: {net.weight_decay}",
        f"  decay_all: {scalar(net.decay_all)}",
        "schedule:",
        *(f"  {key}: {scalar(value)}" for key, value in net.schedule.items()),
        "model:",
        f"  loss: {loss}",
        *([f"  label_smoothing: {net.label_smoothing}"] if net.label_smoothing else []),
        *([f"  class_weights: {scalar(net.class_weights)}"] if net.class_weights else []),
        "  layers:",
        *yaml_layers(net.layers, "    "),
    ]) + "\n"


def write(file, name, value):
    value = np.atleast_1d(np.asarray(value))
    packed = {"chunks": value.shape, "compression": "gzip", "compression_opts": 9, "shuffle": True,
              "fletcher32": True}
    file.create_dataset(name, data=value, **(packed if value.nbytes > 4096 else {}))


def write_arrays(file, group, items):
    for name, tensor in items:
        write(file, f"{group}/{name}", tensor.detach().numpy().astype(np.float32))


def write_start(file, net, network):
    first = Trainer(net, network, torch.float64)
    first_loss = first.gradients(0)
    write(file, "train/inputs", net.inputs)
    write(file, "train/targets", net.targets)
    write_arrays(file, "params", ((n, t) for n, _, t in arrays(network)))
    write(file, "first/loss", first_loss)
    write_arrays(file, "first/gradients", ((n, t.grad) for n, _, t in arrays(first.network)
                                           if t.grad is not None))


def largest_drift(single, double):
    """Of the arrays of one network from those of the other, relative to the largest element."""
    return max(((a - b).abs().max() / b.abs().max()).item()
               for (_, _, a), (_, _, b) in zip(arrays(single), arrays(double), strict=True))


def check_drift(what, trainer, losses, double, exact, allowed):
    """How far a training came from `double`'s; `allowed`: times the largest drifts."""
    loss = np.abs(losses / exact - 1).max()
    array = largest_drift(trainer.network, double.network)
    drifts = f"{what} drifts: losses {loss:.1e}, arrays {array:.1e}"
    assert loss < allowed * LARGEST_LOSS_DRIFT and array < allowed * LARGEST_ARRAY_DRIFT, \
        f"{drifts}; lower its lr"
    return drifts


def golden(name, net, folder):
    probe = torch.zeros((2, *net.inputs.shape[1:]))
    network, out = make_network(net.layers, probe)
    assert tuple(out.shape) == (2, net.outputs), f"{name}: {out.shape}, not {net.outputs} outputs"
    start(network, torch.Generator().manual_seed(7))
    single, double = (Trainer(net, network, dtype) for dtype in (torch.float32, torch.float64))
    losses, exact = single.train(), double.train()
    loss, correct = single.evaluate()
    drifts = check_drift(f"{name}: float32", single, losses, double, exact, 1)
    for seed in range(DISTURBED):
        disturbed = Trainer(net, network, torch.float64)
        disturbed_losses = disturbed.train(torch.Generator().manual_seed(seed))
        check_drift(f"{name}: disturbed", disturbed, disturbed_losses, double, exact, 10)

    path = folder / f"{name}.h5"
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["made_by"] = f"scripts/golden.py, PyTorch {torch.__version__}"
        if net.origin is None:
            write_start(file, net, network)
        write(file, "losses", losses)
        write_arrays(file, "after/params", ((n, t) for n, _, t in arrays(single.network)))
        write(file, "after/loss", loss)
        write(file, "after/correct", np.int64(correct))
    (folder / f"{name}.yaml").write_text(yaml(name, net))
    count = sum(p.numel() for p in network.parameters())
    print(f"{drifts}; {count} parameters, loss {losses[0]:.4f} to {losses[-1]:.4f}, "
          f"evaluation {loss:.4f} {correct}/{len(net.inputs)}, "
          f"{path.stat().st_size / 1024:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/golden"))
    parser.add_argument("--fashion-mnist", default="/usr/share/datasets/fashion-mnist",
                        help="folder of the IDX files")
    parser.add_argument("nets", nargs="*", help="default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, net in networks(arguments.fashion_mnist).items():
        if not arguments.nets or name in arguments.nets:
            golden(name, net, arguments.out)


if __name__ == "__main__":
    main()
