/* Readers of IDX, NPY and CIFAR files: values, and what they refuse. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "data/source.h"
#include "unit/test_convert.h"

TestSuite(sources, .init = convert_enter, .fini = convert_leave);

/* Opens nothing that is refused: a success is closed and reported as such. */
static ls_status try_idx(const char *path) {
    ls_source *source;
    LS_TRY(ls_idx_open(path, &source));
    ls_source_close(source);
    return LS_OK;
}

static ls_status try_npy(const char *path) {
    ls_source *source;
    LS_TRY(ls_npy_open(path, &source));
    ls_source_close(source);
    return LS_OK;
}

/* All samples in two reads, and the end. */
static ls_status read_all(ls_source *source, void *out) {
    const int64_t count = source->info.shape[0], half = count / 2;
    ls_status status = ls_source_read(source, half, out);
    if (status == LS_OK)
        status = ls_source_read(source, count - half, (char *)out + (size_t)half * source->bytes);
    if (status == LS_OK)
        status = ls_source_end(source);
    ls_source_close(source);
    return status;
}

static ls_status read_idx(const char *path, void *out) {
    ls_source *source;
    LS_TRY(ls_idx_open(path, &source));
    return read_all(source, out);
}

/* ---- IDX ------------------------------------------------------------------------------------ */

Test(sources, idx_types_are_big_endian) {
    const int sizes[] = {2};
    ls_source *source;
    int16_t shorts[2];
    int32_t ints[2];
    float floats[2];
    double doubles[2];
    int8_t bytes[2];
    write_idx("i8", 0x09, 1, sizes, "\xff\x02", 2);
    cr_assert_eq(read_idx("i8", bytes), LS_OK);
    cr_assert(bytes[0] == -1 && bytes[1] == 2);
    write_idx("i16", 0x0B, 1, sizes, "\x01\x02\xff\xfe", 4);
    cr_assert_eq(read_idx("i16", shorts), LS_OK);
    cr_assert(shorts[0] == 0x0102 && shorts[1] == -2);
    write_idx("i32", 0x0C, 1, sizes, "\x01\x02\x03\x04\xff\xff\xff\xfe", 8);
    cr_assert_eq(read_idx("i32", ints), LS_OK);
    cr_assert(ints[0] == 0x01020304 && ints[1] == -2);
    write_idx("f32", 0x0D, 1, sizes, "\x3f\x80\0\0\xc0\x20\0\0", 8);
    cr_assert_eq(read_idx("f32", floats), LS_OK);
    cr_assert(floats[0] == 1 && floats[1] == -2.5f);
    write_idx("f64", 0x0E, 1, sizes, "\x3f\xf0\0\0\0\0\0\0\xc0\x04\0\0\0\0\0\0", 16);
    cr_assert_eq(ls_idx_open("f64", &source), LS_OK);
    cr_assert_eq(source->info.type, LS_TYPE_F64);
    cr_assert_eq(read_all(source, doubles), LS_OK);
    cr_assert(doubles[0] == 1 && doubles[1] == -2.5);
}

Test(sources, idx_images_get_a_channel) {
    unsigned char values[120], got[120];
    for (int i = 0; i < 120; i++)
        values[i] = (unsigned char)(7 * i);
    for (int gzip = 0; gzip < 2; gzip++) {
        const char *name = gzip ? "images.gz" : "images";
        ls_source *source;
        write_idx(name, 0x08, 3, (int[]){4, 5, 6}, values, 120);
        cr_assert_eq(ls_idx_open(name, &source), LS_OK);
        cr_assert_eq(source->info.ndims, 4);
        cr_assert_arr_eq(source->info.shape, ((int64_t[]){4, 1, 5, 6}), 4 * sizeof(int64_t));
        cr_assert_eq(read_all(source, got), LS_OK);
        cr_assert_arr_eq(got, values, 120);
    }
    ls_source *source;
    write_idx("volumes", 0x08, 4, (int[]){2, 3, 4, 5}, values, 120);
    cr_assert_eq(ls_idx_open("volumes", &source), LS_OK);
    cr_assert_eq(source->info.ndims, 5);
    cr_assert_arr_eq(source->info.shape, ((int64_t[]){2, 1, 3, 4, 5}), 5 * sizeof(int64_t));
    ls_source_close(source);
    write_idx("rows", 0x08, 2, (int[]){10, 12}, values, 120);
    cr_assert_eq(ls_idx_open("rows", &source), LS_OK);
    cr_assert_eq(source->info.ndims, 2);
    ls_source_close(source);
}

