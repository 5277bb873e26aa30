/* Blocks of samples: where they lie in the files, as one rank finds for all, and reading them. */
#include "data/blocks.h"
#include "data/values.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    SMALLEST_READ = 4096, /* bytes: what a disk reads in any case */
    SLACK = 64            /* of the decoder, for a checksum after the values */
};

/* ---- where they lie ------------------------------------------------------------------------- */

/* Adds file number, layout and chunks of each of this rank's files. */
static ls_status look(ls_comm *comm, const ls_joint *joint, ls_text *found) {
    for (int64_t i = ls_comm_rank(comm); i < joint->files->count; i += ls_comm_size(comm)) {
        ls_array_layout layout;
        ls_array *array;
        LS_TRY(ls_array_open(NULL, joint->files->path[i], joint->name, &array));
        ls_status status = ls_array_layout_read(array, &layout);
        ls_array_close(array);
        LS_TRY(status);
        ls_text_append(found, (const char *)&i, sizeof i);
        ls_text_append(found, (const char *)&layout, sizeof layout);
        if (layout.count > 0)
            ls_text_append(found, (const char *)layout.chunks,
                           (size_t)layout.count * sizeof *layout.chunks);
        ls_free(layout.chunks);
    }
    return found->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status take_bytes(void *context, int rank, const void *data, size_t bytes) {
    ls_text *all = context;
    (void)rank;
    ls_text_append(all, data, bytes);
    return all->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status understand(const ls_text *all, ls_block_file *files) {
    for (size_t at = 0; at < all->length;) {
        int64_t i;
        memcpy(&i, all->data + at, sizeof i);
        at += sizeof i;
        ls_array_layout *layout = &files[i].layout;
        memcpy(layout, all->data + at, sizeof *layout);
        at += sizeof *layout;
        layout->chunks = NULL;
        LS_TRY(LS_NEW(layout->chunks, (size_t)layout->count));
        const size_t bytes = (size_t)layout->count * sizeof *layout->chunks;
        if (bytes > 0)
            memcpy(layout->chunks, all->data + at, bytes);
        at += bytes;
    }
    return LS_OK;
}

/* Collective: what each rank has found, on all ranks. */
static ls_status share(ls_comm *comm, ls_text *found, ls_block_file *files) {
    ls_text all = {0};
    ls_status status = ls_comm_collect(comm, found->data, found->length, take_bytes, &all);
    uint64_t bytes = all.length;
    LS_TRY_GOTO(done, status);
    LS_TRY_GOTO(done, ls_comm_broadcast(comm, &bytes, sizeof bytes, 0));
    if (ls_comm_rank(comm) != 0) {
        status = LS_NEW(all.data, (size_t)bytes + 1);
        all.length = (size_t)bytes;
    }
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, ls_comm_broadcast(comm, all.data, all.length, 0));
    status = ls_comm_agree(comm, understand(&all, files));
done:
    ls_text_free(&all);
    return status;
}

/* Whether a chunk holds whole samples, and no sample lies in several. */
static bool has_whole_samples(const ls_array_info *info, const ls_array_layout *layout) {
    for (int d = 1; d < info->ndims; d++)
        if (layout->chunk[d] < info->shape[d])
            return false;
    return true;
}

static size_t chunk_bytes(const ls_blocks *blocks, const ls_array_layout *layout) {
    size_t bytes = ls_type_size(blocks->joint.info.type);
    for (int d = 0; d < blocks->joint.info.ndims; d++)
        bytes *= (size_t)layout->chunk[d];
    return bytes;
}

/* Whether samples can be read one by one. */
static bool is_cut_by_sample(const ls_blocks *blocks, const ls_array_layout *layout) {
    return layout->plain && layout->filter_count == 0 &&
           has_whole_samples(&blocks->joint.info, layout);
}

/* Of a file that HDF5 has to read, and of values stored as they are, what comes near a page. */
static void cut_file(ls_blocks *blocks, ls_block_file *file, int64_t samples) {
    const ls_array_layout *layout = &file->layout;
    const int64_t few = SMALLEST_READ / (int64_t)blocks->sample;
    const bool parts = is_cut_by_sample(blocks, layout);
    file->in_chunk = layout->chunk[0] > 0 ? layout->chunk[0] : samples;
    file->in_block = few > 1 ? few : 1;
    if (file->in_block > file->in_chunk || (layout->chunk[0] > 0 && !parts))
        file->in_block = file->in_chunk;
    blocks->plain &= layout->plain;
    if (!layout->plain || parts)
        return;
    const size_t bytes = chunk_bytes(blocks, layout);
    blocks->encoded = bytes > blocks->encoded ? bytes : blocks->encoded;
    for (int64_t i = 0; i < layout->count; i++)
        if (layout->chunks[i].bytes > blocks->encoded)
            blocks->encoded = layout->chunks[i].bytes;
}

/* Blocks of one chunk, or of what HDF5 reads of a file. */
static int64_t blocks_of_chunk(const ls_block_file *file) {
    return (file->in_chunk + file->in_block - 1) / file->in_block;
}

static void cut(ls_blocks *blocks) {
    const ls_joint *joint = &blocks->joint;
    int64_t number = 0;
    for (int64_t i = 0; i < joint->files->count; i++) {
        ls_block_file *file = &blocks->file[i];
        const int64_t samples = joint->first[i + 1] - joint->first[i];
        if (samples == 0)
            file->layout.plain = true;
        else
            cut_file(blocks, file, samples);
        file->first_block = number;
        if (samples > 0)
            number += (samples + file->in_chunk - 1) / file->in_chunk * blocks_of_chunk(file);
        blocks->most = file->in_block > blocks->most ? file->in_block : blocks->most;
    }
    blocks->count = number;
}

ls_status ls_blocks_open_array(ls_comm *comm, ls_joint *joint, ls_blocks *blocks) {
    ls_blocks made = {.joint = *joint, .plain = true};
    ls_text found = {0};
    made.floats = ls_type_is_float(joint->info.type);
    made.sample = ls_type_size(joint->info.type) * (size_t)ls_sample_elements(&joint->info);
    *joint = (ls_joint){0};
    for (int i = 0; i < LS_BLOCK_DESCRIPTORS; i++)
        made.open[i].descriptor = -1;
    ls_status status = LS_NEW(made.file, (size_t)made.joint.files->count);
    if (status == LS_OK)
        status = look(comm, &made.joint, &found);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK)
        status = share(comm, &found, made.file);
    ls_text_free(&found);
    if (status == LS_OK) {
        cut(&made);
        if (made.encoded > 0)
            status = ls_decoder_make(made.encoded + SLACK, &made.decoder);
        status = ls_comm_agree(comm, status);
    }
    if (status == LS_OK)
        *blocks = made;
    else
        ls_blocks_close(&made);
    return status;
}

