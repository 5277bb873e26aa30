/* nn: which arrays of a slot live when, which of them are the same memory, and where each lies.
 *
 * Time: operation i of L runs forward at i, the loss at L, operation i backward at 2L - i.  An
 * array is a value (forward) or its gradient.  A home is a set of arrays that are one block of
 * memory. */
#include <stdlib.h>

#include "nn/net.h"

typedef struct ls_home {
    int parent; /* of a tree of arrays; its own number at the root */
    int birth, death;
    size_t bytes;
} ls_home;

typedef struct ls_analysis {
    const ls_variant *variant;
    const ls_net *net;
    int ops, values; /* numbers */
    ls_home *homes;  /* of values, then of gradients */
} ls_analysis;

static int forward_time(const ls_op *op) {
    return (int)op->index;
}

static int backward_time(const ls_analysis *a, const ls_op *op) {
    return 2 * a->ops - (int)op->index;
}

static ls_home *home_of(const ls_analysis *a, int array) {
    while (a->homes[array].parent != array)
        array = a->homes[array].parent;
    return &a->homes[array];
}

static int gradient_of(const ls_analysis *a, int value) {
    return a->values + value;
}

static bool has_gradient(const ls_analysis *a, int value) {
    return a->variant->mode == LS_MODE_TRAIN && a->net->values[value].needs_gradient;
}

/* `array` moves, with all that live with it, into the home of `other`. */
static void join(ls_analysis *a, int array, int other) {
    ls_home *from = home_of(a, array), *to = home_of(a, other);
    if (from == to)
        return;
    from->parent = to->parent;
    to->birth = from->birth < to->birth ? from->birth : to->birth;
    to->death = from->death > to->death ? from->death : to->death;
}

static void use(ls_analysis *a, int array, int time) {
    ls_home *home = home_of(a, array);
    home->birth = time < home->birth ? time : home->birth;
    home->death = time > home->death ? time : home->death;
}

/* ---- what is the same, and who reads when --------------------------------------------------- */

static void join_aliases(ls_analysis *a) {
    for (int i = 0; i < a->ops; i++) {
        const ls_op *op = a->net->ops[i];
        for (int k = 0; a->variant->prepared[i].forward == LS_ALIAS && k < op->outs; k++)
            join(a, op->out[k], op->in[0]);
    }
    for (int i = a->ops - 1; i >= 0; i--) {
        const ls_op *op = a->net->ops[i];
        const ls_sharing *sharing = a->variant->prepared[i].backward;
        for (int k = 0; k < op->ins; k++) {
            if (!has_gradient(a, op->in[k]))
                continue;
            if (sharing[k] == LS_ALIAS)
                join(a, gradient_of(a, op->in[k]), gradient_of(a, op->out[0]));
            else if (sharing[k] == LS_TWIN)
                join(a, gradient_of(a, op->in[k]), gradient_of(a, op->in[0]));
        }
    }
}

static void use_by_op(ls_analysis *a, const ls_op *op) {
    int time = forward_time(op);
    for (int k = 0; k < op->ins; k++)
        use(a, op->in[k], time);
    for (int k = 0; k < op->outs; k++)
        use(a, op->out[k], time);
    if (a->variant->mode != LS_MODE_TRAIN || !op->backward)
        return;
    time = backward_time(a, op);
    for (int k = 0; k < op->ins; k++) {
        if (op->keeps_input)
            use(a, op->in[k], time);
        if (has_gradient(a, op->in[k]))
            use(a, gradient_of(a, op->in[k]), time);
    }
    for (int k = 0; k < op->outs; k++) {
        if (op->keeps_output)
            use(a, op->out[k], time);
        use(a, gradient_of(a, op->out[k]), time);
    }
}

static void use_all(ls_analysis *a) {
    int end = 2 * a->ops + 1;
    for (int i = 0; i < a->ops; i++)
        use_by_op(a, a->net->ops[i]);
    use(a, 0, end); /* the input is the caller's: nobody may overwrite it */
    use(a, a->net->output, end);
    if (has_gradient(a, a->net->output))
        use(a, gradient_of(a, a->net->output), a->ops);
}

/* Lets `array`, made at `time`, take the memory of `other` if nobody reads that afterwards. */
static bool take_place(ls_analysis *a, int array, int other, int time) {
    const ls_home *from = home_of(a, array), *to = home_of(a, other);
    if (from == to || to->death > time || from->birth < time || from->bytes != to->bytes)
        return false;
    join(a, array, other);
    return true;
}

