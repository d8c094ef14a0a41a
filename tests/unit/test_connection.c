#include "unit.h"

#include "px/connection.h"
#include "px/json.h"
#include "px/own.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The example of jupyter_client's documentation, "Connection files".
static const char example[] = "{\n"
                              "  \"control_port\": 50160,\n"
                              "  \"shell_port\": 57503,\n"
                              "  \"transport\": \"tcp\",\n"
                              "  \"signature_scheme\": \"hmac-sha256\",\n"
                              "  \"stdin_port\": 52597,\n"
                              "  \"hb_port\": 42540,\n"
                              "  \"ip\": \"127.0.0.1\",\n"
                              "  \"iopub_port\": 40885,\n"
                              "  \"key\": \"a0436f6c-1916-498b-8eb9-e81ab9368e84\"\n"
                              "}\n";

static px_err parse(const char *text, px_connection *connection, px_error *error)
{
    return px_connection_parse(text, strlen(text), "kernel-1.json", connection, error);
}

START_TEST(test_connection__reads_the_documented_example)
{
    px_connection c;

    ok(parse(example, &c, NULL));
    ck_assert_str_eq(c.transport, "tcp");
    ck_assert_str_eq(c.ip, "127.0.0.1");
    ck_assert_uint_eq(c.shell_port, 57503);
    ck_assert_uint_eq(c.iopub_port, 40885);
    ck_assert_uint_eq(c.stdin_port, 52597);
    ck_assert_uint_eq(c.control_port, 50160);
    ck_assert_uint_eq(c.hb_port, 42540);
    ck_assert_str_eq(c.key, "a0436f6c-1916-498b-8eb9-e81ab9368e84");
    ck_assert_str_eq(c.signature_scheme, "hmac-sha256");
    ck_assert(!c.has_curve);
}
END_TEST

START_TEST(test_connection__what_is_absent_has_a_default)
{
    px_connection c;

    ok(parse("{\"shell_port\":0,\"hb_port\":-1,\"kernel_name\":null,\"ip\":\"*\",\"new\":[]}", &c,
             NULL));
    ck_assert_str_eq(c.transport, "tcp");
    ck_assert_str_eq(c.ip, "0.0.0.0");
    ck_assert_uint_eq(c.shell_port, 0);
    ck_assert_uint_eq(c.hb_port, 0);
    ck_assert_uint_eq(c.control_port, 0);
    ck_assert_str_eq(c.key, "");
    ck_assert_str_eq(c.signature_scheme, "hmac-sha256");
}
END_TEST

START_TEST(test_connection__says_what_is_wrong_and_where)
{
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"", "not JSON"},
        {"[]", "object"},
        {"{\"shell_port\": 65536}", "shell_port"},
        {"{\"shell_port\": \"1\"}", "shell_port"},
        {"{\"hb_port\": 1.5}", "hb_port"},
        {"{\"transport\": \"udp\"}", "\"udp\""},
        {"{\"key\": 7}", "\"key\" must be a string"},
        {"{\"ip\": \"a\\u0000b\"}", "\"ip\" must be a string"},
        {"{\"transport\": \"tcptcptcp\"}", "at most 7"},
        {"{\"curve_publickey\": \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"}", "together"},
        {"{\"curve_publickey\": \"short\", \"curve_secretkey\": \"short\"}", "Z85"},
    };
    px_connection c;
    px_error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_ne(parse(bad[i].text, &c, &error), PX_OK);
        ck_assert_msg(strstr(error.text, bad[i].says) != NULL &&
                          strstr(error.text, "kernel-1.json") != NULL,
                      "%s: \"%s\"", bad[i].text, error.text);
    }
}
END_TEST

START_TEST(test_connection__curve_keys_come_as_a_pair)
{
    px_connection c;

    ok(parse("{\"curve_publickey\":\"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\","
             "\"curve_secretkey\":\"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"}",
             &c, NULL));
    ck_assert(c.has_curve);
    ck_assert_str_eq(c.curve.publickey, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
}
END_TEST

