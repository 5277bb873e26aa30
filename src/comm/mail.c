/* Letters between two ranks: nonblocking messages, each way in a row in which they are waited for.
 * A synchronous send, so that what has not been received stays with the sender. */
#include "comm/comm.h"

enum { FIRST_SIZE = 64, TAGS = 1 << 15 /* that every MPI has */ };

typedef struct row {
    MPI_Request *request; /* of letter i: i modulo their number */
    int64_t size;         /* a power of two, or 0 */
    int64_t done, started;
} row;

struct ls_mail {
    ls_comm *comm;
    int tag;
    MPI_Datatype piece;
    row rows[LS_MAIL_WAYS];
    MPI_Aint *address; /* room */
    int addresses;
};

ls_status ls_mail_create(ls_comm *comm, size_t bytes, ls_mail **mail) {
    ls_mail *made;
    LS_REQUIRE(bytes <= INT32_MAX);
    LS_TRY(LS_NEW(made, 1));
    made->comm = comm;
    made->tag = comm->mails++ % TAGS;
    made->piece = MPI_DATATYPE_NULL;
    ls_status status = ls_mpi_check(comm, MPI_Type_contiguous((int)bytes, MPI_BYTE, &made->piece),
                                    "MPI_Type_contiguous");
    if (status == LS_OK)
        status = ls_mpi_check(comm, MPI_Type_commit(&made->piece), "MPI_Type_commit");
    if (status == LS_OK)
        *mail = made;
    else
        ls_mail_free(made);
    return status;
}

void ls_mail_free(ls_mail *mail) {
    if (mail == NULL)
        return;
    if (mail->piece != MPI_DATATYPE_NULL)
        MPI_Type_free(&mail->piece);
    for (int way = 0; way < LS_MAIL_WAYS; way++)
        ls_free(mail->rows[way].request);
    ls_free(mail->address);
    ls_free(mail);
}

/* The place of the next letter's request. */
static ls_status next_request(row *r, MPI_Request **request) {
    if (r->started - r->done == r->size) {
        const int64_t size = r->size > 0 ? 2 * r->size : FIRST_SIZE;
        MPI_Request *larger;
        LS_TRY(LS_NEW(larger, (size_t)size));
        for (int64_t i = r->done; i < r->started; i++)
            larger[i % size] = r->request[i % r->size];
        ls_free(r->request);
        r->request = larger;
        r->size = size;
    }
    *request = &r->request[r->started % r->size];
    return LS_OK;
}

static ls_status make_room(ls_mail *mail, int count) {
    if (count <= mail->addresses)
        return LS_OK;
    ls_free(mail->address);
    mail->addresses = 0;
    LS_TRY(LS_NEW(mail->address, (size_t)count));
    mail->addresses = count;
    return LS_OK;
}

/* The pieces are sent from where they are. */
static ls_status make_letter(ls_mail *mail, int count, const char *const *pieces,
                             MPI_Datatype *letter) {
    LS_TRY(make_room(mail, count));
    for (int i = 0; i < count; i++)
        LS_MPI(mail->comm, MPI_Get_address(pieces[i], &mail->address[i]));
    LS_MPI(mail->comm,
           MPI_Type_create_hindexed_block(count, 1, mail->address, mail->piece, letter));
    LS_MPI(mail->comm, MPI_Type_commit(letter));
    return LS_OK;
}

ls_status ls_mail_send(ls_mail *mail, int to, int count, const char *const *pieces) {
    MPI_Request *request;
    MPI_Datatype letter;
    LS_TRY(next_request(&mail->rows[LS_MAIL_OUT], &request));
    LS_TRY(make_letter(mail, count, pieces, &letter));
    LS_MPI(mail->comm, MPI_Issend(MPI_BOTTOM, 1, letter, to, mail->tag, mail->comm->mail, request));
    LS_MPI(mail->comm, MPI_Type_free(&letter));
    mail->rows[LS_MAIL_OUT].started++;
    return LS_OK;
}

ls_status ls_mail_receive(ls_mail *mail, int from, int count, char *pieces) {
    MPI_Request *request;
    LS_TRY(next_request(&mail->rows[LS_MAIL_IN], &request));
    LS_MPI(mail->comm,
           MPI_Irecv(pieces, count, mail->piece, from, mail->tag, mail->comm->mail, request));
    mail->rows[LS_MAIL_IN].started++;
    return LS_OK;
}

int64_t ls_mail_started(const ls_mail *mail, ls_mail_way way) {
    return mail->rows[way].started;
}

ls_status ls_mail_wait(ls_mail *mail, ls_mail_way way, int64_t number) {
    row *r = &mail->rows[way];
    for (; r->done < number; r->done++)
        LS_TRY(ls_wait_for(mail->comm, &r->request[r->done % r->size]));
    return LS_OK;
}

void ls_mail_poll(ls_mail *mail) {
    for (int way = 0; way < LS_MAIL_WAYS; way++) {
        row *r = &mail->rows[way];
        int through = 1;
        for (; through && r->done < r->started; r->done += through)
            if (ls_mpi_check(mail->comm,
                             MPI_Test(&r->request[r->done % r->size], &through, MPI_STATUS_IGNORE),
                             "MPI_Test") != LS_OK)
                return; /* a wait meets it again */
    }
}
