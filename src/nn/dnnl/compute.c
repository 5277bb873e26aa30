/* nn/dnnl: threads and instruction set of the process, the library's name and version. */
#include <stdio.h>
#include <string.h>

#include "lockstep/nn.h"
#include "lockstep/threads.h"
#include "nn/dnnl/compat.h"

/* Ours, lowest first; each of oneDNN's sets contains the bits of those below it. */
static const struct {
    const char *name;
    dnnl_cpu_isa_t isa;
} SETS[] = {{"sse41", dnnl_cpu_isa_sse41},
            {"avx2", dnnl_cpu_isa_avx2},
            {"avx512", dnnl_cpu_isa_avx512_core},
            {"avx512_bf16", dnnl_cpu_isa_avx512_core_bf16},
            {"amx", dnnl_cpu_isa_avx512_core_amx}};

enum { SET_COUNT = sizeof SETS / sizeof *SETS };

/* The highest of our sets that is in force, -1 if there is none. */
static int set_in_force(void) {
    unsigned bits = (unsigned)dnnl_get_effective_cpu_isa();
    for (int i = SET_COUNT - 1; i >= 0; i--)
        if ((bits & (unsigned)SETS[i].isa) == (unsigned)SETS[i].isa)
            return i;
    return -1;
}

static int set_by_name(const char *name) {
    for (int i = 0; i < SET_COUNT; i++)
        if (strcmp(SETS[i].name, name) == 0)
            return i;
    return -1;
}

static ls_status pin_isa(const char *name) {
    if (strcmp(name, "auto") == 0) {
        dnnl_set_max_cpu_isa(
            ls_isa_unlimited()); /* fails only after the first use: checked below */
        return LS_OK;
    }
    int wanted = set_by_name(name);
    if (wanted < 0)
        return ls_fail(LS_ERR_INPUT,
                       "compute.isa: '%s' is none of auto, sse41, avx2, avx512, "
                       "avx512_bf16, amx",
                       name);
    dnnl_set_max_cpu_isa(SETS[wanted].isa);
    int got = set_in_force();
    if (got < wanted)
        return ls_fail(LS_ERR_INPUT,
                       "compute.isa: this machine has no %s, it goes up to %s: "
                       "choose that or less",
                       name, ls_compute_isa());
    if (got > wanted)
        return ls_fail(LS_ERR_BUG, "compute.isa: set after the first computation");
    return LS_OK;
}

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
/* Of OpenMP's runtime, which oneDNN brings; not every compiler brings omp.h. */
extern void omp_set_num_threads(int threads);

/* oneDNN's own threads cut sums by their number: each of ours calls it without any. */
static void keep_library_single(void) {
    omp_set_num_threads(1); /* a setting of the calling thread */
}
#else
static void keep_library_single(void) {
}
#endif

ls_status ls_compute_init(int threads, const char *isa) {
    LS_REQUIRE(threads >= 1);
    LS_TRY(pin_isa(isa));
    keep_library_single();
    return ls_threads_set(threads, keep_library_single);
}

const char *ls_compute_isa(void) {
    int set = set_in_force();
    return set < 0 ? "generic" : SETS[set].name;
}

bool ls_isa_has(const char *name) {
    return set_in_force() >= set_by_name(name);
}

bool ls_compute_has(ls_compute_type type) {
    return type == LS_COMPUTE_FLOAT32 || ls_isa_has("avx512_bf16");
}

const char *ls_compute_library(void) {
    static char text[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
    return text;
}
