# The kernel's half without Python: queues, capture, and px-io behind real sockets.
foreach(module outbox member capture subshell io visible flood known stuck interrupt questions)
    px_unit_test(test_kernel_${module} SOURCES test_kernel_${module}.c LINK px_unit px_kernel_io)
endforeach()
