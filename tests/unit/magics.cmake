# Tests of the client's core (magics/io). Listed by tests/unit/CMakeLists.txt.
px_unit_test(test_terms SOURCES test_terms.c LINK px_unit)
if(TARGET px_client)
    foreach(module engines lend output pending)
        px_unit_test(test_${module} SOURCES test_${module}.c LINK px_unit px_client)
    endforeach()
    px_unit_test(test_client SOURCES test_client.c hub.c LINK px_unit px_client)
endif()