void ls_blocks_close(ls_blocks *blocks) {
    for (int i = 0; i < LS_BLOCK_DESCRIPTORS; i++)
        if (blocks->open[i].descriptor >= 0)
            close(blocks->open[i].descriptor);
    for (int64_t i = 0; blocks->file && i < blocks->joint.files->count; i++)
        ls_free(blocks->file[i].layout.chunks);
    ls_free(blocks->file);
    ls_decoder_free(&blocks->decoder);
    ls_blocks_close_parts(blocks);
    ls_joint_close(&blocks->joint);
}

static ls_status copy_tables(const ls_blocks *blocks, ls_blocks *made) {
    const ls_joint *joint = &blocks->joint;
    const size_t files = (size_t)joint->files->count;
    LS_TRY(ls_joint_copy(joint, &made->joint));
    LS_TRY(LS_NEW(made->file, files));
    for (size_t i = 0; i < files; i++) {
        const ls_array_layout *layout = &blocks->file[i].layout;
        made->file[i] = blocks->file[i];
        made->file[i].layout.chunks = NULL;
        LS_TRY(LS_NEW(made->file[i].layout.chunks, (size_t)layout->count));
        if (layout->count > 0)
            memcpy(made->file[i].layout.chunks, layout->chunks,
                   (size_t)layout->count * sizeof *layout->chunks);
    }
    if (blocks->encoded > 0)
        LS_TRY(ls_decoder_make(blocks->encoded + SLACK, &made->decoder));
    return blocks->part_count > 0 ? ls_blocks_copy_parts(blocks, made) : LS_OK;
}

