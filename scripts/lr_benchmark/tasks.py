"""The tasks of scripts/lr-benchmark: a data set, a network, a batch, a momentum, a schedule, a budget.

Written down before the first result was seen. No data set is in both halves, so that a rule fixed on
the first half, `tune`, is judged by the second, `held-out`, on data it has never met. The few of
`fresh` came later, as the second half had been looked at by then. `demo` is what `make demo` trains: it
is too large for any form, and is taken when named.
"""


def mlp(*units, outputs, between=("relu",)):
    layers = []
    for width in units:
        layers += [{"dense": {"units": width}}, *between]
    return ["flatten", *layers, {"dense": {"units": outputs}}]


def conv(*filters, outputs, norm=False):
    layers = []
    for count in filters:
        layers.append({"conv": {"filters": count, "kernel": 3, "padding": 1}})
        layers += ["batch_norm"] if norm else []
        layers += ["relu", {"max_pool": {"size": 2}}]
    return [*layers, "flatten", {"dense": {"units": outputs}}]


def lenet(outputs):
    """The network of configs/fashion-mnist.yaml."""
    layers = []
    for count in (32, 64):
        layers += [{"conv": {"filters": count, "kernel": 5, "padding": 2}}, "relu",
                   {"max_pool": {"size": 2}}]
    return [*layers, *mlp(1024, outputs=outputs)]


def residual(filters, blocks, outputs):
    def normed():
        return [{"conv": {"filters": filters, "kernel": 3, "padding": 1, "bias": False}},
                "batch_norm"]
    block = [{"residual": {"body": [*normed(), "relu", *normed()]}}, "relu"]
    return [*normed(), "relu", *(block * blocks), "global_avg_pool", "flatten",
            {"dense": {"units": outputs}}]


TANH, NORMED, SIGMOID = ("tanh",), ("batch_norm", "relu"), ("sigmoid",)


def task(half, name, data, layers, batch, momentum, schedule, epochs, regression=False):
    return {"half": half, "name": name, "data": data, "layers": layers, "batch": batch,
            "momentum": momentum, "schedule": schedule, "epochs": epochs,
            "regression": regression}


TASKS = [
    # half, name, data set, network, batch, momentum, schedule, epochs
    task("tune", "fashion-mlp", "fashion", mlp(64, 32, outputs=10), 128, 0.9, "step", 3),
    task("tune", "fashion-logistic", "fashion", mlp(outputs=10), 64, 0.0, "constant", 2),
    task("tune", "fashion-norm", "fashion", mlp(64, outputs=10, between=NORMED), 256, 0.9,
         "cosine", 4),
    task("tune", "fashion-conv", "fashion", conv(4, 8, outputs=10), 128, 0.9, "one_cycle", 1),
    task("tune", "spam-mlp", "spam", mlp(32, outputs=2), 16, 0.9, "step", 9),
    task("tune", "spam-deep", "spam", mlp(32, 32, 32, 32, outputs=2), 256, 0.9, "cosine", 40),
    task("tune", "vowel-mlp", "vowel", mlp(64, outputs=11), 32, 0.9, "cosine", 60),
    task("tune", "vowel-tanh", "vowel", mlp(32, 32, outputs=11, between=TANH), 64, 0.0, "step",
         90),
    task("tune", "satellite-tanh", "satellite", mlp(64, outputs=6, between=TANH), 64, 0.0, "step",
         15),
    task("tune", "satellite-norm", "satellite", mlp(64, 64, outputs=6, between=NORMED), 512, 0.9,
         "one_cycle", 30),
    task("tune", "diamonds-mlp", "diamonds", mlp(64, 32, outputs=1), 256, 0.9, "step", 6, True),
    task("tune", "diamonds-plain", "diamonds", mlp(32, outputs=1), 64, 0.0, "constant", 2, True),
    task("tune", "jobs-mlp", "jobs", mlp(64, outputs=4), 128, 0.9, "constant", 20),
    task("tune", "jobs-sigmoid", "jobs", mlp(32, outputs=4, between=SIGMOID), 32, 0.9, "step", 12),
    task("held-out", "letters-mlp", "letters", mlp(128, 64, outputs=26), 128, 0.9, "step", 9),
    task("held-out", "letters-tanh", "letters", mlp(96, outputs=26, between=TANH), 512, 0.9,
         "cosine", 20),
    task("held-out", "letters-logistic", "letters", mlp(outputs=26), 32, 0.0, "step", 6),
    task("held-out", "shuttle-mlp", "shuttle", mlp(32, outputs=7), 256, 0.9, "one_cycle", 4),
    task("held-out", "shuttle-tanh", "shuttle", mlp(32, 16, outputs=7, between=TANH), 512, 0.0,
         "step", 9),
    task("held-out", "dna-mlp", "dna", mlp(32, outputs=3), 16, 0.9, "cosine", 5),
    task("held-out", "dna-norm", "dna", mlp(64, outputs=3, between=NORMED), 128, 0.9, "step", 18),
    task("held-out", "digits-conv", "digits", conv(8, 16, outputs=10), 64, 0.9, "one_cycle", 15),
    task("held-out", "digits-residual", "digits", residual(8, 2, 10), 32, 0.9, "cosine", 10),
    task("held-out", "digits-logistic", "digits", mlp(outputs=10), 128, 0.0, "constant", 30),
    task("held-out", "cells-mlp", "cells", mlp(32, outputs=2), 64, 0.9, "step", 15),
    task("held-out", "concrete-mlp", "concrete", mlp(64, 32, outputs=1), 32, 0.9, "step", 60,
         True),
    task("held-out", "vocabulary-mlp", "vocabulary", mlp(32, outputs=1), 256, 0.9, "one_cycle", 5,
         True),
    task("held-out", "vocabulary-small-batch", "vocabulary", mlp(16, outputs=1), 32, 0.0, "step",
         3, True),
    # Added when the rule had been fixed, and then looked at the second half: no rule has met them.
    task("fresh", "churn-mlp", "churn", mlp(32, outputs=2), 32, 0.9, "step", 10),
    task("fresh", "credit-tanh", "credit", mlp(32, outputs=2, between=TANH), 64, 0.9, "cosine",
         15),
    task("fresh", "income-norm", "income", mlp(64, outputs=9, between=NORMED), 128, 0.9, "step",
         15),
    task("fresh", "ratings-mlp", "ratings", mlp(32, outputs=1), 256, 0.9, "one_cycle", 5, True),
    task("demo", "demo", "fashion", lenet(10), 128, 0.9, "step", 3),
]
SMALL = ["fashion-mlp", "fashion-logistic", "spam-deep", "vowel-mlp", "satellite-tanh",
         "satellite-norm", "diamonds-mlp", "jobs-mlp", "letters-mlp", "letters-tanh",
         "shuttle-mlp", "dna-mlp", "digits-conv", "digits-logistic", "cells-mlp", "concrete-mlp"]


def configuration(spec, data_folder):
    """The task as lockstep's configuration. JSON is YAML."""
    return {"data": {"file": str(data_folder / (spec["data"] + ".h5"))},
            "batch": {"size": spec["batch"], "slices": 4}, "compute": {"threads": 1},
            "train": {"lr": 0.1, "epochs": spec["epochs"], "momentum": spec["momentum"]},
            "schedule": {"kind": spec["schedule"]},
            "model": {"layers": spec["layers"],
                      "loss": "mean_squared_error" if spec["regression"] else "cross_entropy"}}
