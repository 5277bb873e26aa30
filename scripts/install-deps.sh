#!/usr/bin/env bash
# Installs what lockstep needs: on Debian and Ubuntu with apt (through sudo unless root), elsewhere it
# prints the packages' names and stops.  Silent when all is there.  --dev: also what `make lint` needs,
# and h5py, with which some tests read the files; --fuzz: what `make fuzz` needs; --ci: all that, and SLURM,
# ip, MPICH and SimGrid, for the tests of clusters; --bench, --simulate: what `make bench` and `make simulate` need.
set -euo pipefail

packages=(
    gcc libc6-dev make pkg-config
    libopenmpi-dev openmpi-bin libhdf5-openmpi-dev libdnnl-dev libfyaml-dev libxxhash-dev zlib1g-dev
    gnuplot-nox
    libcriterion-dev hdf5-tools # tests
    dataset-fashion-mnist       # demo, tests
)
tools=(clang clang-format cppcheck shellcheck python3-h5py)
fuzzers=(clang libclang-rt-dev)
cluster=(slurm-wlm munge iproute2 mpich libhdf5-mpich-dev)
install=(g++ gfortran environment-modules) # its examples and its modulefile
simulator=(libsimgrid-dev python3 iproute2)
peers=(python3-venv python3-dev g++) # torch.compile compiles C++

case ${1:-} in
    '') ;;
    --dev) packages+=("${tools[@]}") ;;
    --fuzz) packages+=("${fuzzers[@]}") ;;
    --ci) packages+=("${tools[@]}" "${fuzzers[@]}" "${cluster[@]}" "${install[@]}" "${simulator[@]}") ;;
    --simulate) packages+=("${simulator[@]}") ;;
    --bench) packages+=("${peers[@]}") ;;
    *)
        echo "usage: scripts/install-deps.sh [--dev | --fuzz | --ci | --bench | --simulate]" >&2
        exit 2
        ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # Already there, however it came?
    if CC=${CC:-gcc} "$(dirname "$0")/find-libraries" /dev/null 2>/dev/null; then
        exit 0
    fi
    cat >&2 <<'END'
lockstep: this is no Debian or Ubuntu system: please install what is missing yourself.
  Fedora: dnf install gcc make pkgconf openmpi-devel hdf5-openmpi-devel onednn-devel libfyaml-devel \
              xxhash-devel zlib-devel gnuplot-minimal hdf5 criterion-devel
          then: module load mpi/openmpi-x86_64
  Spack:  spack install openmpi hdf5+mpi onednn libfyaml xxhash zlib gnuplot pkgconf
          spack load openmpi hdf5 onednn libfyaml xxhash zlib gnuplot pkgconf
          then: make DNNL_ROOT=$(spack location -i onednn)
          (the tests also need Criterion, https://github.com/Snaipe/Criterion)
  The demo reads Fashion-MNIST's four .gz files: set FASHION_MNIST to their folder.
END
    exit 1
fi

installed=$(dpkg-query -W -f '${db:Status-Abbrev}${binary:Package}\n' 2>/dev/null |
    sed -n 's/^ii  *\([^:]*\).*/\1/p')
missing=()
for package in "${packages[@]}"; do
    if ! grep -qxF "$package" <<<"$installed"; then
        missing+=("$package")
    fi
done
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "lockstep: not root and no sudo: as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0)
echo "lockstep: installing ${missing[*]}" >&2
install=("${apt[@]}" install --no-install-recommends "${missing[@]}")
# The lists of packages are often missing, or old, on a fresh machine.
if ! "${install[@]}" >/dev/null 2>&1; then
    "${apt[@]}" update >&2
    "${install[@]}" >&2
fi