Test(sources, idx_refusals) {
    char values[60] = {0}, got[60];
    REFUSED(try_idx("absent"), "absent", "No such file");
    REFUSED(try_idx("."), "not a regular file");
    write_text("empty", "");
    REFUSED(try_idx("empty"), "empty: the file is empty");
    write_text("text", "label,a,b\n");
    REFUSED(try_idx("text"), "text: not an IDX file", "6c 61 62 65", "expected 00 00");
    write_idx("type", 0x0A, 1, (int[]){60}, values, 60);
    REFUSED(try_idx("type"), "not an IDX file");
    write_idx("dims", 0x08, 6, (int[]){1, 1, 1, 1, 1, 60}, values, 60);
    REFUSED(try_idx("dims"), "6 dimensions", "1 to 5");
    write_idx("none", 0x08, 1, (int[]){0}, values, 0);
    REFUSED(try_idx("none"), "shape (0)", "at least one sample");
    write_idx("flat", 0x08, 2, (int[]){5, 0}, values, 0);
    REFUSED(try_idx("flat"), "shape (5, 0)");
    write_idx("vast", 0x08, 3, (int[]){-1, -1, -1}, values, 60);
    REFUSED(try_idx("vast"), "4294967295", "2 GiB");
    write_idx("short", 0x08, 2, (int[]){6, 10}, values, 59);
    REFUSED(try_idx("short"), "has 71 bytes", "announces 72", "truncated");
    write_idx("long", 0x08, 2, (int[]){6, 9}, values, 60);
    REFUSED(try_idx("long"), "announces 66", "damaged");
    cut_file("short", 6);
    REFUSED(try_idx("short"), "within the IDX header: truncated");
    write_idx("short.gz", 0x08, 2, (int[]){6, 10}, values, 59);
    REFUSED(read_idx("short.gz", got), "ends after 71 bytes", "truncated");
    write_idx("long.gz", 0x08, 2, (int[]){6, 9}, values, 60);
    REFUSED(read_idx("long.gz", got), "goes on after the 66 bytes");
}

Test(sources, damaged_gzip_is_refused) {
    static char values[60000], got[60000], data[70000];
    for (int i = 0; i < 60000; i++)
        values[i] = (char)((unsigned)i * 2654435761u >> 24);
    write_idx("a.gz", 0x08, 1, (int[]){60000}, values, 60000);
    FILE *file = fopen("a.gz", "rb");
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t cut = 1; cut < size; cut += size / 20) {
        write_file("cut.gz", data, cut);
        REFUSED(read_idx("cut.gz", got), "cut.gz");
    }
    write_file("cut.gz", data, size - 1); /* within the check sum */
    REFUSED(read_idx("cut.gz", got), "truncated");
    int refusals = 0;
    for (size_t place = 20; place < size; place += size / 20) {
        data[place] ^= 0x10;
        write_file("flip.gz", data, size);
        data[place] ^= 0x10;
        REFUSED(read_idx("flip.gz", got), "flip.gz");
        refusals++;
    }
    cr_assert_gt(refusals, 10);
}

/* ---- NPY ------------------------------------------------------------------------------------ */

Test(sources, npy_versions_types_and_byte_orders) {
    for (int version = 1; version <= 3; version++) {
        ls_source *source;
        uint16_t got[6];
        write_npy("a.npy", version,
                  "{'descr': '>u2', 'fortran_order': False, 'shape': (2, 3), }   \n",
                  "\0\1\0\2\0\3\0\4\0\5\1\0", 12);
        cr_assert_eq(ls_npy_open("a.npy", &source), LS_OK, "%s", ls_message());
        cr_assert_eq(source->info.type, LS_TYPE_U16);
        cr_assert_eq(source->info.ndims, 2);
        cr_assert_eq(read_all(source, got), LS_OK);
        cr_assert_arr_eq(got, ((uint16_t[]){1, 2, 3, 4, 5, 256}), 12);
    }
    static const struct {
        const char *code;
        ls_type type;
    } types[] = {{"|u1", LS_TYPE_U8},  {"|i1", LS_TYPE_I8},  {"|b1", LS_TYPE_U8},
                 {"<u2", LS_TYPE_U16}, {"<i2", LS_TYPE_I16}, {"<u4", LS_TYPE_U32},
                 {"<i4", LS_TYPE_I32}, {"<u8", LS_TYPE_U64}, {"<i8", LS_TYPE_I64},
                 {"<f4", LS_TYPE_F32}, {"<f8", LS_TYPE_F64}};
    const char values[16] = {1};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char header[128];
        ls_source *source;
        snprintf(header, sizeof header,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (2L,), }\n", types[i].code);
        write_npy("a.npy", 1, header, values, 2 * ls_type_size(types[i].type));
        cr_assert_eq(ls_npy_open("a.npy", &source), LS_OK, "%s", ls_message());
        cr_assert_eq(source->info.type, types[i].type);
        ls_source_close(source);
    }
}

