// types.h: the catalogue of message types: one X-macro, name on the wire. Messaging spec 5.5 with
// debug and subshells, and the cluster's own.
#ifndef PX_TYPES_H
#define PX_TYPES_H

#include "px/buf.h"

#define PX_MSG_TYPES(X)                                                                            \
    X(EXECUTE_REQUEST, "execute_request")                                                          \
    X(EXECUTE_REPLY, "execute_reply")                                                              \
    X(EXECUTE_INPUT, "execute_input")                                                              \
    X(EXECUTE_RESULT, "execute_result")                                                            \
    X(INSPECT_REQUEST, "inspect_request")                                                          \
    X(INSPECT_REPLY, "inspect_reply")                                                              \
    X(COMPLETE_REQUEST, "complete_request")                                                        \
    X(COMPLETE_REPLY, "complete_reply")                                                            \
    X(HISTORY_REQUEST, "history_request")                                                          \
    X(HISTORY_REPLY, "history_reply")                                                              \
    X(IS_COMPLETE_REQUEST, "is_complete_request")                                                  \
    X(IS_COMPLETE_REPLY, "is_complete_reply")                                                      \
    X(CONNECT_REQUEST, "connect_request")                                                          \
    X(CONNECT_REPLY, "connect_reply")                                                              \
    X(COMM_INFO_REQUEST, "comm_info_request")                                                      \
    X(COMM_INFO_REPLY, "comm_info_reply")                                                          \
    X(COMM_OPEN, "comm_open")                                                                      \
    X(COMM_MSG, "comm_msg")                                                                        \
    X(COMM_CLOSE, "comm_close")                                                                    \
    X(KERNEL_INFO_REQUEST, "kernel_info_request")                                                  \
    X(KERNEL_INFO_REPLY, "kernel_info_reply")                                                      \
    X(SHUTDOWN_REQUEST, "shutdown_request")                                                        \
    X(SHUTDOWN_REPLY, "shutdown_reply")                                                            \
    X(INTERRUPT_REQUEST, "interrupt_request")                                                      \
    X(INTERRUPT_REPLY, "interrupt_reply")                                                          \
    X(USAGE_REQUEST, "usage_request")                                                              \
    X(USAGE_REPLY, "usage_reply")                                                                  \
    X(DEBUG_REQUEST, "debug_request")                                                              \
    X(DEBUG_REPLY, "debug_reply")                                                                  \
    X(DEBUG_EVENT, "debug_event")                                                                  \
    X(CREATE_SUBSHELL_REQUEST, "create_subshell_request")                                          \
    X(CREATE_SUBSHELL_REPLY, "create_subshell_reply")                                              \
    X(DELETE_SUBSHELL_REQUEST, "delete_subshell_request")                                          \
    X(DELETE_SUBSHELL_REPLY, "delete_subshell_reply")                                              \
    X(LIST_SUBSHELL_REQUEST, "list_subshell_request")                                              \
    X(LIST_SUBSHELL_REPLY, "list_subshell_reply")                                                  \
    X(INPUT_REQUEST, "input_request")                                                              \
    X(INPUT_REPLY, "input_reply")                                                                  \
    X(STREAM, "stream")                                                                            \
    X(DISPLAY_DATA, "display_data")                                                                \
    X(UPDATE_DISPLAY_DATA, "update_display_data")                                                  \
    X(ERROR, "error")                                                                              \
    X(STATUS, "status")                                                                            \
    X(CLEAR_OUTPUT, "clear_output")                                                                \
    X(IOPUB_WELCOME, "iopub_welcome")                                                              \
    X(APPLY_REQUEST, "apply_request")                                                              \
    X(APPLY_REPLY, "apply_reply")                                                                  \
    X(REGISTER_REQUEST, "register_request")                                                        \
    X(REGISTER_REPLY, "register_reply")                                                            \
    X(HEARTBEAT_REQUEST, "heartbeat_request")                                                      \
    X(HEARTBEAT_REPLY, "heartbeat_reply")                                                          \
    X(STATUS_REQUEST, "status_request")                                                            \
    X(STATUS_REPLY, "status_reply")                                                                \
    X(SIGNAL_REQUEST, "signal_request")                                                            \
    X(SIGNAL_REPLY, "signal_reply")                                                                \
    X(ABORT_REQUEST, "abort_request")                                                              \
    X(ABORT_REPLY, "abort_reply")                                                                  \
    X(QUEUE_REQUEST, "queue_request")                                                              \
    X(QUEUE_REPLY, "queue_reply")                                                                  \
    X(SCALE_REQUEST, "scale_request")                                                              \
    X(SCALE_REPLY, "scale_reply")                                                                  \
    X(RESTART_REQUEST, "restart_request")                                                          \
    X(RESTART_REPLY, "restart_reply")                                                              \
    X(ENGINE_NOTIFY, "engine_notify")                                                              \
    X(CLUSTER_NOTIFY, "cluster_notify")

typedef enum px_msg_type {
    PX_MSG_UNKNOWN,
#define PX_TYPE_NAME(name, wire) PX_MSG_##name,
    PX_MSG_TYPES(PX_TYPE_NAME)
#undef PX_TYPE_NAME
        PX_MSG_COUNT
} px_msg_type;

// px_msg_type_from finds the type of a wire name; PX_MSG_UNKNOWN when there is none. Constant time.
px_msg_type px_msg_type_from(px_slice name);
// px_msg_type_name is the wire name; "" for PX_MSG_UNKNOWN.
const char *px_msg_type_name(px_msg_type type);

#endif
