#include "px/curve.h"

#include "zeromq.h"

#include <zmq.h>

px_err px_curve_new(px_curve_keys *ret_keys)
{
    px_curve_keys keys;

    if (zmq_curve_keypair(keys.publickey, keys.secretkey) != 0) {
        return px__zmq_err();
    }
    *ret_keys = keys;
    return PX_OK;
}
