/* Provenance: who ran what, where, with what; stored with the results.  io adds how the program was
 * built. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/run.h"
#include "lockstep/nn.h"

enum { NOTE_LIMIT = 16 };

/* "node1 (2 ranks), node2 (2 ranks)" on rank 0; hosts in rank order. */
static ls_status list_hosts(ls_comm *comm, char **list) {
    char mine[LS_HOST_SIZE], *all = NULL;
    int size = ls_comm_size(comm);
    ls_text text = {0};
    ls_host_name(mine);
    LS_TRY(ls_comm_agree(comm, LS_NEW(all, (size_t)size * LS_HOST_SIZE)));
    LS_TRY(ls_comm_gather(comm, mine, LS_HOST_SIZE, all));
    for (int first = 0, end; first < size && ls_comm_rank(comm) == 0; first = end) {
        const char *host = all + (size_t)first * LS_HOST_SIZE;
        for (end = first + 1; end < size && strcmp(host, all + (size_t)end * LS_HOST_SIZE) == 0;
             end++)
            ;
        ls_text_add(&text, "%s%s (%d rank%s)", first ? ", " : "", host, end - first,
                    end - first == 1 ? "" : "s");
    }
    ls_free(all);
    *list = text.data ? text.data : ls_strdup("");
    return ls_comm_agree(comm, *list ? LS_OK : LS_ERR_SYSTEM);
}

static void add(ls_run_notes *notes, const char *name, char *value) {
    if (value)
        notes->notes[notes->count++] = (ls_note){name, value};
}

static char *command_line(const ls_run_args *args) {
    ls_text text = {0};
    for (size_t i = 0; i < args->operands.count; i++)
        ls_text_add(&text, "%s%s", i ? " " : "", args->operands.word[i]);
    for (size_t i = 0; i < args->sets.count; i++)
        ls_text_add(&text, " --set %s", args->sets.word[i]);
    return text.data;
}

ls_status ls_run_notes_make(ls_comm *comm, const ls_run_args *args, ls_run_notes *notes) {
    char now[LS_TIME_TEXT];
    ls_run_notes made = {0};
    char *hosts = NULL;
    LS_TRY(ls_comm_agree(comm, LS_NEW(made.notes, NOTE_LIMIT)));
    LS_TRY(list_hosts(comm, &hosts));
    add(&made, "provenance/mpi", ls_strdup(ls_comm_library()));
    add(&made, "provenance/compute", ls_strdup(ls_compute_library()));
    add(&made, "provenance/isa", ls_strdup(ls_compute_isa()));
    add(&made, "provenance/hosts", hosts);
    add(&made, "provenance/ranks", ls_format("%d", ls_comm_size(comm)));
    add(&made, "provenance/nodes", ls_format("%d", ls_comm_node_count(comm)));
    add(&made, "provenance/arguments", command_line(args));
    add(&made, "provenance/started", ls_strdup(ls_time_text(time(NULL), now)));
    *notes = made;
    return LS_OK;
}

void ls_run_notes_free(ls_run_notes *notes) {
    for (size_t i = 0; i < notes->count; i++)
        ls_free((char *)notes->notes[i].value);
    ls_free(notes->notes);
    *notes = (ls_run_notes){0};
}
