/* HDF5's filters backwards: deflate, shuffle, Fletcher32. */
#include "data/decode.h"

#include <string.h>
#include <zlib.h>

enum { CHECKSUM = 4 }; /* bytes */

ls_status ls_decoder_make(size_t bytes, ls_decoder *decoder) {
    *decoder = (ls_decoder){.bytes = bytes};
    LS_TRY(LS_NEW(decoder->from, bytes));
    return LS_NEW(decoder->to, bytes);
}

void ls_decoder_free(ls_decoder *decoder) {
    ls_free(decoder->from);
    ls_free(decoder->to);
    *decoder = (ls_decoder){0};
}

static void swap(ls_decoder *decoder) {
    unsigned char *from = decoder->from;
    decoder->from = decoder->to;
    decoder->to = from;
}

static bool inflate_chunk(ls_decoder *decoder, size_t *bytes) {
    uLongf got = decoder->bytes;
    if (uncompress(decoder->to, &got, decoder->from, *bytes) != Z_OK)
        return false;
    *bytes = got;
    swap(decoder);
    return true;
}

/* Byte k of all elements lies together; what is left over after the last whole one, at the end. */
static void unshuffle(ls_decoder *decoder, size_t bytes, size_t size) {
    const size_t count = bytes / size;
    for (size_t k = 0; k < size; k++) {
        const unsigned char *from = decoder->from + k * count;
        unsigned char *to = decoder->to + k;
        for (size_t i = 0; i < count; i++)
            to[i * size] = from[i];
    }
    memcpy(decoder->to + count * size, decoder->from + count * size, bytes - count * size);
    swap(decoder);
}

/* Fletcher's sum of 16-bit words, each high byte first, as H5_checksum_fletcher32 has it. */
static uint32_t fletcher32(const unsigned char *data, size_t bytes) {
    enum { WITHOUT_CARRY = 360 }; /* words that 32 bits hold */
    uint32_t one = 0, two = 0;
    size_t words = bytes / 2;
    while (words > 0) {
        const size_t part = words > WITHOUT_CARRY ? WITHOUT_CARRY : words;
        words -= part;
        for (size_t i = 0; i < part; i++, data += 2) {
            one += (uint32_t)data[0] << 8 | data[1];
            two += one;
        }
        one = (one & 0xffff) + (one >> 16);
        two = (two & 0xffff) + (two >> 16);
    }
    if (bytes % 2) {
        one += (uint32_t)*data << 8;
        two += one;
        one = (one & 0xffff) + (one >> 16);
        two = (two & 0xffff) + (two >> 16);
    }
    one = (one & 0xffff) + (one >> 16);
    two = (two & 0xffff) + (two >> 16);
    return two << 16 | one;
}

/* The sum follows the bytes, lowest byte first.  HDF5 before 1.6.3 wrote it with the bytes of each
 * half exchanged. */
static bool check_sum(const ls_decoder *decoder, size_t *bytes) {
    if (*bytes < CHECKSUM)
        return false;
    *bytes -= CHECKSUM;
    const unsigned char *end = decoder->from + *bytes;
    const uint32_t stored =
        end[0] | (uint32_t)end[1] << 8 | (uint32_t)end[2] << 16 | (uint32_t)end[3] << 24;
    const uint32_t sum = fletcher32(decoder->from, *bytes);
    const uint32_t old = (sum & 0x00ff00ff) << 8 | (sum >> 8 & 0x00ff00ff);
    return stored == sum || stored == old;
}

bool ls_decode(ls_decoder *decoder, const ls_array_layout *layout, const ls_chunk *chunk,
               size_t size, size_t expected, const unsigned char **values) {
    size_t bytes = chunk->bytes;
    bool whole = true;
    for (int i = layout->filter_count - 1; i >= 0 && whole; i--) {
        if (chunk->unfiltered >> i & 1)
            continue;
        switch (layout->filters[i]) {
        case LS_FILTER_DEFLATE:
            whole = inflate_chunk(decoder, &bytes);
            break;
        case LS_FILTER_SHUFFLE:
            unshuffle(decoder, bytes, size);
            break;
        case LS_FILTER_FLETCHER32:
            whole = check_sum(decoder, &bytes);
            break;
        }
    }
    *values = decoder->from;
    return whole && bytes == expected;
}
