# lockstep: `make help` lists the targets, `make info` shows what the build found and uses.
#
# Objects go to $(BUILD) only.  Libraries are looked for by scripts/find-libraries, whose answer,
# $(BUILD)/libraries.mk, is a makefile: make writes it first and starts over with it.

VERSION := $(shell sed -n 's/^.define LS_VERSION_[A-Z]* //p' include/lockstep/lockstep.h | paste -sd .)

# ---- what a user may set ------------------------------------------------------------------------

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
SAN ?=
V ?=
WERROR ?=
comma := ,
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
ifeq ($(origin CC),default)
CC := gcc
endif
# -O3 for vectorised loops; no -march: one binary must run, with the same bits, on every node.
# No contraction to fused multiply-adds: the bits may not hang on the compiler's choice.  Nobody asks for
# floating-point exceptions: gcc may compute what a condition then drops, or it would not vectorise.
OPTIMIZE ?= $(if $(SAN),-O1,-O3)

# ---- how everything is compiled ------------------------------------------------------------------

# gcc cannot know that LS_TRY leaves when an output was not set: no -Wmaybe-uninitialized.
WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
            -Wwrite-strings -Wvla -Wimplicit-fallthrough $(if $(WERROR),-Werror) \
            $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized)
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -DLS_DEBUG)
LANGUAGE := -std=c11 -D_GNU_SOURCE $(OPTIMIZE) -g -ffp-contract=off -fno-trapping-math -fPIC -fvisibility=hidden $(SANITIZE)
COMPILE = $(CC) $(LANGUAGE) $(WARNINGS) -Iinclude -Isrc $(LIBRARY_CFLAGS) $(CFLAGS) -MMD -MP
LINK = $(CC) $(SANITIZE) $(LDFLAGS)

quiet = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2);)

