/* CSV: separators, quotes, headers, targets, and what is refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "data/csv.h"
#include "unit/test_convert.h"

TestSuite(csv, .init = convert_enter, .fini = convert_leave);

static ls_csv_names names;
static ls_csv_table table;

static ls_status read_as(const char *text, const char *target, ls_csv_kind kind) {
    const char *path = "a.csv";
    ls_csv_table_free(&table);
    write_text(path, text);
    return ls_csv_read(&path, 1, target, kind, &names, &table);
}

static ls_status read_csv(const char *text, const char *target) {
    ls_csv_names_free(&names);
    return read_as(text, target, LS_CSV_ANY);
}

static void check_table(int line, ls_csv_kind kind, size_t rows, size_t columns,
                        const float *inputs, const double *targets) {
    cr_assert_eq(table.kind, kind, "line %d: kind %d", line, table.kind);
    cr_assert(table.rows == rows && table.columns == columns, "line %d: %zu rows of %zu", line,
              table.rows, table.columns);
    for (size_t i = 0; i < rows * columns; i++)
        cr_assert_eq(table.inputs[i], inputs[i], "line %d: input %zu", line, i);
    for (size_t i = 0; i < rows; i++)
        cr_assert_eq(table.targets[i], targets[i], "line %d: target %zu", line, i);
}
#define TABLE(...) check_table(__LINE__, __VA_ARGS__)

Test(csv, plain_numbers) {
    cr_assert_eq(read_csv("1,2.5,0\n-3,4e2,1\n", NULL), LS_OK);
    TABLE(LS_CSV_CLASSES, 2, 2, (float[]){1, 2.5f, -3, 400}, (double[]){0, 1});
    cr_assert_eq(read_csv("1,2.5,0\n-3,4e2,1.5", NULL), LS_OK); /* no line end */
    TABLE(LS_CSV_NUMBERS, 2, 2, (float[]){1, 2.5f, -3, 400}, (double[]){0, 1.5});
    cr_assert_eq(read_csv("1,2,0\n3,4,1\n", "0"), LS_OK);
    TABLE(LS_CSV_CLASSES, 2, 2, (float[]){2, 0, 4, 1}, (double[]){1, 3});
    ls_csv_names_free(&names);
    cr_assert_eq(read_as("1,2,-7\n3,4,1\n", NULL, LS_CSV_NUMBERS), LS_OK);
    TABLE(LS_CSV_NUMBERS, 2, 2, (float[]){1, 2, 3, 4}, (double[]){-7, 1});
}

Test(csv, headers) {
    cr_assert_eq(read_csv("a,b,y\n1,2,0\n", "a"), LS_OK);
    TABLE(LS_CSV_CLASSES, 1, 2, (float[]){2, 0}, (double[]){1});
    cr_assert_eq(read_csv("a,b,y\n1,2,red\n", NULL), LS_OK);
    TABLE(LS_CSV_LABELS, 1, 2, (float[]){1, 2}, (double[]){0});
    cr_assert_eq(read_csv("y,0,1\n5,1,2\n", "y"), LS_OK); /* names that are numbers */
    TABLE(LS_CSV_CLASSES, 1, 2, (float[]){1, 2}, (double[]){5});
    cr_assert_eq(read_csv("y,0,1\n5,1,2\n", "0"), LS_OK);
    TABLE(LS_CSV_CLASSES, 1, 2, (float[]){1, 2}, (double[]){5});
    cr_assert_eq(read_csv("a,b,2020\n1,2,0\n", NULL), LS_OK);
    TABLE(LS_CSV_CLASSES, 1, 2, (float[]){1, 2}, (double[]){0});
    cr_assert_eq(read_csv("red,1\nblue,0\n", NULL), LS_OK); /* no header, all inputs words */
    TABLE(LS_CSV_CLASSES, 2, 2, (float[]){0, 1, 1, 0}, (double[]){1, 0});
    cr_assert_eq(read_csv("colour,y\nblue,0\nred,1\n", NULL), LS_OK);
    TABLE(LS_CSV_CLASSES, 2, 2, (float[]){1, 0, 0, 1}, (double[]){0, 1});
    cr_assert_eq(read_csv("1,2,red\n3,4,blue\n", NULL), LS_OK); /* no header */
    TABLE(LS_CSV_LABELS, 2, 2, (float[]){1, 2, 3, 4}, (double[]){1, 0});
    REFUSED(read_csv("width,height,y\n1,2,0\n", "widht"), "a.csv:1", "'widht'", "width");
    REFUSED(read_csv("1,2,0\n", "3"), "no column 3", "0 to 2");
    REFUSED(read_csv("a,b,y\n", NULL), "header and no rows");
}

