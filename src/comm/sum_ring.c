/* Reduce-scatter, then allgather, around a ring (Patarasuk and Yuan, "Bandwidth optimal all-reduce
 * algorithms for clusters of workstations", JPDC 69, 2009).
 *
 * A piece of an array is a block for each rank.  In round k a rank sends block rank - k, modulo the
 * ranks, to the next one and receives block rank - k - 1 from the one before, to which it adds its
 * own addends in the first ranks - 1 rounds; in as many more the sums go round.  Blocks are small
 * enough for MPI to send them without asking the receiver first: on a busy line the answer would
 * wait behind other blocks.  Pieces go independently, a fixed number at a time. */
#include "comm/sum_ring.h"

#include "comm/addend.h"

enum {
    MOST_RANKS = 8,
    BLOCK_BYTES = 60000, /* Open MPI's limit over TCP: 65536, with its header */
    PLACES = 32,
    OTHER = 2 * PLACES, /* the request of ls_sum_ring_wait */
    TAGS = 32768        /* that any MPI has; of pieces under way none has another's */
};

typedef struct piece {
    ls_ring_sum *sum; /* NULL: none */
    size_t first, count;
    int tag, round, pending; /* pending: messages */
} piece;

struct ls_sum_ring {
    ls_comm *comm;
    piece pieces[PLACES];
    MPI_Request requests[OTHER + 1]; /* of each piece: what comes, what goes */
    ls_ring_sum *first, *last;       /* sums with pieces that are not under way yet, in order */
    int travelling;                  /* pieces under way */
    int tag;                         /* of the next piece */
};

typedef struct block {
    size_t first, count;
} block;

ls_status ls_sum_ring_create(ls_comm *comm, ls_sum_ring **ring) {
    ls_sum_ring *made = NULL;
    LS_TRY(LS_NEW(made, 1));
    made->comm = comm;
    for (int i = 0; i <= OTHER; i++)
        made->requests[i] = MPI_REQUEST_NULL;
    *ring = made;
    return LS_OK;
}

void ls_sum_ring_free(ls_sum_ring *ring) {
    ls_free(ring);
}

bool ls_sum_ring_suits(int ranks) {
    return ranks <= MOST_RANKS;
}

bool ls_ring_sum_complete(const ls_ring_sum *sum) {
    return sum->complete == sum->count;
}

