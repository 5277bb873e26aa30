/* Boards (one row of words a slice, owned by the slice's rank, read by all) and broadcasts of
 * rank 0.  Both travel unsummed, so their bits do not depend on the rank count. */
#include <string.h>

#include "comm/comm.h"

struct ls_board {
    ls_comm *comm;
    int slices, first, end; /* own rows: [first, end) */
    size_t words;
    uint32_t *rows;       /* (slices, words) */
    uint32_t *mine;       /* (end - first, words): what is sent */
    int *counts, *places; /* per rank, words */
    MPI_Request request;
};

ls_status ls_board_create(ls_comm *comm, int slices, size_t words, ls_board **board) {
    ls_board *made = NULL;
    LS_REQUIRE((size_t)slices * words <= INT32_MAX); /* MPI counts are int */
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_board){.comm = comm, .slices = slices, .words = words, .request = MPI_REQUEST_NULL};
    ls_slice_range(slices, comm->size, comm->rank, &made->first, &made->end);
    ls_status status;
    LS_TRY_GOTO(failed, LS_NEW(made->rows, (size_t)slices * words));
    LS_TRY_GOTO(failed, LS_NEW(made->mine, (size_t)(made->end - made->first) * words));
    LS_TRY_GOTO(failed, LS_NEW(made->counts, (size_t)comm->size));
    LS_TRY_GOTO(failed, LS_NEW(made->places, (size_t)comm->size));
    for (int rank = 0; rank < comm->size; rank++) {
        int first, end;
        ls_slice_range(slices, comm->size, rank, &first, &end);
        made->counts[rank] = (int)((size_t)(end - first) * words);
        made->places[rank] = (int)((size_t)first * words);
    }
    *board = made;
    return LS_OK;
failed:
    ls_board_free(made);
    return status;
}

uint32_t *ls_board_row(ls_board *board, int slice) {
    LS_ASSERT(slice >= 0 && slice < board->slices);
    return board->rows + (size_t)slice * board->words;
}

ls_status ls_board_start(ls_board *board) {
    ls_comm *comm = board->comm;
    if (comm->size == 1 || board->words == 0)
        return LS_OK;
    memcpy(board->mine, ls_board_row(board, board->first),
           (size_t)board->counts[comm->rank] * sizeof *board->mine);
    LS_MPI(comm, MPI_Iallgatherv(board->mine, board->counts[comm->rank], MPI_UINT32_T, board->rows,
                                 board->counts, board->places, MPI_UINT32_T, comm->control,
                                 &board->request));
    return LS_OK;
}

bool ls_board_test(ls_board *board) {
    int done = 1;
    if (board->request != MPI_REQUEST_NULL)
        ls_mpi_check(board->comm, MPI_Test(&board->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done;
}

ls_status ls_board_wait(ls_board *board) {
    return ls_wait_for(board->comm, &board->request);
}

void ls_board_free(ls_board *board) {
    if (board == NULL)
        return;
    ls_free(board->places);
    ls_free(board->counts);
    ls_free(board->mine);
    ls_free(board->rows);
    ls_free(board);
}

/* ---- broadcasts ----------------------------------------------------------------------------- */

struct ls_broadcast {
    ls_comm *comm;
    size_t bytes;
    void *data;
    MPI_Request request;
};

ls_status ls_broadcast_create(ls_comm *comm, size_t bytes, ls_broadcast **broadcast) {
    ls_broadcast *made = NULL;
    LS_REQUIRE(bytes <= INT32_MAX);
    LS_TRY(LS_NEW(made, 1));
    *made = (ls_broadcast){.comm = comm, .bytes = bytes, .request = MPI_REQUEST_NULL};
    made->data = ls_calloc(bytes, 1);
    if (made->data == NULL) {
        ls_free(made);
        return LS_ERR_SYSTEM;
    }
    *broadcast = made;
    return LS_OK;
}

void *ls_broadcast_data(ls_broadcast *broadcast) {
    return broadcast->data;
}

ls_status ls_broadcast_start(ls_broadcast *broadcast) {
    ls_comm *comm = broadcast->comm;
    if (comm->size > 1)
        LS_MPI(comm, MPI_Ibcast(broadcast->data, (int)broadcast->bytes, MPI_BYTE, 0, comm->control,
                                &broadcast->request));
    return LS_OK;
}

ls_status ls_broadcast_wait(ls_broadcast *broadcast) {
    return ls_wait_for(broadcast->comm, &broadcast->request);
}

void ls_broadcast_free(ls_broadcast *broadcast) {
    if (broadcast == NULL)
        return;
    ls_free(broadcast->data);
    ls_free(broadcast);
}
