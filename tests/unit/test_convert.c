/* Conversion as a whole: recognised formats, folders, the command, and that a failure leaves
 * nothing. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "data/formats.h"
#include "unit/test_convert.h"

TestSuite(convert, .init = convert_enter, .fini = convert_leave);

/* Runs the command with these words. */
static ls_status convert_words(int count, const char *const *words) {
    void *args = ls_calloc(1, ls_command_convert.args_size);
    ls_status status = ls_command_parse(&ls_command_convert, count, (char **)words, args);
    if (status == LS_OK)
        status = ls_command_convert.run(NULL, args);
    ls_command_args_free(&ls_command_convert, args);
    ls_free(args);
    return status;
}
#define CONVERT(...)                                                                               \
    convert_words(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                          \
                  (const char *[]){__VA_ARGS__})

static const char pixels[240];
#define LABELS "\0\1\2\1\0\1\2\1\0\2"

static void write_mnist(const char *prefix, int samples) {
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte.gz", prefix);
    write_idx(name, 0x08, 3, (int[]){samples, 4, 6}, pixels, (size_t)samples * 24);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    write_idx(name, 0x08, 1, &samples, LABELS, (size_t)samples);
}

static void check_names(const char *path, size_t count, const char *const *expected) {
    char **names;
    size_t got;
    cr_assert_eq(ls_class_names_read(path, &names, &got), LS_OK);
    cr_assert_eq(got, count);
    for (size_t i = 0; i < got; i++) {
        cr_assert_str_eq(names[i], expected[i]);
        ls_free(names[i]);
    }
    ls_free(names);
}

