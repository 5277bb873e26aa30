/* Which node has which samples, and which of its ranks sends them to whom. */
#include "data/spread.h"

/* What follows from where all ranks are. */
static ls_status find_nodes(const ls_seat *seats, int ranks, int rank, ls_homes *homes) {
    int *leader = NULL, *size = NULL, nodes = 0; /* of each node */
    ls_status status;
    LS_TRY_GOTO(done, LS_NEW(leader, (size_t)ranks));
    LS_TRY_GOTO(done, LS_NEW(size, (size_t)ranks));
    LS_TRY_GOTO(done, LS_NEW(homes->served, (size_t)ranks));
    for (int r = 0; r < ranks; r++) /* leaders are met in their order */
        if (seats[r].leader == r)
            leader[nodes++] = r;
    LS_TRY_GOTO(done, LS_NEW(homes->sender, (size_t)nodes));
    homes->shares.nodes = nodes;
    for (int node = 0; node < nodes; node++) {
        for (int r = 0; r < ranks; r++)
            size[node] += seats[r].leader == leader[node];
        const int wanted = seats[rank].node_rank % size[node];
        for (int r = 0; r < ranks; r++)
            if (seats[r].leader == leader[node] && seats[r].node_rank == wanted)
                homes->sender[node] = r;
        if (leader[node] == seats[rank].leader)
            homes->node = node;
    }
    for (int r = 0; r < ranks; r++)
        if (seats[r].leader != seats[rank].leader &&
            seats[r].node_rank % size[homes->node] == seats[rank].node_rank)
            homes->served[homes->served_count++] = r;
done:
    ls_free(size);
    ls_free(leader);
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