ls_status ls_blocks_copy(const ls_blocks *blocks, ls_blocks *copy) {
    ls_blocks made = *blocks;
    made.file = NULL;
    made.joint = (ls_joint){0};
    made.decoder = (ls_decoder){0};
    made.part_count = 0;
    made.part = NULL;
    made.channels = NULL;
    made.scratch = NULL;
    made.bytes_read = 0;
    for (int i = 0; i < LS_BLOCK_DESCRIPTORS; i++)
        made.open[i].descriptor = -1;
    ls_status status = copy_tables(blocks, &made);
    if (status == LS_OK)
        *copy = made;
    else
        ls_blocks_close(&made);
    return status;
}

ls_block ls_blocks_find(const ls_blocks *blocks, int64_t sample) {
    const ls_joint *joint = &blocks->joint;
    const int64_t i = ls_joint_file(joint, sample);
    const ls_block_file *file = &blocks->file[i];
    const int64_t local = sample - joint->first[i], chunk = local / file->in_chunk;
    const int64_t within = local % file->in_chunk / file->in_block;
    const int64_t first = chunk * file->in_chunk + within * file->in_block;
    const int64_t end = (chunk + 1) * file->in_chunk,
                  samples = joint->first[i + 1] - joint->first[i];
    ls_block block = {.number = file->first_block + chunk * blocks_of_chunk(file) + within,
                      .file = i,
                      .first = joint->first[i] + first,
                      .count = file->in_block};
    const int64_t left = (end < samples ? end : samples) - first;
    block.count = left < block.count ? left : block.count;
    return block;
}

void ls_blocks_narrow(const ls_blocks *blocks, int64_t first, int64_t end, ls_block *block) {
    const int64_t block_end = block->first + block->count;
    if (blocks->plain && !is_cut_by_sample(blocks, &blocks->file[block->file].layout))
        return;
    block->first = first;
    block->count = (end < block_end ? end : block_end) - first;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ls_status fail(const ls_blocks *blocks, const ls_block *block, const char *what) {
    return ls_fail(
        LS_ERR_INPUT, "%s: %s: samples %lld to %lld %s", blocks->joint.files->path[block->file],
        blocks->joint.name, (long long)(block->first - blocks->joint.first[block->file]),
        (long long)(block->first - blocks->joint.first[block->file] + block->count - 1), what);
}

static ls_status open_file(ls_blocks *blocks, const ls_block *block, int *descriptor) {
    const int64_t file = block->file;
    const int place = (int)(file % LS_BLOCK_DESCRIPTORS);
    if (blocks->open[place].descriptor >= 0 && blocks->open[place].file == file) {
        *descriptor = blocks->open[place].descriptor;
        return LS_OK;
    }
    if (blocks->open[place].descriptor >= 0)
        close(blocks->open[place].descriptor);
    blocks->open[place].descriptor = open(blocks->joint.files->path[file], O_RDONLY | O_CLOEXEC);
    if (blocks->open[place].descriptor < 0) {
        char *what = ls_format("cannot be read: %s", strerror(errno));
        ls_status status = fail(blocks, block, what ? what : "");
        ls_free(what);
        return status;
    }
    blocks->open[place].file = file;
    *descriptor = blocks->open[place].descriptor;
    return LS_OK;
}

static ls_status read_bytes(ls_blocks *blocks, const ls_block *block, uint64_t at, size_t bytes,
                            void *out) {
    int descriptor;
    LS_TRY(open_file(blocks, block, &descriptor));
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(descriptor, (char *)out + done, bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            char *what = ls_format("cannot be read: %s", strerror(errno));
            ls_status status = fail(blocks, block, what ? what : "");
            ls_free(what);
            return status;
        }
        if (got == 0)
            return fail(blocks, block, "are not there: the file has become shorter");
        done += (size_t)got;
    }
    blocks->bytes_read += bytes;
    return LS_OK;
}

/* Where the elements of a chunk go: from its grid place, row-major over dimensions 1 and on. */
typedef struct ls_placing {
    const ls_array_info *info;
    const int64_t *chunk;
    int64_t begin[LS_MAX_DIMS]; /* first element, in the samples of the block */
    size_t size;
} ls_placing;

