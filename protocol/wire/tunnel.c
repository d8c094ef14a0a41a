// tunnel.c: local socket <-> stream <-> TLS.
//
// Back pressure goes through: what the local socket does not take is not read from the network, and
// while the peer has not said that it has a window full of frames, the local socket is not read.
// Who does not read from the network cannot hear the peer, so its silence then says nothing.
#include "px/tunnel.h"

#include "little.h"

#include "px/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC UINT32_C(0x31545850) // 'PXT1', little endian
#define PIECE ((size_t)1 << 16)
#define ROUNDS 16
#define WINDOW ((size_t)16 << 20)
// So much that has arrived may wait for the local socket before the network is not read any more.
#define WAIT_AT_MOST ((size_t)1 << 18)
// After the local end: how long the peer may take to say that it has all.
#define LINGER (2 * PX_NS_PER_S)

struct px_tunnel {
    px_stream *stream;
    px_tls *tls;
    px_tls *dead; // its owner may still wait for it
    int local;
    bool local_ended; // nothing more is read from it
    bool local_full;  // it takes nothing now
    bool net_full;
    bool again; // a budget ended the last step
    px_ns linger;
    uint8_t *out; // encrypted next
    size_t out_from, out_to;
    uint8_t *scratch;
};

void px_greeting_write(const px_greeting *greeting, uint8_t wire[PX_GREETING_SIZE])
{
    memset(wire, 0, PX_GREETING_SIZE);
    px__put(wire, MAGIC, 4);
    wire[4] = greeting->what;
    wire[5] = greeting->resumes;
    memcpy(wire + 8, greeting->id, PX_TUNNEL_ID_SIZE);
    px__put(wire + 24, greeting->received, 8);
}

px_err px_greeting_read(const uint8_t wire[PX_GREETING_SIZE], px_greeting *ret_greeting)
{
    if (px__get(wire, 4) != MAGIC || wire[5] > 1 || px__get(wire + 6, 2) != 0) {
        return PX_EFORMAT;
    }
    *ret_greeting =
        (px_greeting){.what = wire[4], .resumes = wire[5] == 1, .received = px__get(wire + 24, 8)};
    memcpy(ret_greeting->id, wire + 8, PX_TUNNEL_ID_SIZE);
    return PX_OK;
}

px_stream_limits px_tunnel_limits(uint32_t lease_s)
{
    px_ns lease = lease_s * PX_NS_PER_S;
    px_ns beat = lease / 10 < 3 * PX_NS_PER_S ? lease / 10 : 3 * PX_NS_PER_S;
    return (px_stream_limits){.window = WINDOW, .beat = beat, .lease = lease};
}

px_err px_tunnel_new(const px_stream_limits *limits, int local, px_ns now, px_tunnel **ret_tunnel)
{
    px_tunnel *tunnel = calloc(1, sizeof(*tunnel));
    if (tunnel == NULL) {
        return PX_ENOMEM;
    }
    tunnel->local = -1;
    tunnel->out = malloc(PIECE);
    tunnel->scratch = malloc(PIECE);
    px_err err = tunnel->out != NULL && tunnel->scratch != NULL
                     ? px_stream_new(limits, now, &tunnel->stream)
                     : PX_ENOMEM;
    if (err != PX_OK) {
        px_tunnel_free(tunnel);
        return err;
    }
    tunnel->local = local;
    *ret_tunnel = tunnel;
    return PX_OK;
}

void px_tunnel_free(px_tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    px_tunnel_cut(tunnel);
    px_stream_free(tunnel->stream);
    if (tunnel->local >= 0) {
        (void)close(tunnel->local); // its other end sees it
    }
    free(tunnel->out);
    free(tunnel->scratch);
    free(tunnel);
}

px_err px_tunnel_attach(px_tunnel *tunnel, px_tls *tls, uint64_t received, px_ns now)
{
    px_tunnel_cut(tunnel);
    px_err err = px_stream_attach(tunnel->stream, now, received);
    if (err != PX_OK) {
        px_tls_free(tls);
        return err;
    }
    tunnel->tls = tls;
    return PX_OK;
}

// come_apart leaves the connection's socket to px_tunnel_cut.
static void come_apart(px_tunnel *tunnel)
{
    if (tunnel->tls != NULL) {
        tunnel->dead = tunnel->tls;
        tunnel->tls = NULL;
    }
    tunnel->out_from = tunnel->out_to = 0;
    tunnel->net_full = false;
    if (tunnel->stream != NULL) {
        px_stream_detach(tunnel->stream);
    }
}

void px_tunnel_cut(px_tunnel *tunnel)
{
    come_apart(tunnel);
    px_tls_free(tunnel->dead);
    tunnel->dead = NULL;
}

uint64_t px_tunnel_received(const px_tunnel *tunnel)
{
    return px_stream_received(tunnel->stream);
}

// --- local ---------------------------------------------------------------------------------------

static void end_local(px_tunnel *tunnel, px_ns now)
{
    if (!tunnel->local_ended) {
        tunnel->local_ended = true;
        tunnel->linger = now + LINGER;
        if (px_stream_end(tunnel->stream) != PX_OK) {
            tunnel->linger = now; // no memory for the last word: the peer sees the connection end
        }
    }
}