Test(convert, formats_are_recognised) {
    static char records[6200];
    ls_file_format format;
    write_mnist("train", 10);
    cr_assert_eq(ls_file_format_find(NULL, "train-images-idx3-ubyte.gz", &format), LS_OK);
    cr_assert_eq(format, LS_FORMAT_IDX);
    write_npy("a", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", pixels, 4);
    cr_assert_eq(ls_file_format_find("auto", "a", &format), LS_OK);
    cr_assert_eq(format, LS_FORMAT_NPY);
    write_text("b", "x,y\n1,2\n");
    cr_assert_eq(ls_file_format_find("auto", "b", &format), LS_OK);
    cr_assert_eq(format, LS_FORMAT_CSV);
    write_file("c.bin", records, 2 * 3073);
    cr_assert_eq(ls_file_format_find("auto", "c.bin", &format), LS_OK);
    cr_assert_eq(format, LS_FORMAT_CIFAR10);
    write_file("d.bin", records, 2 * 3074);
    cr_assert_eq(ls_file_format_find("auto", "d.bin", &format), LS_OK);
    cr_assert_eq(format, LS_FORMAT_CIFAR100);
    write_file("e", "\x89HDF\r\n\x1a\n", 8);
    REFUSED(ls_file_format_find("auto", "e", &format), "none of the known formats", "NPY");
    REFUSED(ls_file_format_find("cifar-10", "e", &format), "'cifar-10'", "nearest: cifar10");
}

Test(convert, folder_of_mnist) {
    static const char *const names[] = {"zero", "one", "two"};
    write_mnist("train", 10);
    write_mnist("t10k", 3);
    cr_assert_eq(CONVERT(".", "-o", "a.h5", "--class-names", "zero,one", "--class-names", "two"),
                 LS_OK, "%s", ls_message());
    check_names("a.h5", 3, names);
    ls_text text = {0};
    cr_assert_eq(ls_file_describe("a.h5", &text), LS_OK);
    cr_assert_not_null(strstr(text.data, "(10, 1, 4, 6)"), "%s", text.data);
    cr_assert_not_null(strstr(text.data, "(3, 1, 4, 6)"));
    ls_text_free(&text);
    cr_assert_eq(unlink("t10k-labels-idx1-ubyte"), 0);
    REFUSED(CONVERT(".", "-o", "b.h5"), "not t10k-labels-idx1-ubyte");
    cr_assert_eq(unlink("t10k-images-idx3-ubyte.gz"), 0);
    cr_assert_eq(CONVERT(".", "-o", "b.h5"), LS_OK); /* no test split */
    check_names("b.h5", 0, NULL);
    cr_assert_eq(unlink("train-labels-idx1-ubyte"), 0);
    REFUSED(CONVERT(".", "-o", "c.h5"), "not train-labels-idx1-ubyte");
    cr_assert_eq(unlink("train-images-idx3-ubyte.gz"), 0);
    REFUSED(CONVERT(".", "-o", "c.h5"), "no known dataset", "train-images-idx3-ubyte");
    REFUSED(CONVERT("absent", "-o", "c.h5"), "absent: No such file");
    REFUSED(CONVERT("a.h5", "-o", "c.h5"), "not a folder", "--train-inputs");
    cr_assert_eq(count_files(), 2);
}

Test(convert, folder_of_cifar) {
    static char records[2 * 3074] = {0};
    static const char *const colours[] = {"red", "green", "blue"};
    for (int batch = 1; batch <= 5; batch++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", batch);
        write_file(name, records, 3073);
    }
    REFUSED(CONVERT(".", "-o", "a.h5", "--class-names", "a,b", "--class-name-file", "x"), "twice");
    cr_assert_eq(CONVERT(".", "-o", "a.h5"), LS_OK, "%s", ls_message());
    check_names("a.h5", 10, ls_cifar10_names);
    cr_assert_eq(unlink("data_batch_3.bin"), 0);
    REFUSED(CONVERT(".", "-o", "b.h5"), "not data_batch_3.bin");
    cr_assert_eq(mkdir("hundred", 0777), 0);
    records[1] = 2;
    write_file("hundred/train.bin", records, 2 * 3074);
    write_file("hundred/test.bin", records, 3074);
    write_text("hundred/fine_label_names.txt", "\xEF\xBB\xBFred\ngreen\r\nblue\n\n");
    cr_assert_eq(CONVERT("hundred", "-o", "c.h5"), LS_OK, "%s", ls_message());
    check_names("c.h5", 3, colours);
}

/* What a table with words and whole prices makes the command say. */
Test(convert, table_of_words) {
    char text[1024] = "";
    write_text("prices.csv", "cut,carat,price\nGood,0.3,326\nIdeal,0.2,327\nFair,0.2,400\n");
    cr_redirect_stdout();
    cr_redirect_stderr();
    ls_log_to(ls_show_message, NULL);
    cr_assert_eq(CONVERT("--train-inputs", "prices.csv", "-o", "a.h5"), LS_OK, "%s", ls_message());
    fflush(stdout);
    cr_assert_gt(fread(text, 1, sizeof text - 1, cr_get_redirected_stdout()), 0);
    cr_assert(strstr(text, "(3, 4)") && strstr(text, "words, 3 inputs: Fair, Good, Ideal"), "%s",
              text);
    fflush(stderr);
    cr_assert_gt(fread(text, 1, sizeof text - 1, cr_get_redirected_stderr()), 0);
    cr_assert(strstr(text, "up to 400 in 3 rows, are taken as classes; --regression"), "%s", text);
}

Test(convert, wrong_options) {
    write_mnist("train", 10);
    REFUSED(CONVERT("."), "-o FILE");
    REFUSED(CONVERT("-o", "a.h5"), "no training files");
    REFUSED(CONVERT(".", "-o", "a.h5", "--train-inputs", "x"), "one of both");
    REFUSED(CONVERT(".", "-o", "a.h5", "--shape", "1,x"), "--shape 1,x", "3,32,32");
    REFUSED(CONVERT(".", "-o", "a.h5", "--shape", "1,2,3,4,5"), "1 to 4 numbers");
    REFUSED(CONVERT(".", "-o", "a.h5", "--shape", "3,28"), "24 values", "84");
    REFUSED(CONVERT(".", "-o", "a.h5", "--class-names", "a,,b"), "empty name");
    REFUSED(CONVERT(".", "-o", "a.h5", "--class-names", "a,b,a"), "'a' is given twice");
    REFUSED(CONVERT(".", "-o", "a.h5", "--class-names", "a,b"), "2 class names for 3 classes");
    REFUSED(CONVERT(".", "-o", "a.h5", "--regression"), "CSV files only");
    REFUSED(CONVERT(".", "-o", "a.h5", "--layout", "channels_last"), "NPY files only");
    REFUSED(CONVERT(".", "-o", "a.h5", "--layout", "last"), "channels_first or channels_last");
    REFUSED(CONVERT(".", "-o", "a.h5", "--format", "idy"), "'idy'", "nearest: idx");
    REFUSED(CONVERT("--train-inputs", "train-images-idx3-ubyte.gz", "-o", "a.h5"),
            "no file with its targets");
    REFUSED(CONVERT(".", "-o", "absent/a.h5"), "absent");
    cr_assert_eq(count_files(), 2);
}

/* The channels of images are written first, piece by piece. */
Test(convert, channels_last) {
    enum { SAMPLES = 3, PIXELS = 6, CHANNELS = 2, VALUES = SAMPLES * PIXELS * CHANNELS };
    int16_t values[VALUES], read[VALUES];
    ls_array *array;
    for (int i = 0; i < VALUES; i++)
        values[i] = (int16_t)(i * 37);
    write_npy("x.npy", 1, "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 2, 3, 2), }",
              values, sizeof values);
    write_npy("y.npy", 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", LABELS, 3);
    cr_redirect_stdout();
    cr_assert_eq(CONVERT("--train-inputs", "x.npy", "--train-targets", "y.npy", "--layout",
                         "channels_last", "-o", "a.h5"),
                 LS_OK, "%s", ls_message());
    cr_assert_eq(ls_array_open(NULL, "a.h5", "train/inputs", &array), LS_OK);
    cr_assert_arr_eq(ls_array_describe(array)->shape, ((int64_t[]){3, 2, 2, 3}),
                     4 * sizeof(int64_t));
    cr_assert_eq(ls_array_read(array, 0, SAMPLES, read), LS_OK);
    ls_array_close(array);
    for (int n = 0; n < SAMPLES; n++)
        for (int c = 0; c < CHANNELS; c++)
            for (int i = 0; i < PIXELS; i++)
                cr_assert_eq(read[(n * CHANNELS + c) * PIXELS + i],
                             values[(n * PIXELS + i) * CHANNELS + c]);
    REFUSED(CONVERT("--train-inputs", "x.npy", "--train-targets", "y.npy", "--layout",
                    "channels_last", "--shape", "2,2,3", "-o", "b.h5"),
            "--shape and --layout", "one of both");
}

Test(convert, wrong_files_leave_nothing) {
    const float bad[] = {1, 2, 3, 0.0f / 0.0f};
    write_mnist("train", 10);
    write_idx("few", 0x08, 1, (int[]){9}, LABELS, 9);
    write_idx("negative", 0x09, 1, (int[]){10}, "\0\1\2\3\4\xff\6\7\0\1", 10);
    write_idx("cut.gz", 0x08, 3, (int[]){10, 4, 6}, pixels, 239);
    write_npy("nan.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", bad,
              16);
    write_npy("two.npy", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 1), }\n", pixels,
              16);
    write_npy("hot.npy", 1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }\n", pixels,
              16);
    write_text("a.csv", "1,2,0\n");
    const char *images = "train-images-idx3-ubyte.gz", *classes = "train-labels-idx1-ubyte";
    const int before = count_files();