LIBRARY_SOURCES := $(filter-out src/cli/%,$(wildcard src/*/*.c src/*/*/*.c))
PROGRAM_SOURCES := $(wildcard src/cli/*.c)
UNIT_SOURCES := $(wildcard tests/unit/*.c)
SYSTEM_SOURCES := $(wildcard tests/system/*.c)
CLUSTER_SOURCES := $(wildcard tests/cluster/*.c)
RANK_HELPERS := tests/rank/bench.c
# What tests/simulate/step.c is linked with: all but the network, the data and the files.
SIMULATE_SOURCES := $(wildcard tests/simulate/*.c src/base/*.c src/comm/*.c src/optim/*.c) \
                    $(addprefix src/train/,step.c quantizer.c statistics.c update.c)
FUZZ_HELPERS := $(addprefix tests/fuzz/,fuzz.c reads.c mutate.c worker.c)
FUZZ_SOURCES := $(filter-out $(FUZZ_HELPERS),$(wildcard tests/fuzz/*.c))
RANK_SOURCES := $(filter-out $(RANK_HELPERS),$(wildcard tests/rank/*.c))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIBRARY_OBJECTS := $(call objects,$(LIBRARY_SOURCES))
PROGRAM_OBJECTS := $(call objects,$(PROGRAM_SOURCES))
TEST_OBJECTS := $(call objects,$(UNIT_SOURCES) $(SYSTEM_SOURCES) $(CLUSTER_SOURCES) $(RANK_SOURCES) $(RANK_HELPERS) \
                $(FUZZ_SOURCES) $(FUZZ_HELPERS))
RANK_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(RANK_SOURCES))
SIMULATE := $(BUILD)/tests/simulate
SIMULATED := $(BUILD)/tests/simulated
SIMULATED_OBJECTS := $(patsubst %.c,$(BUILD)/obj/simulated/%.o,$(SIMULATE_SOURCES))
FUZZ_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(FUZZ_SOURCES))
UNIT_TESTS := $(BUILD)/tests/unit
SYSTEM_TESTS := $(BUILD)/tests/system
CLUSTER_TESTS := $(BUILD)/tests/cluster

SONAME := liblockstep.so.$(basename $(VERSION))
PROGRAM := $(BUILD)/lockstep
STATIC := $(BUILD)/liblockstep.a
SHARED := $(BUILD)/liblockstep.so

# ---- targets -------------------------------------------------------------------------------------

.PHONY: all lib help info test test-cluster check check-cluster check-unit check-mpich test-programs mpi-tests fuzz fuzz-short run-fuzz demo run-demo bench run-bench simulate run-simulate lint format install clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAM) lib ## the program and both libraries (default)

lib: $(STATIC) $(SHARED) ## liblockstep, static and shared

test: ## installs what is missing (Debian, Ubuntu), builds, runs every test
	@scripts/install-deps.sh
	@$(MAKE) --no-print-directory check

test-cluster: ## SLURM, two hosts, another MPI: slow, and as root (Debian, Ubuntu)
	@scripts/install-deps.sh --ci
	@$(MAKE) --no-print-directory check-cluster

demo: ## LR range test on Fashion-MNIST with 2 ranks, and its picture
	@scripts/install-deps.sh
	@$(MAKE) --no-print-directory run-demo

check: $(UNIT_TESTS) $(SYSTEM_TESTS) $(RANK_PROGRAMS) $(if $(shell command -v smpicc),$(SIMULATED)) $(PROGRAM) ## every test, nothing installed
	@scripts/run-tests $(UNIT_TESTS) $(SYSTEM_TESTS)

check-cluster: $(CLUSTER_TESTS) $(RANK_PROGRAMS) $(PROGRAM) ## the tests of test-cluster, nothing installed
	@$(MAKE) --no-print-directory MPICC=mpicc.mpich BUILD=$(BUILD)/mpich mpi-tests
	@scripts/run-tests $(CLUSTER_TESTS)

check-mpich: ## the end-to-end tests with MPICH, whose ranks spin while they wait
	@$(MAKE) --no-print-directory MPICC=mpicc.mpich BUILD=$(BUILD)/mpich mpi-tests
	@scripts/run-tests $(BUILD)/mpich/tests/system

test-programs: $(UNIT_TESTS) $(SYSTEM_TESTS) $(CLUSTER_TESTS) $(RANK_PROGRAMS) # what the tests are, not run

mpi-tests: $(RANK_PROGRAMS) $(SYSTEM_TESTS) $(PROGRAM) # for another MPI

check-unit: $(UNIT_TESTS) ## the unit tests only: no MPI
	@scripts/run-tests $^

fuzz: ## each reader of files on SECONDS=60 of mutated input, under sanitizers (clang)
	@scripts/install-deps.sh --fuzz
	@$(FUZZ_BUILD) run-fuzz FUZZ='--seconds $(or $(SECONDS),60)'

fuzz-short: ## the same with a fixed number of inputs, about a minute
	@scripts/install-deps.sh --fuzz
	@$(FUZZ_BUILD) run-fuzz FUZZ=--short

FUZZ_BUILD = $(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)/fuzz \
    SAN=address,undefined,float-cast-overflow,fuzzer-no-link CFLAGS=-Wno-pass-failed

run-fuzz: $(FUZZ_PROGRAMS) $(PROGRAM)
	@scripts/run-fuzz $(FUZZ) $(FUZZ_PROGRAMS)

run-demo: $(PROGRAM)
	@scripts/demo.sh $(BUILD)

bench: ## against PyTorch, torch-lr-finder and Lightning from PyPI: a long run
	@scripts/install-deps.sh --bench
	@$(MAKE) --no-print-directory run-bench

simulate: ## a scaling study on up to 1,024 simulated nodes (SimGrid): CSV and plot
	@scripts/install-deps.sh --simulate
	@$(MAKE) --no-print-directory run-simulate

run-simulate: $(PROGRAM) $(SIMULATE) $(SIMULATED)
	@python3 -B scripts/simulate/study.py --build $(BUILD) $(STUDY)

run-bench: $(PROGRAM)
	@scripts/bench-peers $(BUILD)

lint: ## formatting, layers, static checks
	@scripts/lint.sh

format: ## clang-format over all C
	@scripts/format.sh

clean: ## removes $(BUILD)
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  settings: V=1 (show commands)  SAN=address,undefined  CC=clang  BUILD=DIR  WERROR=1'
	@echo '            PREFIX=/usr/local  LIBDIR=  DESTDIR=  MPICC=mpicc  HDF5=hdf5-serial  DNNL_ROOT=DIR  CFLAGS=  LDFLAGS='

info: ## what the build found and uses
	@echo 'version    $(VERSION)  $(REVISION)'
	@echo 'compiler   $(COMPILER)'
	@echo 'compile    $(COMPILE)'
	@echo 'libraries  $(LIBRARY_LIBS)'
	@echo 'criterion  $(CRITERION_LIBS)'
	@echo 'build      $(BUILD)'
	@echo 'modules    $(sort $(notdir $(patsubst %/,%,$(dir $(LIBRARY_SOURCES)))))'

# ---- what there is to link with, and what must be built anew when it changes ---------------------

GOALS := $(or $(MAKECMDGOALS),all)
ifneq ($(filter-out help lint format clean test test-cluster fuzz fuzz-short demo bench simulate,$(GOALS)),)
include $(BUILD)/libraries.mk
endif

export MPICC HDF5 DNNL_ROOT
$(BUILD)/libraries.mk: FORCE
	@CC='$(CC)' scripts/find-libraries $@

REVISION = $(if $(wildcard .git),$(shell git describe --always --dirty 2>/dev/null || echo unknown),unknown)
# "gcc 12.2.0", "Debian clang version 14.0.6"
COMPILER = $(shell $(CC) --version | sed 's/ *([^()]*)//g;q')

# A stamp is written only when its text differs: what depends on it is then built anew.
stamp = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
$(BUILD)/compile.stamp: FORCE
	$(call stamp,$(COMPILE))
$(BUILD)/build.stamp: FORCE
	$(call stamp,$(VERSION) $(REVISION) $(COMPILER))

# ---- rules ---------------------------------------------------------------------------------------

$(BUILD)/obj/%.o: %.c $(BUILD)/compile.stamp $(BUILD)/libraries.mk
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(COMPILE) $(DEFINES) -c $< -o $@

$(BUILD)/obj/src/base/build.o: $(BUILD)/build.stamp
$(BUILD)/obj/src/base/build.o: DEFINES = \
    -DLS_GIT_REVISION='"$(REVISION)"' -DLS_COMPILER='"$(COMPILER)"' \
    -DLS_FLAGS='"$(strip $(LANGUAGE) $(CFLAGS))"'
$(TEST_OBJECTS) $(call objects,$(filter tests/%,$(SIMULATE_SOURCES))): DEFINES = -Itests $(CRITERION_CFLAGS)

$(STATIC): $(LIBRARY_OBJECTS)
	$(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $^

# What the headers mark, and no more: gcc's clones of functions do not know that they are hidden.
$(BUILD)/lockstep.map: include/lockstep/lockstep.h include/lockstep/mpi.h
	@{ echo '{ global:'; sed -n 's/^LS_API [^(]*[ *]\(ls_[a-z_0-9]*\)(.*/\1;/p' $^; echo 'local: *; };'; } >$@

$(SHARED): $(LIBRARY_OBJECTS) $(BUILD)/lockstep.map
	$(call quiet,LD,$@)$(LINK) -shared $(if $(SAN),,-Wl,-z,defs) -Wl,-soname,$(SONAME) \
	    -Wl,--version-script=$(BUILD)/lockstep.map $(LIBRARY_OBJECTS) $(LIBRARY_LIBS) -o $@ && ln -sf $(@F) $(BUILD)/$(SONAME)

$(PROGRAM): $(PROGRAM_OBJECTS) $(STATIC)
	$(call quiet,LD,$@)$(LINK) $^ $(LIBRARY_LIBS) -o $@

# The unit tests hold the whole program, under another name than main: that is Criterion's.
PROGRAM_PARTS := $(filter-out %/main.o,$(PROGRAM_OBJECTS)) $(BUILD)/obj/tests/main.o
$(BUILD)/obj/tests/main.o: src/cli/main.c $(BUILD)/compile.stamp $(BUILD)/libraries.mk
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(COMPILE) -Dmain=ls_main -Wno-missing-prototypes -c $< -o $@

$(UNIT_TESTS): $(call objects,$(UNIT_SOURCES)) $(PROGRAM_PARTS) $(STATIC)
	@mkdir -p $(@D) && $(require_criterion)
	$(call quiet,LD,$@)$(LINK) $^ $(CRITERION_LIBS) $(LIBRARY_LIBS) -o $@

$(SYSTEM_TESTS): $(call objects,$(SYSTEM_SOURCES))
	@mkdir -p $(@D) && $(require_criterion)
	$(call quiet,LD,$@)$(LINK) $^ $(CRITERION_LIBS) -o $@

$(CLUSTER_TESTS): $(call objects,$(CLUSTER_SOURCES) tests/system/command.c tests/system/json.c)
	@mkdir -p $(@D) && $(require_criterion)
	$(call quiet,LD,$@)$(LINK) $^ $(CRITERION_LIBS) -o $@

$(RANK_PROGRAMS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(call objects,$(RANK_HELPERS)) $(STATIC)
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(LINK) $^ $(LIBRARY_LIBS) -o $@

# A target holds the whole program, like the unit tests.  Objects come first: what one defines is not taken
# from the library.
$(FUZZ_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/obj/tests/fuzz/fuzz.o $(PROGRAM_PARTS) $(STATIC)
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(LINK) -fsanitize=fuzzer $(filter %.o,$^) $(STATIC) $(LIBRARY_LIBS) -o $@
$(BUILD)/tests/fuzz/hdf5: $(BUILD)/obj/tests/fuzz/reads.o $(BUILD)/obj/tests/fuzz/worker.o
$(BUILD)/tests/fuzz/hdf5: LDFLAGS += -Wl,--wrap=ls_h5_read_apart
$(BUILD)/tests/fuzz/chunks: $(BUILD)/obj/tests/fuzz/worker.o
$(BUILD)/tests/fuzz/chunks: LDFLAGS += $(addprefix -Wl$(comma)--wrap=ls_comm_,rank size agree broadcast collect)
$(BUILD)/tests/fuzz/values: $(BUILD)/obj/tests/fuzz/reads.o $(BUILD)/obj/tests/fuzz/mutate.o
$(BUILD)/tests/fuzz/checkpoint: $(BUILD)/obj/tests/fuzz/mutate.o

# The same sources twice: for the MPI there is, and for SimGrid's, which needs a shared object with `main`.
$(SIMULATE): $(call objects,$(SIMULATE_SOURCES))
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(LINK) $^ $(LIBRARY_LIBS) -o $@

SIMULATED_FLAGS = $(LANGUAGE) $(WARNINGS) -Iinclude -Isrc $(CFLAGS) -MMD -MP -fvisibility=default -DSIMULATED -Itests \
    -DLS_GIT_REVISION='"$(REVISION)"' -DLS_COMPILER='"$(COMPILER)"' -DLS_FLAGS='""'
$(BUILD)/obj/simulated/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC,$<)smpicc $(SIMULATED_FLAGS) -c $< -o $@
# Each rank loads a copy: a small one.
$(SIMULATED): $(SIMULATED_OBJECTS)
	@mkdir -p $(@D)
	$(call quiet,LD,$@)smpicc -s -Wl,--wrap=ls_calloc -Wl,-Bsymbolic $^ -lxxhash -lm -o $@

require_criterion = $(if $(CRITERION_LIBS),true,{ echo 'make: the tests need Criterion (Debian: \
    libcriterion-dev): scripts/install-deps.sh installs it' >&2; exit 1; })

# ---- install -------------------------------------------------------------------------------------

install: all $(BUILD)/lockstep.pc $(BUILD)/lockstep.1 $(BUILD)/modulefile ## program, libraries, headers, lockstep.pc, man page, modulefile
	install -d $(addprefix '$(DESTDIR)'/,$(PREFIX)/bin $(LIBDIR)/pkgconfig $(PREFIX)/include/lockstep \
	    $(PREFIX)/share/man/man1 $(PREFIX)/share/modulefiles/lockstep)
	install -m 755 $(PROGRAM) '$(DESTDIR)$(PREFIX)/bin/lockstep'
	install -m 644 $(STATIC) '$(DESTDIR)$(LIBDIR)/liblockstep.a'
	install -m 755 $(SHARED) '$(DESTDIR)$(LIBDIR)/liblockstep.so.$(VERSION)'
	ln -sf liblockstep.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/liblockstep.so'
	install -m 644 include/lockstep/lockstep.h include/lockstep/mpi.h include/lockstep/lockstep.f90 '$(DESTDIR)$(PREFIX)/include/lockstep'
	install -m 644 $(BUILD)/lockstep.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/lockstep.pc'
	install -m 644 $(BUILD)/lockstep.1 '$(DESTDIR)$(PREFIX)/share/man/man1/lockstep.1'
	install -m 644 $(BUILD)/modulefile '$(DESTDIR)$(PREFIX)/share/modulefiles/lockstep/$(VERSION)'

# Written at each install: PREFIX may have changed.
$(BUILD)/lockstep.pc: src/lockstep.pc.in FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@LIBS@|$(LIBRARY_LIBS)|' $< >$@
$(BUILD)/modulefile: src/modulefile.in FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' $< >$@
$(BUILD)/lockstep.1: src/cli/lockstep.1.in FORCE
	@sed -e 's|@VERSION@|$(VERSION)|' $< >$@

# As many jobs as cores unless told otherwise.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

-include $(patsubst %.o,%.d,$(LIBRARY_OBJECTS) $(SIMULATED_OBJECTS) $(PROGRAM_OBJECTS) $(PROGRAM_PARTS) $(TEST_OBJECTS))