// read_local takes a piece for the peer; false when nothing is there or nothing more is wanted.
static bool read_local(px_tunnel *tunnel, px_ns now)
{
    if (tunnel->local_ended || px_stream_room(tunnel->stream) == 0) {
        return false;
    }
    ssize_t n = recv(tunnel->local, tunnel->scratch, PX_STREAM_FRAME, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return errno == EINTR;
    }
    if (n <= 0 || px_stream_put(tunnel->stream, px_slice_of(tunnel->scratch, (size_t)n)) != PX_OK) {
        end_local(tunnel, now);
        return false;
    }
    return true;
}

// write_local hands on what has arrived; false when the socket takes no more or nothing is there.
static bool write_local(px_tunnel *tunnel, px_ns now)
{
    px_slice bytes = px_stream_arrived(tunnel->stream);
    if (bytes.size == 0) {
        return false;
    }
    ssize_t n = send(tunnel->local, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
        px_stream_take(tunnel->stream, (size_t)n);
        return true;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        tunnel->local_full = true;
        return false;
    }
    if (errno != EINTR) { // nobody is there to read it
        px_stream_take(tunnel->stream, bytes.size);
        end_local(tunnel, now);
    }
    return true;
}

// --- net -----------------------------------------------------------------------------------------

static bool may_read_net(const px_tunnel *tunnel)
{
    return tunnel->tls != NULL && px_stream_arrived(tunnel->stream).size < WAIT_AT_MOST;
}

// read_net gives PX_OK when something came.
static px_err read_net(px_tunnel *tunnel, px_ns now)
{
    size_t n = 0;
    if (!may_read_net(tunnel)) {
        return PX_EAGAIN;
    }
    PX_TRY(px_tls_read(tunnel->tls, tunnel->scratch, PIECE, &n));
    return px_stream_input(tunnel->stream, now, px_slice_of(tunnel->scratch, n));
}

static px_err write_net(px_tunnel *tunnel, px_ns now)
{
    if (tunnel->tls == NULL) {
        return PX_EAGAIN;
    }
    if (tunnel->out_from == tunnel->out_to) {
        tunnel->out_from = 0;
        tunnel->out_to = px_stream_output(tunnel->stream, now, tunnel->out, PIECE);
        if (tunnel->out_to == 0) {
            return PX_EAGAIN;
        }
    }
    size_t n = 0;
    px_err err = px_tls_write(tunnel->tls, tunnel->out + tunnel->out_from,
                              tunnel->out_to - tunnel->out_from, &n);
    tunnel->net_full = err == PX_EAGAIN;
    if (err == PX_OK) {
        tunnel->out_from += n;
    }
    return err;
}

// move does one round in all directions. PX_EAGAIN: nothing moved.
static px_err move(px_tunnel *tunnel, px_ns now)
{
    bool moved = read_local(tunnel, now);
    px_err written = write_net(tunnel, now);
    px_err read = read_net(tunnel, now);
    moved = write_local(tunnel, now) || moved;
    if (read == PX_EFORMAT || read == PX_ENOMEM) {
        return read;
    }
    if ((written != PX_OK && written != PX_EAGAIN) || (read != PX_OK && read != PX_EAGAIN)) {
        come_apart(tunnel);
        return PX_OK;
    }
    return moved || written == PX_OK || read == PX_OK ? PX_OK : PX_EAGAIN;
}

static px_tunnel_state state_now(px_tunnel *tunnel, px_ns now)
{
    bool read_all = px_stream_arrived(tunnel->stream).size == 0;
    if (px_stream_ended(tunnel->stream) && read_all) {
        return PX_TUNNEL_OVER;
    }
    if (tunnel->local_ended &&
        (px_stream_settled(tunnel->stream) || now >= tunnel->linger || tunnel->tls == NULL)) {
        return PX_TUNNEL_OVER; // without a connection nobody waits for one only to say good-bye
    }
    return tunnel->tls != NULL ? PX_TUNNEL_OPEN : PX_TUNNEL_BROKEN;
}

px_tunnel_state px_tunnel_step(px_tunnel *tunnel, px_ns now)
{
    px_err err = PX_OK;
    tunnel->local_full = false;
    switch (px_stream_tick(tunnel->stream, now)) {
    case PX_STREAM_EXPIRED:
        return PX_TUNNEL_GIVEN_UP;
    case PX_STREAM_SILENT:
        come_apart(tunnel);
        break;
    case PX_STREAM_WELL:
        break;
    }
    for (int round = 0; round < ROUNDS && err == PX_OK; round++) {
        err = move(tunnel, now);
    }
    tunnel->again = err == PX_OK;
    if (err != PX_OK && err != PX_EAGAIN) {
        return PX_TUNNEL_GIVEN_UP;
    }
    if (tunnel->tls != NULL && !may_read_net(tunnel)) {
        px_stream_not_read(tunnel->stream, now);
    }
    return state_now(tunnel, now);
}

px_tunnel_needs px_tunnel_waits(const px_tunnel *tunnel)
{
    px_tunnel_needs needs = {.net_fd = -1, .local_fd = tunnel->local};
    if (tunnel->tls != NULL) {
        needs.net_fd = px_tls_fd(tunnel->tls);
        needs.net_events =
            (may_read_net(tunnel) ? PX_READABLE : 0) | (tunnel->net_full ? PX_WRITABLE : 0);
    }
    bool reads = !tunnel->local_ended && px_stream_room(tunnel->stream) > 0;
    needs.local_events = (reads ? PX_READABLE : 0) | (tunnel->local_full ? PX_WRITABLE : 0);
    needs.due = px_stream_due(tunnel->stream);
    if (tunnel->local_ended && tunnel->linger < needs.due) {
        needs.due = tunnel->linger;
    }
    if (tunnel->again) {
        needs.due = 0;
    }
    return needs;
}
