/* Tests of nn: sums of convolutions in double. */
#include "conv_sums.h"

#include <criterion/criterion.h>
#include <math.h>

float *conv_array(int64_t samples, int64_t channels, int64_t inner, const int64_t size[3],
                  unsigned seed) {
    int64_t blocks = (channels + inner - 1) / inner, spatial = size[0] * size[1] * size[2];
    float *x = ls_calloc((size_t)(samples * blocks * spatial * inner), sizeof *x);
    for (int64_t i = 0; i < samples * blocks * spatial * inner; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (i / (spatial * inner) % blocks * inner + i % inner < channels)
            x[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
    return x;
}

double conv_element(const float *x, int64_t channels, int64_t inner, const int64_t size[3],
                    int64_t sample, int64_t channel, const int64_t at[3]) {
    int64_t blocks = (channels + inner - 1) / inner, place = sample * blocks + channel / inner;
    for (int i = 0; i < 3; i++) {
        if (at[i] < 0 || at[i] >= size[i])
            return 0;
        place = place * size[i] + at[i];
    }
    return x[place * inner + channel % inner];
}

double conv_gradient_sum(const ls_conv_shape *s, const float *x, const float *dy, int64_t filter,
                         int64_t channel, const int64_t tap[3], double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int64_t sample = 0; sample < s->samples; sample++)
        CONV_EACH(o, s->out) {
            int64_t at[3];
            for (int i = 0; i < 3; i++)
                at[i] = o[i] * s->stride[i] - s->padding[i] + tap[i] * s->dilation[i];
            double term = conv_element(x, s->channels, s->inner, s->in, sample, channel, at) *
                          conv_element(dy, s->filters, s->lanes, s->out, sample, filter, o);
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

double conv_bias_sum(const ls_conv_shape *s, const float *dy, int64_t filter, double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int64_t sample = 0; sample < s->samples; sample++)
        CONV_EACH(o, s->out) {
            double term = conv_element(dy, s->filters, s->lanes, s->out, sample, filter, o);
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

static int64_t taps_of(const ls_conv_shape *s) {
    return s->kernel[0] * s->kernel[1] * s->kernel[2];
}

/* One weight of (filters, channels, kernel). */
static double weight(const ls_conv_shape *s, const float *w, int64_t filter, int64_t channel,
                     const int64_t tap[3]) {
    const int64_t index = (tap[0] * s->kernel[1] + tap[1]) * s->kernel[2] + tap[2];
    return w[(filter * s->channels + channel) * taps_of(s) + index];
}

double conv_output_sum(const ls_conv_shape *s, const float *x, const float *w, int64_t sample,
                       int64_t filter, const int64_t out[3], double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int64_t channel = 0; channel < s->channels; channel++)
        CONV_EACH(tap, s->kernel) {
            int64_t at[3];
            for (int i = 0; i < 3; i++)
                at[i] = out[i] * s->stride[i] - s->padding[i] + tap[i] * s->dilation[i];
            double term = conv_element(x, s->channels, s->inner, s->in, sample, channel, at) *
                          weight(s, w, filter, channel, tap);
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

double conv_input_sum(const ls_conv_shape *s, const float *dy, const float *w, int64_t sample,
                      int64_t channel, const int64_t in[3], double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int64_t filter = 0; filter < s->filters; filter++)
        CONV_EACH(tap, s->kernel) {
            int64_t at[3];
            for (int i = 0; i < 3; i++)
                at[i] = in[i] + s->padding[i] - tap[i];
            double term = conv_element(dy, s->filters, s->lanes, s->out, sample, filter, at) *
                          weight(s, w, filter, channel, tap);
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

void conv_check_near(double value, double wanted, double magnitude) {
    cr_assert_float_eq(value, wanted, 1e-6 * magnitude + 1e-12, "%.9g, not %.9g", value, wanted);
}