/* Dimension d of the chunk, at these offsets in chunk and block, in elements. */
static void place(const ls_placing *p, int d, int64_t count, size_t from, size_t to,
                  const unsigned char *values, unsigned char *out) {
    if (d + 1 >= p->info->ndims || d + 1 >= LS_MAX_DIMS) {
        memcpy(out + to * p->size, values + from * p->size, (size_t)count * p->size);
        return;
    }
    size_t inner = 1, outer = 1;
    for (int i = d + 1; i < LS_MAX_DIMS && i < p->info->ndims; i++) {
        inner *= (size_t)p->chunk[i];
        outer *= (size_t)p->info->shape[i];
    }
    const int64_t left = p->info->shape[d + 1] - p->begin[d + 1];
    const int64_t next = left < p->chunk[d + 1] ? left : p->chunk[d + 1];
    size_t begin = (size_t)p->begin[d + 1];
    for (int i = d + 2; i < LS_MAX_DIMS && i < p->info->ndims; i++)
        begin *= (size_t)p->info->shape[i];
    for (int64_t i = 0; i < count; i++)
        place(p, d + 1, next, from + (size_t)i * inner, to + (size_t)i * outer + begin, values,
              out);
}

static ls_status read_chunk(ls_blocks *blocks, const ls_block *block, const ls_array_layout *layout,
                            int64_t number, void *out) {
    const ls_array_info *info = &blocks->joint.info;
    const ls_chunk *chunk = &layout->chunks[number];
    const size_t bytes = chunk_bytes(blocks, layout);
    const unsigned char *values;
    ls_placing placing = {info, layout->chunk, {0}, ls_type_size(info->type)};
    LS_TRY(read_bytes(blocks, block, chunk->at, chunk->bytes, blocks->decoder.from));
    if (!ls_decode(&blocks->decoder, layout, chunk, placing.size, bytes, &values))
        return fail(blocks, block, "are damaged: their chunk cannot be decoded");
    for (int d = info->ndims - 1; d > 0; d--) {
        const int64_t across = (info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
        placing.begin[d] = number % across * layout->chunk[d];
        number /= across;
    }
    place(&placing, 0, block->count, 0, 0, values, out);
    return LS_OK;
}

/* All chunks that hold a part of the block's samples. */
static ls_status read_chunks(ls_blocks *blocks, const ls_block *block, int64_t row, void *out) {
    const ls_array_info *info = &blocks->joint.info;
    const ls_array_layout *layout = &blocks->file[block->file].layout;
    int64_t across = 1;
    for (int d = 1; d < info->ndims; d++)
        across *= (info->shape[d] + layout->chunk[d] - 1) / layout->chunk[d];
    for (int64_t i = 0; i < across; i++)
        LS_TRY(read_chunk(blocks, block, layout, row * across + i, out));
    return LS_OK;
}

static ls_status read_plain(ls_blocks *blocks, const ls_block *block, void *out) {
    const ls_block_file *file = &blocks->file[block->file];
    const int64_t local = block->first - blocks->joint.first[block->file];
    const int64_t row = local / file->in_chunk;
    if (!is_cut_by_sample(blocks, &file->layout))
        return read_chunks(blocks, block, row, out);
    const uint64_t within = (uint64_t)(local % file->in_chunk) * blocks->sample;
    return read_bytes(blocks, block, file->layout.chunks[row].at + within,
                      (size_t)block->count * blocks->sample, out);
}

static ls_status check_values(const ls_blocks *blocks, const ls_block *block, const void *values,
                              const char *name) {
    const ls_joint *joint = &blocks->joint;
    const int64_t elements = ls_sample_elements(&joint->info);
    const int64_t first = block->first - joint->first[block->file];
    LS_TRY(ls_check_finite(joint->info.type, values, first, block->count, elements, name));
    return ls_transformer_check(blocks->transformer, values, first, block->count, elements, name);
}

ls_status ls_blocks_read(ls_blocks *blocks, const ls_block *block, void *out) {
    const ls_joint *joint = &blocks->joint;
    if (blocks->part_count > 0)
        return ls_blocks_read_parts(blocks, block, out);
    if (blocks->plain) {
        LS_TRY(read_plain(blocks, block, out));
    } else {
        LS_TRY(ls_joint_read(&blocks->joint, block->first, block->count, out));
        blocks->bytes_read += (size_t)block->count * blocks->sample;
    }
    if (!blocks->floats && (blocks->transformer == NULL || blocks->transformer->total))
        return LS_OK;
    char *name = ls_format("%s: %s", joint->files->path[block->file], joint->name);
    ls_status status = name ? check_values(blocks, block, out, name) : LS_ERR_SYSTEM;
    ls_free(name);
    return status;
}
