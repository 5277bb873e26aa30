/* Holding samples out of a split: one of each of some blocks of neighbouring samples, so that which
 * ones follows from a few numbers, without a table. */
#include "data/split.h"

/* Samples of a block; `longer` blocks, the first ones, have one more. */
static int64_t block_size(const ls_held_out *h) {
    return h->whole / h->blocks;
}

static int64_t longer_blocks(const ls_held_out *h) {
    return h->whole % h->blocks;
}

/* The place in block `block` of its sample that is held out. */
static int64_t choice(const ls_held_out *h, int64_t block) {
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
    const int64_t size = block_size(h) + (block < longer_blocks(h));
    uint32_t random[4];
    ls_philox(h->key, counter, random);
    return (int64_t)(((uint64_t)random[0] << 32 | random[1]) % (uint64_t)size);
}

/* The block that `place` is in, where the first blocks have size + 1 and the others `size` samples;
 * place becomes that within the block. */
static int64_t find_block(const ls_held_out *h, int64_t size, int64_t *place) {
    const int64_t longer = longer_blocks(h), in_longer = longer * (size + 1);
    int64_t block;
    if (*place < in_longer) {
        block = *place / (size + 1);
        *place -= block * (size + 1);
    } else {
        block = longer + (*place - in_longer) / size;
        *place -= in_longer + (block - longer) * size;
    }
    return block;
}

uint64_t ls_held_out_sample(const ls_held_out *h, uint64_t id) {
    const int64_t size = block_size(h);
    int64_t block = (int64_t)id, place = (int64_t)id;
    if (!h->held)
        block = find_block(h, size - 1, &place);
    const int64_t first = block * size + (block < longer_blocks(h) ? block : longer_blocks(h));
    const int64_t chosen = choice(h, block);
    return (uint64_t)(first + (h->held ? chosen : place + (place >= chosen)));
}

int64_t ls_held_out_count(int64_t samples, double share) {
    const int64_t count = (int64_t)(share * (double)samples + 0.5);
    return count < 1 ? 1 : count > samples / 2 ? samples / 2 : count;
}

ls_status ls_data_hold_out(ls_data *data, double share, uint64_t seed, ls_data **held) {
    ls_held_out h = {.whole = data->count, .blocks = ls_held_out_count(data->count, share)};
    LS_REQUIRE(share > 0 && share <= 0.5 && data->held_out.whole == 0);
    if (h.whole < 2)
        return ls_fail(LS_ERR_INPUT, "of a single sample none can be held out for validation");
    ls_stream_key(seed, LS_STREAM_VALIDATION, h.key);
    LS_TRY(LS_NEW(*held, 1));
    **held = *data;
    (*held)->inputs_memory = (*held)->targets_memory = NULL;
    (*held)->feed = NULL;
    (*held)->spread = NULL;
    (*held)->homes = (ls_homes){0};
    (*held)->parts = (ls_parts){0};
    (*held)->count = h.blocks;
    (*held)->held_out = h;
    (*held)->held_out.held = true;
    data->count = h.whole - h.blocks;
    data->held_out = h;
    ls_status status = ls_data_follow_part(data, *held);
    if (status != LS_OK) {
        ls_free(*held);
        *held = NULL;
    }
    return status;
}