Test(csv, separators_quotes_and_line_ends) {
    cr_assert_eq(
        read_csv("\xEF\xBB\xBF\"a;1\";b;y\r\n 1 ;\"2\";\"a \"\"b\"\"\"\r\n\r\n3;4; c d \r\n", "y"),
        LS_OK);
    TABLE(LS_CSV_LABELS, 2, 2, (float[]){1, 2, 3, 4}, (double[]){0, 1});
    cr_assert_str_eq(names.labels.names[0], "a \"b\"");
    cr_assert_str_eq(names.labels.names[1], "c d");
    cr_assert_eq(read_csv("1\t2\t0\r3\t4\t1\r", NULL), LS_OK);
    TABLE(LS_CSV_CLASSES, 2, 2, (float[]){1, 2, 3, 4}, (double[]){0, 1});
    cr_assert_eq(read_csv("1,2,\"two\nlines, one field\"\n3,4,x\n", NULL), LS_OK);
    cr_assert_str_eq(names.labels.names[0], "two\nlines, one field");
    REFUSED(read_csv("1,2,\"two\nlines\"\n3,oops,x\n", NULL), "a.csv:3:2", "'oops'");
    REFUSED(read_csv("1,2,0\n3,\"4,1\n", NULL), "a.csv:2:2", "never closed");
    REFUSED(read_csv("1,2,0\n3,\"4\"5,1\n", NULL), "a.csv:2:2", "after a closing quote");
}

Test(csv, labels_are_sorted) {
    cr_assert_eq(read_csv("1,pear\n2,apple\n3,fig\n4,apple\n5,pear\n", NULL), LS_OK);
    TABLE(LS_CSV_LABELS, 5, 1, (float[]){1, 2, 3, 4, 5}, (double[]){2, 0, 1, 0, 2});
    cr_assert_eq(names.labels.count, 3);
    cr_assert_str_eq(names.labels.names[0], "apple");
    cr_assert_str_eq(names.labels.names[1], "fig");
    cr_assert_str_eq(names.labels.names[2], "pear");
    /* A test split has the labels of its training split. */
    cr_assert_eq(read_as("1,fig\n2,pear\n", NULL, LS_CSV_LABELS), LS_OK);
    TABLE(LS_CSV_LABELS, 2, 1, (float[]){1, 2}, (double[]){1, 2});
    REFUSED(read_as("1,fig\n2,appel\n", NULL, LS_CSV_LABELS), "a.csv:2:2", "'appel'", "apple");
}

