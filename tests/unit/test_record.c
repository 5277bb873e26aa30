/* base: the recorder of events, JSON values, text files that appear whole, and what the system
 * tells of this process. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lockstep/record.h"

/* ---- the recorder --------------------------------------------------------------------------- */

Test(record, keeps_events_in_order) {
    enum { MANY = 1000 };
    ls_recorder recorder = {0};
    for (int i = 0; i < MANY; i++) {
        double start = ls_record_start(&recorder);
        cr_assert_gt(start, 0);
        ls_record_end(&recorder, i % 2 ? LS_EVENT_FORWARD : LS_EVENT_BUCKET, i, start);
    }
    cr_assert_eq(recorder.count, MANY);
    cr_assert_not(recorder.failed);
    for (int i = 0; i < MANY; i++) {
        const ls_event *event = &recorder.events[i];
        cr_assert_eq(event->kind, i % 2 ? LS_EVENT_FORWARD : LS_EVENT_BUCKET);
        cr_assert_eq(event->index, i);
        cr_assert_geq(event->end, event->start);
        cr_assert(i == 0 || event->start >= event[-1].end);
    }
    ls_recorder_free(&recorder);
    cr_assert_eq(recorder.count, 0);
}

Test(record, nobody_asks) {
    cr_assert_eq(ls_record_start(NULL), 0);
    ls_record_end(NULL, LS_EVENT_STEP, 1, 0);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

Test(json, strings) {
    ls_text text = {0};
    ls_json_string(&text, "");
    ls_json_string(&text, "a/b \"c\" \\ \n\x01 \xc3\xa4");
    cr_assert_str_eq(text.data, "\"\"\"a/b \\\"c\\\" \\\\ \\u000a\\u0001 \xc3\xa4\"");
    ls_text_free(&text);
}

Test(json, numbers) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-1.5, "-1.5"},
                 {1e-7, "1e-07"},
                 {2147483648.0, "2.14748365e+09"},
                 {123456, "123456"},
                 {(double)NAN, "null"},
                 {(double)INFINITY, "null"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_text text = {0};
        ls_json_number(&text, cases[i].value);
        cr_expect_str_eq(text.data, cases[i].text);
        ls_text_free(&text);
    }
}

/* ---- text files ----------------------------------------------------------------------------- */

static char folder[] = "/tmp/ls-text-file-XXXXXX", path[64];

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.json", folder);
}

/* Fails where a file was left behind. */
static void remove_folder(void) {
    unlink(path);
    cr_expect_eq(rmdir(folder), 0, "something is left in %s", folder);
}

static void expect_content(const char *expected) {
    char content[64] = "";
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    fclose(file);
    cr_expect_str_eq(content, expected);
}

static void write_old(void) {
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("old", file);
    fclose(file);
}

Test(text_file, appears_when_finished, .init = make_folder, .fini = remove_folder) {
    ls_text_file *file;
    struct stat about;
    umask(027);
    write_old();
    cr_assert_eq(ls_text_file_create(path, &file), LS_OK);
    cr_assert_eq(ls_text_file_add(file, "ne", 2), LS_OK);
    cr_assert_eq(ls_text_file_add(file, "w", 1), LS_OK);
    expect_content("old");
    cr_assert_eq(ls_text_file_finish(file), LS_OK);
    ls_text_file_free(file);
    expect_content("new");
    cr_assert_eq(stat(path, &about), 0);
    cr_expect_eq(about.st_mode & 0777, 0640);
}

Test(text_file, leaves_nothing_unfinished, .init = make_folder, .fini = remove_folder) {
    ls_text_file *file;
    cr_assert_eq(ls_text_file_create(path, &file), LS_OK);
    cr_assert_eq(ls_text_file_add(file, "new", 3), LS_OK);
    ls_text_file_free(file);
    cr_expect_neq(access(path, F_OK), 0);
}

Test(text_file, cannot_be_made) {
    ls_text_file *file = NULL;
    cr_assert_eq(ls_text_file_create("/nowhere/a.json", &file), LS_ERR_INPUT);
    cr_expect_null(file);
    cr_expect_not_null(strstr(ls_message(), "/nowhere/a.json"), "%s", ls_message());
}

Test(text_file, device_stays_one) {
    ls_text_file *file;
    struct stat about;
    cr_assert_eq(ls_text_file_create("/dev/null", &file), LS_OK);
    cr_assert_eq(ls_text_file_add(file, "new", 3), LS_OK);
    cr_assert_eq(ls_text_file_finish(file), LS_OK);
    ls_text_file_free(file);
    cr_assert_eq(stat("/dev/null", &about), 0);
    cr_expect(S_ISCHR(about.st_mode));
}

Test(text_file, full_disk_is_said) {
    ls_text_file *file;
    if (access("/dev/full", W_OK) != 0) /* Linux has it */
        return;
    cr_assert_eq(ls_text_file_create("/dev/full", &file), LS_OK);
    cr_assert_eq(ls_text_file_add(file, "new", 3), LS_OK); /* in the stream's buffer */
    cr_expect_eq(ls_text_file_finish(file), LS_ERR_SYSTEM);
    cr_expect_not_null(strstr(ls_message(), "/dev/full"), "%s", ls_message());
    ls_text_file_free(file);
}

/* ---- this process --------------------------------------------------------------------------- */

Test(process, age_grows) {
    double age = ls_process_age();
    cr_assert_geq(age, -0.02); /* told in ticks of 0.01 s */
    usleep(50000);
    cr_expect_geq(ls_process_age(), age + 0.05 - 1e-6);
}

Test(process, processor_time) {
    double before = ls_process_cpu_seconds(), start = ls_seconds();
    volatile unsigned work = 0;
    for (unsigned i = 0; i < 20000000; i++)
        work = work + i;
    double used = ls_process_cpu_seconds() - before, passed = ls_seconds() - start;
    cr_expect_gt(used, 0);
    cr_expect_leq(used, passed + 0.02); /* one thread */
}

Test(process, memory) {
    enum { MORE = 64 << 20 };
    ls_process_memory before = ls_process_memory_now();
    cr_assert_gt(before.proportional, 0);
    cr_assert_leq(before.proportional, before.peak_resident);
    void *block = mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(block, MAP_FAILED);
    memset(block, 1, MORE);
    ls_process_memory with = ls_process_memory_now();
    munmap(block, MORE);
    ls_process_memory after = ls_process_memory_now();
    cr_expect_geq(with.proportional, before.proportional + MORE / 2);
    cr_expect_geq(after.peak_resident, MORE, "the peak stays");
    cr_expect_leq(after.proportional, with.proportional - MORE / 2);
}
