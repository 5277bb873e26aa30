/* nn/dnnl: what its files share: the engine with its layouts, and oneDNN's errors. */
#ifndef LOCKSTEP_NN_DNNL_ENGINE_H
#define LOCKSTEP_NN_DNNL_ENGINE_H

#include "nn/dnnl/compat.h"

struct ls_layout {
    ls_md md;
    ls_compute_type type;
    ls_dims dims;
    size_t bytes;
    bool plain;
    int view; /* of the kinds that ls_layout_view knows, one more than its number; 0: none */
    ls_layout *next;
};

struct ls_dnnl_engine {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes; /* scratchpad by the caller */
    ls_layout *layouts;
    ls_product *products;
};

/* LS_TRY(ls_dnnl(status, "what was tried")). */
ls_status ls_dnnl(dnnl_status_t status, const char *what);
/* A kernel C = A B of three matrices, which are SRC, WEIGHTS and DST of its calls. */
ls_status ls_matmul(ls_dnnl_engine *engine, ls_md a, ls_md b, ls_md c, ls_kernel **kernel);
/* Frees a list of products. */
void ls_products_free(ls_product *products);
/* The engine's one layout that equals `md`, which the caller keeps; NULL if `md` is empty. */
ls_status ls_layout_intern(ls_dnnl_engine *engine, ls_md md, const ls_layout **layout);

#endif
