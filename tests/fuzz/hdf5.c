/* Fuzz target: any bytes as an HDF5 file.  lockstep reads it in a child process, where HDF5 may
 * crash: that must be told.  Here one process reads file after file; some of those
 * in which HDF5 does crash, or finds no end, and of the others, are read in lockstep's own way too.
 */
#include "fuzz.h"
#include "io/h5.h"

enum { OFTEN = 256 }; /* one of so many files */

ls_status __real_ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text);
ls_status __wrap_ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text);

/* In place of ls_h5_read_apart for all who call it (ld's --wrap). */
ls_status __wrap_ls_h5_read_apart(const char *path, ls_h5_read *read, ls_text *text) {
    bool sealed;
    if (!fuzz_is_apart())
        return __real_ls_h5_read_apart(path, read, text);
    LS_TRY(ls_h5_check(path, &sealed));
    return read(path, text);
}

/* The 1st, 2nd, 4th, 8th, ... */
static bool is_power_of_two(unsigned count) {
    return (count & (count - 1)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned files, ends[FUZZ_ENDLESS + 1];
    const char *path = fuzz_file("x.h5", data, size);
    const unsigned count = ++ends[fuzz_apart(fuzz_read_hdf5, path)];
    if (is_power_of_two(count) || ++files % OFTEN == 0)
        fuzz_read_hdf5(path);
    return 0;
}
