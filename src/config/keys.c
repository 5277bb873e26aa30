/* The table of configuration keys.  A new key is one row here and one field in lockstep/config.h;
 * its name is the field's path. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "config/keys.h"

#define KEY(field)                                                                                 \
    .name = #field, .type = LS_KEY_TYPE_OF(((ls_config *)0)->field),                               \
    .offset = offsetof(ls_config, field)

#define SEED_MAX 9007199254740992.0 /* 2^53: exact as a double, for whoever reads it as one */

const ls_key ls_config_keys[] = {
    {KEY(seed), .initial = "1", .min = 0, .max = SEED_MAX,
     .help = "Every random number follows from it: initial weights, sample order, "
             "augmentation, dropout."},

    {KEY(data.file), .change = LS_CHANGE_NOTHING, .example = "data.h5",
     .help =
         "HDF5 file with the data, relative to the working directory; a pattern, \"data/*.h5\", "
         "or a list of both, [a.h5, b.h5]: the files' samples follow one another, those of a "
         "pattern in the order of the names."},
    {KEY(data.test_file), .change = LS_CHANGE_NOTHING, .initial = "[]",
     .help = "The same for the test split; []: it is in data.file."},
    {KEY(data.validation_file), .change = LS_CHANGE_NOTHING, .initial = "[]",
     .help = "The same for data.validation_inputs; []: it is in data.file."},
    {KEY(data.train_inputs), .change = LS_CHANGE_NOTHING, .initial = "train/inputs",
     .help = "Dataset in the file: training inputs (N, channels, [depth,] [height,] width); or a "
             "list, [a, b], of datasets that are the same but for their channels, which follow one "
             "another."},
    {KEY(data.train_targets), .change = LS_CHANGE_NOTHING, .initial = "train/targets",
     .help = "Dataset in the file: training targets, integer classes (N) or floats (N, outputs)."},
    {KEY(data.test_inputs), .change = LS_CHANGE_NOTHING, .initial = "test/inputs",
     .help = "Dataset in the file: test inputs, shaped as the training inputs; none: there is no "
             "test split, training evaluates nothing."},
    {KEY(data.test_targets), .change = LS_CHANGE_NOTHING, .initial = "test/targets",
     .help = "Dataset in the file: test targets."},
    {KEY(data.validation), .initial = "0", .min = 0, .max = 0.5,
     .help = "Share of the training samples to hold out, one of every so many at random by the "
             "seed: what chooses best.h5 and ends training, while the test split waits for the "
             "end.  0: none, the test split chooses."},
    {KEY(data.validation_inputs), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help = "Dataset in the file: inputs to validate with, instead of a share of the training "
             "samples; none: there is none."},
    {KEY(data.validation_targets), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help = "Dataset in the file: their targets."},
    {KEY(data.layout), .change = LS_CHANGE_NOTHING, .initial = "channels_first",
     .words = LS_WORDS_OF(LS_DATA_LAYOUTS),
     .help = "How the inputs of all splits lie in their files.  channels_first: (N, channels, "
             "[depth,] [height,] width).  channels_last: (N, [depth,] [height,] width, channels); "
             "they are read as if they were channels_first, to the same bits."},
    {KEY(data.transform), .initial = "[]",
     .help =
         "What is done to each input value, in this order, before it is normalised: log1p, "
         "log(1 + x); {scale: a}, a x; {clip: [a, b]}, into that range.  As in [log1p, {scale: "
         "0.5}].  In float32; of float64, and of integers that float32 cannot hold, in float64."},
    {KEY(data.normalize), .initial = "true",
     .help = "Subtract the training set's mean and divide by its deviation: inputs per channel, "
             "regression targets per output.  The loss is then that of normalised targets; RMSE, "
             "R2 and predictions are in the data's own units."},
    {KEY(data.target_scale), .initial = "auto", .min = -INFINITY, .max = INFINITY,
     .words = LS_WORDS("auto"),
     .help =
         "Regression: train on this many times each target, plus data.target_offset, instead of "
         "normalised ones; as RMSE, R2 and predictions are in the data's own units, only the "
         "loss is not.  Not 0.  auto: as data.normalize says."},
    {KEY(data.target_offset), .initial = "0", .min = -INFINITY, .max = INFINITY,
     .help = "What is added then: targets from 0 to 10 become -1 to 1 by a scale of 0.2 and an "
             "offset of -1."},
    {KEY(data.shuffle), .initial = "true", .words = LS_WORDS_OF(LS_SHUFFLES),
     .help = "Shuffle the training set anew every epoch, as a function of seed and epoch.  window: "
             "chunks of neighbouring samples are shuffled, and samples within windows of several "
             "chunks; a stream then reads each chunk once an epoch, by one rank."},
    {KEY(data.shuffle_chunk), .initial = "auto", .min = 1, .max = INT_MAX,
     .words = LS_WORDS("auto"), .unit = "samples",
     .help = "window: neighbouring samples that stay together.  auto: a chunk of the first file, "
             "or 1 MiB where it has none."},
    {KEY(data.shuffle_window), .initial = "16", .min = 1, .max = 1 << 20, .unit = "chunks",
     .help = "window: the chunks whose samples are shuffled among each other, of each slice of the "
             "batch; a stream's buffer should hold those of its slices and one more each."},

    {KEY(data.residence), .change = LS_CHANGE_NOTHING, .initial = "auto",
     .words = LS_WORDS_OF(LS_RESIDENCES),
     .help = "Where the inputs are.  node: in memory, one copy that the ranks of a node share.  "
             "spread: in memory, one copy over all nodes; each has a share, and sends ahead what "
             "others will need.  stream: in their files; each rank reads what it will need, ahead "
             "of time.  auto: the first of these that takes, with the targets, which are in each "
             "node's memory, at most half of what is free.  The bits are the same."},
    {KEY(data.buffer), .change = LS_CHANGE_NOTHING, .initial = "auto", .min = 0, .max = 1e9,
     .open = LS_ABOVE_MIN, .words = LS_WORDS("auto"), .unit = "MiB",
     .help = "stream: memory of each node to read into, and to keep in what is soon needed again; "
             "spread: to receive into.  Divided by its ranks.  auto: a quarter of what is free, "
             "1024 at most."},

    {KEY(data.stage), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help = "Folder on each node's own disk to copy the files to before they are read, such as "
             "$TMPDIR of a batch job; copies that are there already are taken.  They are not "
             "removed.  none: the files are read where they are."},

    {KEY(batch.size), .initial = "128", .min = 1, .max = INT_MAX, .unit = "samples",
     .help = "Global batch: samples of one optimizer step, over all ranks."},
    {KEY(batch.slices), .initial = "4", .min = 1, .max = 65536,
     .help = "Fixed parts of the global batch, the unit of computation; also the most ranks.  "
             "Parts of 64 samples or more are fastest; those of 32 cost up to 8 % and serve twice "
             "the ranks."},
    {KEY(batch.drop_last), .initial = "false",
     .help = "Leave out the last batch of each epoch where it is not full.  One that would give a "
             "batch norm a single value per channel in a slice is left out in any case."},

    {KEY(augment.crop_padding), .initial = "0", .min = 0, .max = INT_MAX, .unit = "pixels",
     .help = "Move each training sample by up to so many pixels in every spatial dimension: padded "
             "all around, then cropped at a random place.  0: off."},
    {KEY(augment.flip), .initial = "false",
     .help = "Mirror each training sample with probability 1/2 along its last dimension (width)."},
    {KEY(augment.cutout), .initial = "0", .min = 0, .max = INT_MAX, .unit = "pixels",
     .help = "Side of the square that is hidden at a random place of each training sample (DeVries "
             "and Taylor 2017).  0: off."},

    {KEY(find_lr.start), .change = LS_CHANGE_NOTHING, .initial = "1e-8", .min = 0, .max = INFINITY,
     .open = LS_ABOVE_MIN, .help = "Learning rate of the first step."},
    {KEY(find_lr.end), .change = LS_CHANGE_NOTHING, .initial = "10", .min = 0, .max = INFINITY,
     .open = LS_ABOVE_MIN, .help = "Learning rate of the last step, larger than find_lr.start."},
    {KEY(find_lr.steps), .change = LS_CHANGE_NOTHING, .initial = "auto", .min = 0, .max = INT_MAX,
     .words = LS_WORDS("auto"), .unit = "steps",
     .help = "Length of the ramp.  auto: 500, several epochs of a small data set, less than one of "
             "a large one; if that recommends nothing for its noise, once more with up to 2000, as "
             "far as both are a tenth of the training's; 0: the steps of one epoch."},
    {KEY(find_lr.ramp), .change = LS_CHANGE_NOTHING, .initial = "exponential",
     .words = LS_WORDS_OF(LS_RAMPS), .help = "How the learning rate grows from start to end."},
    {KEY(find_lr.beta), .change = LS_CHANGE_NOTHING, .initial = "0.98", .min = 0, .max = 1,
     .open = LS_BELOW_MAX, .help = "Weight of the past in the smoothed loss; 0: no smoothing."},
    {KEY(find_lr.stop_factor), .change = LS_CHANGE_NOTHING, .initial = "4", .min = 1,
     .max = INFINITY, .open = LS_ABOVE_MIN,
     .help = "Stop once the smoothed loss exceeds this many times its smallest value."},
    {KEY(find_lr.accuracy), .change = LS_CHANGE_NOTHING, .initial = "false",
     .help = "Record the accuracy of each batch too (Smith's own range test); classes only."},
    {KEY(find_lr.validation_every), .change = LS_CHANGE_NOTHING, .initial = "0", .min = 0,
     .max = INT_MAX, .unit = "steps",
     .help = "Record the loss on the validation split, or test where there is none, every so many "
             "steps; 0: never."},
    {KEY(find_lr.validation_samples), .change = LS_CHANGE_NOTHING, .initial = "1000", .min = 0,
     .max = INT_MAX, .unit = "samples", .help = "The first so many of that split for it; 0: all."},

    {KEY(train.epochs), .change = LS_CHANGE_SCHEDULE, .initial = "10", .min = 1, .max = INT_MAX,
     .unit = "epochs", .help = "Passes over the training set."},
    {KEY(train.lr), .change = LS_CHANGE_SCHEDULE, .initial = "0.1", .min = 0, .max = INFINITY,
     .open = LS_ABOVE_MIN, .words = LS_WORDS("auto"),
     .help =
         "Learning rate; auto: what the range test recommends, which runs first.  Where it is "
         "not given, a rule of thumb: 0.1, or 0.01 when fine-tuning (init); a hundredth of that "
         "with adamw."},
    {KEY(train.lr_reference_batch), .change = LS_CHANGE_SCHEDULE, .initial = "0", .min = 0,
     .max = INT_MAX, .unit = "samples",
     .help = "Linear scaling rule: train.lr is meant for this batch, and is multiplied by "
             "batch.size / lr_reference_batch (Goyal et al. 2017; they have 256).  0: off."},
    {KEY(train.optimizer), .initial = "sgd", .words = LS_WORDS_OF(LS_OPTIMIZERS),
     .help = "Momentum SGD; LARS, which scales the learning rate of each array of weights by its "
             "norm, for large batches (You et al. 2017); or AdamW (Loshchilov and Hutter 2019).  "
             "The range test works with each."},
    {KEY(train.momentum), .initial = "0.9", .min = 0, .max = 1, .open = LS_BELOW_MAX,
     .help = "mu in v = mu v + g + lambda w, w = w - lr v; beta1 of adamw; the range test uses it "
             "too."},
    {KEY(train.nesterov), .initial = "false",
     .help = "Nesterov's momentum: w = w - lr (g + lambda w + mu v) with the new v."},
    {KEY(train.beta2), .initial = "0.999", .min = 0, .max = 1, .open = LS_BELOW_MAX,
     .help = "adamw: how much of the mean square of the gradient stays."},
    {KEY(train.epsilon), .initial = "1e-8", .min = 0, .max = INFINITY, .open = LS_ABOVE_MIN,
     .help = "adamw: added to its root."},
    {KEY(train.trust), .initial = "0.001", .min = 0, .max = INFINITY, .open = LS_ABOVE_MIN,
     .help = "lars: eta in lr eta |w| / (|g| + lambda |w|), of each array of weights; biases and "
             "batch norm have lr itself."},
    {KEY(train.weight_decay), .initial = "0", .min = 0, .max = INFINITY,
     .help = "lambda in the same equation; of adamw in w = w - lr lambda w."},
    {KEY(train.decay_all), .initial = "false",
     .help = "Weight decay also for biases and batch-norm scales and shifts."},
    {KEY(train.clip_norm), .initial = "0", .min = 0, .max = INFINITY,
     .help = "Scale the gradient down to this 2-norm, over all parameters, where it is larger; 0: "
             "never."},
    {KEY(train.max_minutes), .change = LS_CHANGE_NOTHING, .initial = "0", .min = 0, .max = INFINITY,
     .unit = "minutes",
     .help = "Stop with a checkpoint before this much time has passed since the start, that of the "
             "range test included; 0: no limit."},

    {KEY(train.stop_after), .change = LS_CHANGE_NOTHING, .initial = "0", .min = 0, .max = INT_MAX,
     .unit = "epochs",
     .help = "Early stopping: end after so many epochs in which neither accuracy, nor loss for "
             "regression, on the validation split (test, where there is none) was better than "
             "before; 0: never."},
    {KEY(train.target), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help = "End as soon as a metric of the same split is as good as this after an epoch: "
             "\"accuracy 0.9\", \"loss 0.25\" or \"r2 0.8\"."},

    {KEY(schedule.kind), .change = LS_CHANGE_SCHEDULE, .initial = "step",
     .words = LS_WORDS_OF(LS_SCHEDULES),
     .help = "How the learning rate moves over the run; formulas and sources: "
             "lockstep/schedule.h.  'lockstep schedule CONFIG' draws it."},
    {KEY(schedule.warmup_epochs), .change = LS_CHANGE_SCHEDULE, .initial = "0", .min = 0,
     .max = INT_MAX, .unit = "epochs",
     .help = "Linear warm-up before any kind; fractions are allowed."},
    {KEY(schedule.warmup_factor), .change = LS_CHANGE_SCHEDULE, .initial = "0.1", .min = 0,
     .max = 1, .help = "The warm-up starts at so much of the learning rate that it goes to."},
    {KEY(schedule.every_epochs), .change = LS_CHANGE_SCHEDULE, .initial = "0", .min = 0,
     .max = INT_MAX, .unit = "epochs",
     .help = "step: the learning rate falls after every so many epochs; 0: a third of the run, "
             "rounded up."},
    {KEY(schedule.factor), .change = LS_CHANGE_SCHEDULE, .initial = "0.1", .min = 0, .max = 1,
     .open = LS_ABOVE_MIN,
     .help = "step, multistep: what each fall multiplies the learning rate by."},
    {KEY(schedule.milestones), .change = LS_CHANGE_SCHEDULE, .initial = "[]", .min = 1,
     .max = INT_MAX, .unit = "epochs",
     .help = "multistep: the learning rate falls after these epochs, as in [30, 60, 80]."},
    {KEY(schedule.decay), .change = LS_CHANGE_SCHEDULE, .initial = "auto", .min = 0, .max = 1,
     .open = LS_ABOVE_MIN, .words = LS_WORDS("auto"),
     .help = "exponential, exp_range: factor per epoch, applied a little every step; auto: such "
             "that the run ends at a hundredth."},
    {KEY(schedule.power), .change = LS_CHANGE_SCHEDULE, .initial = "1", .min = 0, .max = INFINITY,
     .open = LS_ABOVE_MIN, .help = "polynomial: 1 is a straight line."},
    {KEY(schedule.base_lr), .change = LS_CHANGE_SCHEDULE, .initial = "auto", .min = 0,
     .max = INFINITY, .words = LS_WORDS("auto"),
     .help =
         "triangular, triangular2, exp_range: lower bound; one_cycle: start.  auto: max_lr / 4; "
         "one_cycle: max_lr / 25.  Smith's bounds from the range test can be put here."},
    {KEY(schedule.max_lr), .change = LS_CHANGE_SCHEDULE, .initial = "auto", .min = 0,
     .max = INFINITY, .open = LS_ABOVE_MIN, .words = LS_WORDS("auto"),
     .help = "triangular, triangular2, exp_range: upper bound; one_cycle: peak.  auto: the "
             "learning rate of the run."},
    {KEY(schedule.final_lr), .change = LS_CHANGE_SCHEDULE, .initial = "auto", .min = 0,
     .max = INFINITY, .words = LS_WORDS("auto"),
     .help = "polynomial, cosine, cosine_restarts, one_cycle: where it ends.  auto: 0; one_cycle: "
             "base_lr / 10000."},
    {KEY(schedule.cycle_epochs), .change = LS_CHANGE_SCHEDULE, .initial = "auto", .min = 0,
     .max = INT_MAX, .open = LS_ABOVE_MIN, .words = LS_WORDS("auto"), .unit = "epochs",
     .help = "triangular, triangular2, exp_range: up and down (two of Smith's stepsizes); "
             "cosine_restarts: the first cycle.  Fractions are allowed.  auto: three cycles fill "
             "the run."},
    {KEY(schedule.cycle_multiplier), .change = LS_CHANGE_SCHEDULE, .initial = "2", .min = 1,
     .max = 1000,
     .help = "cosine_restarts: each cycle is so many times as long as the one before."},
    {KEY(schedule.rise), .change = LS_CHANGE_SCHEDULE, .initial = "0.3", .min = 0, .max = 1,
     .open = LS_ABOVE_MIN | LS_BELOW_MAX,
     .help = "one_cycle: share of the run in which the learning rate goes up."},
    {KEY(schedule.anneal), .change = LS_CHANGE_SCHEDULE, .initial = "cosine",
     .words = LS_WORDS_OF(LS_ANNEALS),
     .help = "one_cycle: the way up and down, half a cosine or a straight line."},
    {KEY(schedule.cycle_momentum), .change = LS_CHANGE_SCHEDULE, .initial = "true",
     .help = "one_cycle: the momentum goes down while the learning rate goes up, and back; false: "
             "it stays train.momentum."},
    {KEY(schedule.min_momentum), .change = LS_CHANGE_SCHEDULE, .initial = "0.85", .min = 0,
     .max = 1, .open = LS_BELOW_MAX,
     .help = "one_cycle: momentum at the peak of the learning rate."},
    {KEY(schedule.max_momentum), .change = LS_CHANGE_SCHEDULE, .initial = "0.95", .min = 0,
     .max = 1, .open = LS_BELOW_MAX, .help = "one_cycle: momentum at both ends."},

    {KEY(checkpoint.every_epochs), .change = LS_CHANGE_NOTHING, .initial = "1", .min = 0,
     .max = INT32_MAX, .unit = "epochs",
     .help = "Checkpoint after so many epochs; 0: not by epochs.  The end always has one."},
    {KEY(checkpoint.every_steps), .change = LS_CHANGE_NOTHING, .initial = "0", .min = 0,
     .max = INT32_MAX, .unit = "steps", .help = "Checkpoint after so many steps; 0: not by steps."},
    {KEY(checkpoint.every_minutes), .change = LS_CHANGE_NOTHING, .initial = "0", .min = 0,
     .max = INFINITY, .unit = "minutes",
     .help = "Checkpoint when so much time has passed; 0: not by time."},
    {KEY(checkpoint.keep), .change = LS_CHANGE_NOTHING, .initial = "3", .min = 1, .max = INT32_MAX,
     .help = "How many of the newest checkpoints stay; the best one stays beside them."},

    {KEY(compute.type), .change = LS_CHANGE_NOTHING, .initial = "float32",
     .words = LS_WORDS_OF(LS_COMPUTE_TYPES),
     .help =
         "What activations, their gradients and the weights they meet are kept in.  bf16 is "
         "faster; a CPU without it computes in float32.  The weights that are updated, gradient "
         "sums, momentum, statistics and loss are float32 in any case."},
    {KEY(compute.isa), .change = LS_CHANGE_NOTHING, .initial = "auto",
     .words = LS_WORDS("auto", "sse41", "avx2", "avx512", "avx512_bf16", "amx"),
     .help = "Highest instruction set to use; pin one where the nodes of a cluster differ."},
    {KEY(compute.threads), .change = LS_CHANGE_NOTHING, .initial = "1", .min = 1, .max = 1024,
     .help =
         "Threads per rank, for cores that more ranks cannot use: they share its slices and, where "
         "these are fewer, some of the work of a slice.  Any number gives the same bits."},

    {KEY(init), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help =
         "Fine-tuning: a checkpoint whose weights and statistics to start from, by layer name."},
    {KEY(init_new), .change = LS_CHANGE_NOTHING, .initial = "none",
     .help = "Layers that start anew all the same, with commas: dense1,dense2."},
    {KEY(frozen), .initial = "none",
     .help = "Layers whose parameters are not trained, with commas; batch norm's running "
             "statistics follow the data all the same."},

    {KEY(exchange), .change = LS_CHANGE_NOTHING, .initial = "auto",
     .words = LS_WORDS_OF(LS_EXCHANGE_MODES),
     .help = "How gradients are summed. node: in the node's shared memory, then between nodes; "
             "flat: one allreduce over all ranks; auto: node where it fits."},
    {KEY(exchange_sum), .initial = "fixed", .words = LS_WORDS_OF(LS_EXCHANGE_TYPES),
     .help =
         "What is summed. fixed: integers, of 32 bits or, above 512 slices, 64, the same bits on "
         "any number of ranks; float32: for comparison, not the same bits."},

    {KEY(stall_seconds), .change = LS_CHANGE_NOTHING, .initial = "60", .min = 0, .max = INFINITY,
     .unit = "seconds",
     .help = "Warn when a rank has waited for others so long, and again each time as much has "
             "passed: which ranks or hosts it waits for; 0: never."},

    {KEY(model.loss), .initial = "cross_entropy", .words = LS_WORDS_OF(LS_LOSSES),
     .help = "Loss: cross_entropy for classes, mean_squared_error for regression."},
    {KEY(model.label_smoothing), .initial = "0", .min = 0, .max = 1, .open = LS_BELOW_MAX,
     .help = "a in target = (1 - a) onehot + a / classes."},
    {KEY(model.class_weights), .initial = "none", .min = 0, .max = INFINITY,
     .words = LS_WORDS("none", "balanced"),
     .help = "Weight of each class in the loss, [1, 2.5, 1]; balanced: one over its samples.  They "
             "are scaled to a mean of 1 over the training samples; the loss is divided by the "
             "samples, as without them."},
    {KEY(model.init), .initial = "he", .words = LS_WORDS_OF(LS_INITS),
     .help = "Initial weights. he: normal, variance 2 / fan_in; glorot: uniform in "
             "+-sqrt(6 / (fan_in + fan_out))."},
    {KEY(model.layers),
     .help = "The layers, first to last; the last one gives one value per class or target."},
};

const size_t ls_config_key_count = sizeof ls_config_keys / sizeof *ls_config_keys;

const ls_section ls_config_sections[] = {
    {"data", "Where the samples are"},
    {"batch", "The samples of one optimizer step"},
    {"augment", "What is done to training samples, anew every epoch"},
    {"find_lr", "The learning rate range test"},
    {"train", "Training, and the optimizer of the range test"},
    {"schedule", "How the learning rate moves over the run"},
    {"checkpoint", "When the state of a training run is saved"},
    {"compute", "How a rank computes"},
    {"model", "The network"},
};

const size_t ls_config_section_count = sizeof ls_config_sections / sizeof *ls_config_sections;

const ls_key *ls_key_find(const ls_key *keys, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static const char *last_part(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

const char *ls_key_nearest(const ls_key *keys, size_t count, const char *name) {
    /* A known key in the wrong section is nearer than anything by spelling. */
    for (size_t i = 0; i < count; i++)
        if (strcmp(last_part(keys[i].name), last_part(name)) == 0)
            return keys[i].name;
    const char **names = ls_calloc(count, sizeof *names);
    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        names[i] = keys[i].name;
    const char *nearest = ls_nearest(name, names, count);
    ls_free(names);
    return nearest;
}
