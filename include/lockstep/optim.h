/* optim: optimizers on fixed-point gradient sums.  Pure: no MPI, no I/O.  Not collective. */
#ifndef LOCKSTEP_OPTIM_H
#define LOCKSTEP_OPTIM_H

#include "lockstep/base.h"
#include "lockstep/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exponents lie between this and its negative: 2^exponent and 2^-exponent stay normal floats. */
#define LS_EXPONENT_LIMIT 120

/* ---- fixed point ---------------------------------------------------------------------------- */

/* A gradient element g travels as the integer round(g 2^exponent), at most ls_fixed_limit(slices)
 * in size: the sum over all slices fits int32 on any path, partial sums included.  Above
 * LS_NARROW_SLICES that would leave an addend few bits: sums are int64 there, and addends have the
 * 31 bits of a single slice.
 *
 * An addend's error is at most half a unit, 2^-exponent, and 0.29 units RMS.  So the sum over n
 * slices of independent noise of deviation s, of RMS sqrt(n) s, is wrong by 0.29 units / s of its
 * RMS, whatever n.  For Gaussian noise whose largest element is 5.5 s that is, with a fresh
 * exponent and with the worst that ls_fixed_fits accepts: above LS_NARROW_SLICES 2^-25.3 and
 * 2^-19.3; at 512 slices 2^-16.3 and 2^-15.3, at 128 slices 2^-18.3 and 2^-15.3. */
#define LS_NARROW_SLICES 512
/* Whether sums are int64 rather than int32. */
bool ls_fixed_is_wide(int slices);
int32_t ls_fixed_limit(int slices);
/* The exponent for a tensor whose largest element (in absolute value, over all slices of the step
 * before) was `largest`: leaves room for an 8-fold growth; the rounding error of an addend is at
 * most 2^-20 `largest` for up to 128 slices, 2^-18 for up to LS_NARROW_SLICES, 2^-27 above.
 * largest 0: the exponent of 1. */
int ls_fixed_exponent(float largest, int slices);
/* Whether it lies between the limits, as all of ls_fixed_exponent do. */
bool ls_fixed_is_exponent(int32_t exponent);
/* The largest absolute value that fits. */
float ls_fixed_range(int exponent, int slices);
/* Whether a tensor whose largest element is `largest` travels well with `exponent`: it does not
 * overflow, and the rounding error of an addend is at most 2^-17 of it, 2^-21 where sums are int64.
 * True for ls_fixed_exponent(largest, slices). */
bool ls_fixed_fits(int exponent, float largest, int slices);

/* sums[i] = (first ? 0 : sums[i]) + round(gradient[i] 2^exponent), int32 or int64; an addend is
 * saturated to the limit: a saturated step is redone, never used.  Returns the bits of the largest
 * |gradient[i]| seen (as float bits they order like the values; NaN and infinity are >=
 * 0x7f800000). */
uint32_t ls_fixed_add(void *sums, const float *gradient, size_t count, int exponent, int slices,
                      bool first);

/* Adds the squares of the integers that ls_fixed_add makes of the gradient, in units of
 * 4^-exponent: sums[0] 2^32 + sums[1].  Exact, so the order does not matter.  sums[0] cannot
 * overflow below 2^33 elements, where sums are int64 below 2^33 elements of all slices. */
void ls_fixed_add_squares(int64_t sums[2], const float *gradient, size_t count, int exponent,
                          int slices);

/* out[i] = sums[i] 2^-exponent factor. */
void ls_fixed_scale(const int32_t *sums, size_t count, int exponent, float factor, float *out);

/* ---- optimizers ----------------------------------------------------------------------------- */

/* Of one step, for one parameter. */
typedef struct ls_hyper {
    float lr, momentum, weight_decay; /* momentum: beta1 of Adam */
    bool nesterov;                    /* SGD */
    float trust;                      /* LARS: the parameter's factor of lr, see ls_lars_trust */
    float beta2, epsilon;             /* Adam, and what makes up for its start from zero: */
    float correction1, correction2;   /* 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t) at update t */
} ls_hyper;

enum { LS_MOST_STATES = 2 };

/* How weights change.  An update is a function of hyperparameters and of an element's own values
 * alone: it may be done in parts, by any rank. */
typedef struct ls_optimizer {
    const char *name;
    /* What it keeps of each trained parameter, float32 in its shape, zero at the start; checkpoints
     * have groups of these names. */
    int state_count;
    const char *state_names[LS_MOST_STATES];
    bool norms; /* wants hyper.trust of the norms of each parameter and its gradient */
    /* Updates `count` elements: weights w and states, by the gradient. */
    void (*update)(const ls_hyper *hyper, size_t count, const float *gradient, float *const *states,
                   float *w);
} ls_optimizer;

/* v <- momentum v + g + weight_decay w;  w <- w - lr v;  Nesterov: w <- w - lr (g' + momentum v)
 * with g' = g + weight_decay w.  As PyTorch's torch.optim.SGD with dampening 0.  State: v. */
extern const ls_optimizer ls_optimizer_sgd;
/* v <- momentum v + lr trust (g + weight_decay w);  w <- w - v.  Layer-wise adaptive rate scaling:
 * You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017.  State: v. */
extern const ls_optimizer ls_optimizer_lars;
/* w <- w - lr weight_decay w;  m <- m + (1 - beta1) (g - m);  v <- beta2 v + (1 - beta2) g^2;
 * w <- w - lr correction1 m / (correction2 sqrt(v) + epsilon).  Loshchilov and Hutter, "Decoupled
 * weight decay regularization", 2019; as PyTorch's torch.optim.AdamW.  States: m, v. */
extern const ls_optimizer ls_optimizer_adamw;

const ls_optimizer *ls_optimizer_of(ls_optimizer_kind kind);

/* LARS' factor, of the norms of weights and gradient: eta |w| / (|g| + weight_decay |w|); 1 where
 * one of both is 0. */
float ls_lars_trust(double eta, double weights, double gradient, double weight_decay);
/* Sets correction1 and correction2 of update `t`, from 1. */
void ls_adam_corrections(double beta1, double beta2, int64_t t, float *correction1,
                         float *correction2);

/* Sum of squares in double, in an order that depends on `count` alone. */
double ls_square_sum_fixed(size_t count, const int32_t *sums, int exponent);
double ls_square_sum_float(size_t count, const float *sums);

#ifdef __cplusplus
}
#endif
#endif
