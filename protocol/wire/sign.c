// HMAC of the four JSON frames. Setting up the key costs more than a small message's digest, so the
// key is set up once.
//
// SHA-256, which everybody uses, goes without OpenSSL's EVP layer: HMAC is the digest of the
// digest, each begun with a block made of the key, and the states after those blocks are copied for
// every message. A message of 500 bytes takes 0.5 us so, and 1.5 through EVP_MAC, which looks up,
// copies and wipes contexts of its own; a task is signed and checked four times. Other digests take
// that way. The functions are marked as deprecated in OpenSSL 3, in favour of EVP.
//
// The scheme is `hmac-` and a digest's name in hashlib's spelling (sha256, sha3_256, blake2b …),
// because that is what connection files are written with; OpenSSL's spelling differs a little.
#define OPENSSL_SUPPRESS_DEPRECATED // SHA256_Init and its kin
#include "px/sign.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <stdlib.h>

struct px_signer {
    bool sha256;
    SHA256_CTX inner, outer; // after the key's blocks
    EVP_MAC_CTX *context;    // of other digests; NULL with sha256, and without a key
};

static void digest_name(const char *hashlib_name, char name[32])
{
    size_t length = strnlen(hashlib_name, 31);

    if (strcmp(hashlib_name, "blake2b") == 0) {
        hashlib_name = "BLAKE2B-512";
        length = strlen(hashlib_name);
    } else if (strcmp(hashlib_name, "blake2s") == 0) {
        hashlib_name = "BLAKE2S-256";
        length = strlen(hashlib_name);
    } else if (strcmp(hashlib_name, "sha512_256") == 0 || strcmp(hashlib_name, "sha512_224") == 0) {
        hashlib_name = hashlib_name[9] == '6' ? "SHA512-256" : "SHA512-224";
        length = strlen(hashlib_name);
    }
    for (size_t i = 0; i < length; i++) {
        name[i] = hashlib_name[i];
        if (name[i] == '_') {
            name[i] = '-';
        }
    }
    name[length] = '\0';
}

static px_err init_context(px_signer *signer, px_slice key, const char *scheme)
{
    char digest[32];

    digest_name(scheme + strlen("hmac-"), digest);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac == NULL) {
        return PX_ECRYPTO;
    }
    signer->context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac); // the context holds its own reference
    if (signer->context == NULL) {
        return PX_ENOMEM;
    }
    if (EVP_MAC_init(signer->context, key.data, key.size, params) != 1 ||
        EVP_MAC_CTX_get_mac_size(signer->context) == 0 ||
        EVP_MAC_CTX_get_mac_size(signer->context) > PX_SIGNATURE_SIZE - 1) {
        return PX_EINVAL;
    }
    return PX_OK;
}

// begin sets up one of the two digests: the key's block is the key with each byte changed by pad.
static bool begin(SHA256_CTX *state, const uint8_t key[SHA256_CBLOCK], uint8_t pad)
{
    uint8_t block[SHA256_CBLOCK];

    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = key[i] ^ pad;
    }
    bool done = SHA256_Init(state) == 1 && SHA256_Update(state, block, sizeof(block)) == 1;
    OPENSSL_cleanse(block, sizeof(block));
    return done;
}

// RFC 2104: a key of more than a block is replaced by its digest.
static px_err init_sha256(px_signer *signer, px_slice key)
{
    uint8_t padded[SHA256_CBLOCK] = {0};

    if (key.size > sizeof(padded)) {
        (void)SHA256(key.data, key.size, padded);
    } else {
        memcpy(padded, key.data, key.size);
    }
    signer->sha256 = begin(&signer->inner, padded, 0x36) && begin(&signer->outer, padded, 0x5c);
    OPENSSL_cleanse(padded, sizeof(padded));
    return signer->sha256 ? PX_OK : PX_ECRYPTO;
}

px_err px_signer_new(px_slice key, const char *scheme, px_signer **ret_signer, px_error *reterr)
{
    px_signer *signer = calloc(1, sizeof(*signer));
    if (signer == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    if (key.size != 0) {
        bool hmac = strncmp(scheme, "hmac-", 5) == 0;
        px_err err = !hmac                                ? PX_EINVAL
                     : strcmp(scheme, "hmac-sha256") == 0 ? init_sha256(signer, key)
                                                          : init_context(signer, key, scheme);
        if (err != PX_OK) {
            px_signer_free(signer);
            return px_error_set(reterr, err,
                                "signature_scheme \"%.64s\" is not known; use \"hmac-sha256\"",
                                scheme);
        }
    }
    *ret_signer = signer;
    return PX_OK;
}

void px_signer_free(px_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    EVP_MAC_CTX_free(signer->context); // takes NULL, clears the key
    OPENSSL_cleanse(signer, sizeof(*signer));
    free(signer);
}

bool px_signer_keyed(const px_signer *signer)
{
    return signer->sha256 || signer->context != NULL;
}

size_t px_signer_size(const px_signer *signer)
{
    size_t size = signer->context != NULL ? EVP_MAC_CTX_get_mac_size(signer->context) : 0;
    return 2 * (signer->sha256 ? SHA256_DIGEST_LENGTH : size);
}

static bool digest_sha256(const px_signer *signer, const px_slice *parts, size_t n_parts,
                          unsigned char *ret_digest)
{
    SHA256_CTX state = signer->inner;
    bool done = true;

    for (size_t i = 0; i < n_parts; i++) {
        done = done && SHA256_Update(&state, parts[i].data, parts[i].size) == 1;
    }
    done = done && SHA256_Final(ret_digest, &state) == 1;
    state = signer->outer;
    return done && SHA256_Update(&state, ret_digest, SHA256_DIGEST_LENGTH) == 1 &&
           SHA256_Final(ret_digest, &state) == 1;
}

static bool digest_other(px_signer *signer, const px_slice *parts, size_t n_parts,
                         unsigned char *ret_digest)
{
    size_t size = 0;
    bool done = EVP_MAC_init(signer->context, NULL, 0, NULL) == 1;

    for (size_t i = 0; i < n_parts; i++) {
        done = done && EVP_MAC_update(signer->context, parts[i].data, parts[i].size) == 1;
    }
    return done && EVP_MAC_final(signer->context, ret_digest, &size, PX_SIGNATURE_SIZE) == 1;
}

px_err px_sign(px_signer *signer, const px_slice *parts, size_t n_parts,
               char ret_signature[PX_SIGNATURE_SIZE * 2])
{
    static const char hex_digits[] = "0123456789abcdef";
    unsigned char digest[PX_SIGNATURE_SIZE];
    size_t size = px_signer_size(signer) / 2;

    if (size > 0 && !(signer->sha256 ? digest_sha256(signer, parts, n_parts, digest)
                                     : digest_other(signer, parts, n_parts, digest))) {
        return PX_ECRYPTO;
    }
    for (size_t i = 0; i < size; i++) {
        ret_signature[2 * i] = hex_digits[digest[i] >> 4];
        ret_signature[2 * i + 1] = hex_digits[digest[i] & 15];
    }
    ret_signature[2 * size] = '\0';
    return PX_OK;
}

px_err px_sign_check(px_signer *signer, const px_slice *parts, size_t n_parts, px_slice given)
{
    char expected[PX_SIGNATURE_SIZE * 2];

    if (!px_signer_keyed(signer)) {
        return PX_OK;
    }
    PX_TRY(px_sign(signer, parts, n_parts, expected));
    size_t size = px_signer_size(signer);
    if (given.size != size || CRYPTO_memcmp(expected, given.data, size) != 0) {
        return PX_ESIGNATURE;
    }
    return PX_OK;
}
