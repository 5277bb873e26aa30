/* nn/dnnl: the engine, its stream, and its layouts, of which equal ones are kept once. */
#include "nn/dnnl/engine.h"

ls_status ls_dnnl(dnnl_status_t status, const char *what) {
    static const char *const reasons[] = {"", "out of memory", "invalid arguments",
                                          "unimplemented"};
    if (status == dnnl_success)
        return LS_OK;
    if ((size_t)status < sizeof reasons / sizeof *reasons)
        return ls_fail(LS_ERR_SYSTEM, "oneDNN: %s failed: %s", what, reasons[status]);
    return ls_fail(LS_ERR_SYSTEM, "oneDNN: %s failed with status %d", what, (int)status);
}

ls_status ls_dnnl_engine_create(ls_dnnl_engine **engine) {
    ls_dnnl_engine *made;
    ls_status status = LS_NEW(made, 1);
    if (status != LS_OK)
        return status;
    LS_TRY_GOTO(fail, ls_dnnl(dnnl_engine_create(&made->engine, dnnl_cpu, 0), "engine"));
    LS_TRY_GOTO(fail,
                ls_dnnl(dnnl_stream_create(&made->stream, made->engine, dnnl_stream_default_flags),
                        "stream"));
    LS_TRY_GOTO(fail, ls_dnnl(dnnl_primitive_attr_create(&made->attributes), "attributes"));
    LS_TRY_GOTO(fail, ls_dnnl(dnnl_primitive_attr_set_scratchpad_mode(made->attributes,
                                                                      dnnl_scratchpad_mode_user),
                              "scratchpad mode"));
    *engine = made;
    return LS_OK;
fail:
    ls_dnnl_engine_free(made);
    return status;
}

void ls_dnnl_engine_free(ls_dnnl_engine *engine) {
    if (!engine)
        return;
    ls_products_free(engine->products);
    for (ls_layout *layout = engine->layouts; layout;) {
        ls_layout *next = layout->next;
        ls_md_free(layout->md);
        ls_free(layout);
        layout = next;
    }
    if (engine->attributes)
        dnnl_primitive_attr_destroy(engine->attributes);
    if (engine->stream)
        dnnl_stream_destroy(engine->stream);
    if (engine->engine)
        dnnl_engine_destroy(engine->engine);
    ls_free(engine);
}

static dnnl_format_tag_t plain_tag(int ndims) {
    static const dnnl_format_tag_t tags[] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
    return tags[ndims];
}

static bool is_plain(ls_md md, ls_compute_type type, const ls_dims *dims) {
    ls_md plain;
    if (ls_md_create(&plain, type, dims, plain_tag(dims->n)) != dnnl_success)
        return false;
    bool equal = dnnl_memory_desc_equal(md, plain);
    ls_md_free(plain);
    return equal;
}

/* Layouts of spatial arrays, with 2 and with 3 spatial dimensions. */
static const struct {
    dnnl_format_tag_t tag[2];
    int64_t block; /* of channels; 0: all */
} VIEWS[] = {{{dnnl_abcd, dnnl_abcde}, 1},
             {{dnnl_aBcd8b, dnnl_aBcde8b}, 8},
             {{dnnl_aBcd16b, dnnl_aBcde16b}, 16},
             {{dnnl_acdb, dnnl_acdeb}, 0}};

enum { VIEW_COUNT = sizeof VIEWS / sizeof *VIEWS };

static int find_view(ls_md md, ls_compute_type type, const ls_dims *dims) {
    for (int i = 0; i < VIEW_COUNT && (dims->n == 4 || dims->n == 5); i++) {
        ls_md view;
        if (ls_md_create(&view, type, dims, VIEWS[i].tag[dims->n - 4]) != dnnl_success)
            continue;
        bool equal = dnnl_memory_desc_equal(md, view);
        ls_md_free(view);
        if (equal)
            return i + 1;
    }
    return 0;
}