static unsigned mode_of(const char *path)
{
    struct stat status;

    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

START_TEST(test_connection__write_merges_and_is_0600)
{
    const char *path = unit_path("kernel.json");
    PX_AUTO_FREE char *text = NULL;
    PX_AUTO(px_json) json = NULL;
    px_connection c;
    size_t size = 0;
    static const char before[] = "{\"shell_port\":0,\"mine\":{\"x\":[1,2]},\"key\":\"k\"}";

    (void)umask(0);
    ok(px_file_replace(path, before, strlen(before), 0644, NULL));
    ck_assert_uint_eq(mode_of(path), 0644);
    ok(px_connection_read(path, &c, NULL));
    c.shell_port = 1234;
    ok(px_connection_write(path, &c, NULL));
    ck_assert_uint_eq(mode_of(path), 0600);
    ok(px_file_read(path, 10000, &text, &size, NULL));
    ok(px_json_parse(px_slice_of(text, size), &json, NULL));
    ck_assert_int_eq(px_json_int(json, "shell_port", 0), 1234);
    ck_assert_str_eq(px_json_string(json, "key", ""), "k");
    ck_assert_uint_eq(px_json_length(px_json_get(px_json_get(json, "mine"), "x")), 2);
}
END_TEST

START_TEST(test_connection__write_makes_a_new_file)
{
    const char *path = unit_path("new.json");
    px_connection c;
    px_connection again;

    ok(px_connection_defaults(&c));
    ck_assert_uint_eq(strlen(c.key), 32);
    memcpy(c.jupyter_session, "a \"b\".ipynb", sizeof("a \"b\".ipynb"));
    ok(px_connection_write(path, &c, NULL));
    ok(px_connection_read(path, &again, NULL));
    ck_assert_str_eq(again.key, c.key);
    ck_assert_str_eq(again.jupyter_session, "a \"b\".ipynb");
    ck_assert_uint_eq(mode_of(path), 0600);
}
END_TEST

START_TEST(test_connection__absent_file_is_said)
{
    px_connection c;
    px_error error;

    fails_with(PX_ENOENT, px_connection_read(unit_path("none.json"), &c, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "none.json"));
}
END_TEST

START_TEST(test_connection__replace_is_whole_or_nothing)
{
    const char *path = unit_path("file");
    PX_AUTO_FREE char *text = NULL;
    size_t size = 0;
    px_error error;

    ok(px_file_replace(path, "first", 5, 0600, NULL));
    // A folder of that name cannot be replaced by a file; what was made beside it is gone (the
    // fixture's rmdir would fail).
    ck_assert_int_eq(mkdir(unit_path("folder"), 0700), 0);
    ck_assert_int_ne(px_file_replace(unit_path("folder"), "x", 1, 0600, &error), PX_OK);
    ck_assert_ptr_nonnull(strstr(error.text, "folder"));
    ck_assert_int_eq(rmdir(unit_path("folder")), 0);
    ok(px_file_replace(path, "second", 6, 0600, NULL));
    ok(px_file_read(path, 6, &text, &size, NULL));
    ck_assert_str_eq(text, "second");
}
END_TEST

START_TEST(test_connection__read_is_bounded_and_for_files_only)
{
    PX_AUTO_FREE char *text = NULL;
    size_t size = 0;
    px_error error;

    ok(px_file_replace(unit_path("big"), "0123456789", 10, 0600, NULL));
    fails_with(PX_ETOOBIG, px_file_read(unit_path("big"), 9, &text, &size, &error));
    fails_with(PX_EINVAL, px_file_read(unit_folder(), 9, &text, &size, &error));
    ck_assert_int_eq(mkfifo(unit_path("fifo"), 0600), 0);
    fails_with(PX_EINVAL, px_file_read(unit_path("fifo"), 9, &text, &size, &error));
}
END_TEST

UNIT_MAIN("connection", test_connection__reads_the_documented_example,
          test_connection__what_is_absent_has_a_default,
          test_connection__says_what_is_wrong_and_where, test_connection__curve_keys_come_as_a_pair,
          test_connection__write_merges_and_is_0600, test_connection__write_makes_a_new_file,
          test_connection__absent_file_is_said, test_connection__replace_is_whole_or_nothing,
          test_connection__read_is_bounded_and_for_files_only)
