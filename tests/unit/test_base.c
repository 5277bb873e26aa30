/* base: random numbers against published values, hashing, text, nearest words, folders, status. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lockstep/base.h"

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
Test(base, philox_known_answers) {
    const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        ls_philox(cases[i].key, cases[i].counter, out);
        cr_assert_arr_eq(out, cases[i].expected, sizeof out, "case %zu", i);
    }
}

/* Counters that follow each other, past the end of the first word too. */
Test(base, philox_runs_of_counters) {
    enum { COUNT = 37 };
    const uint32_t key[2] = {3, 4};
    uint32_t counter[4] = {UINT32_MAX - 9, 7, 8, 9}, run[4 * COUNT], one[4];
    ls_philox_run(key, counter, COUNT, run);
    for (size_t i = 0; i < COUNT; i++, counter[0]++) {
        ls_philox(key, counter, one);
        cr_assert_arr_eq(run + 4 * i, one, sizeof one, "counter %zu", i);
    }
}

Test(base, streams_differ) {
    uint32_t a[2], b[2], c[2];
    ls_stream_key(1, LS_STREAM_INIT, a);
    ls_stream_key(1, LS_STREAM_DROPOUT, b);
    ls_stream_key(2, LS_STREAM_INIT, c);
    cr_assert_arr_neq(a, b, sizeof a);
    cr_assert_arr_neq(a, c, sizeof a);
}

Test(base, unit_float_range) {
    cr_assert_eq(ls_unit_float(0), 0.0f);
    cr_assert_lt(ls_unit_float(UINT32_MAX), 1.0f);
}

/* XXH3-128 of nothing and of "abc" (xxhsum -H2). */
Test(base, hash_known_answers) {
    ls_hash *hash;
    char text[LS_DIGEST_TEXT];
    cr_assert_eq(ls_hash_create(&hash), LS_OK);
    ls_hash_text(hash, text);
    cr_assert_str_eq(text, "99aa06d3014798d86001c324468d497f");
    ls_hash_add(hash, "a", 1);
    ls_hash_add(hash, "bc", 2);
    ls_hash_text(hash, text);
    cr_assert_str_eq(text, "06b05ab6733a618578af5f94892f3950");
    ls_hash_free(hash);
}

Test(base, first_message_stays) {
    cr_assert_str_eq(ls_message(), "");
    cr_assert_eq(ls_fail(LS_ERR_INPUT, "first %d", 1), LS_ERR_INPUT);
    cr_assert_eq(ls_fail(LS_ERR_SYSTEM, "second"), LS_ERR_SYSTEM);
    cr_assert_str_eq(ls_message(), "first 1");
    ls_message_set("");
    ls_fail(LS_ERR_INPUT, "field '%s'", "a\nb\tc");
    cr_assert_str_eq(ls_message(), "field 'a b c'", "one line whatever the input holds");
    ls_message_set("");
    cr_assert_str_eq(ls_message(), "");
}

Test(base, exit_codes) {
    cr_assert_eq(ls_exit_code(LS_OK), 0);
    cr_assert_eq(ls_exit_code(LS_ERR_SYSTEM), 1);
    cr_assert_eq(ls_exit_code(LS_ERR_INPUT), 2);
    cr_assert_eq(ls_exit_code(LS_ERR_NUMERIC), 3);
    cr_assert_eq(ls_exit_code(LS_ERR_BUG), 4);
    cr_assert_eq(ls_exit_code(LS_STOPPED), 5);
}

Test(base, memory_is_zeroed_and_aligned) {
    for (size_t bytes = 0; bytes < 300; bytes += 7) {
        unsigned char *memory = ls_calloc(bytes, 1);
        cr_assert_eq((uintptr_t)memory % LS_ALIGN, 0);
        for (size_t i = 0; i < bytes; i++)
            cr_assert_eq(memory[i], 0);
        ls_free(memory);
    }
    cr_assert_null(ls_calloc(SIZE_MAX / 2, 4));
    cr_assert_neq(strstr(ls_message(), "out of memory"), NULL);
}