Test(csv, many_labels) {
    enum { ROWS = 3000 };
    static char text[ROWS * 20];
    size_t length = 0;
    for (unsigned i = 0; i < ROWS; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%u,n%04u\n", i, i * 1237 % 1500);
    cr_assert_eq(read_csv(text, NULL), LS_OK);
    cr_assert_eq(names.labels.count, 1500);
    for (unsigned i = 0; i < ROWS; i++) /* of equal width: their order is that of the numbers */
        cr_assert_eq(table.targets[i], i * 1237 % 1500);
}

/* Each word is an input of its own, in the place of its column. */
Test(csv, columns_of_words) {
    cr_assert_eq(read_csv("cut,carat,colour,y\nGood,1,E,7.5\nFair,2,E,8\nGood,3,D,9\n", NULL),
                 LS_OK);
    TABLE(LS_CSV_NUMBERS, 3, 5, (float[]){0, 1, 1, 0, 1, 1, 0, 2, 0, 1, 0, 1, 3, 1, 0},
          (double[]){7.5, 8, 9});
    cr_assert_str_eq(names.columns.column[0].labels.names[0], "Fair");
    cr_assert_str_eq(names.columns.column[2].name, "colour");
    cr_assert_not(names.columns.column[1].words);
    /* A test split has the words of its training split, whichever of them it holds. */
    cr_assert_eq(read_as("cut,carat,colour,y\nGood,4,D,1\n", NULL, LS_CSV_NUMBERS), LS_OK);
    TABLE(LS_CSV_NUMBERS, 1, 5, (float[]){0, 1, 4, 1, 0}, (double[]){1});
    REFUSED(read_as("Godo,4,D,1\n", NULL, LS_CSV_NUMBERS), "a.csv:1:1: 'Godo'", "2 words", "Good");
    REFUSED(read_as("Good,4,D,1\nGood,x,D,1\n", NULL, LS_CSV_NUMBERS), "a.csv:2:2: 'x'",
            "not a number");
    REFUSED(read_as("Good,4,1\n", NULL, LS_CSV_NUMBERS), "a.csv:1: 3 fields; expected 4");
}

Test(csv, what_is_no_column_of_words) {
    REFUSED(read_csv("a,b,y\n1,NA,0\n1,2.5,0\n", NULL), "a.csv:3:2: '2.5' in column 'b'",
            "began with a word");
    REFUSED(read_csv("a,b,y\n1,red,0\n1,,0\n", NULL), "a.csv:3:2", "empty");
    enum { ROWS = LS_CSV_WORDS + 1 };
    static char text[ROWS * 20];
    size_t length = 0;
    for (unsigned i = 0; i < ROWS; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "n%u,%u,1\n", i, i);
    REFUSED(read_csv(text, NULL), "a.csv:1001:1: 'n1000'", "too many");
}

Test(csv, files_are_joined) {
    const char *paths[] = {"a.csv", "b.csv"};
    write_text("a.csv", "x,y\n1,0\n");
    write_text("b.csv", "x,y\n2,1\n3,0\n");
    cr_assert_eq(ls_csv_read(paths, 2, NULL, LS_CSV_ANY, &names, &table), LS_OK);
    TABLE(LS_CSV_CLASSES, 3, 1, (float[]){1, 2, 3}, (double[]){0, 1, 0});
    ls_csv_table_free(&table);
    write_text("b.csv", "z,y\n2,1\n");
    REFUSED(ls_csv_read(paths, 2, NULL, LS_CSV_ANY, &names, &table), "b.csv:1:1: column 'z'",
            "expected 'x'");
    write_text("b.csv", "2,1\n3,0\n"); /* no names, no question */
    cr_assert_eq(ls_csv_read(paths, 2, NULL, LS_CSV_ANY, &names, &table), LS_OK);
    ls_csv_table_free(&table);
    write_text("b.csv", "x,z,y\n2,1,1\n");
    REFUSED(ls_csv_read(paths, 2, NULL, LS_CSV_ANY, &names, &table), "b.csv:1", "3 fields",
            "expected 2");
}

Test(csv, refusals) {
    REFUSED(read_csv("1,2,0\n3,4\n", NULL), "a.csv:2: 2 fields; expected 3, as in line 1");
    REFUSED(read_csv("a,b,y\n1,2,0\n1,x,0\n", NULL),
            "a.csv:3:2: 'x' in column 'b' is not a number");
    REFUSED(read_csv("a,b,y\n1,,0\n", NULL), "a.csv:2:2: ''");
    REFUSED(read_csv("1,nan,0\n", NULL), "a.csv:1:2", "finite");
    REFUSED(read_csv("a;b;y\n1,5;2;0\n", NULL), "a.csv:2:1: '1,5' in column 'a'", "decimal point");
    REFUSED(read_csv("a;b;y\n1;2;-0,5\n", NULL), "a.csv:2:3: '-0,5'", "decimal point");
    REFUSED(read_csv("1,1e39,0\n", NULL), "a.csv:1:2", "finite");
    REFUSED(read_csv("1,2,0\n3,4,red\n", NULL), "a.csv:2:3: 'red'");
    REFUSED(read_csv("1,2,0\n3,4,-1\n", NULL), "a.csv:2:3", "below 0", "--regression");
    REFUSED(read_csv("1\n2\n", NULL), "a.csv:1: one column");
    REFUSED(read_csv("\n\n", NULL), "no rows");
    REFUSED(read_as("1,2,0\n3,4,0.5\n", NULL, LS_CSV_CLASSES), "a.csv:2:3", "class number");
    const char *path = "z.csv";
    write_file(path, "1,2\n\0,3\n", 9);
    REFUSED(ls_csv_read(&path, 1, NULL, LS_CSV_ANY, &names, &table), "z.csv:2", "zero byte");
}
