/* Augmentation: each sample is changed in place, by draws that depend on (seed, epoch, id) alone.
 */
#include "lockstep/augment.h"

#include <string.h>

enum { DRAW_PLACE, DRAW_CUTOUT }; /* the first word of the counter */

/* One channel of a sample as (depth, height, width); dimensions that are not there have size 1. */
typedef struct ls_volume {
    int64_t size[LS_MAX_SPATIAL];
    int dims;       /* spatial dimensions of the sample: the last so many of the three */
    int64_t pixels; /* of a channel */
} ls_volume;

static ls_volume volume_of(const ls_shape *shape) {
    ls_volume volume = {.size = {1, 1, 1}, .dims = shape->ndims - 1, .pixels = 1};
    for (int d = 0; d < volume.dims; d++) {
        volume.size[LS_MAX_SPATIAL - volume.dims + d] = shape->size[1 + d];
        volume.pixels *= shape->size[1 + d];
    }
    return volume;
}

static bool is_off(const ls_augment *augment) {
    return augment->crop_padding == 0 && !augment->flip && augment->cutout == 0;
}

ls_status ls_augment_check(const ls_augment *augment, const ls_shape *shape) {
    if (is_off(augment))
        return LS_OK;
    if (shape->ndims < 2)
        return ls_fail(LS_ERR_INPUT,
                       "augment.%s: the samples have %lld features and no spatial dimension; "
                       "leave it off",
                       augment->crop_padding ? "crop_padding"
                       : augment->flip       ? "flip"
                                             : "cutout",
                       (long long)shape->size[0]);
    int64_t smallest = shape->size[1], largest = shape->size[1];
    for (int d = 2; d < shape->ndims; d++) {
        smallest = shape->size[d] < smallest ? shape->size[d] : smallest;
        largest = shape->size[d] > largest ? shape->size[d] : largest;
    }
    if (augment->crop_padding >= smallest)
        return ls_fail(LS_ERR_INPUT,
                       "augment.crop_padding is %lld, but the smallest spatial size of a sample is "
                       "%lld: at most %lld",
                       (long long)augment->crop_padding, (long long)smallest,
                       (long long)smallest - 1);
    if (augment->cutout > largest)
        return ls_fail(LS_ERR_INPUT,
                       "augment.cutout is %lld, but the largest spatial size of a sample is %lld",
                       (long long)augment->cutout, (long long)largest);
    return LS_OK;
}

/* ---- draws ---------------------------------------------------------------------------------- */

static void draw(const uint32_t key[2], uint32_t epoch, uint64_t id, uint32_t what,
                 uint32_t words[4]) {
    const uint32_t counter[4] = {what, (uint32_t)id, (uint32_t)(id >> 32), epoch};
    ls_philox(key, counter, words);
}

static int64_t below(int64_t n, uint32_t word) {
    return (int64_t)((uint64_t)word * (uint64_t)n >> 32);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void fill_run(float *to, int64_t count, float value) {
    for (int64_t i = 0; i < count; i++)
        to[i] = value;
}

/* row[i] <- row[i + shift]; `from` may be the row itself. */
static void move_row(const float *from, int64_t width, int64_t shift, float fill, float *row) {
    int64_t left = shift < 0 ? -shift : 0, right = shift > 0 ? shift : 0;
    memmove(row + left, from + right, (size_t)(width - left - right) * sizeof *row);
    fill_run(row, left, fill);
    fill_run(row + width - right, right, fill);
}

/* x[p] <- x[p + shift], `fill` where that is outside.  Rows all come from the same distance, so
 * starting at the end they come from, none is overwritten before it is read. */
static void crop(const ls_volume *volume, const int64_t shift[LS_MAX_SPATIAL], float fill,
                 float *x) {
    const int64_t depth = volume->size[0], height = volume->size[1], width = volume->size[2];
    const int64_t rows = depth * height, distance = shift[0] * height + shift[1];
    for (int64_t k = 0; k < rows; k++) {
        const int64_t row = distance >= 0 ? k : rows - 1 - k;
        const int64_t z = row / height + shift[0], y = row % height + shift[1];
        if (z < 0 || z >= depth || y < 0 || y >= height)
            fill_run(x + row * width, width, fill);
        else
            move_row(x + (row + distance) * width, width, shift[2], fill, x + row * width);
    }
}

static void flip(const ls_volume *volume, float *x) {
    const int64_t width = volume->size[2];
    for (const float *end = x + volume->pixels; x < end; x += width)
        for (int64_t i = 0, j = width - 1; i < j; i++, j--) {
            const float kept = x[i];
            x[i] = x[j];
            x[j] = kept;
        }
}

/* Fills the pixels of a channel from `low` to below `high`. */
static void cut(const ls_volume *volume, const int64_t low[LS_MAX_SPATIAL],
                const int64_t high[LS_MAX_SPATIAL], float fill, float *x) {
    for (int64_t z = low[0]; z < high[0]; z++)
        for (int64_t y = low[1]; y < high[1]; y++)
            fill_run(x + (z * volume->size[1] + y) * volume->size[2] + low[2], high[2] - low[2],
                     fill);
}

/* ---- one sample ----------------------------------------------------------------------------- */

/* What happens to all channels of a sample. */
typedef struct ls_change {
    bool flip;
    int64_t shift[LS_MAX_SPATIAL];
    int64_t low[LS_MAX_SPATIAL], high[LS_MAX_SPATIAL]; /* of the cutout */
} ls_change;

static ls_change draw_change(const ls_augment *augment, const ls_volume *volume,
                             const uint32_t key[2], uint32_t epoch, uint64_t id) {
    const int missing = LS_MAX_SPATIAL - volume->dims;
    ls_change change = {.high = {1, 1, 1}};
    uint32_t place[4], centre[4];
    draw(key, epoch, id, DRAW_PLACE, place);
    draw(key, epoch, id, DRAW_CUTOUT, centre);
    change.flip = augment->flip && place[0] >> 31;
    for (int d = 0; d < volume->dims; d++) {
        const int at = missing + d;
        const int64_t size = volume->size[at], padding = augment->crop_padding;
        const int64_t low = below(size, centre[d]) - augment->cutout / 2;
        const int64_t high = low + augment->cutout;
        change.shift[at] = below(2 * padding + 1, place[1 + d]) - padding;
        change.low[at] = low > 0 ? low : 0;
        change.high[at] = high < size ? high : size;
    }
    return change;
}

void ls_augment_apply(const ls_augment *augment, uint64_t seed, uint32_t epoch,
                      const ls_shape *shape, const uint64_t *ids, int64_t count, const float *fill,
                      float *inputs) {
    const ls_volume volume = volume_of(shape);
    const int64_t channels = shape->size[0];
    uint32_t key[2];
    if (is_off(augment) || volume.dims == 0)
        return;
    ls_stream_key(seed, LS_STREAM_AUGMENT, key);
    for (int64_t n = 0; n < count; n++) {
        const ls_change change = draw_change(augment, &volume, key, epoch, ids[n]);
        for (int64_t c = 0; c < channels; c++) {
            float *x = inputs + (n * channels + c) * volume.pixels;
            if (augment->crop_padding > 0)
                crop(&volume, change.shift, fill[c], x);
            if (change.flip)
                flip(&volume, x);
            if (augment->cutout > 0)
                cut(&volume, change.low, change.high, fill[c], x);
        }
    }
}
