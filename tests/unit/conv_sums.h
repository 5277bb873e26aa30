/* Tests of nn: sums of convolutions in double, element by element, over arrays in blocks of
 * channels as conv_loops.h has them. */
#ifndef LOCKSTEP_TESTS_CONV_SUMS_H
#define LOCKSTEP_TESTS_CONV_SUMS_H

#include "nn/conv_loops.h"

#define CONV_EACH(i, size)                                                                         \
    for (int64_t i[3] = {0}; i[0] < (size)[0]; i[0]++)                                             \
        for (i[1] = 0; i[1] < (size)[1]; i[1]++)                                                   \
            for (i[2] = 0; i[2] < (size)[2]; i[2]++)

/* An array in blocks of `inner` channels, numbers in [-1, 1], 0 in channels that are not there; to
 * be freed. */
float *conv_array(int64_t samples, int64_t channels, int64_t inner, const int64_t size[3],
                  unsigned seed);
/* Element (sample, channel, at) of such an array; 0 outside. */
double conv_element(const float *x, int64_t channels, int64_t inner, const int64_t size[3],
                    int64_t sample, int64_t channel, const int64_t at[3]);

/* Each of these also gives the sum of the terms' magnitudes. */

/* The gradient of one weight, of the bias of a filter. */
double conv_gradient_sum(const ls_conv_shape *s, const float *x, const float *dy, int64_t filter,
                         int64_t channel, const int64_t tap[3], double *magnitude);
double conv_bias_sum(const ls_conv_shape *s, const float *dy, int64_t filter, double *magnitude);
/* Of weights w (filters, channels, kernel): an output, without bias; the gradient of an input, of a
 * convolution with steps of 1 and no dilation. */
double conv_output_sum(const ls_conv_shape *s, const float *x, const float *w, int64_t sample,
                       int64_t filter, const int64_t out[3], double *magnitude);
double conv_input_sum(const ls_conv_shape *s, const float *dy, const float *w, int64_t sample,
                      int64_t channel, const int64_t in[3], double *magnitude);

/* Asserts that a sum in float32 is what it should be. */
void conv_check_near(double value, double wanted, double magnitude);

#endif
