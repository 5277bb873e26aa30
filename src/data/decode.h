/* decode: undoes what HDF5's filters did to a chunk.  From any thread; nothing here is collective.
 */
#ifndef LOCKSTEP_DATA_DECODE_H
#define LOCKSTEP_DATA_DECODE_H

#include "lockstep/io.h"

/* Two buffers of `bytes` each, between which filters work. */
typedef struct ls_decoder {
    size_t bytes;
    unsigned char *from, *to;
} ls_decoder;

/* For chunks of up to `bytes`, as they are in the file or in memory.  Free with ls_decoder_free. */
ls_status ls_decoder_make(size_t bytes, ls_decoder *decoder);
void ls_decoder_free(ls_decoder *decoder);

/* Of the chunk's `bytes` in decoder->from.  *values: `expected` bytes of `size`-byte elements, in
 * one of the two buffers.  False: the chunk is damaged. */
bool ls_decode(ls_decoder *decoder, const ls_array_layout *layout, const ls_chunk *chunk,
               size_t size, size_t expected, const unsigned char **values);

#endif
