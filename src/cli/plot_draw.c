/* Runs gnuplot on a script.  Script, messages and text travel through memory files: no pipe to fill
 * or break, nothing left behind. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/plot.h"

extern char **environ;

static ls_status memory_file(int *fd) {
    *fd = memfd_create("lockstep", MFD_CLOEXEC);
    if (*fd < 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot make a memory file: %s", strerror(errno));
    return LS_OK;
}

static ls_status write_all(int fd, const char *data, size_t bytes, const char *what) {
    while (bytes > 0) {
        ssize_t written = write(fd, data, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ls_fail(LS_ERR_SYSTEM, "cannot write %s: %s", what, strerror(errno));
        data += written;
        bytes -= (size_t)written;
    }
    return LS_OK;
}

/* What a memory file holds, as text. */
static ls_status read_all(int fd, ls_text *text) {
    char part[4096];
    ssize_t got;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot read from gnuplot: %s", strerror(errno));
    while ((got = read(fd, part, sizeof part)) > 0)
        ls_text_add(text, "%.*s", (int)got, part);
    return got < 0 || text->failed ? LS_ERR_SYSTEM : LS_OK;
}

/* Starts gnuplot with its standard files and waits for it. */
static ls_status start_and_wait(int in, int out, int err, int *state) {
    char name[] = "gnuplot", defaults[] = "-d"; /* -d: none of the user's settings */
    char *arguments[] = {name, defaults, NULL};
    posix_spawn_file_actions_t actions;
    pid_t process;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    int error = posix_spawnp(&process, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT)
        return ls_fail(LS_ERR_INPUT, "plot needs gnuplot, which is not installed or not in PATH "
                                     "(Debian: gnuplot-nox)");
    if (error != 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot start gnuplot: %s", strerror(error));
    while (waitpid(process, state, 0) < 0)
        if (errno != EINTR)
            return ls_fail(LS_ERR_SYSTEM, "cannot wait for gnuplot: %s", strerror(errno));
    return LS_OK;
}

/* gnuplot's own words, on one line. */
static ls_status complain(int err) {
    ls_text text = {0};
    ls_status status = read_all(err, &text);
    if (status == LS_OK) {
        for (char *c = text.data; c && *c; c++)
            if (*c == '\n')
                *c = ' ';
        status = ls_fail(LS_ERR_SYSTEM, "gnuplot failed: %.300s", text.data ? text.data : "");
    }
    ls_text_free(&text);
    return status;
}

/* Draws `script` into the open file `out`. */
static ls_status draw(const ls_text *script, int out) {
    int in = -1, err = -1, state = 0;
    ls_status status = script->failed ? LS_ERR_SYSTEM : LS_OK;
    if (status == LS_OK)
        status = memory_file(&in);
    if (status == LS_OK)
        status = memory_file(&err);
    if (status == LS_OK)
        status = write_all(in, script->data, script->length, "a script for gnuplot");
    if (status == LS_OK && lseek(in, 0, SEEK_SET) < 0)
        status = ls_fail(LS_ERR_SYSTEM, "cannot rewind a memory file: %s", strerror(errno));
    if (status == LS_OK)
        status = start_and_wait(in, out, err, &state);
    if (status == LS_OK && !(WIFEXITED(state) && WEXITSTATUS(state) == 0))
        status = complain(err);
    if (in >= 0)
        close(in);
    if (err >= 0)
        close(err);
    return status;
}

/* ---- into a file ---------------------------------------------------------------------------- */

ls_status ls_plot_format_of(const char *path, ls_plot_format *format) {
    static const char *const endings[] = {
        [LS_PLOT_PNG] = ".png", [LS_PLOT_SVG] = ".svg", [LS_PLOT_PDF] = ".pdf"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(path + length - ending, endings[i]) == 0) {
            *format = (ls_plot_format)i;
            return LS_OK;
        }
    }
    return ls_fail(LS_ERR_INPUT, "plot: '%s' should end in .svg, .png or .pdf", path);
}

/* From the memory file.  gnuplot does not say when it could not write all: there nothing gets in
 * its way.  An empty result means that it does not have the format: it says so and exits with 0. */
static ls_status copy_picture(int from, ls_text_file *file, const char *path) {
    char part[1 << 16];
    ssize_t got;
    if (lseek(from, 0, SEEK_END) == 0)
        return ls_fail(LS_ERR_SYSTEM, "gnuplot drew nothing into '%s': does it know this format?",
                       path);
    if (lseek(from, 0, SEEK_SET) < 0)
        return ls_fail(LS_ERR_SYSTEM, "cannot read from gnuplot: %s", strerror(errno));
    while ((got = read(from, part, sizeof part)) > 0)
        LS_TRY(ls_text_file_add(file, part, (size_t)got));
    return got < 0 ? ls_fail(LS_ERR_SYSTEM, "cannot read from gnuplot: %s", strerror(errno))
                   : ls_text_file_finish(file);
}

static ls_status draw_into(ls_text_file *file, const ls_text *script, const char *path) {
    int out;
    LS_TRY(memory_file(&out));
    ls_status status = draw(script, out);
    if (status == LS_OK)
        status = copy_picture(out, file, path);
    close(out);
    return status;
}

/* The script is freed. */
static ls_status write_file(ls_text *script, const char *path) {
    ls_text_file *file;
    ls_status status = ls_text_file_create(path, &file);
    if (status == LS_OK) {
        status = draw_into(file, script, path);
        ls_text_file_free(file);
    }
    ls_text_free(script);
    return status;
}

ls_status ls_plot_write(const ls_plot *plot, const char *path) {
    ls_text script = {0};
    ls_plot_format format;
    LS_TRY(ls_plot_format_of(path, &format));
    ls_plot_script(plot, format, &script);
    return write_file(&script, path);
}

ls_status ls_plot_stack_write(const ls_plot_stack *stack, const char *path) {
    ls_text script = {0};
    ls_plot_format format;
    LS_TRY(ls_plot_format_of(path, &format));
    ls_plot_stack_script(stack, format, &script);
    return write_file(&script, path);
}

/* ---- as text -------------------------------------------------------------------------------- */

static void terminal_size(int *columns, int *rows) {
    struct winsize size;
    *columns = 100;
    *rows = 28;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    if (size.ws_col >= 40)
        *columns = size.ws_col < 160 ? size.ws_col : 160;
    if (size.ws_row >= 24)
        *rows = size.ws_row - 10 < 40 ? size.ws_row - 10 : 40; /* leaves room for the list below */
}

ls_status ls_plot_show(const ls_plot *plot) {
    ls_text script = {0}, text = {0};
    int out, columns, rows;
    LS_TRY(memory_file(&out));
    terminal_size(&columns, &rows);
    ls_plot_text_script(plot, columns, rows, &script);
    ls_status status = draw(&script, out);
    if (status == LS_OK)
        status = read_all(out, &text);
    if (status == LS_OK)
        ls_print("%s", text.data ? text.data : "");
    ls_text_free(&text);
    ls_text_free(&script);
    close(out);
    return status;
}
