"""The scaling study of `make simulate`: what a step takes on up to 1,024 nodes, one rank a node.

Measures the networks' layers with `lockstep bench` on one core, runs the real exchange of such steps in
SimGrid's SMPI on the platforms beside this file, compares simulated and measured steps on two and four
hosts of network namespaces, and writes simulate.csv and simulate.png.  What is there is not done again:
times of another machine are taken from its own NETWORK.json, of `bench --json` on one slice."""
import argparse
import array
import csv
import json
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NODES = [16, 32, 64, 128, 256, 512, 1024]
STRONG_SLICES = 1024
NETWORKS = {  # name: configuration, samples of a slice
    "ResNet-20": (ROOT / "configs/resnet20.yaml", 32),
    "CosmoFlow": (ROOT / "scripts/peers/cosmoflow.yaml", 2),
    "MLP-25M": (HERE / "mlp.yaml", 32),
}
PLATFORMS = {"fat tree, 100 Gbit/s": HERE / "fat-tree.xml", "Ethernet, 1 Gbit/s": HERE / "ethernet.xml"}
RATES = {"1 Gbit/s": ("1gbit", 1e9), "10 Gbit/s": ("10gbit", 1e10)}
# Nothing but sleeping takes simulated time; a poll takes 0.2 us; arrays are one for all ranks.
OPTIONS = ["smpi/simulate-computation:no", "smpi/host-speed:1Gf", "smpi/test:2e-7", "smpi/iprobe:1e-6",
           "smpi/grow-injected-times:no", "smpi/shared-malloc-blocksize:268435456", "contexts/stack-size:256"]
# SimGrid walks through all sends that it buffers whenever a message arrives: none is buffered where they are many.
LARGE = ["smpi/send-is-detached-thresh:0"]
VALIDATED_STEPS = 3
FIELDS = ["kind", "network", "mode", "platform", "nodes", "slices", "step_seconds", "least_seconds",
          "exposed_seconds", "latency", "efficiency", "digest"]


def run(command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"simulate: {' '.join(str(word) for word in command)}: exit code {done.returncode}")
    return done.stdout


# ---- times of a network ---------------------------------------------------------------------------


