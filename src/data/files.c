/* The files of a split: which ones a path, a pattern or a list means, the same on all ranks. */
#include "data/files.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct expansion {
    char **path;
    size_t count, capacity;
} expansion;

static ls_status add_path(expansion *all, const char *path) {
    LS_TRY(ls_grow(&all->path, all->count, &all->capacity, sizeof *all->path));
    all->path[all->count] = ls_strdup(path);
    return all->path[all->count++] ? LS_OK : LS_ERR_SYSTEM;
}

static int by_name(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* glob itself sorts as the locale says, which may be another one tomorrow. */
static ls_status add_matches(expansion *all, const char *pattern) {
    glob_t found = {0};
    int code = glob(pattern, GLOB_NOSORT, NULL, &found);
    ls_status status = LS_OK;
    if (code == GLOB_NOMATCH)
        status = ls_fail(LS_ERR_INPUT, "no file matches '%s'", pattern);
    else if (code != 0)
        status = ls_fail(LS_ERR_SYSTEM, "cannot look for files like '%s'", pattern);
    if (status == LS_OK)
        qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_name);
    for (size_t i = 0; i < found.gl_pathc && status == LS_OK; i++)
        status = add_path(all, found.gl_pathv[i]);
    globfree(&found);
    return status;
}

/* What is there under the very name is no pattern. */
static ls_status expand_line(expansion *all, const char *line) {
    bool pattern = strpbrk(line, "*?[") && access(line, F_OK) != 0;
    return pattern ? add_matches(all, line) : add_path(all, line);
}

static void free_paths(char **path, size_t count) {
    for (size_t i = 0; i < count; i++)
        ls_free(path[i]);
    ls_free(path);
}

static ls_status check_twice(const expansion *all) {
    char **sorted;
    ls_status status = LS_OK;
    LS_TRY(LS_NEW(sorted, all->count));
    memcpy(sorted, all->path, all->count * sizeof *sorted);
    qsort(sorted, all->count, sizeof *sorted, by_name);
    for (size_t i = 1; i < all->count && status == LS_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = ls_fail(LS_ERR_INPUT, "the file '%s' is named twice", sorted[i]);
    ls_free(sorted);
    return status;
}

static ls_status expand(const char *lines, expansion *all) {
    char *copy = ls_strdup(lines), *rest = copy;
    ls_status status = copy ? LS_OK : LS_ERR_SYSTEM;
    for (char *line; status == LS_OK && (line = strsep(&rest, "\n"));)
        status = expand_line(all, line);
    ls_free(copy);
    return status == LS_OK ? check_twice(all) : status;
}

/* Takes the paths over, also on failure. */
static ls_status make_files(expansion *all, ls_files **files) {
    ls_files *made = NULL;
    ls_status status = LS_NEW(made, 1);
    if (status != LS_OK) {
        free_paths(all->path, all->count);
        return status;
    }
    *made = (ls_files){.count = (int64_t)all->count, .users = 1, .path = all->path};
    made->title = all->count == 1 ? ls_strdup(all->path[0])
                                  : ls_format("%s and %zu more", all->path[0], all->count - 1);
    if (made->title == NULL) {
        ls_files_free(made);
        return LS_ERR_SYSTEM;
    }
    *files = made;
    return LS_OK;
}

ls_status ls_files_list(const char *lines, ls_files **files) {
    expansion all = {0};
    ls_status status = expand(lines, &all);
    if (status == LS_OK)
        return make_files(&all, files);
    free_paths(all.path, all.count);
    return status;
}

/* ---- the same on all ranks ------------------------------------------------------------------ */

static ls_status join_paths(const ls_files *files, ls_text *text) {
    for (int64_t i = 0; i < files->count; i++)
        ls_text_add(text, "%s%s", i ? "\n" : "", files->path[i]);
    return text->failed ? LS_ERR_SYSTEM : LS_OK;
}

static ls_status split_paths(char *rest, ls_files **files) {
    expansion all = {0};
    ls_status status = LS_OK;
    for (char *line; status == LS_OK && (line = strsep(&rest, "\n"));)
        status = add_path(&all, line);
    if (status == LS_OK)
        return make_files(&all, files);
    free_paths(all.path, all.count);
    return status;
}

/* Rank 0 looks, for all: thousands of ranks need not list a folder, nor see it change meanwhile. */
ls_status ls_files_find(ls_comm *comm, const char *lines, ls_files **files) {
    ls_files *found = NULL;
    ls_text text = {0};
    const bool looks = ls_comm_rank(comm) == 0;
    ls_status status = looks ? ls_files_list(lines, &found) : LS_OK;
    if (status == LS_OK && looks)
        status = join_paths(found, &text);
    uint64_t bytes = text.length + 1;
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, ls_comm_broadcast(comm, &bytes, sizeof bytes, 0));
    if (!looks)
        status = LS_NEW(text.data, (size_t)bytes);
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    LS_TRY_GOTO(done, ls_comm_broadcast(comm, text.data, (size_t)bytes, 0));
    if (!looks)
        status = split_paths(text.data, &found);
    LS_TRY_GOTO(done, ls_comm_agree(comm, status));
    *files = found;
    found = NULL;
done:
    ls_files_free(found);
    ls_text_free(&text);
    return status;
}

ls_files *ls_files_keep(ls_files *files) {
    files->users++;
    return files;
}

void ls_files_free(ls_files *files) {
    if (files == NULL || --files->users > 0)
        return;
    free_paths(files->path, (size_t)files->count);
    ls_free(files->title);
    ls_free(files);
}

int64_t ls_files_count(const ls_files *files) {
    return files->count;
}

const char *ls_files_path(const ls_files *files, int64_t index) {
    return files->path[index];
}

const char *ls_files_title(const ls_files *files) {
    return files->title;
}

ls_status ls_files_check_output(const char *lines, const char *output) {
    ls_files *files = NULL;
    if (ls_files_list(lines, &files) != LS_OK) {
        ls_message_set(""); /* it is told when they are read */
        return LS_OK;
    }
    ls_status status = LS_OK;
    for (int64_t i = 0; i < files->count && status == LS_OK; i++)
        status = ls_check_output(output, files->path[i]);
    ls_files_free(files);
    return status;
}
