/* Blocks of samples that are made of the blocks of several arrays. */
#include <string.h>

#include "data/blocks.h"

/* Samples of the largest block that an array has in a file. */
static int64_t largest_block(const ls_blocks *blocks, int64_t file) {
    int64_t most = 1;
    for (int64_t i = 0; i < blocks->part_count; i++)
        if (blocks->part[i].file[file].in_block > most)
            most = blocks->part[i].file[file].in_block;
    return most;
}

static void cut(ls_blocks *blocks) {
    const ls_joint *joint = &blocks->joint;
    for (int64_t i = 0; i < joint->files->count; i++) {
        ls_block_file *file = &blocks->file[i];
        const int64_t samples = joint->first[i + 1] - joint->first[i];
        file->in_block = file->in_chunk = largest_block(blocks, i);
        file->first_block = blocks->count;
        blocks->count += (samples + file->in_block - 1) / file->in_block;
        blocks->most = file->in_block > blocks->most ? file->in_block : blocks->most;
    }
}

static ls_status make_scratch(ls_blocks *blocks) {
    size_t most = 1;
    for (int64_t i = 0; i < blocks->part_count; i++) {
        const size_t bytes = (size_t)blocks->part[i].most * blocks->part[i].sample;
        most = bytes > most ? bytes : most;
    }
    return LS_NEW(blocks->scratch, most);
}

static ls_status make_channels(const ls_channels *channels, int64_t count, ls_blocks *blocks) {
    LS_TRY(LS_NEW(blocks->channels, (size_t)count));
    memcpy(blocks->channels, channels, (size_t)count * sizeof *channels);
    return LS_OK;
}

static ls_status make_tables(const ls_parts *parts, ls_blocks *blocks) {
    LS_TRY(LS_NEW(blocks->part, (size_t)parts->count));
    LS_TRY(make_channels(parts->channels, parts->count, blocks));
    LS_TRY(ls_joint_copy(&parts->joint[0], &blocks->joint));
    LS_TRY(LS_NEW(blocks->file, (size_t)blocks->joint.files->count));
    ls_free(blocks->joint.name);
    blocks->joint.name = ls_strdup(parts->name);
    blocks->joint.info = parts->info;
    return blocks->joint.name ? LS_OK : LS_ERR_SYSTEM;
}

static ls_status open_parts(ls_comm *comm, ls_parts *parts, ls_blocks *blocks) {
    LS_TRY(ls_comm_agree(comm, make_tables(parts, blocks)));
    for (; blocks->part_count < parts->count; blocks->part_count++) {
        ls_blocks *part = &blocks->part[blocks->part_count];
        LS_TRY(ls_blocks_open_array(comm, &parts->joint[blocks->part_count], part));
        blocks->plain &= part->plain;
    }
    blocks->sample = ls_type_size(parts->info.type);
    for (int d = 1; d < parts->info.ndims; d++)
        blocks->sample *= (size_t)parts->info.shape[d];
    cut(blocks);
    return ls_comm_agree(comm, make_scratch(blocks));
}

ls_status ls_blocks_open(ls_comm *comm, ls_parts *parts, ls_blocks *blocks) {
    ls_blocks made = {.plain = true};
    ls_status status;
    for (int i = 0; i < LS_BLOCK_DESCRIPTORS; i++)
        made.open[i].descriptor = -1;
    if (ls_parts_are_samples(parts)) {
        status = ls_blocks_open_array(comm, &parts->joint[0], blocks);
    } else {
        status = open_parts(comm, parts, &made);
        if (status == LS_OK)
            *blocks = made;
        else
            ls_blocks_close(&made);
    }
    ls_parts_close(parts);
    return status;
}

void ls_blocks_check(ls_blocks *blocks, const ls_transformer *transformer) {
    blocks->transformer = transformer;
    for (int64_t i = 0; i < blocks->part_count; i++)
        blocks->part[i].transformer = transformer;
}

ls_status ls_blocks_copy_parts(const ls_blocks *blocks, ls_blocks *made) {
    LS_TRY(LS_NEW(made->part, (size_t)blocks->part_count));
    for (; made->part_count < blocks->part_count; made->part_count++)
        LS_TRY(ls_blocks_copy(&blocks->part[made->part_count], &made->part[made->part_count]));
    LS_TRY(make_channels(blocks->channels, blocks->part_count, made));
    return make_scratch(made);
}

void ls_blocks_close_parts(ls_blocks *blocks) {
    for (int64_t i = 0; i < blocks->part_count; i++)
        ls_blocks_close(&blocks->part[i]);
    ls_free(blocks->part);
    ls_free(blocks->channels);
    ls_free(blocks->scratch);
}

static ls_status read_part(ls_blocks *blocks, int64_t number, const ls_block *wanted, char *out) {
    ls_blocks *part = &blocks->part[number];
    const int64_t end = wanted->first + wanted->count;
    for (int64_t at = wanted->first, stop; at < end; at = stop) {
        ls_block block = ls_blocks_find(part, at);
        ls_blocks_narrow(part, at, end, &block);
        LS_TRY(ls_blocks_read(part, &block, blocks->scratch));
        stop = block.first + block.count < end ? block.first + block.count : end;
        ls_channels_place(&blocks->channels[number], stop - at,
                          blocks->scratch + (size_t)(at - block.first) * part->sample,
                          out + (size_t)(at - wanted->first) * blocks->sample);
    }
    return LS_OK;
}

ls_status ls_blocks_read_parts(ls_blocks *blocks, const ls_block *block, void *out) {
    blocks->bytes_read = 0;
    for (int64_t i = 0; i < blocks->part_count; i++) {
        LS_TRY(read_part(blocks, i, block, out));
        blocks->bytes_read += blocks->part[i].bytes_read;
    }
    return LS_OK;
}
