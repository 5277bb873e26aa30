/* base: threads that share loops. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>

#include "lockstep/threads.h"

enum { MOST = 1000 };

static atomic_int calls[MOST], begun;
static int by[MOST]; /* the thread that took an index */

static void begin(void) {
    atomic_fetch_add(&begun, 1);
}

static void set(int threads) {
    cr_assert_eq(ls_threads_set(threads, begin), LS_OK);
    cr_assert_eq(ls_threads(), threads);
}

static ls_status note(void *context, int64_t index) {
    (void)context;
    atomic_fetch_add(&calls[index], 1);
    by[index] = ls_thread_number();
    return LS_OK;
}

static void expect_once(int64_t count) {
    for (int64_t i = 0; i < MOST; i++) {
        cr_assert_eq(atomic_load(&calls[i]), i < count, "index %d of %d", (int)i, (int)count);
        cr_assert(by[i] >= 0 && by[i] < ls_threads());
        atomic_store(&calls[i], 0);
    }
}

Test(threads, each_index_is_taken_once) {
    for (int threads = 1; threads <= 5; threads++) {
        set(threads);
        for (int64_t count = 0; count <= MOST; count += count < 12 ? 1 : 247) {
            cr_assert_eq(ls_parallel(count, note, NULL), LS_OK);
            expect_once(count);
        }
    }
    set(1); /* the last ones may have had nothing to do yet */
    cr_expect_eq(atomic_load(&begun), 1 + 2 + 3 + 4, "each thread begins");
    cr_expect_eq(ls_thread_number(), 0);
}

/* Far more loops than threads spin for: they wake up too late, in time, and not at all. */
Test(threads, many_loops) {
    int64_t sum = 0;
    set(4);
    for (int i = 0; i < 20000; i++) {
        cr_assert_eq(ls_parallel(3, note, NULL), LS_OK);
        for (int k = 0; k < 3; k++)
            sum += atomic_exchange(&calls[k], 0);
        if (i % 1000 == 0)
            sched_yield();
    }
    cr_expect_eq(sum, 60000);
}

/* Returns only once all of them were here at the same time. */
static ls_status meet(void *context, int64_t index) {
    atomic_int *here = context;
    (void)index;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 3)
        sched_yield();
    return LS_OK;
}

Test(threads, they_run_at_the_same_time) {
    atomic_int here = 0;
    set(3);
    cr_assert_eq(ls_parallel(3, meet, &here), LS_OK);
    cr_expect_eq(atomic_load(&here), 3);
}

static ls_status nest(void *context, int64_t index) {
    (void)context;
    return index == 0 ? ls_parallel(MOST, note, NULL) : LS_OK;
}

Test(threads, a_loop_within_a_loop_stays_on_its_thread) {
    set(3);
    cr_assert_eq(ls_parallel(3, nest, NULL), LS_OK);
    for (int i = 1; i < MOST; i++)
        cr_assert_eq(by[i], by[0]);
    expect_once(MOST);
}

static ls_status fail_some(void *context, int64_t index) {
    (void)context;
    return index % 7 == 5 ? ls_fail(LS_ERR_NUMERIC, "index %d", (int)index) : LS_OK;
}

Test(threads, the_lowest_index_that_failed_speaks) {
    for (int threads = 1; threads <= 4; threads++) {
        set(threads);
        ls_message_set("");
        cr_expect_eq(ls_parallel(MOST, fail_some, NULL), LS_ERR_NUMERIC);
        cr_expect_str_eq(ls_message(), "index 5");
        ls_message_set("");
        cr_expect_eq(ls_parallel(5, fail_some, NULL), LS_OK);
        cr_expect_str_eq(ls_message(), "");
    }
}

Test(threads, parts_cover_a_range) {
    for (int64_t count = 0; count < 40; count++)
        for (int64_t parts = 1; parts < 9; parts++) {
            cr_assert_eq(ls_part_start(count, 0, parts), 0);
            cr_assert_eq(ls_part_start(count, parts, parts), count);
            for (int64_t part = 0; part < parts; part++) {
                int64_t size =
                    ls_part_start(count, part + 1, parts) - ls_part_start(count, part, parts);
                cr_assert(size == count / parts || size == count / parts + 1);
            }
        }
}
