/* Digests: XXH3-128 of xxHash, in its canonical (big-endian) text form. */
#include <stdio.h>
#include <xxhash.h>

#include "lockstep/base.h"

struct ls_hash {
    XXH3_state_t *state;
};

ls_status ls_hash_create(ls_hash **hash) {
    ls_hash *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->state = XXH3_createState();
    if (made->state == NULL) {
        ls_free(made);
        return ls_fail(LS_ERR_SYSTEM, "out of memory: no hash state");
    }
    XXH3_128bits_reset(made->state);
    *hash = made;
    return LS_OK;
}

void ls_hash_add(ls_hash *hash, const void *data, size_t bytes) {
    XXH3_128bits_update(hash->state, data, bytes);
}

void ls_hash_text(const ls_hash *hash, char text[LS_DIGEST_TEXT]) {
    XXH128_hash_t value = XXH3_128bits_digest(hash->state);
    snprintf(text, LS_DIGEST_TEXT, "%016llx%016llx", (unsigned long long)value.high64,
             (unsigned long long)value.low64);
}

void ls_hash_free(ls_hash *hash) {
    if (hash == NULL)
        return;
    XXH3_freeState(hash->state);
    ls_free(hash);
}