Test(sources, npy_refusals) {
    char values[64] = {0};
    write_npy("f.npy", 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }\n", values,
              16);
    REFUSED(try_npy("f.npy"), "Fortran order", "ascontiguousarray");
    write_npy("h.npy", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }\n", values,
              8);
    REFUSED(try_npy("h.npy"), "'<f2'", "float32");
    write_npy("r.npy", 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }\n",
              values, 8);
    REFUSED(try_npy("r.npy"), "elements of type");
    write_npy("s.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", values, 4);
    REFUSED(try_npy("s.npy"), "single number");
    write_npy("m.npy", 1,
              "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 4), }\n", values,
              16);
    REFUSED(try_npy("m.npy"), "more than 5 dimensions");
    write_npy("n.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2), }\n", values,
              16);
    REFUSED(try_npy("n.npy"), "damaged 'shape'");
    write_npy("d.npy", 1, "{'descr': '<f4', 'shape': (2, 2), }\n", values, 16);
    REFUSED(try_npy("d.npy"), "without 'fortran_order'");
    write_npy("t.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", values,
              15);
    REFUSED(try_npy("t.npy"), "truncated");
    cut_file("t.npy", 30);
    REFUSED(try_npy("t.npy"), "within the NPY header");
    write_npy("v.npy", 9, "{}", values, 0);
    REFUSED(try_npy("v.npy"), "NPY version 9");
    write_text("w.npy", "hello, world");
    REFUSED(try_npy("w.npy"), "not an NPY file");
}

/* ---- CIFAR ---------------------------------------------------------------------------------- */

Test(sources, cifar_labels_and_pixels) {
    for (int kind = LS_CIFAR_10; kind <= LS_CIFAR_100; kind++) {
        static unsigned char data[3 * (LS_CIFAR_PIXELS + 2)], pixels[3 * LS_CIFAR_PIXELS];
        const size_t record = LS_CIFAR_PIXELS + (size_t)kind;
        unsigned char labels[3];
        ls_source *source;
        for (size_t n = 0; n < 3; n++)
            for (size_t i = 0; i < record; i++)
                data[n * record + i] = (unsigned char)(31 * n + 7 * i + 1);
        write_file("a.bin", data, 3 * record);
        cr_assert_eq(ls_cifar_open("a.bin", (ls_cifar)kind, false, &source), LS_OK);
        cr_assert_eq(source->info.ndims, 4);
        cr_assert_arr_eq(source->info.shape, ((int64_t[]){3, 3, 32, 32}), 4 * sizeof(int64_t));
        cr_assert_eq(read_all(source, pixels), LS_OK);
        cr_assert_eq(ls_cifar_open("a.bin", (ls_cifar)kind, true, &source), LS_OK);
        cr_assert_eq(source->info.ndims, 1);
        cr_assert_eq(read_all(source, labels), LS_OK);
        for (size_t n = 0; n < 3; n++) {
            cr_assert_eq(labels[n], data[n * record + (size_t)kind - 1]);
            cr_assert_arr_eq(pixels + n * LS_CIFAR_PIXELS, data + n * record + kind,
                             LS_CIFAR_PIXELS);
        }
        cut_file("a.bin", 3 * record - 1);
        REFUSED(ls_cifar_open("a.bin", (ls_cifar)kind, true, &source), "a.bin: has", "multiple of",
                "truncated");
        write_gzip("a.bin.gz", data, 3 * record);
        REFUSED(ls_cifar_open("a.bin.gz", (ls_cifar)kind, true, &source), "uncompress");
    }
}
