/* values: looks at arrays of any element type: conversion and the checks that loading and
 * converting a dataset have in common.  Nothing here is collective. */
#ifndef LOCKSTEP_DATA_VALUES_H
#define LOCKSTEP_DATA_VALUES_H

#include "lockstep/io.h"

/* Classes count from 0 to the largest, and every one has a place in memory and in the network, so
 * that a stray label must not make billions of them. */
#define LS_MAX_CLASS ((1 << 24) - 1)

bool ls_type_is_float(ls_type type);
/* Elements of one sample: the product of all dimensions but the first. */
int64_t ls_sample_elements(const ls_array_info *info);
/* "(60000, 1, 28, 28)" */
void ls_info_text(const ls_array_info *info, ls_text *text);

/* Converts `count` elements; integers beyond the range of int64 become INT64_MAX. */
void ls_values_integers(ls_type type, const void *values, int64_t count, int64_t *out);
void ls_values_doubles(ls_type type, const void *values, int64_t count, double *out);
/* The first element that is not finite as float32, `count` if there is none. */
int64_t ls_values_not_finite(ls_type type, const void *values, int64_t count);

/* LS_ERR_INPUT unless the arrays are the inputs and the targets of one dataset: the same number of
 * samples, at least one; inputs of 1 to LS_MAX_DIMS dimensions, none of them 0; targets (N)
 * integers, or (N) or (N, outputs) floats.  `inputs_name` and `targets_name` say in messages what
 * they are. */
ls_status ls_check_inputs(const ls_array_info *inputs, const char *name);
ls_status ls_check_targets(const ls_array_info *targets, const char *name, int64_t samples,
                           const char *inputs_name);
ls_status ls_check_arrays(const ls_array_info *inputs, const char *inputs_name,
                          const ls_array_info *targets, const char *targets_name);
/* Warns of images whose axes are probably meant otherwise; `last` says what to do with those whose
 * channels come last, `one_channel` with those of one channel. */
void ls_warn_of_axes(const ls_array_info *info, const char *name, const char *last,
                     const char *one_channel);
/* LS_ERR_INPUT, naming the sample, unless every value is a class below `classes` (0: any). */
ls_status ls_check_classes(const int64_t *values, int64_t first, int64_t count, int64_t classes,
                           const char *name);
/* LS_ERR_INPUT, naming the sample, unless every value of `count` samples is finite. */
ls_status ls_check_finite(ls_type type, const void *samples, int64_t first, int64_t count,
                          int64_t elements, const char *name);

#endif
