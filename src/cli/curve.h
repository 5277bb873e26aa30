/* cli: the curve of a range test, from a run file or a CSV: what `suggest` and `plot` start from.
 */
#ifndef LOCKSTEP_CLI_CURVE_H
#define LOCKSTEP_CLI_CURVE_H

#include "lockstep/io.h"
#include "lockstep/lr.h"

typedef struct ls_curve_data {
    int64_t count;
    double *lr, *loss, *smoothed; /* `count` each, owned */
    double *noise;                /* standard error of each loss; NULL when not known */
    double *gain, *gain_noise;    /* as in ls_curve; NULL when not measured */
    double *accuracy;             /* NULL when not measured */
    double momentum;              /* of the run's configuration, else LS_DEFAULT_MOMENTUM */
    int64_t batch;                /* of the same; 0: not known */
    bool diverged;                /* as the run file's stop_reason says */
    double *validation;           /* NaN where not measured; NULL when nowhere */
    char *about; /* data, batch and momentum, or the file's name; whether it is unfinished */
} ls_curve_data;

#define LS_DEFAULT_BETA 0.98
#define LS_DEFAULT_MOMENTUM 0.9

/* Loads the run file of a range test, or a CSV whose header has the columns lr and loss, known by
 * its first bytes.  beta: of the smoothing; NaN takes what the run file stores, and LS_DEFAULT_BETA
 * for a CSV.  A loss that is not finite is skipped, and their number told; where most of what
 * follows is not finite either, the divergence begins and such losses stay, as the end of the
 * curve.  LS_ERR_INPUT says where in the file what was expected. */
ls_status ls_curve_load(const char *path, double beta, ls_curve_data *data);
void ls_curve_free(ls_curve_data *data);

/* Whether a file is HDF5, by its first bytes.  LS_ERR_INPUT when it cannot be read. */
ls_status ls_is_hdf5(const char *path, bool *hdf5);

/* "fashion-mnist.h5, batch 128, momentum 0.9", from the configuration that a run file keeps; its
 * name when there is none, or one of another version; and whether it is unfinished.  ls_free. */
ls_status ls_run_about(ls_run_reader *reader, const char *path, char **about);

/* The CSV part: fills count, lr and loss.  Rows in the order of the ramp, the learning rates
 * positive and growing; losses may be nan or inf; other columns are skipped. */
ls_status ls_curve_read_csv(const char *path, ls_curve_data *data);

/* As the suggestions want it; borrows from data. */
ls_curve ls_curve_view(const ls_curve_data *data);

/* A smoothing factor from an option: NULL gives NaN.  LS_ERR_INPUT unless in [0, 1). */
ls_status ls_curve_beta(const char *command, const char *text, double *beta);

#endif
