// The signatures were computed with Python's hmac module.
#include "unit.h"

#include "px/sign.h"

#include <stdio.h>

#define KEY "a0436f6c-1916-498b-8eb9-e81ab9368e84"

#define PART(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
static const px_slice parts[] = {
    PART("{\"msg_id\":\"a1\",\"msg_type\":\"kernel_info_request\",\"username\":\"u\","
         "\"session\":\"s\",\"date\":\"2026-01-31T12:34:56.789012Z\",\"version\":\"5.4\"}"),
    PART("{}"),
    PART("{}"),
    PART("{\"code\":\"print(1)\"}"),
};

static const char sha256[] = "6b1d148bb651a4c111d6bdfc443890de9d7c9b8b891addf8061a822d4f6b7247";

static const struct {
    const char *scheme;
    const char *signature;
} vectors[] = {
    {"hmac-sha256", sha256},
    {"hmac-sha1", "060b1019ce36c3282b5e9ee49d150d1ef655017b"},
    {"hmac-md5", "f9ca9d3d31d948ff0985537a61404652"},
    {"hmac-sha512", "667e544fc5481e2261fa9a97ccaaea326a0eea9967537edfd28f20663d733f98"
                    "c9dfd9ce88ad70f84a763730ba55900d055fca1d964bf49fe1533db9b4221269"},
    {"hmac-sha3_256", "4e9b1d5300aeff3f44fb133888ed05208f6e8d9896395e0b42680799a25396ff"},
    {"hmac-blake2b", "93529a8778f266e63f6eb4fb34b33320d823f7de9e529b69bed4a4943bea58b1"
                     "f18596c8544e127cfae4be91f1908bcda40412c75693ebd9a270bdb53abad84a"},
    {"hmac-blake2s", "2db66df1e97d2a97cfa6139597754f41e3031883963f1e54fb03a67fd89c8bce"},
    {"hmac-sha512_256", "e04e95001a54fbc90e9e1586b328ec764bdfac210e618f0f5a754d8907229a96"},
};

static px_signer *signer_with(const char *key, const char *scheme)
{
    px_signer *signer = NULL;
    px_error error = {0};

    px_err err = px_signer_new(px_slice_str(key), scheme, &signer, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    return signer;
}

START_TEST(test_sign__equals_python)
{
    char signature[PX_SIGNATURE_SIZE * 2];

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        px_signer *signer = signer_with(KEY, vectors[i].scheme);
        for (int again = 0; again < 3; again++) { // the context is used again
            ok(px_sign(signer, parts, 4, signature));
            ck_assert_str_eq(signature, vectors[i].signature);
            ok(px_sign_check(signer, parts, 4, px_slice_str(vectors[i].signature)));
        }
        px_signer_free(signer);
    }
}
END_TEST

START_TEST(test_sign__equals_rfc_4231)
{
    const px_slice data = PX_SLICE_LITERAL("what do ya want for nothing?");
    char signature[PX_SIGNATURE_SIZE * 2];
    px_signer *signer = signer_with("Jefe", "hmac-sha256");

    ok(px_sign(signer, &data, 1, signature));
    ck_assert_str_eq(signature, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    px_signer_free(signer);
}
END_TEST

START_TEST(test_sign__rejects_what_differs)
{
    px_signer *signer = signer_with(KEY, "hmac-sha256");
    px_signer *other = signer_with("another key", "hmac-sha256");
    char wrong[sizeof(sha256)];

    fails_with(PX_ESIGNATURE, px_sign_check(other, parts, 4, px_slice_str(sha256)));
    fails_with(PX_ESIGNATURE, px_sign_check(signer, parts, 3, px_slice_str(sha256)));
    fails_with(PX_ESIGNATURE, px_sign_check(signer, parts, 4, px_slice_of(sha256, 63)));
    fails_with(PX_ESIGNATURE, px_sign_check(signer, parts, 4, px_slice_of(sha256, 65)));
    fails_with(PX_ESIGNATURE, px_sign_check(signer, parts, 4, px_slice_of(NULL, 0)));
    for (size_t i = 0; i < 64; i++) {
        memcpy(wrong, sha256, sizeof(wrong));
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        fails_with(PX_ESIGNATURE, px_sign_check(signer, parts, 4, px_slice_str(wrong)));
    }
    px_signer_free(signer);
    px_signer_free(other);
}
END_TEST

START_TEST(test_sign__without_key_signs_and_checks_nothing)
{
    char signature[PX_SIGNATURE_SIZE * 2] = "x";
    px_signer *signer = signer_with("", "hmac-sha256");

    ck_assert(!px_signer_keyed(signer));
    ok(px_sign(signer, parts, 4, signature));
    ck_assert_str_eq(signature, "");
    ok(px_sign_check(signer, parts, 4, px_slice_str("whatever")));
    px_signer_free(signer);
    px_signer_free(NULL);
}
END_TEST

START_TEST(test_sign__says_which_scheme_is_unknown)
{
    static const char *const bad[] = {
        "hmac-", "hmac-nothing",   "sha256",
        "",      "hmac-shake_256", "hmac-0123456789012345678901234567890123456789"};
    px_signer *signer = NULL;
    px_error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fails_with(PX_EINVAL, px_signer_new(PX_SLICE_LITERAL(KEY), bad[i], &signer, &error));
        ck_assert_ptr_nonnull(strstr(error.text, bad[i]));
    }
}
END_TEST

static px_slice numbered(char text[65], unsigned number)
{
    (void)snprintf(text, 65, "%064x", number * 2654435761U); // fits
    return px_slice_of(text, 64);
}

START_TEST(test_sign__replay_remembers_the_last_65536)
{
    px_replay *replay;
    char text[65];

    ok(px_replay_new(&replay));
    for (unsigned i = 0; i < 200000; i++) {
        ck_assert(!px_replay_seen(replay, numbered(text, i)));
        if (i % 1000 == 0) {
            ck_assert(px_replay_seen(replay, numbered(text, i)));
        }
        if (i >= 65535 && i % 777 == 0) {
            ck_assert(px_replay_seen(replay, numbered(text, i - 65535)));
        }
    }
    for (unsigned i = 200000 - 65536; i < 200000; i++) {
        ck_assert(px_replay_seen(replay, numbered(text, i)));
    }
    ck_assert(!px_replay_seen(replay, numbered(text, 5)));
    px_replay_free(replay);
    px_replay_free(NULL);
}
END_TEST

UNIT_MAIN("sign", test_sign__equals_python, test_sign__equals_rfc_4231,
          test_sign__rejects_what_differs, test_sign__without_key_signs_and_checks_nothing,
          test_sign__says_which_scheme_is_unknown, test_sign__replay_remembers_the_last_65536)
