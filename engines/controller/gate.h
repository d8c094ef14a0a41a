// gate.h: the controller's door to the network: one TCP port, behind which the two sockets of the
// run folder stand. Thread px-gate; any thread may call what is here.
//
// Who connects has to show in a TLS handshake that it has the cluster's key, within five seconds;
// before that not a byte of it is looked at, and only so many may try at a time. Then a tunnel
// (px/tunnel.h) carries its link to control.sock or work.sock, as if it had come from this host.
#ifndef PX_ENGINES_GATE_H
#define PX_ENGINES_GATE_H

#include "px/buf.h"
#include "px/err.h"

#include <stdint.h>

typedef struct px_gate px_gate;

// px_gate_config: ip is an address of this host, or "*" for all. Borrowed for the call, but control
// and work, which stay the caller's.
typedef struct px_gate_config {
    const char *ip, *name;
    uint16_t port; // 0: any
    px_slice key;
    uint32_t lease_s;
    const char *control, *work; // paths
} px_gate_config;

px_err px_gate_start(const px_gate_config *config, px_gate **ret_gate, px_error *reterr);
uint16_t px_gate_port(const px_gate *gate);
// px_gate_stop says good-bye to every peer whose link has been closed, for half a second at most.
void px_gate_stop(px_gate *gate);

// px_gate_addresses writes by which addresses others may reach ip, separated by spaces: ip itself,
// or for "*" those of every interface that is up (loopback only when there is no other).
void px_gate_addresses(const char *ip, char *ret_list, size_t size);

#endif
