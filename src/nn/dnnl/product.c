/* nn/dnnl: matrix products.  In float32 the library's function, or our loops where they are faster;
 * in bf16, for which it has none, a kernel for each set of sizes. */
#include "lockstep/nn.h"
#include "nn/dnnl/engine.h"
#include "nn/product_loops.h"

struct ls_product {
    ls_product *next;
    ls_product_spec spec;
    ls_kernel *kernel; /* NULL: in float32 */
    ls_call *call;     /* its addresses are set for each run */
};

void ls_products_free(ls_product *products) {
    while (products) {
        ls_product *next = products->next;
        ls_call_free(products->call);
        ls_kernel_free(products->kernel);
        ls_free(products);
        products = next;
    }
}

/* op(A) (rows, columns) as it lies in memory. */
static ls_status matrix_md(ls_compute_type type, bool transpose, int64_t rows, int64_t columns,
                           int64_t ld, ls_md *md) {
    int64_t row_step = transpose ? 1 : ld, column_step = transpose ? ld : 1;
    return ls_dnnl(ls_md_create_matrix(md, type, rows, columns, row_step, column_step),
                   "memory descriptor");
}

static ls_status make_kernel(ls_dnnl_engine *engine, const ls_product_spec *s, ls_kernel **kernel) {
    ls_md md[3] = {NULL};
    ls_status status;
    LS_TRY_GOTO(done, matrix_md(s->type, s->transpose_a, s->m, s->k, s->lda, &md[0]));
    LS_TRY_GOTO(done, matrix_md(s->type, s->transpose_b, s->k, s->n, s->ldb, &md[1]));
    LS_TRY_GOTO(done, matrix_md(s->result, false, s->m, s->n, s->ldc, &md[2]));
    status = ls_matmul(engine, md[0], md[1], md[2], kernel);
done:
    for (int i = 0; i < 3; i++)
        if (md[i])
            ls_md_free(md[i]);
    return status;
}

static ls_status make(ls_dnnl_engine *engine, ls_product *product) {
    static const ls_binding bindings[] = {
        {LS_ARG_SRC, NULL}, {LS_ARG_WEIGHTS, NULL}, {LS_ARG_DST, NULL}, {LS_ARG_SCRATCH, NULL}};
    if (product->spec.type == LS_COMPUTE_FLOAT32)
        return LS_OK;
    LS_REQUIRE(!product->spec.add);
    LS_TRY(make_kernel(engine, &product->spec, &product->kernel));
    return ls_call_create(engine, product->kernel, bindings, 4, &product->call);
}

static bool equal(const ls_product_spec *a, const ls_product_spec *b) {
    return a->type == b->type && a->result == b->result && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->add == b->add && a->m == b->m && a->n == b->n &&
           a->k == b->k && a->lda == b->lda && a->ldb == b->ldb && a->ldc == b->ldc;
}

ls_status ls_product_get(ls_dnnl_engine *engine, const ls_product_spec *spec,
                         const ls_product **product) {
    for (const ls_product *known = engine->products; known; known = known->next)
        if (equal(&known->spec, spec)) {
            *product = known;
            return LS_OK;
        }
    ls_product *made;
    LS_TRY(LS_NEW(made, 1));
    made->spec = *spec;
    ls_status status = make(engine, made);
    if (status != LS_OK) {
        ls_products_free(made);
        return status;
    }
    made->next = engine->products;
    engine->products = made;
    *product = made;
    return LS_OK;
}

size_t ls_product_scratch(const ls_product *product) {
    return product->kernel ? ls_kernel_bytes(product->kernel, LS_ARG_SCRATCH) : 0;
}

const char *ls_product_name(const ls_product *product) {
    if (product->kernel)
        return ls_kernel_name(product->kernel);
    return ls_product_loops_pay(&product->spec) ? LS_OWN_LOOPS : "sgemm";
}

ls_status ls_product_float32(const ls_product_spec *s, const float *a, const float *b, float *c) {
    if (ls_product_loops_pay(s)) {
        ls_product_loops(s, a, b, c);
        return LS_OK;
    }
    return ls_dnnl(dnnl_sgemm(s->transpose_a ? 'T' : 'N', s->transpose_b ? 'T' : 'N', s->m, s->n,
                              s->k, 1.0f, a, s->lda, b, s->ldb, s->add ? 1.0f : 0.0f, c, s->ldc),
                   "matrix product");
}

ls_status ls_product_run(const ls_product *product, const void *a, const void *b, void *c,
                         void *scratch) {
    if (!product->kernel)
        return ls_product_float32(&product->spec, a, b, c);
    LS_TRY(ls_call_move(product->call, LS_ARG_SRC, a));
    LS_TRY(ls_call_move(product->call, LS_ARG_WEIGHTS, b));
    LS_TRY(ls_call_move(product->call, LS_ARG_DST, c));
    LS_TRY(ls_call_move(product->call, LS_ARG_SCRATCH, scratch));
    return ls_call_run(product->call);
}
