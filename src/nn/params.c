/* nn: parameters: how they are named, laid out in the flat array, and started. */
#include <math.h>

#include "nn/net.h"

static size_t element_count(int ndims, const int64_t *shape) {
    size_t count = 1;
    for (int i = 0; i < ndims; i++)
        count *= (size_t)shape[i];
    return count;
}

static ls_status add_param(ls_builder *builder, ls_param_list *list, const char *name,
                           ls_param_role role, int ndims, const int64_t *shape, ls_start start) {
    LS_TRY(ls_grow(&list->entries, list->count, &list->capacity, sizeof *list->entries));
    char *path = ls_format("%s/%s", builder->path, name);
    if (!path)
        return LS_ERR_SYSTEM;
    ls_param_entry *entry = &list->entries[list->count++];
    *entry = (ls_param_entry){
        .param = {.name = path, .role = role, .ndims = ndims, .count = element_count(ndims, shape)},
        .start = start};
    for (int i = 0; i < ndims; i++)
        entry->param.shape[i] = shape[i];
    return LS_OK;
}

ls_status ls_builder_param(ls_builder *builder, ls_op *op, const char *name, ls_param_role role,
                           int ndims, const int64_t *shape, ls_start start) {
    if (op->params == 0)
        op->first_param = builder->net->params.count;
    LS_TRY(add_param(builder, &builder->net->params, name, role, ndims, shape, start));
    op->params++;
    return LS_OK;
}

ls_status ls_builder_statistics(ls_builder *builder, const ls_shape *shape, double momentum,
                                size_t *number, size_t places[2]) {
    static const char *const names[] = {"running_mean", "running_variance"};
    ls_net *net = builder->net;
    ls_param_list *list = &builder->statistics;
    *number = list->count;
    for (int i = 0; i < 2; i++) {
        LS_TRY(add_param(builder, list, names[i], i == 0 ? LS_PARAM_MEAN : LS_PARAM_VARIANCE, 1,
                         shape->size, (ls_start){LS_START_CONSTANT, i}));
        ls_param_entry *entry = &list->entries[list->count - 1];
        entry->param.momentum = momentum;
        entry->param.statistics = net->statistics_size;
        entry->place = places[i] = net->statistics_space;
        entry->spatial = ls_shape_spatial(shape);
        net->statistics_size += entry->param.count;
        net->statistics_space += ls_align_floats(entry->param.count);
    }
    return LS_OK;
}

ls_start ls_weight_start(ls_init init, double fan_in, double fan_out) {
    if (init == LS_INIT_GLOROT)
        return (ls_start){LS_START_UNIFORM, sqrt(6.0 / (fan_in + fan_out))};
    return (ls_start){LS_START_NORMAL, sqrt(2.0 / fan_in)};
}

ls_status ls_params_finish(ls_builder *builder) {
    ls_net *net = builder->net;
    ls_param_list *all = &net->params, *untrained = &builder->statistics;
    net->trained_count = all->count;
    for (size_t i = 0; i < untrained->count; i++) {
        LS_TRY(ls_grow(&all->entries, all->count, &all->capacity, sizeof *all->entries));
        all->entries[all->count++] = untrained->entries[i];
        untrained->entries[i].param.name = NULL; /* it has moved */
    }
    for (size_t i = 0; i < all->count; i++) {
        all->entries[i].param.offset = net->flat_size;
        net->flat_size += ls_align_floats(all->entries[i].param.count);
        if (i < net->trained_count)
            net->trained_size = net->flat_size;
    }
    return LS_OK;
}

void ls_params_free(ls_param_list *list) {
    for (size_t i = 0; i < list->count; i++)
        ls_free((char *)list->entries[i].param.name);
    ls_free(list->entries);
}

/* ---- starting values ------------------------------------------------------------------------ */

/* Four numbers from N(0, 1) (Box and Muller 1958) or U(-1, 1). */
static void draw(const ls_start *start, const uint32_t words[4], double numbers[4]) {
    for (int i = 0; i < 4; i += 2) {
        double u = 1.0 - ls_unit_float(words[i]), v = ls_unit_float(words[i + 1]); /* u > 0 */
        if (start->kind == LS_START_NORMAL) {
            double radius = sqrt(-2.0 * log(u)), angle = 2.0 * 3.14159265358979323846 * v;
            numbers[i] = radius * cos(angle);
            numbers[i + 1] = radius * sin(angle);
        } else {
            numbers[i] = 2.0 * u - 1.0;
            numbers[i + 1] = 2.0 * v - 1.0;
        }
    }
}

/* Elements [from, to) of a parameter, `from` a multiple of 4. */
static void start_param(const ls_param_entry *entry, uint32_t index, const uint32_t key[2],
                        size_t from, size_t to, float *values) {
    const ls_start *start = &entry->start;
    for (size_t i = from; i < to; i += 4) {
        double numbers[4] = {1, 1, 1, 1};
        if (start->kind != LS_START_CONSTANT) {
            const uint32_t counter[4] = {index, (uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), 0};
            uint32_t words[4];
            ls_philox(key, counter, words);
            draw(start, words, numbers);
        }
        for (size_t k = 0; k < 4 && i + k < to; k++)
            values[i + k] = (float)(start->value * numbers[k]);
    }
}

void ls_net_init_params(const ls_net *net, uint64_t seed, size_t first, size_t end, float *flat) {
    uint32_t key[2];
    ls_stream_key(seed, LS_STREAM_INIT, key);
    for (size_t i = first; i < end; i++)
        flat[i] = 0; /* paddings too */
    for (size_t i = 0; i < net->params.count; i++) {
        const ls_param_entry *entry = &net->params.entries[i];
        size_t start = entry->param.offset, stop = start + entry->param.count;
        size_t from = first > start ? first : start, to = end < stop ? end : stop;
        if (from < to)
            start_param(entry, (uint32_t)i, key, from - start, to - start, flat + start);
    }
}
