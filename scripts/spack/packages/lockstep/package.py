# Copyright: as lockstep's.  SPDX-License-Identifier: Apache-2.0
"""A recipe for Spack: `spack repo add scripts/spack`, `spack install lockstep`.

Written after Spack's documentation; it has not been run by Spack yet.
"""
from spack.package import *


class Lockstep(MakefilePackage):
    """Synchronous, data-parallel training of neural networks over MPI, with the same bits on any
    number of ranks, and the learning rate range test."""

    license("Apache-2.0")

    # From a checkout: spack develop --path . lockstep@main
    version("main")

    depends_on("c", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5")
    depends_on("onednn")
    depends_on("libfyaml")
    depends_on("xxhash")
    depends_on("zlib-api")
    depends_on("gnuplot", type="run")

    def setup_build_environment(self, env):
        env.set("DNNL_ROOT", self.spec["onednn"].prefix)

    def build(self, spec, prefix):
        make("all", f"MPICC={spec['mpi'].mpicc}")

    def install(self, spec, prefix):
        make("install", f"PREFIX={prefix}", f"MPICC={spec['mpi'].mpicc}")
