/* Rows of all slices, gathered to rank 0 along a binomial tree, so that no rank receives more than
 * log2(ranks) messages.  The rows below a rank are neighbours: it receives them in their places and
 * sends them on together. */
#include "comm/comm.h"

enum { TAG_ROWS = 1, MOST_CHILDREN = 31 };

struct ls_gather {
    ls_comm *comm;
    int first, own_end, end; /* slices: own rows [first, own_end), with those below [first, end) */
    size_t bytes;            /* of a row */
    unsigned char *rows;     /* (end - first, bytes) */
    int parent;
    bool waits_for_children; /* and has not sent to its parent */
    int child_count;
    struct {
        int rank, first, end;
    } children[MOST_CHILDREN];
    MPI_Request received[MOST_CHILDREN], sent;
};

/* Below rank r are those up to r + 2^k, its lowest bit, and its children are r + 1, r + 2, r + 4,
 * ... of them. */
static void find_place(ls_gather *made, int slices) {
    const int rank = made->comm->rank, size = made->comm->size;
    int unused, step = 1;
    ls_slice_range(slices, size, rank, &made->first, &made->own_end);
    made->end = made->own_end;
    for (; rank + step < size && (rank & step) == 0; step *= 2) {
        const int child = rank + step, last = (child + step < size ? child + step : size) - 1;
        ls_slice_range(slices, size, child, &made->children[made->child_count].first, &unused);
        ls_slice_range(slices, size, last, &unused, &made->end);
        made->children[made->child_count].end = made->end;
        made->children[made->child_count++].rank = child;
    }
    made->parent = rank & (rank - 1);
}

static unsigned char *row(const ls_gather *gather, int slice) {
    return gather->rows + (size_t)(slice - gather->first) * gather->bytes;
}

ls_status ls_gather_create(ls_comm *comm, int slices, size_t bytes, ls_gather **gather) {
    ls_gather *made = NULL;
    LS_REQUIRE((size_t)slices * bytes <= INT32_MAX); /* MPI counts are int */
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_gather){.comm = comm, .bytes = bytes, .sent = MPI_REQUEST_NULL};
    for (int i = 0; i < MOST_CHILDREN; i++)
        made->received[i] = MPI_REQUEST_NULL;
    find_place(made, slices);
    ls_status status = LS_NEW(made->rows, (size_t)(made->end - made->first) * bytes);
    if (status != LS_OK) {
        ls_gather_free(made);
        return status;
    }
    *gather = made;
    return LS_OK;
}

void *ls_gather_mine(ls_gather *gather, int slice) {
    LS_ASSERT(slice >= gather->first && slice < gather->own_end);
    return row(gather, slice);
}

const void *ls_gather_row(const ls_gather *gather, int slice) {
    LS_ASSERT(gather->comm->rank == 0 && slice >= 0 && slice < gather->end);
    return row(gather, slice);
}

/* Once all children's rows are here. */
static ls_status send_on(ls_gather *gather) {
    const size_t bytes = (size_t)(gather->end - gather->first) * gather->bytes;
    gather->waits_for_children = false;
    if (gather->comm->rank > 0)
        LS_MPI(gather->comm, MPI_Isend(gather->rows, (int)bytes, MPI_BYTE, gather->parent, TAG_ROWS,
                                       gather->comm->control, &gather->sent));
    return LS_OK;
}

ls_status ls_gather_start(ls_gather *gather) {
    for (int i = 0; i < gather->child_count; i++) {
        const size_t rows = (size_t)(gather->children[i].end - gather->children[i].first);
        LS_MPI(gather->comm,
               MPI_Irecv(row(gather, gather->children[i].first), (int)(rows * gather->bytes),
                         MPI_BYTE, gather->children[i].rank, TAG_ROWS, gather->comm->control,
                         &gather->received[i]));
    }
    gather->waits_for_children = gather->child_count > 0;
    return gather->waits_for_children ? LS_OK : send_on(gather);
}

bool ls_gather_test(ls_gather *gather) {
    bool all = true;
    for (int i = 0; i < gather->child_count; i++)
        all &= ls_test_for(gather->comm, &gather->received[i]);
    if (!all || (gather->waits_for_children && send_on(gather) != LS_OK))
        return false;
    return ls_test_for(gather->comm, &gather->sent);
}

ls_status ls_gather_wait(ls_gather *gather) {
    for (int i = 0; i < gather->child_count; i++)
        LS_TRY(ls_wait_for(gather->comm, &gather->received[i]));
    if (gather->waits_for_children)
        LS_TRY(send_on(gather));
    return ls_wait_for(gather->comm, &gather->sent);
}

void ls_gather_free(ls_gather *gather) {
    if (gather == NULL)
        return;
    ls_free(gather->rows);
    ls_free(gather);
}
