/* Which node has which samples, and which of its ranks sends them to whom. */
#include "data/spread.h"

/* The node of each rank, by leaders: they are met in their order.  Returns the nodes. */
static int number_nodes(const ls_seat *seats, int ranks, int *node_of, int *size) {
    int nodes = 0;
    for (int r = 0; r < ranks; r++) {
        node_of[r] = seats[r].leader == r ? nodes++ : node_of[seats[r].leader];
        size[node_of[r]]++;
    }
    return nodes;
}

/* What follows from where all ranks are. */
static ls_status find_nodes(const ls_seat *seats, int ranks, int rank, ls_homes *homes) {
    int *node_of = NULL, *size = NULL; /* (ranks), (nodes) */
    const int own = seats[rank].node_rank;
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(node_of, (size_t)ranks));
    LS_TRY_GOTO(done, LS_NEW(size, (size_t)ranks));
    LS_TRY_GOTO(done, LS_NEW(homes->served, (size_t)ranks));
    homes->shares.nodes = number_nodes(seats, ranks, node_of, size);
    homes->node = node_of[rank];
    LS_TRY_GOTO(done, LS_NEW(homes->sender, (size_t)homes->shares.nodes));
    for (int r = 0; r < ranks; r++) {
        const int node = node_of[r], theirs = seats[r].node_rank;
        if (theirs == own % size[node])
            homes->sender[node] = r;
        if (node != homes->node && theirs % size[homes->node] == own)
            homes->served[homes->served_count++] = r;
    }
done:
    ls_free(size);
    ls_free(node_of);
    return status;
}

ls_status ls_homes_make(ls_comm *comm, int64_t samples, int64_t block, ls_homes *homes) {
    ls_homes made = {.shares = {.samples = samples, .block = block}};
    const int ranks = ls_comm_size(comm);
    ls_seat *seats = NULL;
    ls_status status = ls_comm_agree(comm, LS_NEW(seats, (size_t)ranks));
    if (status == LS_OK)
        status = ls_comm_seats(comm, seats);
    if (status == LS_OK)
        status = ls_comm_agree(comm, find_nodes(seats, ranks, ls_comm_rank(comm), &made));
    ls_free(seats);
    if (status == LS_OK)
        *homes = made;
    else
        ls_homes_free(&made);
    return status;
}

void ls_homes_free(ls_homes *homes) {
    ls_free(homes->sender);
    ls_free(homes->served);
    *homes = (ls_homes){0};
}
