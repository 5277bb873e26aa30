/* What the tests of checkpoints share: a small checkpoint whose values follow from its step. */
#ifndef LOCKSTEP_TESTS_UNIT_TEST_IO_CHECKPOINT_H
#define LOCKSTEP_TESTS_UNIT_TEST_IO_CHECKPOINT_H

#include "lockstep/checkpoint.h"
#include "test_io.h"

#define OK(call) cr_assert_eq((call), LS_OK, "%s", ls_message())

/* Writes a checkpoint of that step; no assertion: children use it too. */
ls_status checkpoint_write(const char *path, int64_t step);
/* The same, which must work, as "checkpoint-STEP.h5" in the test's folder; its path. */
const char *checkpoint_make(int64_t step);
/* Checks every value; the step. */
int64_t checkpoint_check(const ls_checkpoint_reader *reader);
/* Writes a file's whole content. */
void checkpoint_store(const char *path, const void *content, size_t bytes);

#endif
