"""Samples/s of steady training, program against program in alternation."""
import contextlib
import statistics

import lockstep
import pytorch
from results import print_table, spread

WINDOWS = 5  # of a turn
BATCHES = {"cosmoflow": [4, 16], "resnet18": [32, 128]}  # samples of a step over all ranks; others: 128, 1024
MEASURE = "samples_per_second"


class Group:
    """The programs of one network, batch and type."""

    def __init__(self, options, results, network, batch, type_):
        self.options, self.results = options, results
        self.network, self.batch, self.type = network, batch, type_
        self.key = {"part": "throughput", "network": network, "batch": batch, "type": type_}
        self.name = f"{network}, batch {batch}, {type_}"

    def open(self, program):
        """The program, which is a context that takes turns."""
        place = (self.options, self.network, self.batch, self.type)
        if program == "lockstep":
            return lockstep.Lockstep(*place, "fixed")
        if program == "lockstep-float32-sum":
            return lockstep.Lockstep(*place, "float32")
        return pytorch.Peer(*place, program)

    def turn(self, program, opened, seconds, round_, phase):
        """One program's turn; its median goes into the results."""
        windows = opened.turn(seconds, WINDOWS)
        rate = statistics.median(windows)
        print(f"{self.name}: {phase} {round_}: {program}: {spread(windows)} samples/s", flush=True)
        self.results.add(rate, **self.key, program=program, round=round_, phase=phase,
                         measure=MEASURE)
        return rate

    def rehearse(self, program):
        """A short turn alone; None if the program cannot."""
        try:
            with self.open(program) as opened:
                return self.turn(program, opened, self.options.seconds / 2, 0, "preselect")
        except (pytorch.Failed, lockstep.Refused) as failure:
            print(f"{self.name}: {program} is left out: {failure}", flush=True)
            return None

    def contenders(self):
        """lockstep, and the best of the peers, with the best under DDP among them."""
        own = ["lockstep"] + (["lockstep-float32-sum"] if self.type == "float32" else [])
        own = [name for name in own if self.options.own and self.rehearse(name)]
        rates = {name: self.rehearse(name)
                 for name in pytorch.variants_for(self.network, self.options.variants)}
        peers = sorted((name for name in rates if rates[name]), key=rates.get, reverse=True)
        chosen = peers[:self.options.select] if self.options.select else peers
        distributed = [name for name in peers if name.startswith("ddp")]
        return own + chosen + [name for name in distributed[:1] if name not in chosen]

    def run(self):
        programs = self.contenders()
        with contextlib.ExitStack() as stack:
            opened = {name: stack.enter_context(self.open(name)) for name in programs}
            for round_ in range(1, self.options.rounds + 1):
                first = round_ % max(1, len(programs))  # nobody always goes first
                for name in programs[first:] + programs[:first]:
                    self.turn(name, opened[name], self.options.seconds, round_, "alternate")

    def rates(self, program):
        return self.results.values(**self.key, program=program, phase="alternate")

    def summary(self):
        """A row of the table."""
        rates = {name: self.rates(name)
                 for name in self.results.programs(**self.key, phase="alternate")}
        medians = {name: statistics.median(values) for name, values in rates.items()}
        row = [self.network, self.batch, self.type]
        row.append(spread(rates["lockstep"]) if "lockstep" in rates else "-")
        for start in ("", "ddp"):
            peers = [name for name in rates if name.startswith(("ddp", "single"))
                     and name.startswith(start)]
            best = max(peers, key=medians.get, default=None)
            row += [f"{best} {spread(rates[best])}", ratio(medians, "lockstep", best)] if best \
                else ["-", "-"]
        return row + [ratio(medians, "lockstep", "lockstep-float32-sum")]


def ratio(medians, one, other):
    return f"{medians[one] / medians[other]:.2f}" if one in medians and other in medians else "-"


def run(options, results):
    groups = [Group(options, results, network, batch, type_) for network in options.networks
              for batch in options.batches or BATCHES.get(network, [128, 1024])
              for type_ in options.types]
    for group in groups:
        group.run()
    print_table(
        f"Samples/s on {options.cores} cores: median (min-max) of {options.rounds} alternating "
        f"turns of {options.seconds:g} s; lockstep's ratio to each",
        ["network", "batch", "type", "lockstep", "best of PyTorch", "ratio", "best DDP", "ratio",
         "to float32 sums"],
        [group.summary() for group in groups])
