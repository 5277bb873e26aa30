/* nn: what operations do alike with their kernels: scratch, calls, running them. */
#include "nn/plan.h"

size_t ls_prepared_scratch(const ls_prepared *prepared) {
    size_t largest = 0;
    for (int i = 0; i < prepared->kernels; i++) {
        const ls_kernel *kernel = prepared->kernel[i];
        size_t bytes = kernel ? ls_kernel_bytes(kernel, LS_ARG_SCRATCH) : 0;
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

const char *ls_prepared_name(const ls_prepared *prepared, int which) {
    return prepared->kernel[which] ? ls_kernel_name(prepared->kernel[which]) : NULL;
}

ls_status ls_work_bind_call(ls_work *work, const ls_net *net, int which, int call,
                            const ls_binding *bindings, size_t count) {
    const ls_kernel *kernel = work->prepared->kernel[which];
    if (!kernel)
        return LS_OK;
    return ls_call_create(net->engine, kernel, bindings, count, &work->call[call]);
}

ls_status ls_work_bind(ls_work *work, const ls_net *net, int which, const ls_binding *bindings,
                       size_t count) {
    return ls_work_bind_call(work, net, which, which, bindings, count);
}

ls_status ls_work_bind_reorder(ls_work *work, const ls_net *net, int which, const void *from,
                               const void *to, void *scratch) {
    const ls_binding bindings[] = {{LS_ARG_SRC, from}, {LS_ARG_DST, to}, {LS_ARG_SCRATCH, scratch}};
    return ls_work_bind(work, net, which, bindings, 3);
}

ls_status ls_work_run(const ls_work *work, int which) {
    return work->call[which] ? ls_call_run(work->call[which]) : LS_OK;
}

ls_status ls_op_run_forward(ls_op *op, ls_plan *plan, int slot) {
    return ls_work_run(ls_op_work(plan, op, slot), LS_FORWARD);
}

ls_status ls_op_run_backward(ls_op *op, ls_plan *plan, int slot) {
    return ls_work_run(ls_op_work(plan, op, slot), LS_BACKWARD);
}