bool ls_sum_ring_travels(const ls_sum_ring *ring) {
    return ring->travelling > 0;
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* Block `index`, which may be negative, modulo the ranks. */
static block block_of(const piece *p, int index) {
    const size_t ranks = (size_t)p->sum->ranks;
    const size_t i = (size_t)(index + 2 * p->sum->ranks) % ranks;
    const size_t first = p->count * i / ranks, end = p->count * (i + 1) / ranks;
    return (block){p->first + first, end - first};
}

/* Sends and receives what a round does. */
static ls_status post(ls_sum_ring *ring, int place) {
    piece *p = &ring->pieces[place];
    const ls_ring_sum *sum = p->sum;
    const size_t width = ls_addend_bytes(sum->addend);
    const MPI_Datatype type = ls_addend_type(sum->addend);
    const int next = (sum->rank + 1) % sum->ranks;
    const int before = (sum->rank + sum->ranks - 1) % sum->ranks;
    const block in = block_of(p, sum->rank - p->round - 1), out = block_of(p, sum->rank - p->round);
    const char *sent = p->round == 0 ? sum->from : sum->to;
    p->pending = 2;
    LS_MPI(ring->comm, MPI_Irecv(sum->to + in.first * width, (int)in.count, type, before, p->tag,
                                 sum->mpi, &ring->requests[2 * place]));
    LS_MPI(ring->comm, MPI_Isend(sent + out.first * width, (int)out.count, type, next, p->tag,
                                 sum->mpi, &ring->requests[2 * place + 1]));
    return LS_OK;
}

/* Puts the next piece of the first sum into a free place. */
static ls_status begin_piece(ls_sum_ring *ring, int place) {
    ls_ring_sum *sum = ring->first;
    const size_t most = BLOCK_BYTES / ls_addend_bytes(sum->addend) * (size_t)sum->ranks;
    const size_t left = sum->count - sum->begun, count = left < most ? left : most;
    ring->pieces[place] =
        (piece){.sum = sum, .first = sum->begun, .count = count, .tag = ring->tag};
    ring->tag = (ring->tag + 1) % TAGS;
    ring->travelling++;
    sum->begun += count;
    if (sum->begun == sum->count)
        ring->first = sum->next;
    return post(ring, place);
}

static ls_status begin_pieces(ls_sum_ring *ring) {
    for (int i = 0; i < PLACES && ring->first; i++)
        if (ring->pieces[i].sum == NULL)
            LS_TRY(begin_piece(ring, i));
    return LS_OK;
}

/* All messages of its round are through. */
static ls_status go_on(ls_sum_ring *ring, int place) {
    piece *p = &ring->pieces[place];
    ls_ring_sum *sum = p->sum;
    const size_t width = ls_addend_bytes(sum->addend);
    if (p->round < sum->ranks - 1) {
        const block in = block_of(p, sum->rank - p->round - 1);
        char *received = sum->to + in.first * width;
        ls_addends_add(sum->addend, in.count, received, sum->from + in.first * width, received);
    }
    if (++p->round < 2 * (sum->ranks - 1))
        return post(ring, place);
    sum->complete += p->count;
    p->sum = NULL;
    ring->travelling--;
    return begin_pieces(ring);
}

/* ---- sums ----------------------------------------------------------------------------------- */

void ls_sum_ring_begin(ls_sum_ring *ring) {
    ring->tag = 0;
}

ls_status ls_sum_ring_start(ls_sum_ring *ring, MPI_Comm mpi, ls_ring_sum *sum) {
    sum->mpi = mpi;
    sum->begun = sum->complete = 0;
    sum->next = NULL;
    LS_MPI(ring->comm, MPI_Comm_rank(mpi, &sum->rank));
    LS_MPI(ring->comm, MPI_Comm_size(mpi, &sum->ranks));
    LS_REQUIRE(sum->ranks > 1);
    if (sum->count == 0)
        return LS_OK;
    if (ring->first)
        ring->last->next = sum;
    else
        ring->first = sum;
    ring->last = sum;
    return begin_pieces(ring);
}

/* After MPI_Testsome or MPI_Waitsome. */
static ls_status take(ls_sum_ring *ring, int count, const int *indices) {
    for (int i = 0; i < count; i++)
        if (indices[i] != OTHER && --ring->pieces[indices[i] / 2].pending == 0)
            LS_TRY(go_on(ring, indices[i] / 2));
    return LS_OK;
}

ls_status ls_sum_ring_test(ls_sum_ring *ring) {
    int count = 1, indices[OTHER];
    MPI_Status unused[OTHER]; /* gcc warns of MPICH's MPI_STATUSES_IGNORE */
    while (ring->travelling > 0 && count > 0) {
        LS_MPI(ring->comm, MPI_Testsome(OTHER, ring->requests, &count, indices, unused));
        LS_TRY(take(ring, count, indices));
    }
    return LS_OK;
}

ls_status ls_sum_ring_wait(ls_sum_ring *ring, MPI_Request *other) {
    int count, indices[OTHER + 1];
    MPI_Status unused[OTHER + 1];
    LS_REQUIRE(ring->travelling > 0);
    ring->requests[OTHER] = other ? *other : MPI_REQUEST_NULL;
    LS_MPI(ring->comm, MPI_Waitsome(OTHER + 1, ring->requests, &count, indices, unused));
    if (other)
        *other = ring->requests[OTHER];
    return take(ring, count, indices);
}

ls_status ls_sum_ring_wait_for(ls_sum_ring *ring, const ls_ring_sum *sum) {
    ls_wait_begin(ring->comm);
    while (!ls_ring_sum_complete(sum))
        LS_TRY(ls_sum_ring_wait(ring, NULL));
    ls_wait_end(ring->comm);
    return LS_OK;
}
