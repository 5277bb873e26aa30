/* unit tests: what run files of scaling studies are made of. */
#ifndef LOCKSTEP_TESTS_UNIT_TEST_SCALE_FILE_H
#define LOCKSTEP_TESTS_UNIT_TEST_SCALE_FILE_H

#include "train/scale_file.h"

enum { SCALE_STEPS = 40 }; /* of a repeat */

ls_config *scale_config(void);
/* The second of a size is a tenth slower. */
ls_scale_row scale_row(ls_scale_mode mode, int ranks, int repeat);

#endif