#define FILES(inputs, targets)                                                                     \
    CONVERT("--train-inputs", inputs, "--train-targets", targets, "-o", "out.h5")
    REFUSED(FILES(images, "few"), "has 10 samples", "few has 9 targets");
    REFUSED(FILES(images, "negative"), "negative: sample 5 has class -1");
    REFUSED(FILES("cut.gz", classes), "cut.gz: ends after 255 bytes");
    REFUSED(FILES("nan.npy", "two.npy"), "nan.npy: sample 1", "nan");
    REFUSED(FILES("two.npy", "hot.npy"), "hot.npy: int32 of shape (2, 2)", "class numbers");
    REFUSED(FILES("a.csv", classes), "not needed", "csv");
    REFUSED(FILES(images, "a.csv"), "a.csv: not an IDX file");
    REFUSED(FILES("absent", classes), "absent: No such file");
    REFUSED(CONVERT("--train-inputs", images, "--train-inputs", classes, "--train-targets", classes,
                    "-o", "out.h5"),
            "train-labels-idx1-ubyte: uint8 (10); expected uint8 (10, 1, 4, 6)");
    REFUSED(CONVERT("--train-inputs", images, "--train-targets", classes, "--test-inputs", classes,
                    "--test-targets", classes, "-o", "out.h5"),
            "test samples of another shape");
    cr_assert_eq(count_files(), before);
}