Test(base, text_grows) {
    ls_text text = {0};
    for (int i = 0; i < 1000; i++)
        ls_text_add(&text, "%d,", i);
    cr_assert_not(text.failed);
    cr_assert_eq(text.length, 10 * 2 + 90 * 3 + 900 * 4);
    cr_assert_eq(strlen(text.data), text.length);
    cr_assert_str_eq(text.data + text.length - 8, "998,999,");
    ls_text_free(&text);
    cr_assert_null(text.data);
}

Test(base, nearest_word) {
    const char *const words[] = {"batch.size", "batch.slices", "find_lr.start", "exchange"};
    cr_assert_str_eq(ls_nearest("batch.sise", words, 4), "batch.size");
    cr_assert_str_eq(ls_nearest("batch.slice", words, 4), "batch.slices");
    cr_assert_str_eq(ls_nearest("exchnage", words, 4), "exchange");
    cr_assert_null(ls_nearest("optimizer", words, 4));
    cr_assert_null(ls_nearest("x", words, 0));
}

Test(base, folders) {
    char top[] = "/tmp/ls-base-XXXXXX", path[256];
    cr_assert_not_null(mkdtemp(top));
    snprintf(path, sizeof path, "%s/a/b/c", top);
    cr_assert_eq(ls_make_folder(path), LS_OK);
    cr_assert_eq(ls_make_folder(path), LS_OK, "again");
    cr_assert_eq(rmdir(path), 0);
    FILE *file = fopen(path, "w");
    fclose(file);
    strcat(path, "/d");
    cr_assert_eq(ls_make_folder(path), LS_ERR_INPUT, "below a file");
    cr_assert_neq(strstr(ls_message(), "/a/b/c"), NULL);
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", top);
    cr_assert_eq(system(command), 0);
}

/* ---- signals -------------------------------------------------------------------------------- */

static volatile uintptr_t handler_frame;

static void note_frame(int number) {
    (void)number;
    handler_frame = (uintptr_t)__builtin_frame_address(0);
}

/* Products of oneDNN point the stack register at their buffers: a handler that ran below it
 * overwrote the heap, and training ended in a crash in place of a checkpoint. */
Test(base, a_signal_is_handled_on_a_stack_of_its_own) {
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    cr_assert_eq(pthread_getattr_np(pthread_self(), &attributes), 0);
    cr_assert_eq(pthread_attr_getstack(&attributes, &stack, &size), 0);
    cr_assert_eq(pthread_attr_destroy(&attributes), 0);
    cr_assert_eq(ls_signal_catch(SIGUSR1, 0, note_frame), LS_OK);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_neq(handler_frame, 0, "not called");
    cr_expect(handler_frame < (uintptr_t)stack || handler_frame >= (uintptr_t)stack + size);
}

Test(base, a_second_signal_ends_the_process, .signal = SIGUSR1) {
    cr_assert_eq(ls_signal_catch(SIGUSR1, 0, note_frame), LS_OK);
    raise(SIGUSR1);
    raise(SIGUSR1);
}

Test(base, a_repeated_signal_is_ignored_for_a_while) {
    cr_assert_eq(ls_signal_catch(SIGUSR1, 1000, note_frame), LS_OK);
    raise(SIGUSR1);
    handler_frame = 0;
    raise(SIGUSR1);
    cr_expect_eq(handler_frame, 0, "called twice");
}

Test(base, a_signal_that_nobody_can_catch) {
    cr_expect_eq(ls_signal_catch(SIGKILL, 0, note_frame), LS_ERR_SYSTEM);
    cr_expect_not_null(strstr(ls_message(), "signal 9"));
}

Test(base, texts_are_made_harmless) {
    static const char *const cases[][2] = {
        {"plain, with\ttab\nand line", "plain, with\ttab\nand line"},
        {"\x1b[2Jcleared\rback\b\x7f", "?[2Jcleared?back??"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m \xff \xc3",
         "??31m ? ?"},
        {"\xe2\x80\xae"
         "txt.exe",
         "???txt.exe"},
        {"\xc0\xaf \xed\xa0\x80", "?? ???"}, /* overlong; a surrogate */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        ls_make_harmless(text);
        cr_expect_str_eq(text, cases[i][1], "case %zu: %s", i, text);
    }
}
