/* system tests: data as people have it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "system/command.h"

/* Columns that float32 would round away become float64; all others stay float32. */
Test(data, csv_of_double_precision, .fini = workspace_remove) {
    const char *csv = write_file("a.csv", "time,x,y\n1700000000000,1,-291230.025\n"
                                          "1700000000010,2,-291229.975\n"
                                          "1700000000005,9,-291230.0125\n");
    const char *said =
        run_well("%s convert --train-inputs %s -o %s/a.h5", program(), csv, workspace());
    cr_expect_not_null(strstr(said, "train/inputs   float64"), "%s", said);
    cr_expect_not_null(strstr(said, "train/targets  float64"), "%s", said);
    const char *value = h5_number("-d /train/targets -s 2 -c 1", text("%s/a.h5", workspace()));
    cr_expect_eq(atof(value), -291230.0125, "%s", value);
    csv = write_file("b.csv", "x,y\n1000000,326.5\n1000300,18823\n16777217,400\n");
    said = run_well("%s convert --train-inputs %s -o %s/b.h5", program(), csv, workspace());
    cr_expect_null(strstr(said, "float64"), "%s", said);
}
