/* What a stored curve is made ready with for the suggestions: smoothed losses, and the noise of
 * each loss. */
#include <math.h>

#include "lockstep/lr.h"

void ls_smooth(double beta, int64_t count, const double *loss, double *smoothed) {
    ls_range_test test;
    ls_range_test_begin(&test, beta, 0);
    int64_t i = 0;
    while (i < count && ls_range_test_take(&test, loss[i]) == LS_STOP_NONE)
        smoothed[i++] = test.smoothed;
    while (i < count)
        smoothed[i++] = NAN;
}

double ls_slice_noise(size_t slices, const double *slice_loss) {
    double count = 0, mean = 0, squares = 0; /* Welford's recurrence */
    for (size_t i = 0; i < slices; i++) {
        if (!isfinite(slice_loss[i]))
            continue;
        double difference = slice_loss[i] - mean;
        count++;
        mean += difference / count;
        squares += difference * (slice_loss[i] - mean);
    }
    return count < 2 ? NAN : sqrt(squares / (count - 1) / count);
}