static void join_in_place(ls_analysis *a) {
    for (int i = 0; i < a->ops; i++) {
        const ls_op *op = a->net->ops[i];
        if (a->variant->prepared[i].forward == LS_IN_PLACE)
            take_place(a, op->out[0], op->in[0], forward_time(op));
    }
    for (int i = a->ops - 1; i >= 0; i--) {
        const ls_op *op = a->net->ops[i];
        for (int k = 0; k < op->ins; k++) {
            bool wanted = a->variant->prepared[i].backward[k] == LS_IN_PLACE;
            for (int out = 0; wanted && has_gradient(a, op->in[k]) && out < op->outs; out++)
                if (take_place(a, gradient_of(a, op->in[k]), gradient_of(a, op->out[out]),
                               backward_time(a, op)))
                    break;
        }
    }
}

/* ---- buffers -------------------------------------------------------------------------------- */

static int add_buffer(ls_variant *variant, size_t bytes, int birth, int death) {
    variant->buffers[variant->buffer_count] = (ls_buffer){bytes, birth, death, 0};
    return (int)variant->buffer_count++;
}

static void add_homes(ls_analysis *a, ls_variant *variant, int *buffer_of_array) {
    int arrays = 2 * a->values;
    for (int array = 0; array < arrays; array++) {
        const ls_home *home = &a->homes[array];
        bool exists = array < a->values || has_gradient(a, array - a->values);
        buffer_of_array[array] = LS_NO_BUFFER;
        if (home->parent == array && exists && array > 0)
            buffer_of_array[array] = add_buffer(variant, home->bytes, home->birth, home->death);
    }
    buffer_of_array[0] = LS_INPUT_BUFFER;
    for (int value = 0; value < a->values; value++) {
        int gradient = gradient_of(a, value);
        variant->value_buffer[value] = buffer_of_array[home_of(a, value) - a->homes];
        variant->gradient_buffer[value] = has_gradient(a, value)
                                              ? buffer_of_array[home_of(a, gradient) - a->homes]
                                              : LS_NO_BUFFER;
    }
}

static void add_workspaces(ls_analysis *a, ls_variant *variant) {
    for (int i = 0; i < a->ops; i++) {
        const ls_op *op = a->net->ops[i];
        size_t bytes = variant->prepared[i].workspace;
        bool kept = op->keeps_workspace && variant->mode == LS_MODE_TRAIN && op->backward;
        variant->workspace_buffer[i] =
            bytes ? add_buffer(variant, bytes, forward_time(op),
                               kept ? backward_time(a, op) : forward_time(op))
                  : LS_NO_BUFFER;
    }
}

ls_status ls_variant_plan_memory(ls_variant *variant) {
    const ls_net *net = variant->net;
    ls_analysis a = {variant, net, (int)net->op_count, (int)net->value_count, NULL};
    int *buffer_of_array = NULL;
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(a.homes, 2 * net->value_count));
    LS_TRY_GOTO(done, LS_NEW(buffer_of_array, 2 * net->value_count));
    for (int array = 0; array < 2 * a.values; array++)
        a.homes[array] = (ls_home){array, 2 * a.ops + 1, -1,
                                   ls_layout_bytes(ls_layout_of(variant, array % a.values))};
    join_aliases(&a);
    use_all(&a);
    join_in_place(&a);
    add_homes(&a, variant, buffer_of_array);
    add_workspaces(&a, variant);
    status = ls_memory_place(variant->buffer_count, variant->buffers, &variant->bytes);
done:
    ls_free(buffer_of_array);
    ls_free(a.homes);
    return status;
}

/* ---- places --------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right) {
    const ls_buffer *a = *(ls_buffer *const *)left, *b = *(ls_buffer *const *)right;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a < b ? -1 : a > b; /* qsort is not stable */
}

static bool overlap_in_time(const ls_buffer *a, const ls_buffer *b) {
    return a->birth <= b->death && b->birth <= a->death;
}

/* The lowest gap that is large enough; `placed` is sorted by offset. */
static size_t find_gap(const ls_buffer *buffer, size_t count, ls_buffer *const *placed) {
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (!overlap_in_time(buffer, placed[i]))
            continue;
        if (placed[i]->offset >= offset + buffer->bytes)
            return offset;
        size_t end = placed[i]->offset + placed[i]->bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

/* Large ones first, each at the lowest place that is free while it lives (Pisarchyk and Lee 2020).
 */
ls_status ls_memory_place(size_t count, ls_buffer *buffers, size_t *total) {
    ls_buffer **order = NULL, **placed = NULL;
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(order, count));
    LS_TRY_GOTO(done, LS_NEW(placed, count));
    for (size_t i = 0; i < count; i++) {
        buffers[i].bytes = ls_align_bytes(buffers[i].bytes);
        order[i] = &buffers[i];
    }
    qsort(order, count, sizeof *order, by_size);
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        ls_buffer *buffer = order[i];
        buffer->offset = find_gap(buffer, i, placed);
        size_t end = buffer->offset + buffer->bytes, at = i;
        *total = end > *total ? end : *total;
        for (; at > 0 && placed[at - 1]->offset > buffer->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = buffer;
    }
done:
    ls_free(placed);
    ls_free(order);
    return status;
}