ls_status ls_layout_intern(ls_dnnl_engine *engine, ls_md md, const ls_layout **layout) {
    ls_dims dims = ls_md_dims(md);
    *layout = NULL;
    if (dims.n == 0)
        return LS_OK;
    for (const ls_layout *known = engine->layouts; known; known = known->next)
        if (dnnl_memory_desc_equal(known->md, md)) {
            *layout = known;
            return LS_OK;
        }
    ls_layout *made;
    LS_TRY(LS_NEW(made, 1));
    ls_status status = ls_dnnl(ls_md_clone(&made->md, md), "memory descriptor");
    if (status != LS_OK) {
        ls_free(made);
        return status;
    }
    made->type = ls_md_type(md);
    made->dims = dims;
    made->bytes = dnnl_memory_desc_get_size(md);
    made->plain = is_plain(md, made->type, &dims);
    made->view = find_view(md, made->type, &dims);
    made->next = engine->layouts;
    engine->layouts = made;
    *layout = made;
    return LS_OK;
}

static ls_status layout_of_tag(ls_dnnl_engine *engine, ls_compute_type type, const ls_dims *dims,
                               dnnl_format_tag_t tag, const ls_layout **layout) {
    ls_md md;
    LS_TRY(ls_dnnl(ls_md_create(&md, type, dims, tag), "memory descriptor"));
    ls_status status = ls_layout_intern(engine, md, layout);
    ls_md_free(md);
    return status;
}

ls_status ls_layout_plain(ls_dnnl_engine *engine, ls_compute_type type, const ls_dims *dims,
                          const ls_layout **layout) {
    return layout_of_tag(engine, type, dims, plain_tag(dims->n), layout);
}

ls_status ls_layout_channels_last(ls_dnnl_engine *engine, ls_compute_type type, const ls_dims *dims,
                                  const ls_layout **layout) {
    return layout_of_tag(engine, type, dims, dnnl_acdb, layout);
}

ls_compute_type ls_layout_type(const ls_layout *layout) {
    return layout->type;
}

size_t ls_layout_bytes(const ls_layout *layout) {
    return layout->bytes;
}

size_t ls_layout_elements(const ls_layout *layout) {
    return layout->bytes / ls_type_bytes(layout->type);
}

bool ls_layout_is_plain(const ls_layout *layout) {
    return layout->plain;
}

ls_dims ls_layout_dims(const ls_layout *layout) {
    return layout->dims;
}

bool ls_layout_view(const ls_layout *layout, int64_t *outer, int64_t *inner) {
    if (layout->view == 0)
        return false;
    int64_t channels = layout->dims.size[1], block = VIEWS[layout->view - 1].block;
    *inner = block ? block : channels;
    *outer = layout->dims.size[0] * ((channels + *inner - 1) / *inner);
    return true;
}

ls_status ls_layout_like(ls_dnnl_engine *engine, const ls_layout *layout, const ls_dims *dims,
                         const ls_layout **like) {
    LS_REQUIRE(layout->view > 0 && dims->n == layout->dims.n);
    return layout_of_tag(engine, layout->type, dims, VIEWS[layout->view - 1].tag[dims->n - 4],
                         like);
}

ls_status ls_layout_part(ls_dnnl_engine *engine, const ls_layout *plain, const ls_dims *sizes,
                         const ls_layout **part) {
    int64_t steps[LS_MAX_LAYOUT_DIMS], step = 1;
    LS_REQUIRE(plain->plain && sizes->n == plain->dims.n);
    for (int i = sizes->n; i-- > 0; step *= plain->dims.size[i])
        steps[i] = step;
    ls_md md;
    LS_TRY(ls_dnnl(ls_md_create_strided(&md, plain->type, sizes, steps), "memory descriptor"));
    ls_status status = ls_layout_intern(engine, md, part);
    ls_md_free(md);
    return status;
}