def make_npy(path, shape, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        values.tofile(file)


def data_of(build, network):
    """Images, or volumes of noise: to be fast on, not to be learnt from."""
    path = build / "data" / ("simulate-volumes.h5" if network == "CosmoFlow" else "fashion-mnist.h5")
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if network != "CosmoFlow":
        run([build / "lockstep", "convert", os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"),
             "-o", path])
        return path
    inputs, targets = path.with_suffix(".x.npy"), path.with_suffix(".y.npy")
    noise = random.Random(1)
    make_npy(inputs, (4, 4, 64, 64, 64), array.array("f", (noise.gauss(0, 1) for _ in range(4 * 4 * 64**3))))
    make_npy(targets, (4, 4), array.array("f", (noise.uniform(-1, 1) for _ in range(16))))
    run([build / "lockstep", "convert", "--train-inputs", inputs, "--train-targets", targets, "-o", path])
    inputs.unlink()
    targets.unlink()
    return path


def measure(options, network):
    path = options.out / f"{network}.json"
    if not path.exists():
        config, samples = NETWORKS[network]
        run([ROOT / "scripts/mpirun.sh", 1, options.build / "lockstep", "bench", config, "--quiet",
             "--set", f"data.file={data_of(options.build, network)}", "--set", f"batch.size={samples}",
             "--set", "batch.slices=1", "--json", path])
    return json.loads(path.read_text())


def describe(options, network):
    """What tests/simulate/step.c reads: of one slice, and of the processor's time, for other programs may
    have used the core too."""
    bench, path = measure(options, network), options.out / f"{network}.txt"
    part = min(1, bench["cpu_seconds"]["rank0"] / bench["step_seconds"]) / bench["slices"]
    lines = [f"layer data other 0 0 {bench['phases']['data']['rank0'] * part:.9g} 0"]
    for layer in bench["layers"]:
        kind = "dense" if layer["kind"] == "dense" else "other"
        lines.append(f"layer {layer['name']} {kind} {layer['parameters']} {layer['statistics']} "
                     f"{layer['forward']['seconds'] * part:.9g} {layer['backward']['seconds'] * part:.9g}")
    lines.append(f"update {bench['phases']['update']['rank0'] * part * bench['slices']:.9g}")
    path.write_text("\n".join(lines) + "\n")
    return path


# ---- steps ------------------------------------------------------------------------------------------


def simulate(options, platform, nodes, arguments, more=()):
    hosts = options.out / "hosts.txt"
    hosts.write_text("".join(f"n{i}\n" for i in range(nodes)))
    words = ["smpirun", "-np", nodes, "-platform", platform, "-hostfile", hosts]
    words += [f"--cfg={option}" for option in [*OPTIONS, *more]] + ["--log=root.thres:error"]
    return json.loads(run([*words, options.build / "tests/simulated", *arguments]))


class Table:
    """The rows of simulate.csv, which is written anew with each: a study that was killed goes on."""

    def __init__(self, path):
        self.path, self.rows = path, {}
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    self.rows[self.key(row)] = row

    @staticmethod
    def key(row):
        return tuple(str(row[name]) for name in ("kind", "network", "mode", "platform", "nodes"))

    def get(self, make, one=None, **key):
        """The row of that key; if it is missing, of the step that `make` runs.  one: the row of one node."""
        row = self.rows.get(self.key(key))
        if row is None:
            result = make()
            row = dict(key, slices=result["slices"], step_seconds=f"{result['step_seconds']:.6g}",
                       least_seconds=f"{result['least']:.6g}", latency=f"{result['latency']:.3g}",
                       exposed_seconds=f"{result['phases']['exchange'] + result['phases']['control']:.6g}",
                       digest=result["digest"], efficiency="")
            self.rows[self.key(row)] = row
        if one:
            ideal = float(one["step_seconds"]) / (float(row["nodes"]) if row["mode"] == "strong" else 1)
            row["efficiency"] = f"{ideal / float(row['step_seconds']):.4f}"
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(self.rows.values())
        return row


def study(options, network, platform, mode, table):
    """Efficiency against one node.  ResNet-20 has numbers, whose sums must not depend on the nodes."""
    text, digests, one = describe(options, network), set(), None
    for nodes in [1, *options.nodes]:
        slices = STRONG_SLICES if mode == "strong" else nodes
        numbers = ["numbers"] if network == "ResNet-20" and mode == "strong" and nodes in (1, 64, 256, 1024) else []
        row = table.get(lambda: simulate(options, PLATFORMS[platform], nodes, [text, slices, options.steps, *numbers],
                                         LARGE),
                        one, kind="simulated", network=network, mode=mode, platform=platform, nodes=nodes)
        digests |= {row["digest"]} - {""}
        one = one or row
        print(f"{network:10} {mode:6} {platform:22} {nodes:5} nodes: {float(row['step_seconds']) * 1e3:9.2f} ms, "
              f"efficiency {row['efficiency'] or '1'} {row['digest']}", flush=True)
    if len(digests) > 1:
        sys.exit(f"simulate: sums of {network} depend on the number of nodes")


# ---- validation -------------------------------------------------------------------------------------


def star(options, hosts, rate, latency):
    """The platform that scripts/two-hosts makes.  Of an Ethernet frame of 1514 bytes, 1448 are the message's."""
    path = options.out / "star.xml"
    path.write_text(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <config>
    <prop id="network/model" value="SMPI"/>
    <prop id="smpi/bw-factor" value="0:{1448 / 1514:.4f}"/>
    <prop id="smpi/lat-factor" value="0:1"/>
  </config>
  <cluster id="cluster" sharing_policy="SPLITDUPLEX" prefix="n" suffix="" radical="0-{hosts - 1}"
           speed="1Gf" bw="{rate:.0f}bps" lat="{latency / 2:.9g}s" loopback_bw="100GBps" loopback_lat="0"/>
</platform>
""")
    return path


def measure_hosts(options, hosts, rate, arguments):
    environment = dict(os.environ, HOSTS=str(hosts), RATE=rate, MPIRUN_OPTIONS="--mca mpi_yield_when_idle 1")
    return json.loads(run([ROOT / "scripts/two-hosts", "-n", hosts, options.build / "tests/simulate", *arguments],
                          env=environment))


def validate(options, network, table):
    text = describe(options, network)
    for hosts in (2, 4):
        for name, (rate, bits) in RATES.items():
            key = {"network": network, "mode": "weak", "platform": f"hosts, {name}", "nodes": hosts}
            real = table.get(lambda: measure_hosts(options, hosts, rate, [text, hosts, options.repeats]),
                             kind="measured", **key)
            there = star(options, hosts, bits, float(real["latency"]))
            simulated = table.get(lambda: simulate(options, there, hosts, [text, hosts, VALIDATED_STEPS]),
                                  kind="simulated", **key)
            median, least, time = (1e3 * float(value) for value in
                                   (real["step_seconds"], real["least_seconds"], simulated["step_seconds"]))
            print(f"{network:10} {hosts} hosts, {name:9}: simulated {time:8.2f} ms; measured, median {median:8.2f} "
                  f"({100 * (time / median - 1):+.1f} %), least {least:8.2f} ({100 * (time / least - 1):+.1f} %)",
                  flush=True)


# ---- the picture --------------------------------------------------------------------------------------


def inline(name, pairs):
    return f"${name} << END\n" + "".join(f"{x} {y}\n" for x, y in pairs) + "END\n"


def draw(options, rows):
    blocks, panels = [], []
    for mode in ("weak", "strong"):
        for platform in PLATFORMS:
            lines = []
            for i, network in enumerate(NETWORKS):
                points = [(int(row["nodes"]), row["efficiency"]) for row in rows if row["efficiency"] and
                          (row["network"], row["mode"], row["platform"]) == (network, mode, platform) and
                          int(row["nodes"]) > 1]
                if points:
                    name = f"data{len(blocks)}"
                    blocks.append(inline(name, sorted(points)))
                    lines.append(f"${name} with linespoints lw 2 pt 7 lc {i + 1} title '{network}'")
            if lines:
                panels.append(f"set title '{mode} scaling, {platform}'\nplot [11:1450] [0:1.05] " + ", ".join(lines))
    found = {}
    for row in rows:
        if row["platform"].startswith("hosts"):
            found.setdefault((row["network"], row["platform"], row["nodes"]), {})[row["kind"]] = \
                1e3 * float(row["step_seconds"])
    if found:
        lines = ["x lc 'black' dt 2 title 'equal'", "1.15 * x lc 'gray' dt 3 title '15 % off'",
                 "x / 1.15 lc 'gray' dt 3 notitle"]
        for i, network in enumerate(NETWORKS):
            points = [(both["measured"], both["simulated"]) for key, both in found.items() if key[0] == network]
            if points:
                blocks.append(inline(f"check{i}", points))
                lines.append(f"$check{i} with points pt 7 ps 1.3 lc {i + 1} title '{network}'")
        most = 2 * max(max(both.values()) for both in found.values())
        least = 0.5 * min(min(both.values()) for both in found.values())
        panels.append("set title 'validation: 2 and 4 hosts, 1 and 10 Gbit/s'\nset logscale xy 10\nset key top left\n"
                      "set xtics auto\nset xlabel 'step measured, ms'\nset ylabel 'step simulated, ms'\n"
                      f"plot [{least}:{most}] [{least}:{most}] " + ", ".join(lines))
    script = "".join(blocks) + f"""set terminal pngcairo size 1500,900 font ',12'
set output '{options.out / 'simulate.png'}'
set multiplot layout 2,3 columnsfirst title 'Simulated steps, one rank a node (SimGrid)' font ',15'
set grid
set key bottom left
set logscale x 2
set xtics (16, 32, 64, 128, 256, 512, 1024)
set xlabel 'nodes'
set ylabel 'parallel efficiency, against one node'
""" + "\n".join(panels) + "\nunset multiplot\n"
    subprocess.run(["gnuplot", "-d"], input=script, text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="the build folder")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results (default: BUILD/simulate)")
    parser.add_argument("--nodes", type=lambda text: [int(word) for word in text.split(",")], default=NODES)
    parser.add_argument("--networks", type=lambda text: text.split(","), default=list(NETWORKS),
                        help=",".join(NETWORKS))
    parser.add_argument("--platforms", type=lambda text: text.split(","), default=["fat-tree", "ethernet"])
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["weak", "strong"])
    parser.add_argument("--steps", type=int, default=1, help="simulated steps that count (default: 1)")
    parser.add_argument("--repeats", type=int, default=15, help="measured steps (default: 15)")
    parser.add_argument("--no-hosts", action="store_true", help="without the validation, which needs root")
    options = parser.parse_args()
    options.out = options.out or options.build / "simulate"
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(options.out / "simulate.csv")
    for network in options.networks:
        if not options.no_hosts:
            validate(options, network, table)
        for platform in (name for name, path in PLATFORMS.items() if path.stem in options.platforms):
            for mode in options.modes:
                study(options, network, platform, mode, table)
    draw(options, list(table.rows.values()))
    print(f"{options.out}/simulate.csv, {options.out}/simulate.png")


if __name__ == "__main__":
    main()
