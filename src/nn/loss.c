/* nn: the loss of a slice and its gradient by the network's output. */
#include <math.h>

#include "nn/plan.h"

/* With targets q = (1 - a) onehot + a / classes: loss = logsumexp(z) - q.z, gradient = softmax(z) -
 * q. Computed in double; the gradient may be NULL. */
static double cross_entropy(int64_t classes, int32_t target, double smoothing, const float *z,
                            float *gradient, bool *correct) {
    int64_t best = 0;
    double sum = 0, exponentials = 0;
    for (int64_t i = 0; i < classes; i++) {
        best = z[i] > z[best] ? i : best;
        sum += z[i];
    }
    double largest = z[best], share = smoothing / (double)classes;
    for (int64_t i = 0; i < classes; i++)
        exponentials += exp(z[i] - largest);
    for (int64_t i = 0; gradient && i < classes; i++)
        gradient[i] = (float)(exp(z[i] - largest) / exponentials - share);
    if (gradient)
        gradient[target] =
            (float)(exp(z[target] - largest) / exponentials - share - (1.0 - smoothing));
    *correct = best == target;
    return log(exponentials) + largest - (1.0 - smoothing) * z[target] - share * sum;
}

/* The same with class weights w, as PyTorch has it: q_i becomes w_i q_i. */
static double weighted_cross_entropy(int64_t classes, int32_t target, double smoothing,
                                     const double *w, const float *z, float *gradient,
                                     bool *correct) {
    const double share = smoothing / (double)classes;
    int64_t best = 0;
    double exponentials = 0, weight = (1 - smoothing) * w[target], score = weight * z[target];
    for (int64_t i = 0; i < classes; i++) {
        best = z[i] > z[best] ? i : best;
        weight += share * w[i];
        score += share * w[i] * z[i];
    }
    const double largest = z[best];
    for (int64_t i = 0; i < classes; i++)
        exponentials += exp(z[i] - largest);
    for (int64_t i = 0; gradient && i < classes; i++) {
        const double q = share * w[i] + (i == target ? (1 - smoothing) * w[i] : 0);
        gradient[i] = (float)(weight * exp(z[i] - largest) / exponentials - q);
    }
    *correct = best == target;
    return weight * (log(exponentials) + largest) - score;
}

/* Mean over the outputs of the squared error. */
static double squared_error(int64_t outputs, const float *target, const float *y, float *gradient) {
    double sum = 0;
    for (int64_t i = 0; i < outputs; i++) {
        double difference = (double)y[i] - target[i];
        sum += difference * difference;
        if (gradient)
            gradient[i] = (float)(2.0 * difference / (double)outputs);
    }
    return sum / (double)outputs;
}

static ls_status check_class(const ls_net *net, const ls_slot *slot, int64_t sample) {
    int32_t target = slot->classes[sample];
    if (target >= 0 && target < net->outputs)
        return LS_OK;
    return ls_fail(LS_ERR_INPUT, "sample %llu has class %d, but classes go from 0 to %lld",
                   (unsigned long long)slot->sample_ids[sample], (int)target,
                   (long long)net->outputs - 1);
}

ls_status ls_loss_forward(const ls_plan *plan, ls_slot *slot, const float *output,
                          float *gradient) {
    const ls_net *net = plan->net;
    const int64_t outputs = net->outputs;
    ls_slice_result result = {0, 0};
    for (int64_t n = 0; n < slot->samples; n++) {
        const float *y = output + n * outputs;
        float *dy = gradient ? gradient + n * outputs : NULL;
        if (net->loss == LS_LOSS_CROSS_ENTROPY) {
            bool correct;
            const int32_t target = slot->classes[n];
            LS_TRY(check_class(net, slot, n));
            result.loss +=
                net->class_weights
                    ? weighted_cross_entropy(outputs, target, net->label_smoothing,
                                             net->class_weights, y, dy, &correct)
                    : cross_entropy(outputs, target, net->label_smoothing, y, dy, &correct);
            result.correct += correct;
        } else {
            result.loss += squared_error(outputs, slot->targets + n * outputs, y, dy);
        }
    }
    slot->result = result;
    return LS_OK;
}
