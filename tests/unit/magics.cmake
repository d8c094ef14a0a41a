# Tests of the client's core (magics/io). Listed by tests/unit/CMakeLists.txt.
if(TARGET px_client)
    foreach(module client engines output pending)
        px_unit_test(test_${module} SOURCES test_${module}.c LINK px_unit px_client)
    endforeach()
endif()
