// tls.c: OpenSSL behind six functions. Nothing else of the project knows libssl.
//
// The pre-shared key is HMAC-SHA-256 of a label under the cluster's key, so that what signs
// messages and what encrypts connections are different keys. The identity that travels in clear is
// the cluster's name: it is no secret, and tells a server of another cluster apart at once.
#include "px/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL "pxkernel link, TLS 1.3 PSK"
#define SUITE "TLS_AES_128_GCM_SHA256"
static const unsigned char suite_id[] = {0x13, 0x01}; // RFC 8446 appendix B.4

struct px_tls_context {
    SSL_CTX *ssl;
    unsigned char key[32];
    char name[80];
};

struct px_tls {
    SSL *ssl;
    int fd;
    bool wants_write;
};

// session_for makes what both callbacks hand to OpenSSL: a "session" that is nothing but the key.
static SSL_SESSION *session_for(SSL *ssl, const px_tls_context *context)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_id);
    SSL_SESSION *session = cipher != NULL ? SSL_SESSION_new() : NULL;
    if (session == NULL ||
        SSL_SESSION_set1_master_key(session, context->key, sizeof(context->key)) != 1 ||
        SSL_SESSION_set_cipher(session, cipher) != 1 ||
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1) {
        SSL_SESSION_free(session);
        return NULL;
    }
    return session;
}

static const px_tls_context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

// use_key is asked by a client's handshake.
static int use_key(SSL *ssl, const EVP_MD *digest, const unsigned char **ret_id, size_t *ret_size,
                   SSL_SESSION **ret_session)
{
    const px_tls_context *context = context_of(ssl);
    if (digest != NULL && !EVP_MD_is_a(digest, "SHA256")) { // after a retry: the suite is fixed
        *ret_session = NULL;
        return 1;
    }
    *ret_session = session_for(ssl, context);
    *ret_id = (const unsigned char *)context->name;
    *ret_size = strlen(context->name);
    return *ret_session != NULL;
}

// find_key is asked by a server's handshake. Without a session the handshake fails: there is no
// certificate to go on with.
static int find_key(SSL *ssl, const unsigned char *id, size_t size, SSL_SESSION **ret_session)
{
    const px_tls_context *context = context_of(ssl);
    *ret_session = NULL;
    if (size != strlen(context->name) || memcmp(id, context->name, size) != 0) {
        return 1;
    }
    *ret_session = session_for(ssl, context);
    return *ret_session != NULL;
}

static bool configure(px_tls_context *context, bool server)
{
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_app_data(ssl, context);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    // A stream that lets its buffers go while idle, and a write that may stop in the middle.
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_quiet_shutdown(ssl, 1);
    if (server) {
        SSL_CTX_set_psk_find_session_callback(ssl, find_key);
    } else {
        SSL_CTX_set_psk_use_session_callback(ssl, use_key);
    }
    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, SUITE) == 1 && SSL_CTX_set_num_tickets(ssl, 0) == 1;
}

px_err px_tls_context_new(px_slice key, const char *name, bool server, px_tls_context **ret_context,
                          px_error *reterr)
{
    unsigned int size = 0;
    if (key.size < 16 || key.size > INT_MAX) { // without a secret nothing would be one
        return px_error_set(reterr, PX_EINVAL, "cluster \"%s\" has no key, so no network link",
                            name);
    }
    px_tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return PX_ENOMEM;
    }
    (void)snprintf(context->name, sizeof(context->name), "%s", name);
    context->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (context->ssl == NULL ||
        HMAC(EVP_sha256(), key.data, (int)key.size, (const unsigned char *)LABEL, strlen(LABEL),
             context->key, &size) == NULL ||
        !configure(context, server)) {
        px_tls_context_free(context);
        ERR_clear_error();
        return px_error_set(reterr, PX_ECRYPTO, "OpenSSL gives no TLS 1.3 with %s", SUITE);
    }
    *ret_context = context;
    return PX_OK;
}

void px_tls_context_free(px_tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ssl);
        OPENSSL_cleanse(context->key, sizeof(context->key));
        free(context);
    }
}

px_err px_tls_new(px_tls_context *context, int fd, px_tls **ret_tls)
{
    px_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return PX_ENOMEM;
    }
    tls->ssl = SSL_new(context->ssl);
    if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1) {
        SSL_free(tls->ssl);
        free(tls);
        ERR_clear_error();
        return PX_ECRYPTO;
    }
    tls->fd = fd;
    if (SSL_CTX_get_ssl_method(context->ssl) == TLS_server_method()) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
    }
    *ret_tls = tls;
    return PX_OK;
}

void px_tls_free(px_tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        (void)close(tls->fd); // what was to be said has been
        free(tls);
    }
}

int px_tls_fd(const px_tls *tls)
{
    return tls->fd;
}

bool px_tls_wants_write(const px_tls *tls)
{
    return tls->wants_write;
}

// outcome says in our terms how a call ended that gave result.
static px_err outcome(px_tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    px_err err = PX_ECLOSED;
    tls->wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        err = PX_EAGAIN;
    } else if (error == SSL_ERROR_SSL) {
        unsigned long code = ERR_peek_last_error();
        bool torn = ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        err = torn ? PX_ECLOSED : PX_EPERM;
    }
    ERR_clear_error(); // the queue is the thread's, and Python's too
    return err;
}

px_err px_tls_handshake(px_tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? PX_OK : outcome(tls, result);
}

px_err px_tls_read(px_tls *tls, void *bytes, size_t size, size_t *ret_read)
{
    ERR_clear_error();
    int result = SSL_read_ex(tls->ssl, bytes, size, ret_read);
    return result == 1 ? PX_OK : outcome(tls, result);
}

px_err px_tls_write(px_tls *tls, const void *bytes, size_t size, size_t *ret_written)
{
    ERR_clear_error();
    int result = SSL_write_ex(tls->ssl, bytes, size, ret_written);
    return result == 1 ? PX_OK : outcome(tls, result);
}
