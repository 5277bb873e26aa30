/* Values made ready for a picture: what range to show, and fewer points. */
#include <math.h>
#include <stdlib.h>

#include "cli/plot.h"

enum { BIN_LIMIT = 2000 }; /* a picture is some hundred pixels wide */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

ls_status ls_plot_quantile(int64_t count, const double *values, double share, double *result) {
    double *sorted;
    int64_t finite = 0;
    LS_TRY(LS_NEW(sorted, (size_t)count));
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            sorted[finite++] = values[i];
    qsort(sorted, (size_t)finite, sizeof *sorted, compare);
    *result = finite ? sorted[(int64_t)(share * (double)(finite - 1))] : (double)NAN;
    ls_free(sorted);
    return LS_OK;
}

/* The places of the lowest and the highest of [first, end), in order; -1 where nothing is finite.
 */
static void extremes(const double *y, int64_t first, int64_t end, int64_t place[2]) {
    int64_t low = -1, high = -1;
    for (int64_t i = first; i < end; i++) {
        if (!isfinite(y[i]))
            continue;
        low = low < 0 || y[i] < y[low] ? i : low;
        high = high < 0 || y[i] > y[high] ? i : high;
    }
    place[0] = low < high ? low : high;
    place[1] = low < high ? high : low;
}

ls_status ls_plot_thin(int64_t count, double x_0, double x_step, const double *y, double **thin_x,
                       double **thin_y, int64_t *thin_count) {
    double *new_x = NULL, *new_y = NULL;
    int64_t finite = 0, used = 0;
    for (int64_t i = 0; i < count; i++)
        finite += isfinite(y[i]) != 0;
    int64_t bin = finite > 2 * BIN_LIMIT ? (count + BIN_LIMIT - 1) / BIN_LIMIT : 1;
    LS_TRY(LS_NEW(new_x, 2 * (size_t)(count / bin + 1)));
    ls_status status = LS_NEW(new_y, 2 * (size_t)(count / bin + 1));
    if (status != LS_OK) {
        ls_free(new_x);
        return status;
    }
    for (int64_t first = 0; first < count; first += bin) {
        int64_t place[2], end = first + bin < count ? first + bin : count;
        extremes(y, first, end, place);
        for (int k = place[0] == place[1]; k < 2 && place[k] >= 0; k++) {
            new_x[used] = x_0 + (double)place[k] * x_step;
            new_y[used++] = y[place[k]];
        }
    }
    *thin_x = new_x;
    *thin_y = new_y;
    *thin_count = used;
    return LS_OK;
}
