/* Fuzz target: any bytes as an HDF5 file.  HDF5 reads them in a child process and may crash there:
 * that must be told. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_read_hdf5(fuzz_file("x.h5", data, size));
    return 0;
}
