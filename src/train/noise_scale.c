/* The gradient noise scale of steps and of windows of them. */
#include <math.h>

#include "lockstep/noise.h"

ls_noise_step ls_noise_of_step(int64_t samples, int slices, double mean_square,
                               double slice_squares) {
    double shares = 0;
    for (int slice = 0; slice < slices; slice++) {
        int64_t first, count;
        ls_slice_samples(samples, slices, slice, &first, &count);
        double share = (double)count / (double)samples;
        shares += share * share;
    }
    return (ls_noise_step){.square = (mean_square - slice_squares) / (1 - shares),
                           .trace = (double)samples * (slice_squares - shares * mean_square) /
                                    (1 - shares)};
}

/* Sums over steps. */
typedef struct sums {
    double square, trace;
    int64_t steps;
} sums;

/* Of the steps of group `group`, every LS_NOISE_GROUPS-th one: a trend is in all groups alike. */
static sums add_up(const double *square, const double *trace, int64_t count, int group) {
    sums sum = {0};
    for (int64_t i = group; i < count; i += LS_NOISE_GROUPS) {
        if (isnan(square[i]))
            continue;
        sum.square += square[i];
        sum.trace += trace[i];
        sum.steps++;
    }
    return sum;
}

/* The standard error of what has these values with one group left out each. */
static double jackknife(const double *without) {
    double mean = 0, squares = 0;
    for (int i = 0; i < LS_NOISE_GROUPS; i++)
        mean += without[i] / LS_NOISE_GROUPS;
    for (int i = 0; i < LS_NOISE_GROUPS; i++)
        squares += (without[i] - mean) * (without[i] - mean);
    return sqrt(squares * (LS_NOISE_GROUPS - 1) / LS_NOISE_GROUPS);
}

ls_noise_window ls_noise_over(const double *square, const double *trace, int64_t first,
                              int64_t count) {
    sums groups[LS_NOISE_GROUPS], all = {0};
    double squares[LS_NOISE_GROUPS], scales[LS_NOISE_GROUPS];
    for (int i = 0; i < LS_NOISE_GROUPS; i++) {
        groups[i] = add_up(square + first, trace + first, count, i);
        all.square += groups[i].square;
        all.trace += groups[i].trace;
        all.steps += groups[i].steps;
    }
    for (int i = 0; i < LS_NOISE_GROUPS; i++) {
        squares[i] = (all.square - groups[i].square) / (double)(all.steps - groups[i].steps);
        scales[i] = (all.trace - groups[i].trace) / (all.square - groups[i].square);
    }
    ls_noise_window window = {.first = first,
                              .count = count,
                              .square = all.square / (double)all.steps,
                              .trace = all.trace / (double)all.steps,
                              .scale = (double)NAN,
                              .error = (double)NAN};
    const double margin = 2 * jackknife(squares);
    if (window.square > margin) {
        window.scale = window.trace / window.square;
        window.error = jackknife(scales);
    }
    window.least = window.trace / fmax(window.square + margin, 0);
    return window;
}
