/* schedule: the learning rate and the momentum of every step of a training run, as pure functions
 * of the step.  No MPI, no I/O, no state.  Not collective.
 *
 * Below: t is the step from 0 to N - 1, counted after the warm-up (N: the steps after it); e is the
 * epoch from 0 on, floor(step / steps_per_epoch), counted from the start of the run.  Step and
 * multistep hang on e alone, all others change from step to step.
 *
 * "torch" is what the learning rate scheduler of that name in torch.optim.lr_scheduler gives when
 * it is stepped once per optimizer step (once per epoch: StepLR, MultiStepLR). */
#ifndef LOCKSTEP_SCHEDULE_H
#define LOCKSTEP_SCHEDULE_H

#include "lockstep/base.h"
#include "lockstep/choices.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LS_MILESTONES 16

/* The kinds:
 *
 * constant: lr
 *
 * step: lr factor^floor(e / every_epochs).  torch: StepLR.
 *
 * multistep: lr factor^(how many milestones are <= e), as in He et al., "Deep Residual Learning",
 * CVPR 2016.  torch: MultiStepLR.
 *
 * exponential: lr decay^(t / steps_per_epoch): by `decay` an epoch, but a little every step, so
 * that the curve has no corners.  torch: ExponentialLR with gamma = decay^(1 / steps_per_epoch).
 *
 * polynomial: final_lr + (lr - final_lr) (1 - t/N)^power.  torch: PolynomialLR, whose end is 0.
 *
 * cosine: final_lr + (lr - final_lr) (1 + cos(pi t/N)) / 2: Loshchilov and Hutter, "SGDR:
 * Stochastic Gradient Descent with Warm Restarts", ICLR 2017, eq. 5, one run without restarts.
 * torch: CosineAnnealingLR with T_max = N.
 *
 * cosine_restarts: The same with restarts: t counts from the start of the cycle, N is its length:
 * cycle_steps for the first one, each next one cycle_multiplier times as long (whole steps).
 * torch: CosineAnnealingWarmRestarts, with T_0 and T_mult in steps.
 *
 * triangular: From base_lr up to max_lr and down again on straight lines, every cycle_steps = 2
 * stepsize: base_lr + (max_lr - base_lr) s(t), s(t) = 1 - |t mod C / (C/2) - 1|, C = cycle_steps.
 * L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.  torch: CyclicLR,
 * mode triangular.
 *
 * triangular2: base_lr + (max_lr - base_lr) s(t) / 2^floor(t/C): the height halves with every
 * cycle.  Same paper.  torch: CyclicLR, mode triangular2.
 *
 * exp_range: gamma^t (base_lr + (max_lr - base_lr) s(t)), gamma = decay^(1 / steps_per_epoch).
 * Same paper: "each boundary value declines by an exponential factor of gamma^iteration".  torch's
 * CyclicLR in mode exp_range lets only the height decline, base_lr + (max_lr - base_lr) s(t)
 * gamma^t, and so ends at base_lr; the paper's form goes on to 0.
 *
 * one_cycle: From base_lr up to max_lr over the first `rise` of the run, then down to final_lr,
 * while the momentum goes from max_momentum down to min_momentum and back.  Both ways along half a
 * cosine or a straight line (anneal).  With p = rise N - 1 the peak is at t = p, between two steps
 * as a rule, and final_lr at t = N - 1.  L. N. Smith and N. Topin, "Super-Convergence", 2018,
 * simplified as everybody does: they come down to base_lr as fast as they rose, and fall to
 * final_lr in a third phase.  torch: OneCycleLR with three_phase=False, pct_start = rise,
 * div_factor = max_lr / base_lr, final_div_factor = base_lr / final_lr. */
const char *ls_schedule_name(ls_schedule_kind kind); /* "step", "cosine_restarts", ... */

/* The fields behind `momentum` count only for the kinds whose formulas have them. */
typedef struct ls_schedule {
    ls_schedule_kind kind;
    int64_t steps, steps_per_epoch; /* of the whole run; the last epoch may be cut short */

    /* Linear warm-up before any kind: in its steps the LR is that of t = 0 (or of e) times
     * warmup_factor + (1 - warmup_factor) step / warmup_steps.  Goyal et al., "Accurate, Large
     * Minibatch SGD", 2017.  torch: LinearLR with start_factor = warmup_factor. */
    int64_t warmup_steps;
    double warmup_factor;

    double lr, momentum;
    int64_t every_epochs;
    double factor;
    int milestone_count;
    int64_t milestones[LS_MILESTONES]; /* epochs, growing */
    double decay;                      /* per epoch */
    double power;
    double base_lr, max_lr, final_lr;
    int64_t cycle_steps;
    double cycle_multiplier;
    double rise; /* share of the steps */
    ls_anneal anneal;
    bool cycle_momentum;
    double min_momentum, max_momentum;
} ls_schedule;

/* LS_ERR_INPUT names a field that is out of range, or does not go with another one.  An LR may be
 * NaN, not known yet: what depends on it is not checked then. */
ls_status ls_schedule_check(const ls_schedule *schedule);

/* The LR, and the momentum, of step 0..steps - 1 of a checked schedule. */
double ls_schedule_lr(const ls_schedule *schedule, int64_t step);
double ls_schedule_momentum(const ls_schedule *schedule, int64_t step);

/* The linear scaling rule: lr batch / reference_batch (Goyal et al. 2017); a reference of 0 leaves
 * the LR as it is. */
double ls_scaled_lr(double lr, int64_t batch, int64_t reference_batch);

#ifdef __cplusplus
}
#endif
#endif
